//! The kinds of facts that a provider has.

use std::{borrow::Cow, time::Duration};

type Text = Cow<'static, str>;

/// When and for how long a provider sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Which answers it retries.
    pub after: Retried,
    /// From the first attempt to the last one, redeliveries by hand included.
    pub span: Duration,
}

/// Which answers a provider retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retried {
    /// None: it never sends again by itself.
    Nothing,
    /// 5xx, 429 and time-outs; any other 4xx is final.
    ServerErrors,
    /// Whatever is not 2xx.
    AnythingButSuccess,
}

/// Whether a provider reads the body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerMeaning {
    /// Never: a status is all it wants.
    None,
    /// To deliveries of these event types.
    Types(Cow<'static, [Text]>),
    /// To all deliveries.
    All,
}

/// Where a delivery's id may be. The first source that has one is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdSource {
    /// The id's header in the scheme's header family, under its signature.
    Scheme,
    /// A header that no signature covers: whoever has captured a delivery can send it again under a fresh id.
    Header(Text),
    /// A JSON pointer (RFC 6901) into the body, under the body's signature.
    Pointer(Text),
    /// Several fields of the body together.
    Composite(Composite),
    /// Deliveries of these event types are never deduplicated. The type is the one in the body, never one in a header.
    NeverFor(Cow<'static, [Text]>),
}

/// An id put together from fields of the body and the event type, as the body tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composite {
    pub(crate) pointers: Cow<'static, [Text]>,
    pub(crate) only_types: Cow<'static, [Text]>,
}

impl Composite {
    /// The values at these pointers, all of which must be there, and the event type.
    pub fn of(pointers: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        let pointers = pointers.into_iter().map(Into::into).collect();
        Self { pointers: Cow::Owned(pointers), only_types: Cow::Borrowed(&[]) }
    }

    /// For deliveries of these event types alone.
    #[must_use]
    pub fn only_for(mut self, types: impl IntoIterator<Item = impl Into<Text>>) -> Self {
        self.only_types = types.into_iter().map(Into::into).collect();
        self
    }
}

impl IdSource {
    /// A header that no signature covers.
    pub fn header(name: impl Into<Text>) -> Self {
        Self::Header(name.into())
    }

    /// A JSON pointer into the body.
    pub fn pointer(pointer: impl Into<Text>) -> Self {
        Self::Pointer(pointer.into())
    }
}

/// Where a delivery's event type may be. The first source that has one is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypeSource {
    /// A header.
    Header(Text),
    /// A JSON pointer (RFC 6901) into the body.
    Pointer(Text),
    /// This type, where the body has text or a number at this pointer: for deliveries that do not name their type.
    Implied {
        /// The JSON pointer.
        pointer: Text,
        /// The type.
        event_type: Text,
    },
}

impl TypeSource {
    /// A header.
    pub fn header(name: impl Into<Text>) -> Self {
        Self::Header(name.into())
    }

    /// A JSON pointer into the body.
    pub fn pointer(pointer: impl Into<Text>) -> Self {
        Self::Pointer(pointer.into())
    }
}
