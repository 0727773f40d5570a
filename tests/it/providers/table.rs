//! `docs/providers.md`, written from the presets. It has the presets of all features, so that it is checked with all of them.
//!
//! ```sh
//! UPDATE_DOCS=1 cargo test --all-features --test it providers::table
//! ```

use std::{fmt::Write, path::Path, time::Duration};

use tower_webhook::{
    Provider,
    handshake::{Handshake, SignedAnswer, When},
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

In what is signed `{…}` stands for what the request has there, and all else for itself; `\\n` is the end of a line. Of SNS and
Plaid, whose rules are code, it is told in words. A dash says that the provider has no such thing, or that its pages name
none; the largest body is then `defaults::BODY_LIMIT`, 1 MiB.

";

const COLUMNS: [&str; 12] = [
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
    "handshake",
];

/// What somebody may look for among the presets and not find, and why.
const NO_PRESETS: &[(&str, &str)] = &[
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
    let mut rest = span.as_secs();
    let units =
        [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")].into_iter().filter_map(|(unit, name)| {
            let count = rest / unit;
            rest %= unit;
            (count > 0).then(|| format!("{count} {name}"))
        });
    let shown: Vec<_> = units.collect();
    if shown.is_empty() { "0 s".to_owned() } else { shown.join(" ") }
}

fn size(bytes: u64) -> String {
    let kib = bytes / 1024;
    if kib.is_multiple_of(1024) { format!("{} MiB", kib / 1024) } else { format!("{kib} KiB") }
}

/// Whether a field of the body is covered; of a list whose items are signed by themselves, one of an item.
fn covers(preset: &Provider, pointer: &str) -> bool {
    let content = preset.scheme().summary().content.unwrap_or_default();
    let of_an_item = content.split("{body ").skip(1).filter_map(|part| part.split('}').next());
    preset.scheme().signs_field(pointer) || of_an_item.into_iter().any(|field| pointer.ends_with(field))
}

/// What nobody signed is said to be so.
fn open(is_signed: bool) -> &'static str {
    if is_signed { "" } else { ", *not signed*" }
}

fn ids(preset: &Provider) -> String {
    let signed = |is_signed| if is_signed { ", signed" } else { open(false) };
    let summary = preset.scheme().summary();
    let shown = listed(preset.id_sources(), "; else ", |source| match source {
        IdSource::Scheme => format!("{}, signed", summary.id.as_deref().unwrap()),
        IdSource::Header(name) => format!("header {}, *not signed*", code(name)),
        IdSource::Pointer(pointer) => format!("body {}{}", code(pointer), signed(covers(preset, pointer))),
        IdSource::Composite(_) => {
            format!("call id and type in the body{}", open(preset.scheme().signs_body()))
        }
        IdSource::Body => "SHA-256 of the body".to_owned(),
        IdSource::NeverFor(types) => format!("none for {}", listed(types.iter(), ", ", code)),
        IdSource::Never => "none: never deduplicated".to_owned(),
        other => format!("{other:?}"),
    });
    match preset.id_sources() {
        [] if summary.content.is_none() => "SHA-256 of the body".to_owned(),
        [] => "SHA-256 of what is signed".to_owned(),
        _ => shown,
    }
}

fn types(preset: &Provider) -> String {
    if let Some(told) = preset.scheme().summary().event_type {
        return told;
    }
    let implied = preset.type_sources().iter().filter(|source| matches!(source, TypeSource::Implied { .. }));
    if implied.count() > 3 {
        let is_signed = preset.scheme().signs_body();
        return format!("the name of the field that is there{}", open(is_signed));
    }
    listed(preset.type_sources(), "; else ", |source| match source {
        TypeSource::Header(name) => format!("header {}, *not signed*", code(name)),
        TypeSource::Pointer(pointer) => format!("body {}{}", code(pointer), open(covers(preset, pointer))),
        TypeSource::Implied { pointer, event_type } => {
            format!(
                "{} where the body has {}{}",
                code(event_type),
                code(pointer),
                open(covers(preset, pointer))
            )
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
    let how = if retries.after == Retried::Nothing { "; repeats are counted on" } else { "," };
    let mut shown = format!("{after}{how} for {}{}", span(retries.span), mark(preset, &[Fact::Retries]));
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

fn handshake(handshake: &Handshake) -> String {
    match handshake {
        Handshake::HubChallenge => "`GET` with `hub.challenge`, and `hub.verify_token` compared".to_owned(),
        Handshake::Echo { method, parameter } => {
            format!("`{method}` with the parameter {}, echoed", code(parameter))
        }
        Handshake::Head => "`HEAD`, answered 200".to_owned(),
        Handshake::EchoHeader { header, .. } => format!("`GET` with the header {}, echoed", code(header)),
        Handshake::SignParameter { parameter, .. } => {
            format!("`GET` with the parameter {}, answered with its MAC", code(parameter))
        }
        Handshake::Signed { when, answer } => {
            let place = match answer {
                SignedAnswer::Echo { pointer } | SignedAnswer::Sign { pointer, .. } => Some(pointer),
                _ => None,
            };
            let held = when.iter().filter_map(|when| match when {
                When::Is { pointer, value } => Some(format!("body {} is {}", code(pointer), code(value))),
                _ => None,
            });
            let echoed = place.filter(|_| when.is_empty()).map(|place| format!("body has {}", code(place)));
            format!("signed, {}", listed(held.chain(echoed), " and ", |held| held))
        }
        other => format!("{other:?}"),
    }
}

fn proof(preset: &Provider) -> String {
    let summary = preset.scheme().summary();
    let written = listed(summary.written.split(" or "), " or ", code);
    match &summary.place {
        Some(place) => format!("{written} {place}"),
        None => format!("{}: {written}", listed(summary.headers.iter(), " or ", code)),
    }
}

fn row(name: &str, preset: &Provider) -> [String; COLUMNS.len()] {
    let constant = name.to_uppercase().replace('-', "_");
    let summary = preset.scheme().summary();
    let marked = |cell: String, facts: &[Fact]| format!("{cell}{}", mark(preset, facts));
    [
        format!("[`{constant}`]({})", preset.docs_url().unwrap()),
        marked(proof(preset), &[Fact::Signature]),
        summary.algorithm,
        marked(summary.secret, &[Fact::Secret]),
        marked(summary.content.map_or("nothing".to_owned(), code), &[Fact::Content]),
        timestamp(preset),
        marked(ids(preset), &[Fact::DeliveryId]),
        marked(types(preset), &[Fact::EventType]),
        marked(preset.largest_body().map_or("–".to_owned(), size), &[Fact::LargestBody]),
        waits(preset),
        retries(preset),
        listed(preset.handshakes(), "; or ", handshake),
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
    page.push_str("\n## What is no preset\n\n| what | why |\n| --- | --- |\n");
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

/// A row is one line of so many cells, and its code is neither nested, nor empty, nor left open: what a reader of the page
/// would see as odd marks.
#[test]
fn every_row_of_the_page_reads_as_a_table() {
    for (name, preset) in provider::all() {
        for (column, cell) in COLUMNS.iter().zip(row(name, preset)) {
            let at = format!("{name}, {column}: {cell}");
            assert!(!cell.contains('\n') && !cell.replace("\\|", "").contains('|'), "{at}");
            let pieces: Vec<_> = cell.split('`').collect();
            assert!(pieces.len() % 2 == 1, "code is left open in {at}");
            let (code, prose): (Vec<_>, Vec<_>) =
                pieces.iter().enumerate().partition(|(place, _)| place % 2 == 1);
            for (_, span) in code {
                let is_bare = !span.trim().is_empty() && !span.starts_with(' ') && !span.ends_with(' ');
                assert!(is_bare, "empty code, or a blank at its edge, in {at}");
            }
            // Code that was put into code leaves prose with nothing around it.
            for (place, between) in prose {
                let is_inner = place > 0 && place + 1 < pieces.len();
                assert!(
                    !is_inner || between.starts_with([' ', ',', ';', ':', ']', '.']),
                    "{between:?} in {at}"
                );
            }
        }
    }
}

#[test]
fn every_preset_links_its_providers_own_page() {
    for (name, preset) in provider::all() {
        assert!(preset.docs_url().is_some_and(|url| url.starts_with("https://")), "{name}");
    }
}
