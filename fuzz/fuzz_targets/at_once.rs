//! Judging a request without a runtime.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use bytes::Bytes;
use http::request::Parts;
use tower_webhook::{
    Rejection,
    verify::{Received, SchemeVerifier, Verdict, Verifier},
};

pub fn judge(
    verifier: &SchemeVerifier,
    head: &Parts,
    body: &Bytes,
    now: SystemTime,
) -> Result<Verdict, Rejection> {
    let prepared = ready(verifier.prepare(head, None))?;
    let received = Received::new(head, body, now).at_url("https://hooks.example.test/in");
    ready(verifier.verify(received, prepared))
}

fn ready<T>(judgement: impl Future<Output = T>) -> T {
    match pin!(judgement).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(judgement) => judgement,
        Poll::Pending => panic!("a ring of keys is never waited for"),
    }
}
