//! Structured fields (RFC 9651): dictionaries of items and inner lists, as far as signatures need them.
//!
//! Stricter than the RFC where two readers could understand two things: no name may be there twice, and numbers are whole.
//! What is written from what was read is the canonical form that is signed.

mod read;

use std::fmt::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};

pub(super) use read::{dictionary, is_name};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::defaults;

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
