//! Text of any sender, in columns that cannot hold every text.

use std::borrow::Cow;

/// Postgres text holds no NUL; a delivery whose key does would be refused for ever. Reversible, and the identity for
/// text without NUL and backslash.
pub(super) fn to_column(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('\0', "\\0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that [`to_column`] was given.
pub(super) fn from_column(column: &str) -> Box<str> {
    if !column.contains('\\') {
        return column.into();
    }
    let mut text = String::with_capacity(column.len());
    let mut characters = column.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('0') => text.push('\0'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_stands_as_it_is() {
        assert_eq!(to_column("call-7"), "call-7");
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_no_column_holds_a_nul(text in any::<String>(), tail in "[\\\\\0a0]{0,8}") {
            let text = text + &tail;
            let column = to_column(&text);
            prop_assert!(!column.contains('\0'));
            prop_assert_eq!(&*from_column(&column), text.as_str());
        }
    }
}
