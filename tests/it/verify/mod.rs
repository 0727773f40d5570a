//! Verification, through the public API.

mod body;
mod support;
