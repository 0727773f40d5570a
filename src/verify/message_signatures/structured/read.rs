//! Reading structured fields.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Bare, Dictionary, Fault, InnerList, Item, Member, Parameters};
use crate::defaults;

/// Reads a dictionary whose lines are joined already.
pub(in crate::verify::message_signatures) fn dictionary(field: &[u8]) -> Result<Dictionary, Fault> {
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
pub(in crate::verify::message_signatures) fn is_name(text: &str) -> bool {
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
