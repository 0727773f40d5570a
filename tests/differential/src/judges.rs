//! Who judges.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Request;
use tower_webhook::{
    Provider, SigningSecret, provider,
    verify::{
        Algorithm, Encoding, KeyForm, KeyRing, Part, Received, Scheme, SchemeVerifier, Signing, Verifier,
    },
};

use crate::case::Case;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    Accept,
    Reject,
    Panic,
}

impl Judgement {
    fn of(accepted: bool) -> Self {
        if accepted { Self::Accept } else { Self::Reject }
    }
}

/// The crate that is compared, with the preset that stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    Svix,
    StandardWebhooks,
}

impl Judge {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Svix => "provider::SVIX and the crate svix",
            Self::StandardWebhooks => "provider::STANDARD_WEBHOOKS and the crate standardwebhooks",
        }
    }

    const fn preset(self) -> Provider {
        match self {
            Self::Svix => provider::SVIX,
            Self::StandardWebhooks => provider::STANDARD_WEBHOOKS,
        }
    }

    pub fn ours(self, case: &Case) -> Judgement {
        let judged = catch_unwind(AssertUnwindSafe(|| verify(&self.preset(), case).is_some()));
        judged.map_or(Judgement::Panic, Judgement::of)
    }

    pub fn theirs(self, case: &Case) -> Judgement {
        let judged = catch_unwind(AssertUnwindSafe(|| match self {
            Self::Svix => svix::webhooks::Webhook::new(&case.secret)
                .and_then(|webhook| webhook.verify(&case.body, &case.headers))
                .is_ok(),
            Self::StandardWebhooks => standardwebhooks::Webhook::new(&case.secret)
                .and_then(|webhook| webhook.verify(&case.body, &case.headers))
                .is_ok(),
        }));
        judged.map_or(Judgement::Panic, Judgement::of)
    }
}

fn verify(preset: &Provider, case: &Case) -> Option<()> {
    let secret = SigningSecret::from_text(case.secret.as_str()).ok()?;
    let verifier = SchemeVerifier::new(preset, KeyRing::new(secret)).ok()?;
    let (mut head, ()) = Request::new(()).into_parts();
    head.headers = case.headers.clone();
    let body = Bytes::from(case.body.clone());
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(case.now).ok()?);
    let prepared = at_once(verifier.prepare(&head, None)).ok()?;
    at_once(verifier.verify(Received::new(&head, &body, now), prepared)).ok().map(drop)
}

/// Whether all three sign this body alike, under this secret and at this time; `None` where one of them signs nothing.
pub fn sign_alike(case: &Case, id: &str) -> Option<bool> {
    let secret = SigningSecret::from_text(case.secret.as_str()).ok()?;
    let at = UNIX_EPOCH + Duration::from_secs(u64::try_from(case.now).ok()?);
    let mut request = Request::new(Bytes::from(case.body.clone()));
    provider::STANDARD_WEBHOOKS.sign(&mut request, &secret, &Signing::new(id, at)).ok()?;
    let ours = request.headers().get("webhook-signature")?.to_str().ok()?;
    let svix = svix::webhooks::Webhook::new(&case.secret).ok()?.sign(id, case.now, &case.body).ok()?;
    let standard = standardwebhooks::Webhook::new(&case.secret).ok()?.sign(id, case.now, &case.body).ok()?;
    Some(ours == svix && ours == standard)
}

/// The result of a future that need not wait: a ring of keys is here already.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a ring of keys need not be waited for"),
    }
}

/// An HMAC-SHA256; under no key at all, that of 64 zeros, which is the same.
pub fn mac(key: &[u8], content: &[u8]) -> [u8; 32] {
    let key = if key.is_empty() { vec![0; 64] } else { key.to_vec() };
    let scheme = Scheme::hmac(Algorithm::HmacSha256, "x-mac")
        .key(KeyForm::Text)
        .encoding(Encoding::Base64)
        .content([Part::Body]);
    let mut request = Request::new(Bytes::from(content.to_vec()));
    let secret = SigningSecret::from_text_or_bytes(&key);
    scheme.sign(&mut request, &secret, &Signing::new("", UNIX_EPOCH)).expect("any key signs");
    let text = request.headers()["x-mac"].as_bytes();
    STANDARD.decode(text).expect("it was just written").try_into().expect("a SHA-256 has 32 bytes")
}

/// Key bytes of any kind.
trait Given {
    fn from_text_or_bytes(key: &[u8]) -> Self;
}

impl Given for SigningSecret {
    fn from_text_or_bytes(key: &[u8]) -> Self {
        // Blank bytes alone are no secret; HMAC pads a key with zeros, so one more says the same.
        let padded = || [key, &[0]].concat();
        Self::from_bytes(key).or_else(|_| Self::from_bytes(padded())).expect("it is not blank")
    }
}
