//! Any bytes where a provider's certificate, key or token should be: no panic, and nothing passes.
#![no_main]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    Rejection,
    clock::ManualClock,
    remote::{AwsSns, Fetch, FetchFuture, Jwk, JwkFuture, JwkSource, Plaid, Trust, read_everything},
    verify::{Received, Verdict, Verifier},
};

/// Serves these bytes whatever is asked for.
#[derive(Debug)]
struct Served(Bytes);

impl Fetch for Served {
    fn fetch(&self, _: Request<Bytes>) -> FetchFuture<'_> {
        Box::pin(async { Ok(Response::new(self.0.clone())) })
    }
}

impl JwkSource for Served {
    fn key<'a>(&'a self, _: &'a str) -> JwkFuture<'a> {
        Box::pin(async { Ok(Some(Jwk::from_json(&self.0)?)) })
    }
}

const MESSAGE: &[u8] = br#"{"Type":"Notification","MessageId":"i","TopicArn":"a","Message":"m",
"Timestamp":"2025-10-09T08:53:20.000Z","SignatureVersion":"2","Signature":"c2ln",
"SigningCertURL":"https://sns.eu-west-1.amazonaws.com/a.pem"}"#;

/// Of RFC 7517, A.1: nobody here has its private key.
const KEY: &[u8] = br#"{"kty":"EC","crv":"P-256","kid":"k","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;

/// `{"alg":"ES256","kid":"k"}`, `{}` and a signature of the right length.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fuzz_target!(|data: &[u8]| {
    read_everything(data);
    let Some((choice, bytes)) = data.split_first() else { return };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let clock = Arc::new(ManualClock::at(now));
    let served = Served(Bytes::copy_from_slice(bytes));
    let outcome = match choice % 4 {
        0 => judge(&sns(served).clock(clock), Request::new(Bytes::from_static(MESSAGE)), now),
        1 => {
            let certificate = Served(Bytes::from_static(b"-----BEGIN CERTIFICATE-----"));
            judge(&sns(certificate).clock(clock), Request::new(Bytes::copy_from_slice(bytes)), now)
        }
        2 => judge(&Plaid::new(served).clock(clock), with_token(HeaderValue::from_static(TOKEN)), now),
        _ => {
            let Ok(token) = HeaderValue::from_bytes(bytes) else { return };
            judge(&Plaid::new(Served(Bytes::from_static(KEY))).clock(clock), with_token(token), now)
        }
    };
    assert!(outcome.is_err());
});

fn sns(served: Served) -> AwsSns {
    let any = AwsSns::dangerously_any_topic().expect("TLS is there");
    any.fetching_with(served).trust(Trust::dangerously_as_fetched())
}

fn with_token(token: HeaderValue) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    request.headers_mut().insert("plaid-verification", token);
    request
}

fn judge(verifier: &dyn Verifier, request: Request<Bytes>, now: SystemTime) -> Result<Verdict, Rejection> {
    let (head, body) = request.into_parts();
    let prepared = ready(verifier.prepare(&head, None))?;
    ready(verifier.verify(Received::new(&head, &body, now), prepared))
}

fn ready<T>(judgement: impl Future<Output = T>) -> T {
    match pin!(judgement).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(judgement) => judgement,
        Poll::Pending => panic!("what is served is here at once"),
    }
}
