//! Verification, through the public API.

mod answers;
mod attacks;
mod body;
mod keys;
mod support;
mod tenants;
