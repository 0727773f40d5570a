//! The items of a list in a JSON body, one after the other.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{AMBIGUOUS, Found, Pointers, Seek, segments};

/// A list in a body, and the fields of each of its items. Read strictly: see [`Pointers::find_strictly`].
#[derive(Debug, Clone)]
pub(in crate::verify) struct Items {
    way: Vec<String>,
    each: Pointers,
}

/// Why the items of a body were not all taken.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::verify) enum NotItems<E> {
    /// It is not JSON with such a list, or can be read in two ways.
    Unreadable,
    /// An item was refused.
    Refused(E),
}

impl Items {
    pub(in crate::verify) fn new(list: &str, each: Pointers) -> Self {
        Self { way: segments(list).collect(), each }
    }

    /// The fields of an item.
    pub(in crate::verify) const fn each(&self) -> &Pointers {
        &self.each
    }

    /// Hands the fields of each item over, in order, until one is refused. Returns how many there were.
    pub(in crate::verify) fn read<E>(
        &self,
        body: &[u8],
        mut take: impl FnMut(Found) -> Result<(), E>,
    ) -> Result<usize, NotItems<E>> {
        let (mut count, mut refused) = (0, None);
        let mut reader = serde_json::Deserializer::from_slice(body);
        let mut keep = |found| match take(found) {
            Ok(()) => {
                count += 1;
                true
            }
            Err(error) => {
                refused = Some(error);
                false
            }
        };
        let walk = Walk { way: &self.way, each: &self.each, take: &mut keep };
        let whole = walk.deserialize(&mut reader).and_then(|()| reader.end());
        match (refused, whole) {
            (Some(error), _) => Err(NotItems::Refused(error)),
            (None, Err(_)) => Err(NotItems::Unreadable),
            (None, Ok(())) => Ok(count),
        }
    }
}

struct Walk<'i> {
    way: &'i [String],
    each: &'i Pointers,
    /// Whether to go on.
    take: &'i mut dyn FnMut(Found) -> bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.way {
            [] => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list, or an object on the way to it")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { way, each, take } = self;
        let (next, way) = way.split_first().ok_or_else(|| A::Error::custom(AMBIGUOUS))?;
        let mut found = false;
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            if *next != name {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if std::mem::replace(&mut found, true) {
                return Err(A::Error::custom(AMBIGUOUS));
            }
            map.next_value_seed(Walk { way, each, take })?;
        }
        if !found {
            return Err(A::Error::custom("there is no list"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { each, take, .. } = self;
        loop {
            let mut found = vec![None; each.count];
            let seek = Seek::<true> { node: &each.root, found: &mut found };
            if list.next_element_seed(seek)?.is_none() {
                return Ok(());
            }
            if !take(found) {
                return Err(A::Error::custom("an item was refused"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(list: &str, pointers: &[&str]) -> Items {
        let mut each = Pointers::default();
        for pointer in pointers {
            each.add(pointer);
        }
        Items::new(list, each)
    }

    fn read(items: &Items, body: &str) -> Result<Vec<Found>, NotItems<()>> {
        let mut all = Vec::new();
        let count = items.read(body.as_bytes(), |found| {
            all.push(found);
            Ok(())
        })?;
        assert_eq!(count, all.len());
        Ok(all)
    }

    #[test]
    fn the_fields_of_each_item_are_handed_over_in_order() {
        let items = items("/a/list", &["/x/y", "/z"]);
        let body = r#"{"b":1,"a":{"list":[{"x":{"y":"1"}},{"z":2,"x":{}},{}]},"list":[]}"#;
        let text = |text: &str| Some(text.to_owned());
        let expected = vec![vec![text("1"), None], vec![None, text("2")], vec![None, None]];
        assert_eq!(read(&items, body).unwrap(), expected);
        assert_eq!(read(&items, r#"{"a":{"list":[]}}"#).unwrap(), Vec::<Found>::new());
    }

    #[test]
    fn what_has_no_such_list_or_two_is_unreadable() {
        let items = items("/a/list", &["/x"]);
        for body in [
            "",
            "[]",
            "{}",
            r#"{"a":{}}"#,
            r#"{"a":{"list":{}}}"#,
            r#"{"a":{"list":[1]}"#,
            r#"{"a":{"list":[{"x":1}]}} x"#,
            r#"{"a":{"list":[{"x":1}],"list":[{"x":1}]}}"#,
            r#"{"a":{"list":[{"x":1}]},"a":{"list":[{"x":1}]}}"#,
            r#"{"a":{"list":[{"x":1,"x":1}]}}"#,
            r#"{"a":{"list":[{"x":[1]}]}}"#,
        ] {
            assert_eq!(read(&items, body), Err(NotItems::Unreadable), "{body}");
        }
    }

    #[test]
    fn reading_ends_with_the_item_that_is_refused() {
        let mut taken = 0;
        let outcome = items("/l", &["/x"]).read(br#"{"l":[{"x":1},{"x":2},{"x":3}]}"#, |_| {
            taken += 1;
            if taken == 2 { Err("the second") } else { Ok(()) }
        });
        assert_eq!((outcome, taken), (Err(NotItems::Refused("the second")), 2));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in "\\PC{0,64}|[\\[\\]{}\",:la1x]{0,64}") {
            let _ = read(&items("/l", &["/x"]), &body);
            let _ = read(&items("", &[""]), &body);
        }

        #[test]
        fn the_same_as_a_whole_parse(values in proptest::collection::vec(any::<i64>(), 0..20)) {
            let list: Vec<_> = values.iter().map(|value| serde_json::json!({ "x": value })).collect();
            let found = read(&items("/l", &["/x"]), &serde_json::json!({ "l": list }).to_string()).unwrap();
            let texts: Vec<_> = values.iter().map(|value| vec![Some(value.to_string())]).collect();
            prop_assert_eq!(found, texts);
        }
    }
}
