//! Why a request is refused: each likely cause is undone, and the request judged again.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use tower_webhook::{Rejection, SigningSecret, provider, verify::TimestampFormat};

use crate::{
    arguments::Secret,
    causes::Cause,
    fault::without_userinfo,
    reencode,
    verify::{Case, Refusal},
};

/// A change under which the request may fit, and what it would mean.
struct Hypothesis {
    cause: Cause,
    case: Case,
}

/// The likely causes, those that were tried and fit first. There is always one.
pub async fn causes(case: &Case, refusal: &Refusal, retired: &[Secret], left_over: usize) -> Vec<Cause> {
    if let Refusal::Rejected(rejection) = refusal
        && let Some(cause) = of_time(case, rejection)
    {
        return vec![cause];
    }
    let singly = hypotheses(case, retired, left_over);
    let mut found = fitting(&singly).await;
    if found.is_empty() {
        found = fitting(&pairs(case)).await;
    }
    if found.is_empty() {
        found.push(by_check(refusal));
    }
    found
}

/// The causes of those hypotheses under which the signature fits.
async fn fitting(hypotheses: &[Hypothesis]) -> Vec<Cause> {
    let mut found: Vec<Cause> = Vec::new();
    for Hypothesis { cause, case } in hypotheses {
        let fits = match case.judge().await {
            Ok(_) => true,
            Err(refusal) => refusal.is_time(),
        };
        // Of several readings that come to the same, the first is the simplest.
        if fits && found.iter().all(|known| known.code != cause.code) {
            found.push(cause.clone());
        }
    }
    found
}

fn hypotheses(case: &Case, retired: &[Secret], left_over: usize) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    for secret in retired {
        let text =
            format!("it is signed with a key that is no longer valid, {}", secret.secret.source_name());
        all.push(Hypothesis {
            cause: Cause::new("key-expired", text),
            case: Case { secrets: vec![secret.clone()], ..case.clone() },
        });
    }
    all.extend(with_secrets(case));
    all.extend(with_headers(case));
    all.extend(with_bodies(case, left_over));
    all.extend(with_urls(case));
    all.extend(with_providers(case));
    all
}

/// Two things at once: the secret is misread, and the body was written anew.
fn pairs(case: &Case) -> Vec<Hypothesis> {
    let bodies = with_bodies(case, 0);
    let with = |secret: Hypothesis| {
        bodies.iter().map(move |body| Hypothesis {
            cause: Cause::new(secret.cause.code, format!("{}; and {}", secret.cause.text, body.cause.text)),
            case: Case { secrets: secret.case.secrets.clone(), ..body.case.clone() },
        })
    };
    with_secrets(case).into_iter().flat_map(with).collect()
}

/// Other readings of the same secrets.
fn with_secrets(case: &Case) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    for given in &case.secrets {
        let name = given.secret.source_name();
        for (code, what, secret) in readings(&given.text) {
            let Some(secret) = secret else { continue };
            let text = format!("{name} {what}");
            let secrets = vec![Secret { text: given.text.clone(), secret }];
            all.push(Hypothesis { cause: Cause::new(code, text), case: Case { secrets, ..case.clone() } });
        }
    }
    all
}

type Reading = (&'static str, &'static str, Option<SigningSecret>);

fn readings(text: &str) -> Vec<Reading> {
    const PREFIXES: [&str; 4] = ["whsec_", "whsk_", "sha256=", "Bearer "];
    let of_text = |text: &str| SigningSecret::from_text(text).ok();
    let of_bytes = |bytes: Option<Vec<u8>>| bytes.and_then(|bytes| SigningSecret::from_bytes(bytes).ok());
    let trimmed = text.trim();
    let unquoted = trimmed.trim_matches(['"', '\'', '`']);
    let bare = PREFIXES.iter().find_map(|prefix| unquoted.strip_prefix(prefix)).unwrap_or(unquoted);
    vec![
        (
            "secret-blanks",
            "has blanks or a newline around the secret",
            (trimmed != text).then(|| of_text(trimmed)).flatten(),
        ),
        (
            "secret-quotes",
            "has quotes around the secret",
            (unquoted != trimmed).then(|| of_text(unquoted)).flatten(),
        ),
        (
            "secret-prefix",
            "has a prefix that is no part of the key",
            (bare != unquoted).then(|| of_text(bare)).flatten(),
        ),
        (
            "secret-prefix",
            "lacks the prefix whsec_, which is part of the key",
            of_text(&format!("whsec_{unquoted}")),
        ),
        (
            "secret-form",
            "is base64, and the sender signs with the bytes that it stands for",
            of_bytes(STANDARD.decode(bare).ok()),
        ),
        (
            "secret-form",
            "is hexadecimal, and the sender signs with the bytes that it stands for",
            of_bytes(hex::decode(bare).ok()),
        ),
        (
            "secret-form",
            "is used as text by the sender, and not decoded",
            of_bytes(Some(unquoted.as_bytes().to_vec())),
        ),
        (
            "secret-form",
            "is used as text by the sender, without its prefix, and not decoded",
            of_bytes(Some(bare.as_bytes().to_vec())),
        ),
    ]
}

/// Other readings of the headers that prove the sender.
fn with_headers(case: &Case) -> Vec<Hypothesis> {
    const PREFIXES: [&str; 7] = ["sha256=", "sha1=", "sha512=", "v0=", "v1=", "v1,", "Bearer "];
    let mut all = Vec::new();
    for name in case.request.headers().keys().filter(|name| proves(name)) {
        let Some(value) = case.request.headers().get(name).and_then(|value| value.to_str().ok()) else {
            continue;
        };
        let unquoted = value.trim_matches('"');
        let changes = PREFIXES
            .iter()
            .flat_map(|prefix| {
                let off = value.strip_prefix(prefix).map(str::to_owned);
                let off =
                    off.map(|off| (format!("has {prefix:?} before it that does not belong there"), off));
                let on = (format!("lacks {prefix:?} before it"), format!("{prefix}{value}"));
                off.into_iter().chain([on])
            })
            .chain([
                ("has quotes around it".to_owned(), unquoted.to_owned()),
                ("is in upper case".to_owned(), value.to_lowercase()),
            ]);
        for (what, value) in changes {
            let Ok(value) = HeaderValue::from_str(&value) else { continue };
            let mut changed = case.clone();
            changed.request.headers_mut().insert(name, value);
            all.push(Hypothesis {
                cause: Cause::new("signature-prefix", format!("the value of {name} {what}")),
                case: changed,
            });
        }
    }
    all
}

/// Whether a header may hold a signature or a token.
fn proves(name: &HeaderName) -> bool {
    let name = name.as_str();
    ["signature", "token", "hmac", "authorization", "sign", "secret", "key"]
        .iter()
        .any(|part| name.contains(part))
}

/// Other forms of the same body.
fn with_bodies(case: &Case, left_over: usize) -> Vec<Hypothesis> {
    let mut all: Vec<Hypothesis> = reencode::variants(case.request.body())
        .into_iter()
        .map(|(what, body)| Hypothesis {
            cause: Cause::new("body-re-encoded", format!("the body is not what was sent: it {what}")),
            case: with_body(case, body.into()),
        })
        .collect();
    if left_over > 0 {
        let body = [&case.request.body()[..], &b"\n"[..]].concat();
        let text = "the capture has more than its Content-Length says, and all of it was signed";
        all.push(Hypothesis { cause: Cause::new("body-cut", text), case: with_body(case, body.into()) });
    }
    all
}

fn with_body(case: &Case, body: Bytes) -> Case {
    let mut changed = case.clone();
    *changed.request.body_mut() = body;
    changed.request.headers_mut().remove(header::CONTENT_LENGTH);
    changed
}

/// Other addresses, where they are signed.
fn with_urls(case: &Case) -> Vec<Hypothesis> {
    if !case.provider.scheme().signs_url() {
        return Vec::new();
    }
    let host = case.request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let mut bases = Vec::new();
    if let Some(base) = &case.public_url {
        let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
        let other = if scheme == "https" { "http" } else { "https" };
        bases.push(format!("{other}://{rest}"));
        if let Some((name, _)) = rest.rsplit_once(':') {
            bases.extend([format!("{scheme}://{name}"), format!("{other}://{name}")]);
        } else {
            bases.extend([format!("{scheme}://{rest}:443"), format!("{scheme}://{rest}:80")]);
        }
    }
    bases.extend(host.into_iter().flat_map(|host| [format!("https://{host}"), format!("http://{host}")]));
    let tried = bases.into_iter().map(|base| Hypothesis {
        cause: Cause::new(
            "public-url",
            format!("it was signed for {}: say so with --public-url", without_userinfo(&base)),
        ),
        case: Case { public_url: Some(base), ..case.clone() },
    });
    let path = case.request.uri().path().to_owned();
    let other_path =
        if path.ends_with('/') { path.trim_end_matches('/').to_owned() } else { format!("{path}/") };
    let query = case.request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let slash = format!("{other_path}{query}").parse().ok().map(|uri| {
        let mut changed = case.clone();
        *changed.request.uri_mut() = uri;
        Hypothesis {
            cause: Cause::new("public-url", "the path was signed with another slash at its end"),
            case: changed,
        }
    });
    tried.chain(slash).collect()
}

/// The same request from another provider.
fn with_providers(case: &Case) -> Vec<Hypothesis> {
    // A token proves nothing that is peculiar to a provider.
    let others =
        provider::all().iter().filter(|(_, other)| *other != case.provider && other.scheme().signs_body());
    others
        .map(|(name, other)| Hypothesis {
            cause: Cause::new("other-provider", format!("it is signed as {name} signs")),
            case: Case { provider: other.clone(), ..case.clone() },
        })
        .collect()
}

/// What the time tells, where it is the time that is wrong.
fn of_time(case: &Case, rejection: &Rejection) -> Option<Cause> {
    let (off, late) = match rejection {
        Rejection::TimestampTooOld { age, .. } | Rejection::ClockImplausible { age } => (*age, true),
        Rejection::TimestampTooNew { lead, .. } => (*lead, false),
        Rejection::TimestampMalformed { .. } => return unit(case),
        _ => return None,
    };
    const HOUR: u64 = 3600;
    let signed_at = if late { case.at.checked_sub(off) } else { case.at.checked_add(off) };
    let hours = (off.as_secs() + HOUR / 2) / HOUR;
    let near_hours = off.as_secs().abs_diff(hours * HOUR) <= 60 && (1..=14).contains(&hours);
    let in_time =
        signed_at.zip(date(case)).is_some_and(|(at, date)| apart(at, date) <= Duration::from_secs(300));
    let direction = if late { "before" } else { "after" };
    let seconds = off.as_secs();
    Some(if in_time && late {
        let text = "its Date header agrees with its timestamp, so it was in time when it was sent: it was captured earlier \
                    (say when with --at), held up on its way, or is sent again by somebody";
        Cause::new("old-capture", text)
    } else if near_hours {
        let text = format!(
            "the signature fits, and its time is {hours} h {direction} ours: a clock is set to a wrong time zone"
        );
        Cause::new("clock-off", text)
    } else {
        let text = format!(
            "the signature fits, and its time is {seconds} s {direction} ours: one of the clocks is off, or it was captured \
             earlier (say when with --at)"
        );
        Cause::new("clock-off", text)
    })
}

fn date(case: &Case) -> Option<SystemTime> {
    let text = case.request.headers().get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok()
}

fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

/// A timestamp in another unit than the provider's.
fn unit(case: &Case) -> Option<Cause> {
    let rule = case.provider.scheme().timestamp_rule()?;
    let expected = match rule.format() {
        TimestampFormat::Seconds => "seconds since 1970",
        TimestampFormat::Milliseconds => "milliseconds since 1970",
        _ => "RFC 3339",
    };
    Some(Cause::new("timestamp-form", format!("the timestamp is in another form than {expected}")))
}

/// What the failed check itself says, where nothing that was tried fits.
fn by_check(refusal: &Refusal) -> Cause {
    let rejection = match refusal {
        Refusal::Config(_) => {
            return Cause::new("secret-form", "the secret is not in the form that this provider hands out");
        }
        Refusal::Rejected(rejection) => rejection,
    };
    match rejection {
        Rejection::HeaderMissing { header } => Cause::new(
            "header-missing",
            format!("{header} is not there: a proxy has dropped it, or another provider sends"),
        ),
        Rejection::HeaderRepeated { header } => {
            Cause::new("header-repeated", format!("{header} is there twice: a proxy has doubled it"))
        }
        Rejection::ContentCoding { .. } => Cause::new(
            "compressed",
            "the body is compressed, and what was signed is not: a proxy has done that",
        ),
        Rejection::SignatureMalformed { .. } => {
            Cause::new("signature-malformed", "the header's value is no signature of this provider's")
        }
        _ => Cause::new(
            "wrong-secret",
            "the secret is another one than the sender's, or the body was changed beyond what was tried",
        ),
    }
}
