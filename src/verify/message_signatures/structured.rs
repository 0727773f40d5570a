//! Structured fields (RFC 9651): dictionaries of items and inner lists, as far as signatures need them.
//!
//! Stricter than the RFC where two readers could understand two things: no name may be there twice, and numbers are whole.
//! What is written from what was read is the canonical form that is signed.

use std::fmt::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::defaults;

/// What is wrong with a field.
pub(super) type Fault = &'static str;

/// A dictionary's members in their order.
pub(super) type Dictionary = Vec<(String, Member)>;

/// Parameters in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Parameters(pub(super) Vec<(String, Bare)>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Member {
    Item(Item),
    List(InnerList),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct InnerList {
    pub(super) items: Vec<Item>,
    pub(super) parameters: Parameters,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) bare: Bare,
    pub(super) parameters: Parameters,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bare {
    Integer(i64),
    Text(String),
    Token(String),
    Bytes(Vec<u8>),
    Boolean(bool),
}

impl Parameters {
    pub(super) fn get(&self, name: &str) -> Option<&Bare> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    /// The text of a parameter that must be text where it is there.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Bare::Text(text)) => Ok(Some(text)),
            Some(_) => Err("a parameter that must be text is none"),
        }
    }

    /// The number of a parameter that must be one where it is there.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Bare::Integer(number)) => Ok(Some(*number)),
            Some(_) => Err("a parameter that must be a number is none"),
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        for (name, value) in &self.0 {
            out.push(';');
            out.push_str(name);
            if *value != Bare::Boolean(true) {
                out.push('=');
                value.write(out);
            }
        }
    }
}

impl InnerList {
    pub(super) fn write(&self, out: &mut String) {
        out.push('(');
        for (at, item) in self.items.iter().enumerate() {
            if at > 0 {
                out.push(' ');
            }
            item.bare.write(out);
            item.parameters.write(out);
        }
        out.push(')');
        self.parameters.write(out);
    }
}

impl Bare {
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Integer(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Text(text) => {
                out.push('"');
                for character in text.chars() {
                    if matches!(character, '"' | '\\') {
                        out.push('\\');
                    }
                    out.push(character);
                }
                out.push('"');
            }
            Self::Token(token) => out.push_str(token),
            Self::Bytes(bytes) => {
                out.push(':');
                STANDARD.encode_string(bytes, out);
                out.push(':');
            }
            Self::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
        }
    }
}

/// Reads a dictionary whose lines are joined already.
pub(super) fn dictionary(field: &[u8]) -> Result<Dictionary, Fault> {
    if field.len() > defaults::SIGNATURE_FIELD_LENGTH {
        return Err("a field of it is too long");
    }
    let mut reader = Reader(field);
    let mut members = Dictionary::new();
    reader.skip(b" ");
    while !reader.0.is_empty() {
        let name = reader.name()?;
        if members.iter().any(|(given, _)| *given == name) {
            return Err("a name is there twice");
        }
        members.push((name, reader.member()?));
        reader.skip(b" \t");
        if reader.0.is_empty() {
            return Ok(members);
        }
        reader.expect(b',')?;
        reader.skip(b" \t");
        if reader.0.is_empty() {
            return Err("a comma is at its end");
        }
    }
    Ok(members)
}

/// Whether a text can name a member.
pub(super) fn is_name(text: &str) -> bool {
    let mut reader = Reader(text.as_bytes());
    reader.name().is_ok() && reader.0.is_empty()
}

struct Reader<'a>(&'a [u8]);

const UNEXPECTED: Fault = "not a structured field";

impl<'a> Reader<'a> {
    fn next_is(&self, byte: u8) -> bool {
        self.0.first() == Some(&byte)
    }

    /// Takes this byte, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.next_is(byte);
        self.0 = &self.0[usize::from(is_next)..];
        is_next
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(UNEXPECTED) }
    }

    fn skip(&mut self, blanks: &[u8]) {
        self.take_while(|byte| blanks.contains(&byte));
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.0.iter().take_while(|byte| belongs(**byte)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn name(&mut self) -> Result<String, Fault> {
        if !self.0.first().is_some_and(|first| first.is_ascii_lowercase() || *first == b'*') {
            return Err("a name does not begin with a lower-case letter");
        }
        let name = self.take_while(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        });
        Ok(text(name))
    }

    fn member(&mut self) -> Result<Member, Fault> {
        if !self.take(b'=') {
            let parameters = self.parameters()?;
            return Ok(Member::Item(Item { bare: Bare::Boolean(true), parameters }));
        }
        if self.next_is(b'(') { self.list().map(Member::List) } else { self.item().map(Member::Item) }
    }

    fn list(&mut self) -> Result<InnerList, Fault> {
        self.expect(b'(')?;
        let mut items = Vec::new();
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Ok(InnerList { items, parameters: self.parameters()? });
            }
            items.push(self.item()?);
            if items.len() > defaults::SIGNED_COMPONENTS {
                return Err("it covers too many components");
            }
            if !self.next_is(b' ') && !self.next_is(b')') {
                return Err(UNEXPECTED);
            }
        }
    }

    fn item(&mut self) -> Result<Item, Fault> {
        Ok(Item { bare: self.bare()?, parameters: self.parameters()? })
    }

    fn parameters(&mut self) -> Result<Parameters, Fault> {
        let mut parameters = Parameters::default();
        while self.take(b';') {
            self.skip(b" ");
            let name = self.name()?;
            if parameters.get(&name).is_some() {
                return Err("a parameter is there twice");
            }
            let value = if self.take(b'=') { self.bare()? } else { Bare::Boolean(true) };
            parameters.0.push((name, value));
        }
        Ok(parameters)
    }

    fn bare(&mut self) -> Result<Bare, Fault> {
        match self.0.first().ok_or(UNEXPECTED)? {
            b'"' => self.text().map(Bare::Text),
            b':' => self.bytes().map(Bare::Bytes),
            b'?' => self.boolean().map(Bare::Boolean),
            b'-' | b'0'..=b'9' => self.integer().map(Bare::Integer),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                let token = self
                    .take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Ok(Bare::Token(text(token)))
            }
            _ => Err(UNEXPECTED),
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let (byte, rest) = self.0.split_first().ok_or("a text has no end")?;
            self.0 = rest;
            match byte {
                b'"' => return Ok(out),
                b'\\' => {
                    let (escaped, rest) = self.0.split_first().ok_or("a text has no end")?;
                    if !matches!(escaped, b'"' | b'\\') {
                        return Err("a text escapes what needs no escape");
                    }
                    self.0 = rest;
                    out.push(char::from(*escaped));
                }
                0x20..=0x7e => out.push(char::from(*byte)),
                _ => return Err("a text is not printable ASCII"),
            }
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        self.expect(b':')?;
        let digits = self.take_while(|byte| byte != b':');
        self.expect(b':')?;
        STANDARD.decode(digits).map_err(|_| "bytes are not padded base64")
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        self.expect(b'?')?;
        if self.take(b'1') { Ok(true) } else { self.expect(b'0').map(|()| false) }
    }

    /// A whole number of at most 15 digits.
    fn integer(&mut self) -> Result<i64, Fault> {
        const MOST_DIGITS: usize = 15;
        let sign = if self.take(b'-') { -1 } else { 1 };
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > MOST_DIGITS || self.next_is(b'.') {
            return Err("a number is not a whole one of 1 to 15 digits");
        }
        Ok(sign * digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }
}

/// ASCII as text.
fn text(ascii: &[u8]) -> String {
    ascii.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(field: &str) -> String {
        let members = dictionary(field.as_bytes()).unwrap();
        let mut out = String::new();
        for (at, (name, member)) in members.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            out.push_str(name);
            match member {
                Member::Item(Item { bare: Bare::Boolean(true), parameters }) => parameters.write(&mut out),
                Member::Item(item) => {
                    out.push('=');
                    item.bare.write(&mut out);
                    item.parameters.write(&mut out);
                }
                Member::List(list) => {
                    out.push('=');
                    list.write(&mut out);
                }
            }
        }
        out
    }

    #[test]
    fn what_is_read_is_written_in_its_canonical_form() {
        for (field, canonical) in [
            ("", ""),
            ("a", "a"),
            ("a=?1;b;c=?0", "a;b;c=?0"),
            (
                "  sig1=( \"@method\"   \"date\" );created=1;keyid=\"k\"",
                "sig1=(\"@method\" \"date\");created=1;keyid=\"k\"",
            ),
            ("a=();x=-7\t,\tb=:AQI=:", "a=();x=-7, b=:AQI=:"),
            ("a=tok/en;p=\"q\\\"\\\\\"", "a=tok/en;p=\"q\\\"\\\\\""),
            ("a=(\"x\";bs \"y\";name=\"z\")", "a=(\"x\";bs \"y\";name=\"z\")"),
        ] {
            assert_eq!(written(field), canonical, "{field}");
        }
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for field in [
            "a=1,a=2",
            "a=1;b;b",
            "a=1,",
            ",",
            "A=1",
            "a=",
            "a=1.5",
            "a=1234567890123456",
            "a=-",
            "a=\"",
            "a=\"\\n\"",
            "a=\"é\"",
            "a=:AQI:",
            "a=:AQ==",
            "a=?2",
            "a=(",
            "a=(1",
            "a=(1\"x\")",
            "a=(1,2)",
            "a=1 b=2",
            "a b",
            "=1",
            "a=@1",
            "a=1;",
            "a=1;B",
            "a= 1",
            "\ta=1",
            "a=\"\u{7f}\"",
        ] {
            assert!(dictionary(field.as_bytes()).is_err(), "{field}");
        }
    }

    #[test]
    fn a_field_is_bounded() {
        let many = format!("a=({})", "1 ".repeat(defaults::SIGNED_COMPONENTS + 1));
        assert!(dictionary(many.as_bytes()).is_err());
        let long = format!("a=\"{}\"", "x".repeat(defaults::SIGNATURE_FIELD_LENGTH));
        assert!(dictionary(long.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_field_panics_and_canonical_is_canonical(field in "[a-c0-9\"\\\\:?();=, *.-]{0,60}|\\PC{0,60}") {
            if dictionary(field.as_bytes()).is_ok() {
                let once = written(&field);
                prop_assert_eq!(written(&once), once);
            }
        }
    }
}
