//! The rule of a scheme at 1 KiB, beside the bare HMAC that it cannot do without and beside the `standardwebhooks` crate.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(unreachable_pub, reason = "each benchmark is a crate of its own that shares `support`")]

#[expect(dead_code, reason = "each benchmark uses its part")]
mod support;

use std::{
    error::Error,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, request::Parts};
use sha2::Sha256;
use support::compare;
use tower_webhook::{
    Rejection, SigningSecret, provider,
    verify::{KeyRing, Received, SchemeVerifier, Signing, Verdict, Verifier, judge_at_once},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_2b3c4d5e6f7g8h9i";

/// Of the rule's time to the bare HMAC's, at most.
const BAR_HMAC: f64 = 1.5;
/// Of the rule's time to that of `standardwebhooks`, at most: three times as fast.
const BAR_CRATE: f64 = 1.0 / 3.0;

fn main() -> Result<(), Box<dyn Error>> {
    let secret = SigningSecret::from_text(SECRET)?;
    let verifier = SchemeVerifier::new(&provider::STANDARD_WEBHOOKS, KeyRing::new(secret.clone()))?;
    // `standardwebhooks` reads the machine's clock, and its tolerance is far longer than this runs.
    let now = SystemTime::now();
    let (head, body) = delivery(&secret, now)?;
    let rule = || judge_at_once(black_box(&verifier), black_box(&head), black_box(&body), now);
    assert!(rule().is_ok());

    let keyed = Hmac::<Sha256>::new_from_slice(&base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        KEY,
    )?)?;
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let content = [format!("{ID}.{seconds}.").as_bytes(), &body].concat();
    let mac = || black_box(&keyed).clone().chain_update(black_box(&content)).finalize().into_bytes();
    verdict(BAR_HMAC, compare("the rule against the bare HMAC", rule, mac));

    let theirs = standardwebhooks::Webhook::new(SECRET)?;
    let verify = || black_box(&theirs).verify(black_box(&body), black_box(&head.headers));
    verify()?;
    verdict(BAR_CRATE, compare("the rule against standardwebhooks", rule, verify));

    let whole = || whole(black_box(&verifier), black_box(&head), black_box(&body), now);
    assert_eq!(whole().and_then(|verdict| verdict.event_type).as_deref(), Some("invoice.paid"));
    compare("with id and event type, against the rule alone", whole, rule);
    Ok(())
}

fn verdict(bar: f64, ratio: f64) {
    println!("    bar {bar:.3}: {}", if ratio <= bar { "kept" } else { "MISSED" });
}

/// All that is found out about a delivery, its JSON body read for the event type.
fn whole(verifier: &SchemeVerifier, head: &Parts, body: &Bytes, now: SystemTime) -> Option<Verdict> {
    let prepared = at_once(verifier.prepare(head, None))?;
    at_once(verifier.verify(Received::new(head, body, now), prepared))
}

/// What need not be waited for.
fn at_once<T>(judgement: impl Future<Output = Result<T, Rejection>>) -> Option<T> {
    match pin!(judgement).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(judgement) => judgement.ok(),
        Poll::Pending => None,
    }
}

/// A KiB of JSON, signed.
fn delivery(secret: &SigningSecret, now: SystemTime) -> Result<(Parts, Bytes), Box<dyn Error>> {
    let mut body = br#"{"type":"invoice.paid","lines":["#.to_vec();
    while body.len() < 1024 - 32 {
        body.extend_from_slice(br#"{"n":12,"item":"a book"},"#);
    }
    body.extend_from_slice(br#"0],"end":""#);
    body.resize(1024 - 2, b'.');
    body.extend_from_slice(br#""}"#);
    let mut request = Request::post("/webhooks").body(Bytes::from(body))?;
    provider::STANDARD_WEBHOOKS.sign(&mut request, secret, &Signing::new(ID, now))?;
    Ok(request.into_parts())
}
