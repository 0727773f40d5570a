//! What the server runs: each operation is one script, and so atomic and one round trip.
//!
//! A claim is one string under one key: a letter for its state, the payload's fingerprint (32 bytes), the fence (16
//! digits), and once it is answered the answer. [`record`](super::record) reads it.

use std::sync::LazyLock;

use ::redis::{Arg, Cmd, cmd};
use sha1::{Digest, Sha1};

/// A script and the digest that the server knows it by.
pub(super) struct Script {
    source: &'static str,
    digest: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        Self { source, digest: hex::encode(Sha1::digest(source)) }
    }

    /// Runs it by its digest.
    pub(super) fn by_digest(&self, keys: &[&str]) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(self.digest.as_str()).arg(keys.len()).arg(keys);
        command
    }

    /// The same call of it with its source, after which the server knows its digest.
    pub(super) fn with_source(&self, by_digest: &Cmd) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(self.source);
        for argument in by_digest.args_iter().skip(2) {
            if let Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        command
    }

    /// Tells the server its source.
    pub(super) fn load(&self) -> Cmd {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(self.source);
        command
    }
}

pub(super) static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/claim.lua")));
pub(super) static EXTEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/extend.lua")));
pub(super) static ANSWER: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/answer.lua")));
pub(super) static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));
pub(super) static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/take.lua")));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_carries_the_same_keys_and_arguments() {
        let mut by_digest = RELEASE.by_digest(&["a", "b"]);
        by_digest.arg(&b"\0\xff"[..]);
        let arguments: Vec<Vec<u8>> = RELEASE
            .with_source(&by_digest)
            .args_iter()
            .filter_map(|argument| match argument {
                Arg::Simple(bytes) => Some(bytes.to_vec()),
                _ => None,
            })
            .collect();
        let expected: [&[u8]; 6] = [b"EVAL", RELEASE.source.as_bytes(), b"2", b"a", b"b", b"\0\xff"];
        assert_eq!(arguments, expected);
    }
}
