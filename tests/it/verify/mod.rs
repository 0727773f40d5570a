//! Verification, through the public API.

mod answers;
mod attacks;
mod body;
mod identity;
mod keys;
mod pieces;
mod support;
mod tenants;
mod wycheproof;
