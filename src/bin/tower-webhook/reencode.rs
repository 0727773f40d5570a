//! What becomes of a body on its way when somebody parses it and writes it anew.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Bodies above this size are not written anew: one text in many forms takes many times its memory.
const LARGEST: usize = 4 * 1024 * 1024;

/// The bytes of all forms together. Indentation makes a line of two bytes one of hundreds, so that the size of the body alone
/// bounds nothing.
const LARGEST_TOGETHER: usize = 128 * 1024 * 1024;

/// JSON that is nested deeper is not written anew, as most parsers refuse it: indentation grows with the square of the depth.
const DEEPEST: usize = 128;

type Variant = (String, Vec<u8>);

/// Forms of a body, each of them once, and as many as there is room for.
struct Variants<'a> {
    body: &'a [u8],
    all: Vec<Variant>,
    room: usize,
}

impl Variants<'_> {
    fn add(&mut self, what: impl Into<String>, variant: Vec<u8>) {
        let known = variant == self.body || self.all.iter().any(|(_, known)| *known == variant);
        if let Some(room) = self.room.checked_sub(variant.len())
            && !known
        {
            self.room = room;
            self.all.push((what.into(), variant));
        }
    }
}

/// Other forms of a body, each with what would have been done to it.
pub fn variants(body: &[u8]) -> Vec<Variant> {
    variants_within(body, LARGEST_TOGETHER)
}

fn variants_within(body: &[u8], room: usize) -> Vec<Variant> {
    if body.len() > LARGEST {
        return Vec::new();
    }
    let mut forms = Variants { body, all: Vec::new(), room };
    let mut add = |what: &str, variant: Vec<u8>| forms.add(what, variant);
    add("lost a newline at its end", [body, b"\n"].concat());
    add("lost a line end at its end", [body, b"\r\n"].concat());
    add("got a newline at its end", body.strip_suffix(b"\n").unwrap_or(body).to_vec());
    add("got blanks around it", body.trim_ascii().to_vec());
    add("got a byte order mark", body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec());
    add("lost its byte order mark", [b"\xef\xbb\xbf", body].concat());
    add("was sent empty", Vec::new());
    if let Ok(decoded) = STANDARD.decode(body.trim_ascii()) {
        add("was put into base64", decoded);
    }
    let Ok(text) = std::str::from_utf8(body) else { return forms.all };
    add("had its line ends changed", text.replace("\r\n", "\n").into_bytes());
    add("had its line ends changed", text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes());
    if let Some(bytes) = text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect() {
        add("was encoded as UTF-8 twice", bytes);
    }
    if let Ok(serde_json::Value::String(inner)) = serde_json::from_str(text) {
        add("was put into a JSON string", inner.into_bytes());
    }
    add_json(&mut forms, text);
    forms.all
}

fn add_json(forms: &mut Variants<'_>, text: &str) {
    let Some(tokens) = tokens(text) else { return };
    let sorted = serde_json::from_str::<serde_json::Value>(text).ok().map(|value| value.to_string());
    let orders = [
        ("", Some(tokens)),
        (" and had its keys sorted otherwise", sorted.as_deref().and_then(self::tokens)),
    ];
    for (order, tokens) in orders {
        for (layout, space) in LAYOUTS {
            for (escapes, escape) in ESCAPES {
                let Some(tokens) = &tokens else { continue };
                // One that there is no room for may be followed by a shorter one.
                let Some(variant) = write(tokens, *layout, *escape, forms.room) else { continue };
                let what =
                    format!("was parsed and written anew: the sender signed it {space}{escapes}{order}");
                forms.add(what, variant.into_bytes());
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Compact,
    Spaced,
    Indented(&'static str),
}

const LAYOUTS: &[(Layout, &str)] = &[
    (Layout::Compact, "without blanks"),
    (Layout::Spaced, "with a blank behind each colon and comma"),
    (Layout::Indented("  "), "indented by two"),
    (Layout::Indented("    "), "indented by four"),
    (Layout::Indented("\t"), "indented by tabs"),
];

/// What is escaped within strings.
#[derive(Debug, Clone, Copy)]
enum Escape {
    AsIs,
    Nothing,
    Ascii,
    AsciiAndSlash,
    Slash,
    Html,
}

const ESCAPES: &[(&str, Escape)] = &[
    ("", Escape::AsIs),
    (", with nothing escaped that need not be", Escape::Nothing),
    (", with letters beyond ASCII escaped", Escape::Ascii),
    (", with slashes and letters beyond ASCII escaped", Escape::AsciiAndSlash),
    (", with slashes escaped", Escape::Slash),
    (", with <, > and & escaped", Escape::Html),
];

/// The tokens of JSON: strings with their quotes, numbers, names, and each of `{}[],:`.
fn tokens(text: &str) -> Option<Vec<&str>> {
    // What is no JSON has no tokens, and what is has balanced ones.
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut depth = 0_usize;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(first) = rest.bytes().next() else { return Some(tokens) };
        match first {
            b'{' | b'[' if depth == DEEPEST => return None,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let length = match first {
            b'"' => string_length(rest)?,
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => rest.find([',', '}', ']', ' ', '\t', '\r', '\n']).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at_checked(length)?;
        tokens.push(token);
        rest = behind;
    }
}

fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The text of these tokens; `None` when it is longer than `room`.
fn write(tokens: &[&str], layout: Layout, escape: Escape, room: usize) -> Option<String> {
    let mut out = String::new();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if out.len() > room {
            return None;
        }
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        match *token {
            "{" | "[" => {
                depth += 1;
                out.push_str(token);
                if next != "}" && next != "]" {
                    line(&mut out, layout, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                if at > 0 && tokens[at - 1] != "{" && tokens[at - 1] != "[" {
                    line(&mut out, layout, depth);
                }
                out.push_str(token);
            }
            "," => {
                out.push(',');
                match layout {
                    Layout::Spaced => out.push(' '),
                    _ => line(&mut out, layout, depth),
                }
            }
            ":" => out.push_str(if matches!(layout, Layout::Compact) { ":" } else { ": " }),
            string if string.starts_with('"') => out.push_str(&restring(string, escape)),
            other => out.push_str(other),
        }
    }
    Some(out)
}

fn line(out: &mut String, layout: Layout, depth: usize) {
    if let Layout::Indented(indent) = layout {
        out.push('\n');
        out.push_str(&indent.repeat(depth));
    }
}

/// A string with other letters escaped.
fn restring(token: &str, escape: Escape) -> String {
    if matches!(escape, Escape::AsIs) {
        return token.to_owned();
    }
    let Ok(text) = serde_json::from_str::<String>(token) else { return token.to_owned() };
    // What must be escaped is; the quotes stay.
    let plain = serde_json::Value::String(text).to_string();
    let mut out = String::with_capacity(plain.len());
    for letter in plain.chars() {
        match (escape, letter) {
            (Escape::Slash | Escape::AsciiAndSlash, '/') => out.push_str("\\/"),
            (Escape::Html, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => unicode(&mut out, letter),
            (Escape::Ascii | Escape::AsciiAndSlash, letter) if !letter.is_ascii() => {
                unicode(&mut out, letter)
            }
            (_, letter) => out.push(letter),
        }
    }
    out
}

fn unicode(out: &mut String, letter: char) {
    let mut units = [0; 2];
    for unit in letter.encode_utf16(&mut units) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(received: &str, signed: &str) -> bool {
        variants(received.as_bytes()).iter().any(|(_, variant)| variant == signed.as_bytes())
    }

    #[test]
    fn what_parsers_do_to_json_is_undone() {
        let compact = r#"{"b":[1,2.50,{}],"a":"Zoë </x>","c":[]}"#;
        for signed in [
            r#"{"b": [1, 2.50, {}], "a": "Zoë </x>", "c": []}"#,
            r#"{"b": [1, 2.50, {}], "a": "Zo\u00eb </x>", "c": []}"#,
            r#"{"b":[1,2.50,{}],"a":"Zo\u00eb <\/x>","c":[]}"#,
            "{\"b\":[1,2.50,{}],\"a\":\"Zoë \\u003c/x\\u003e\",\"c\":[]}",
            "{\n  \"b\": [\n    1,\n    2.50,\n    {}\n  ],\n  \"a\": \"Zoë </x>\",\n  \"c\": []\n}",
        ] {
            assert!(has(compact, signed), "{signed}");
            assert!(has(signed, compact), "{signed}");
        }
        assert!(has(r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#));
    }

    #[test]
    fn what_editors_and_proxies_do_to_bytes_is_undone() {
        assert!(has("a\n", "a"));
        assert!(has("a", "a\n"));
        assert!(has("a\r\nb", "a\nb"));
        assert!(has("a\nb", "a\r\nb"));
        assert!(has("\u{feff}a", "a"));
        assert!(has("eyJhIjoxfQ==", "{\"a\":1}"));
        assert!(has(r#""{\"a\":1}""#, r#"{"a":1}"#));
        assert!(has("Zo\u{c3}\u{ab}", "Zo\u{eb}"));
    }

    #[test]
    fn what_is_no_json_is_not_written_anew() {
        assert!(tokens("{\"a\":").is_none());
        assert!(tokens("a=b&c=d").is_none());
        assert!(variants(&[0xff, 0xfe]).iter().all(|(what, _)| !what.contains("parsed")));
    }

    #[test]
    fn deep_json_is_not_written_anew() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(tokens(&nested(DEEPEST)).map(|tokens| tokens.len()), Some(2 * DEEPEST));
        assert!(tokens(&nested(DEEPEST + 1)).is_none());
        let small = nested(1_000);
        let bytes: usize = variants(small.as_bytes()).iter().map(|(_, variant)| variant.len()).sum();
        assert!(bytes < 10 * small.len(), "{bytes}");
        // What lies beside each other is not deep.
        assert!(tokens(&format!("[{}[]]", "[],".repeat(1_000))).is_some());
    }

    #[test]
    fn the_forms_of_a_body_are_bounded_together() {
        const ROOM: usize = 1024 * 1024;
        let wide = format!("{}{}1{}", "[".repeat(100), "1,".repeat(10_000), "]".repeat(100));
        let found = variants_within(wide.as_bytes(), ROOM);
        let bytes: usize = found.iter().map(|(_, variant)| variant.len()).sum();
        assert!(bytes <= ROOM, "{bytes}");
        assert!(found.iter().all(|(what, _)| !what.contains("four")), "it alone takes more");
        let spaced = wide.replace(',', ", ");
        assert!(found.iter().any(|(_, variant)| variant == spaced.as_bytes()), "there is room for it");
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)) {
            let _ = variants(&body);
        }

        #[test]
        fn json_text_never_panics(text in "[\\[\\]{}:,\"\\\\a1 é\n]{0,40}") {
            let _ = variants(text.as_bytes());
        }
    }
}
