//! A few fields of a JSON body, without building the rest of it.

mod items;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) use items::{Items, NotItems};

/// JSON pointers (RFC 6901) that are looked up together, in one pass over the body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pointers {
    root: Node,
    count: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Where the value at this place is put.
    slot: Option<usize>,
    children: Vec<(String, Node)>,
}

/// The text of each pointer's value, in the order in which they were added.
pub(crate) type Found = Vec<Option<String>>;

impl Pointers {
    /// Adds a pointer and returns its place among the values; the same pointer is looked up once.
    pub(crate) fn add(&mut self, pointer: &str) -> usize {
        let mut node = &mut self.root;
        for segment in segments(pointer) {
            let at = match node.children.iter().position(|(name, _)| *name == segment) {
                Some(at) => at,
                None => {
                    node.children.push((segment, Node::default()));
                    node.children.len() - 1
                }
            };
            node = &mut node.children[at].1;
        }
        let next = self.count;
        let slot = *node.slot.get_or_insert(next);
        if slot == next {
            self.count += 1;
        }
        slot
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values in `body`: strings as they are, numbers and booleans as they are written. A body that is not JSON, or
    /// breaks off, has none.
    ///
    /// Of a key that is there twice the last one counts, as for the JSON parsers of nearly all languages.
    pub(crate) fn find(&self, body: &[u8]) -> Found {
        self.read::<false>(body).unwrap_or_else(|| vec![None; self.count])
    }

    /// The same for fields that are signed one by one. `None` where two readers could take one for different things: a key
    /// on the way that is there twice, a list or an object in a field's place, a number that is not read exactly.
    pub(super) fn find_strictly(&self, body: &[u8]) -> Option<Found> {
        self.read::<true>(body)
    }

    fn read<const STRICT: bool>(&self, body: &[u8]) -> Option<Found> {
        let mut found = vec![None; self.count];
        let mut reader = serde_json::Deserializer::from_slice(body);
        let seek = Seek::<STRICT> { node: &self.root, found: &mut found };
        seek.deserialize(&mut reader).and_then(|()| reader.end()).ok()?;
        Some(found)
    }
}

/// The names on the way that a pointer describes.
pub(super) fn segments(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~"))
}

const AMBIGUOUS: &str = "readers could take this for different things";

/// The texts at these pointers that can be shown in a log: printable, and not longer than an event type may be.
#[cfg(feature = "remote-keys")]
pub(crate) fn shown_fields(body: &[u8], pointers: &[&str]) -> Vec<Option<Box<str>>> {
    let mut wanted = Pointers::default();
    for pointer in pointers {
        wanted.add(pointer);
    }
    let fits = |text: &String| {
        (1..=crate::defaults::ID_LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
    };
    wanted.find(body).into_iter().map(|text| text.filter(fits).map(Into::into)).collect()
}

/// Below this a 64-bit float holds every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether it is strict is known when it is compiled: the way of plain schemes costs nothing for it.
struct Seek<'p, const STRICT: bool> {
    node: &'p Node,
    found: &'p mut Found,
}

impl<const STRICT: bool> Seek<'_, STRICT> {
    fn keep(&mut self, value: impl ToString) {
        if let Some(slot) = self.node.slot {
            self.found[slot] = Some(value.to_string());
        }
    }

    /// What is no text and no number stands where one is looked for.
    fn misfit<E: Error>(&self) -> Result<(), E> {
        match (STRICT, self.node.slot) {
            (true, Some(_)) => Err(E::custom(AMBIGUOUS)),
            _ => Ok(()),
        }
    }

    /// Forgets what an earlier key of the same name held.
    fn clear(&mut self) {
        fn clear(node: &Node, found: &mut Found) {
            if let Some(slot) = node.slot {
                found[slot] = None;
            }
            node.children.iter().for_each(|(_, child)| clear(child, found));
        }
        clear(self.node, self.found);
    }
}

impl<'de, const STRICT: bool> DeserializeSeed<'de> for Seek<'_, STRICT> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        self.clear();
        deserializer.deserialize_any(self)
    }
}

impl<'de, const STRICT: bool> Visitor<'de> for Seek<'_, STRICT> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<(), E> {
        // A whole number this large has lost its last digits on the way, and two ids could have become one. What is signed
        // is the text, which a float does not have: `1130.0` and `1.13e3` are one.
        if !STRICT && value.abs() < EXACT {
            self.keep(value);
            return Ok(());
        }
        self.misfit()
    }

    fn visit_bool<E>(mut self, value: bool) -> Result<(), E> {
        self.keep(value);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.misfit()?;
        let mut seen = Vec::new();
        while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            match self.node.children.iter().find(|(wanted, _)| *wanted == name) {
                Some((_, node)) => {
                    if STRICT && seen.contains(&name) {
                        return Err(A::Error::custom(AMBIGUOUS));
                    }
                    map.next_value_seed(Seek::<STRICT> { node, found: &mut *self.found })?;
                    if STRICT {
                        seen.push(name);
                    }
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.misfit()?;
        for index in 0_usize.. {
            let wanted = self.node.children.iter().find(|(wanted, _)| wanted.parse() == Ok(index));
            let more = match wanted {
                Some((_, node)) => {
                    list.next_element_seed(Seek::<STRICT> { node, found: &mut *self.found })?.is_some()
                }
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn find(pointers: &[&str], body: &str) -> Found {
        let mut wanted = Pointers::default();
        for pointer in pointers {
            wanted.add(pointer);
        }
        wanted.find(body.as_bytes())
    }

    #[test]
    fn values_are_found_at_their_pointers() {
        let body =
            r#"{"id":"evt_1","skip":{"id":"no"},"data":[{"n":7},{"n":-8}],"ok":true,"a/b":"c","none":null}"#;
        let pointers = ["/id", "/data/1/n", "/ok", "/a~1b", "/none", "/absent", "/id/deeper"];
        let expected = [Some("evt_1"), Some("-8"), Some("true"), Some("c"), None, None, None];
        assert_eq!(find(&pointers, body), expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn the_last_of_two_keys_counts() {
        assert_eq!(find(&["/id"], r#"{"id":"a","id":"b"}"#), [Some("b".to_owned())]);
        assert_eq!(find(&["/a/b"], r#"{"a":{"b":"x"},"a":{}}"#), [None]);
    }

    #[test]
    fn what_is_not_whole_json_has_no_values() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for body in ["", "{", r#"{"id":"a"} x"#, "\u{feff}{\"id\":\"a\"}", &deep, "a=1&b=2"] {
            assert_eq!(find(&["/id"], body), [None]);
        }
        let mut pointers = Pointers::default();
        pointers.add("/id");
        assert_eq!(pointers.find(b"{\"id\":\"\xff\"}"), [None]);
    }

    #[test]
    fn read_strictly_a_field_has_one_meaning_or_none() {
        let mut wanted = Pointers::default();
        wanted.add("/a/b");
        wanted.add("/c");
        let strictly = |body: &str| wanted.find_strictly(body.as_bytes());
        let texts = |one: Option<&str>, other: Option<&str>| {
            Some(vec![one.map(str::to_owned), other.map(str::to_owned)])
        };
        assert_eq!(strictly(r#"{"a":{"b":"x"},"c":7,"d":1,"d":2}"#), texts(Some("x"), Some("7")));
        assert_eq!(strictly(r#"{"a":null,"c":null}"#), texts(None, None));
        for ambiguous in [
            r#"{"c":1,"c":1}"#,
            r#"{"a":{"b":1},"a":{}}"#,
            r#"{"a":{"b":1,"\u0062":1}}"#,
            r#"{"c":1.5}"#,
            r#"{"c":1130.0}"#,
            r#"{"c":1.13e3}"#,
            r#"{"c":[]}"#,
            r#"{"c":{}}"#,
            r#"{"c":12345678901234567890123}"#,
            r#"{"c":1"#,
            "",
        ] {
            assert_eq!(strictly(ambiguous), None, "{ambiguous}");
        }
    }

    proptest! {
        #[test]
        fn the_same_as_a_whole_parse(body in "\\PC{0,64}", value in any::<i32>(), text in "\\PC{0,16}") {
            let _ = find(&["/a/b", "/0", ""], &body);
            let json = serde_json::json!({ "x": [text, value], "y": { "z": text } });
            let found = find(&["/x/0", "/x/1", "/y/z"], &json.to_string());
            prop_assert_eq!(found, vec![Some(text.clone()), Some(value.to_string()), Some(text)]);
        }
    }
}
