//! Twilio.

use std::{borrow::Cow, time::Duration};

use http::Method;

use super::form::{Facts, MINUTE, USUAL, family, preset, text};
use crate::{
    provider::{AnswerMeaning, Doubt, Fact, IdSource, Provider, Retried, Retries},
    verify::{
        Algorithm, ComposedScheme, Demand, Encoding, HeaderFamily, HmacScheme, KeyForm, Kind, Part, Scheme,
        SignatureForm, SignaturePlace,
    },
};

const TWILIO_FACTS: Facts = Facts {
    name: "twilio",
    id: &[IdSource::Header(text("i-twilio-idempotency-token"))],
    waits: Duration::from_secs(15),
    retries: Retries { after: Retried::Nothing, span: MINUTE },
    doubts: &[Doubt::memory(Fact::DeliveryId)],
    docs: "https://www.twilio.com/docs/usage/webhooks/webhooks-security",
    ..USUAL
};

const FAMILIES: &[HeaderFamily] = &[family("x-twilio-signature")];
const CONTENT: &[Part] = &[Part::UrlInAnyForm, Part::FormOrBodyDigest(text("bodySHA256"))];
const METHODS: &[Method] = &[Method::POST, Method::GET];
const SHARED_KEY: &[Demand] = &[Demand {
    header: text("x-twilio-webhooks-signature-settings"),
    separator: ',',
    name: text("algorithm"),
    value: text("HMAC_SHA256"),
}];

/// Twilio, signed with the account's auth token: <https://www.twilio.com/docs/usage/webhooks/webhooks-security>.
///
/// HMAC-SHA1 over the full URL and, of a form, each key and value in the order of the keys. Where the URL's query has a
/// `bodySHA256` the body is JSON, and that is its digest. Twilio does not always sign the URL as it writes it, so, as by its
/// SDKs, it is tried with and without its port and with its query escaped anew. The address that Twilio sends to is set with
/// `public_url`. Twilio sends POST or GET.
///
/// Nothing stands between the parts that are signed, and there is no timestamp. Who has captured a delivery can
///
/// - send it again, at any time, under a fresh `I-Twilio-Idempotency-Token`, which is not signed (that it is the delivery
///   id is *from memory*); `deduplicate_payloads` of [`IdempotencyLayer`](crate::idempotency::IdempotencyLayer) claims the
///   payload too;
/// - move the boundary of a key, of a value and of the end of the URL's query: `Digits=12` signs as `Digits1=2`, and as a
///   query that ends in `Digits12`. Where a sender of messages chooses the text, that may even read as a `bodySHA256` of
///   another body. A handler should look for the fields that it knows and check their values.
///
/// The preset adds: a form with a broken escape, or that is not UTF-8, is refused, and so is another content type that no
/// digest covers. An endpoint that takes forms alone is safer with
/// `TWILIO.with_scheme(TWILIO.scheme().clone().content([Part::UrlInAnyForm, Part::Form]))`.
///
/// Twilio waits 15 s. It tries again when it cannot connect, and after answers only if the URL's fragment or a webhook rule
/// says so; then it asks the fallback URL. It reads answers (TwiML); for status callbacks, whose answers it does not read,
/// take `TWILIO.reading_answers(AnswerMeaning::None)`, which an acknowledgement and an inbox need.
pub const TWILIO: Provider = twilio(TWILIO_FACTS, scheme(Algorithm::HmacSha1, &[]));

/// Twilio, signed with a SharedKey: <https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys>.
///
/// As [`TWILIO`], with HMAC-SHA256 under that key. `X-Twilio-Webhooks-Signature-Settings` must be there and say
/// `algorithm=HMAC_SHA256`; no request can choose another one. The `key` that it names is not signed and not looked at: give
/// all keys that are valid during a rotation. A public beta, as Twilio says.
pub const TWILIO_SHARED_KEY: Provider = twilio(
    Facts { docs: "https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys", ..TWILIO_FACTS },
    scheme(Algorithm::HmacSha256, SHARED_KEY),
);

const fn scheme(algorithm: Algorithm, demands: &'static [Demand]) -> Scheme {
    Scheme(Kind::Composed(ComposedScheme {
        hmac: HmacScheme {
            algorithm,
            key: KeyForm::Text,
            families: Cow::Borrowed(FAMILIES),
            form: SignatureForm::Bare,
            encoding: Encoding::Base64,
            content: Cow::Borrowed(CONTENT),
            timestamp: None,
        },
        place: SignaturePlace::Header,
        demands: Cow::Borrowed(demands),
        is_plain_hash: false,
    }))
}

const fn twilio(facts: Facts, scheme: Scheme) -> Provider {
    let mut provider = preset(facts, scheme);
    // A constant cannot run the destructor of what is replaced, which is borrowed and has none to run.
    std::mem::forget(std::mem::replace(&mut provider.methods, Cow::Borrowed(METHODS)));
    std::mem::forget(std::mem::replace(&mut provider.answer, AnswerMeaning::All));
    provider
}
