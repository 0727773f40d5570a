//! The differences that are meant. Each names who accepts, and holds for a request alone that has what it names.

use http::HeaderMap;

use crate::{
    case::Case,
    judges::{Judge, Judgement},
};

/// Why the two differ, where that is known. `docs/compare.md` has the list.
pub fn difference(case: &Case, judge: Judge, ours: Judgement, theirs: Judgement) -> Option<&'static str> {
    let names = Names::read(case, judge)?;
    match (ours, theirs) {
        (Judgement::Reject, Judgement::Accept) => stricter(case, judge, &names),
        (Judgement::Accept, Judgement::Reject) => wider(case, &names),
        (Judgement::Reject, Judgement::Panic) => {
            let number = first(&case.headers, names.timestamp).parse::<i64>().ok()?;
            case.now
                .checked_sub(number)
                .is_none()
                .then_some("they panic: a timestamp that overflows their subtraction")
        }
        _ => None,
    }
}

/// The headers that the other crate reads.
struct Names {
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
    mixed: bool,
}

impl Names {
    fn read(case: &Case, judge: Judge) -> Option<Self> {
        let read = |branded: &'static str, plain: &'static str| {
            let branded_first = judge == Judge::Svix && case.headers.contains_key(branded);
            if branded_first { branded } else { plain }
        };
        let id = read("svix-id", "webhook-id");
        let timestamp = read("svix-timestamp", "webhook-timestamp");
        let signature = read("svix-signature", "webhook-signature");
        let family = |name: &str| name.starts_with("svix");
        let mixed = family(id) != family(signature) || family(timestamp) != family(signature);
        Some(Self { id, timestamp, signature, mixed })
    }
}

fn first<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// They accept, and we do not.
fn stricter(case: &Case, judge: Judge, names: &Names) -> Option<&'static str> {
    let key = case.secret.strip_prefix("whsec_").unwrap_or(&case.secret);
    let (id, timestamp) = (first(&case.headers, names.id), first(&case.headers, names.timestamp));
    let repeated = [names.id, names.timestamp, names.signature]
        .iter()
        .any(|name| case.headers.get_all(*name).iter().count() > 1);
    let signatures =
        first(&case.headers, names.signature).split(' ').filter(|one| one.starts_with("v1,")).count();
    Some(match () {
        () if key.is_empty() && judge == Judge::StandardWebhooks => "they accept: an empty secret",
        () if names.mixed => "they accept: headers of two families mixed",
        () if repeated => "they accept: a header that is there twice",
        () if id.is_empty() => "they accept: an empty delivery id",
        () if id.contains('.') => "they accept: a delivery id with the full stop that divides what is signed",
        () if id.len() > 128 => "they accept: a delivery id of more than 128 characters",
        () if id.contains('\t') => "they accept: a delivery id with a control character",
        () if is_other_spelling(timestamp) => "they accept: a timestamp that they sign in another spelling",
        () if signatures > 16 => "they accept: more than 16 signatures",
        () => return None,
    })
}

/// We accept, and they do not.
fn wider(case: &Case, names: &Names) -> Option<&'static str> {
    let timestamp = first(&case.headers, names.timestamp);
    Some(match () {
        () if std::str::from_utf8(&case.body).is_err() => {
            "we accept: a body that is not UTF-8, signed as it is"
        }
        () if is_other_spelling(timestamp) => "we accept: a timestamp with zeros before it, signed as it is",
        () => return None,
    })
}

/// Whether the number is written otherwise than they write it.
fn is_other_spelling(timestamp: &str) -> bool {
    timestamp.parse::<i64>().is_ok_and(|number| number.to_string() != timestamp)
}
