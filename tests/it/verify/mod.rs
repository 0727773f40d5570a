//! Verification, through the public API.

mod answers;
mod attacks;
mod body;
mod identity;
mod keys;
mod message_signatures;
mod pieces;
mod public_key;
mod rfc9421;
mod support;
mod tenants;
mod wycheproof;
#[cfg(any(feature = "ed25519", feature = "p256", feature = "rsa"))]
mod wycheproof_public_key;
