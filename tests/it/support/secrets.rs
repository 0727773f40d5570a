//! Every preset with a secret on both sides.

use tower_webhook::{Provider, SigningSecret, provider};

use super::rfc9421_keys::{ED25519_PRIVATE, ED25519_PUBLIC, P256_PRIVATE, P256_PUBLIC};

/// Text, a token and padded base64 behind its prefix at once, so that it is a secret in nearly every preset's form.
const TEXT: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HEX: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

/// A preset, the secret that signs, and the one that verifies.
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    /// Without its handshakes, for which it may want to be told a token.
    pub(crate) preset: Provider,
    pub(crate) signs: SigningSecret,
    pub(crate) verifies: SigningSecret,
}

/// All presets that sign with the features that are on; what is verified in code has no secret.
pub(crate) fn pairs() -> impl Iterator<Item = Pair> {
    let secret = |text: &str| SigningSecret::from_text(text).unwrap();
    provider::all()
        .iter()
        .filter(|(_, preset)| preset.scheme().missing_feature().is_none() && !preset.scheme().is_code())
        .map(move |(name, preset)| {
            let (signs, verifies) = match *name {
                "standard-webhooks-v1a" | "svix-v1a" | "discord" => (ED25519_PRIVATE, ED25519_PUBLIC),
                "sendgrid" => (P256_PRIVATE, P256_PUBLIC),
                "adyen" | "adyen-platforms" => (HEX, HEX),
                _ => (TEXT, TEXT),
            };
            let preset = preset.clone().challenging_with([]);
            Pair { name, preset, signs: secret(signs), verifies: secret(verifies) }
        })
}
