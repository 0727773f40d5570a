//! `docs/providers.md`, written from the presets. It has the presets of all features, so that it is checked with all of them.
//!
//! ```sh
//! UPDATE_DOCS=1 cargo test --all-features --test it providers::table
//! ```

use std::{fmt::Write, path::Path, time::Duration};

use tower_webhook::{
    Provider,
    provider::{self, AnswerMeaning, Fact, Grounds, IdSource, Retried, TypeSource},
};

const HEAD: &str = "\
# Providers

One row for each preset of `tower_webhook::provider`, written from the presets themselves by
`UPDATE_DOCS=1 cargo test --all-features --test it providers::table`; `cargo test` fails where this page differs. The link
leads to the provider's own page.

A fact without a mark was seen in the provider's documentation or SDK. ¹ It was seen on somebody else's page alone. ² It is
commonly known and was seen on no page. ³ No source states it: the value is this crate's own, chosen so that nothing is lost.
An id or a type that is *not signed* can be changed by whoever sends a captured delivery again. For how long a provider sends
again includes what it lets people send again by hand.

";

const COLUMNS: [&str; 11] = [
    "preset",
    "signature",
    "algorithm",
    "secret",
    "signed",
    "timestamp, tolerance",
    "delivery id",
    "event type",
    "largest body",
    "waits",
    "sends again",
];

/// What somebody may look for among the presets and not find, and why.
const NO_PRESETS: &[(&str, &str)] = &[
    (
        "AWS SNS, PayPal, Plaid, Microsoft Graph's rich notifications",
        "their keys and certificates are fetched, so that no data of a scheme can say how they are verified: it takes code \
         behind the trait `Verifier`",
    ),
    (
        "Bitbucket Data Center",
        "it signs as Bitbucket Cloud does and names its deliveries otherwise: \
         `BITBUCKET.delivery_id([IdSource::header(\"x-request-id\")])`",
    ),
    (
        "GitHub's `X-Hub-Signature`",
        "SHA-1, for receivers of long ago; GitHub sends `X-Hub-Signature-256` beside it",
    ),
    (
        "HubSpot's signature versions 1 and 2",
        "SHA-256 with the secret in front is no MAC: who knows one signature can append to what it signed. \
         `HUBSPOT` takes version 3 and never falls back to them",
    ),
    (
        "Slack's verification token",
        "it stands in the body, which it does not sign, and Slack has given it up for the signature",
    ),
    ("Stripe's `v0`", "a scheme for Stripe's tests alone: taking it would be a downgrade"),
];

fn mark(preset: &Provider, facts: &[Fact]) -> &'static str {
    let doubt = preset.doubts().iter().filter(|doubt| facts.contains(&doubt.fact)).map(|doubt| doubt.grounds);
    // The weakest grounds stand for the cell.
    let weight = |grounds: &Grounds| match grounds {
        Grounds::SecondHand => 1,
        Grounds::Memory => 2,
        _ => 3,
    };
    match doubt.max_by_key(weight) {
        None => "",
        Some(Grounds::SecondHand) => " ¹",
        Some(Grounds::Memory) => " ²",
        Some(_) => " ³",
    }
}

fn code(text: impl AsRef<str>) -> String {
    format!("`{}`", text.as_ref().replace('|', "\\|"))
}

fn listed<T>(items: impl IntoIterator<Item = T>, between: &str, shown: impl Fn(T) -> String) -> String {
    let shown: Vec<_> = items.into_iter().map(shown).collect();
    if shown.is_empty() { "–".to_owned() } else { shown.join(between) }
}

fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    [(86_400, "d"), (3_600, "h"), (60, "min")]
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}

fn size(bytes: u64) -> String {
    let kib = bytes / 1024;
    if kib.is_multiple_of(1024) { format!("{} MiB", kib / 1024) } else { format!("{kib} KiB") }
}

fn ids(preset: &Provider) -> String {
    let in_body = if preset.scheme().signs_body() { "signed" } else { "*not signed*" };
    let summary = preset.scheme().summary();
    let shown = listed(preset.id_sources(), "; else ", |source| match source {
        IdSource::Scheme => format!("header {}, signed", code(summary.id.as_deref().unwrap_or_default())),
        IdSource::Header(name) => format!("header {}, *not signed*", code(name)),
        IdSource::Pointer(pointer) => format!("body {}, {in_body}", code(pointer)),
        IdSource::Composite(_) => "call id and type in the body".to_owned(),
        IdSource::Body => "SHA-256 of the body".to_owned(),
        IdSource::NeverFor(types) => format!("none for {}", listed(types.iter(), ", ", code)),
        IdSource::Never => "none: never deduplicated".to_owned(),
        other => format!("{other:?}"),
    });
    match preset.id_sources() {
        [] => "SHA-256 of what is signed".to_owned(),
        _ => shown,
    }
}

fn types(preset: &Provider) -> String {
    let implied = preset.type_sources().iter().filter(|source| matches!(source, TypeSource::Implied { .. }));
    if implied.count() > 3 {
        return "the name of the field that is there".to_owned();
    }
    listed(preset.type_sources(), "; else ", |source| match source {
        TypeSource::Header(name) => format!("header {}, *not signed*", code(name)),
        TypeSource::Pointer(pointer) => format!("body {}", code(pointer)),
        TypeSource::Implied { pointer, event_type } => {
            format!("{} where the body has {}", code(event_type), code(pointer))
        }
        other => format!("{other:?}"),
    })
}

fn timestamp(preset: &Provider) -> String {
    let rule = preset.scheme().timestamp_rule();
    let Some((place, rule)) = preset.scheme().summary().timestamp.zip(rule) else {
        return format!("–{}", mark(preset, &[Fact::Timestamp]));
    };
    let bound = |bound: Option<Duration>| bound.map_or("any".to_owned(), span);
    let (past, future) = (bound(rule.largest_age()), bound(rule.largest_lead()));
    let at = mark(preset, &[Fact::Timestamp]);
    let tolerance = if past == future { format!("± {past}") } else { format!("{past} old, {future} ahead") };
    format!("{place}{at}; {tolerance}{}", mark(preset, &[Fact::Tolerance]))
}

fn schedule(waits: &[Duration]) -> String {
    let runs = waits.chunk_by(|one, next| one == next);
    let shown = listed(runs, ", ", |run| match run {
        [] => String::new(),
        [one] => span(*one),
        [one, next] => format!("{}, {}", span(*one), span(*next)),
        [one, ..] => format!("{} × {}", run.len(), span(*one)),
    });
    format!("after {shown}")
}

fn retries(preset: &Provider) -> String {
    let retries = preset.retries();
    let numbers = |statuses: &[u16]| listed(statuses, ", ", |status| status.to_string());
    let after = match retries.after {
        Retried::Nothing => "nothing by itself".to_owned(),
        Retried::ServerErrors => "5xx, 429".to_owned(),
        Retried::AnythingButSuccess => "all but 2xx".to_owned(),
        Retried::AnythingBut(last) => format!("all but {}", numbers(last)),
        Retried::Only(again) => format!("{} alone", numbers(again)),
        other => format!("{other:?}"),
    };
    let mut shown = format!("{after}, for {}{}", span(retries.span), mark(preset, &[Fact::Retries]));
    if !preset.retry_schedule().is_empty() {
        let mark = mark(preset, &[Fact::Schedule]);
        write!(shown, "; {}{mark}", schedule(preset.retry_schedule())).unwrap();
    }
    shown
}

fn waits(preset: &Provider) -> String {
    let waits = format!("{}{}", span(preset.waits()), mark(preset, &[Fact::Waits]));
    let read = match preset.answer_meaning() {
        AnswerMeaning::Types(types) => listed(types.iter(), ", ", code),
        AnswerMeaning::All => "all".to_owned(),
        _ => return waits,
    };
    format!("{waits}; reads the answers to {read}{}", mark(preset, &[Fact::Answers]))
}

fn row(name: &str, preset: &Provider) -> [String; COLUMNS.len()] {
    let constant = name.to_uppercase().replace('-', "_");
    let summary = preset.scheme().summary();
    let header = listed(summary.headers.iter(), " or ", code);
    let marked = |cell: String, facts: &[Fact]| format!("{cell}{}", mark(preset, facts));
    [
        format!("[`{constant}`]({})", preset.docs_url().unwrap()),
        marked(format!("{header}: {}", code(&summary.written)), &[Fact::Signature]),
        summary.algorithm,
        marked(summary.secret, &[Fact::Secret]),
        marked(summary.content.map_or("nothing".to_owned(), code), &[Fact::Content]),
        timestamp(preset),
        marked(ids(preset), &[Fact::DeliveryId]),
        marked(types(preset), &[Fact::EventType]),
        marked(preset.largest_body().map_or("–".to_owned(), size), &[Fact::LargestBody]),
        waits(preset),
        retries(preset),
    ]
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut line = |cells: &[String]| writeln!(page, "| {} |", cells.join(" | ")).unwrap();
    line(&COLUMNS.map(str::to_owned));
    line(&COLUMNS.map(|_| "---".to_owned()));
    for (name, preset) in provider::all() {
        line(&row(name, preset));
    }
    page.push_str("\n## What is no preset\n\n| | |\n| --- | --- |\n");
    for (what, why) in NO_PRESETS {
        writeln!(page, "| {what} | {why} |").unwrap();
    }
    page.push_str(
        "\nAny other sender that signs with an HMAC or sends a token is a few lines of data: `Provider::custom`.\n",
    );
    page
}

#[test]
fn the_page_of_providers_is_what_the_presets_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(page.lines()).find(|(kept, page)| kept != page);
    assert!(
        kept == page,
        "docs/providers.md is not what the presets say; write it anew with UPDATE_DOCS=1. First difference: {differs:?}"
    );
}

#[test]
fn every_preset_links_its_providers_own_page() {
    for (name, preset) in provider::all() {
        assert!(preset.docs_url().is_some_and(|url| url.starts_with("https://")), "{name}");
    }
}
