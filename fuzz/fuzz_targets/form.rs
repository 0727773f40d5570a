//! Any form under Twilio's scheme: what can be signed is taken, whatever it holds, and a signature over other fields is not.
//!
//! What stands before the first line break is the query, the rest is the form.

#![no_main]

mod at_once;

use std::{
    collections::BTreeSet,
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    SigningSecret,
    provider::TWILIO,
    verify::{KeyRing, SchemeVerifier, Signing},
};

static SECRET: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::from_text("a secret").expect("it is a secret"));
static VERIFIER: LazyLock<SchemeVerifier> =
    LazyLock::new(|| SchemeVerifier::new(&TWILIO, KeyRing::new(SECRET.clone())).expect("it fits"));

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

/// Signed for the URL at which requests are judged; `None` for a form that no sender writes.
fn signed(form: &[u8]) -> Option<Request<Bytes>> {
    let mut request = Request::new(Bytes::copy_from_slice(form));
    let form_type = "application/x-www-form-urlencoded".parse().expect("it is a header's value");
    request.headers_mut().insert("content-type", form_type);
    let signing = Signing::new("", now()).to_url("https://hooks.example.test/in");
    TWILIO.sign(&mut request, &SECRET, &signing).ok()?;
    Some(request)
}

fn passes(request: Request<Bytes>) -> bool {
    let (head, body) = request.into_parts();
    at_once::judge(&VERIFIER, &head, &body, now()).is_ok()
}

/// Its pairs as another reader has them.
fn pairs(form: &[u8]) -> BTreeSet<(String, String)> {
    form_urlencoded::parse(form).into_owned().collect()
}

fuzz_target!(|data: &[u8]| {
    let (one, other) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &b"a=1"[..]),
    };
    let Some(request) = signed(one) else { return };
    assert!(passes(request.clone()), "what was signed is not taken");
    let forged = request.map(|_| Bytes::copy_from_slice(other));
    let text = |form| pairs(form).into_iter().map(|(key, value)| key + &value).collect::<String>();
    // Nothing divides keys from values, so that of other pairs only the letters are the same.
    let letters = |form| {
        let mut letters: Vec<char> = text(form).chars().collect();
        letters.sort_unstable();
        letters
    };
    if letters(one) != letters(other) {
        assert!(!passes(forged), "other fields pass");
    }
});
