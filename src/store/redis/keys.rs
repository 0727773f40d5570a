//! What the server's keys are called.
//!
//! What is in braces decides in a cluster on which shard a key lies. A claim and the fence counter that it needs
//! share the first byte of the claim's key there: 256 counters in all, which stay for ever.

use super::{super::ClaimKey, error::OpenError};

/// What all keys begin with.
#[derive(Debug, Clone)]
pub(super) struct Prefix(Box<str>);

impl Prefix {
    const LONGEST: usize = 64;

    pub(super) fn new(text: &str) -> Result<Self, OpenError> {
        let fits = (1..=Self::LONGEST).contains(&text.len());
        // A brace of its own would decide the shard for all keys.
        let legal = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}'));
        if fits && legal {
            return Ok(Self(text.into()));
        }
        Err(OpenError::Builder {
            setting: "prefix",
            value: text.chars().take(Self::LONGEST + 1).collect(),
            must_be: "1 to 64 printable ASCII characters without blanks and braces",
        })
    }

    /// The keys of a claim and of the counter that fences it.
    pub(super) fn claim(&self, key: &ClaimKey) -> [String; 2] {
        let digits = hex::encode(key.as_bytes());
        let (prefix, shard) = (&self.0, &digits[..2]);
        [format!("{prefix}:claim:{{{shard}}}:{digits}"), format!("{prefix}:fence:{{{shard}}}")]
    }

    /// The key of a quota's bucket.
    pub(super) fn quota(&self, bucket: &[u8]) -> String {
        format!("{}:quota:{}", self.0, hex::encode(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_and_its_counter_share_a_shard() {
        let [claim, fence] = Prefix::new("shop").unwrap().claim(&ClaimKey::from_bytes([0xAB; 32]));
        assert!(claim.starts_with("shop:claim:{ab}:abab"), "{claim}");
        assert_eq!(fence, "shop:fence:{ab}");
    }

    #[test]
    fn a_prefix_that_would_decide_the_shard_is_refused() {
        for text in ["", "a{b}", "a b", "ä", "a\n", &"x".repeat(65)] {
            assert!(
                matches!(Prefix::new(text), Err(OpenError::Builder { setting: "prefix", .. })),
                "{text:?}"
            );
        }
        assert!(Prefix::new(&"x".repeat(64)).is_ok());
    }
}
