//! Any text as a timestamp under a good signature: what passes is strictly in the scheme's form.

#![no_main]

mod at_once;

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use tower_webhook::{
    Provider, SigningSecret,
    verify::{Algorithm, KeyRing, Part, Scheme, SchemeVerifier, Signing, Timestamp, TimestampFormat},
};

static SECRET: LazyLock<SigningSecret> =
    LazyLock::new(|| SigningSecret::from_text("a secret").expect("it is a secret"));

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000)
}

fn verifier(provider: &Provider) -> SchemeVerifier {
    SchemeVerifier::new(provider, KeyRing::new(SECRET.clone())).expect("it fits")
}

fn passes(verifier: &SchemeVerifier, request: Request<Bytes>) -> bool {
    let (head, body) = request.into_parts();
    at_once::judge(verifier, &head, &body, now()).is_ok()
}

const FORMATS: [TimestampFormat; 3] =
    [TimestampFormat::Seconds, TimestampFormat::Milliseconds, TimestampFormat::Rfc3339];

fn provider(format: TimestampFormat, tolerance: Option<Duration>) -> Provider {
    let timestamp = Timestamp::header(format).tolerance(tolerance, tolerance);
    let scheme = Scheme::hmac(Algorithm::HmacSha256, "x-signature").timestamp("x-time", timestamp).content([
        Part::Timestamp,
        Part::literal("."),
        Part::Body,
    ]);
    Provider::custom("any", scheme)
}

static OPEN: LazyLock<Vec<SchemeVerifier>> =
    LazyLock::new(|| FORMATS.iter().map(|format| verifier(&provider(*format, None))).collect());
static STRICT: LazyLock<Vec<SchemeVerifier>> = LazyLock::new(|| {
    let strict = |format: &TimestampFormat| verifier(&provider(*format, Some(Duration::from_secs(300))));
    FORMATS.iter().map(strict).collect()
});
/// Signs bodies alone: no sender that checks its own timestamp would sign any text as one.
static SIGNER: LazyLock<Provider> =
    LazyLock::new(|| Provider::custom("body", Scheme::hmac(Algorithm::HmacSha256, "x-signature")));

/// A request with this timestamp under a good signature.
fn signed(value: &HeaderValue) -> Request<Bytes> {
    let content = [value.as_bytes(), b".{}"].concat();
    let mut request = Request::new(Bytes::from(content));
    SIGNER.sign(&mut request, &SECRET, &Signing::new("", now())).expect("a body can be signed");
    request.headers_mut().insert("x-time", value.clone());
    request.map(|_| Bytes::from_static(b"{}"))
}

fuzz_target!(|data: &[u8]| {
    // As hyper does, blanks at both ends are cut.
    let Ok(value) = HeaderValue::from_bytes(data.trim_ascii()) else { return };
    let text = value.to_str().unwrap_or_default().to_owned();
    for (at, format) in FORMATS.iter().enumerate() {
        let request = signed(&value);
        let open = passes(&OPEN[at], request.clone());
        if let Some(expected) = expected(*format, &text) {
            assert_eq!(open, expected, "{format:?} {text:?}");
        }
        assert!(open || !passes(&STRICT[at], request), "{format:?} {text:?}");
    }
});

/// Whether this text is a timestamp; `None` where only the absence of a panic is tested.
fn expected(format: TimestampFormat, text: &str) -> Option<bool> {
    let digits =
        |most| !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    match format {
        TimestampFormat::Seconds => Some(digits(11)),
        TimestampFormat::Milliseconds => Some(digits(14)),
        // jiff takes more than RFC 3339, so what it refuses must be refused.
        _ => {
            let parsed = text.parse::<jiff::Timestamp>().map(SystemTime::from);
            parsed.is_err().then_some(false)
        }
    }
}
