//! The kinds of facts that a provider has.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;

type Text = Cow<'static, str>;

/// When and for how long a provider sends again. The waits between its attempts, where they are known, are
/// [`Provider::retry_schedule`](super::Provider::retry_schedule).
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
    /// Whatever is not one of these: to such a provider even some 2xx are failures.
    AnythingBut(&'static [u16]),
    /// These alone; any other failure is final.
    Only(&'static [u16]),
}

impl Retried {
    /// Whether a provider sends again what was answered with this status. One that never answered counts as a 5xx.
    ///
    /// ```
    /// use http::StatusCode;
    /// use tower_webhook::provider::Retried;
    ///
    /// assert!(Retried::ServerErrors.includes(StatusCode::TOO_MANY_REQUESTS));
    /// assert!(!Retried::ServerErrors.includes(StatusCode::NOT_FOUND));
    /// assert!(Retried::AnythingBut(&[200]).includes(StatusCode::NO_CONTENT));
    /// ```
    pub fn includes(&self, status: StatusCode) -> bool {
        match self {
            Self::Nothing => false,
            Self::ServerErrors => status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
            Self::AnythingButSuccess => !status.is_success(),
            Self::AnythingBut(last) => !last.contains(&status.as_u16()),
            Self::Only(again) => again.contains(&status.as_u16()),
        }
    }
}

/// A kind of fact that a preset states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// The signature's header, algorithm, form and encoding.
    Signature,
    /// How the secret's text becomes a key.
    Secret,
    /// What is signed.
    Content,
    /// Where the timestamp is, and in which unit.
    Timestamp,
    /// How far the timestamp may be off.
    Tolerance,
    /// Where the delivery id is.
    DeliveryId,
    /// Where the event type is.
    EventType,
    /// The largest body.
    LargestBody,
    /// How long it waits for an answer.
    Waits,
    /// Which answers it retries, and for how long.
    Retries,
    /// The waits between its attempts.
    Schedule,
    /// Whether it reads the bodies of answers.
    Answers,
}

/// Why a fact is less than certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grounds {
    /// It was seen on somebody else's page alone.
    SecondHand,
    /// It is commonly known, and was seen on no page.
    Memory,
    /// No source states it: the value is this crate's own, chosen so that nothing is lost.
    Assumed,
}

/// A fact of a preset that was not found in the provider's own documentation or SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Doubt {
    /// What is uncertain.
    pub fact: Fact,
    /// Why.
    pub grounds: Grounds,
}

impl Doubt {
    pub(super) const fn second_hand(fact: Fact) -> Self {
        Self { fact, grounds: Grounds::SecondHand }
    }

    pub(super) const fn memory(fact: Fact) -> Self {
        Self { fact, grounds: Grounds::Memory }
    }

    pub(super) const fn assumed(fact: Fact) -> Self {
        Self { fact, grounds: Grounds::Assumed }
    }
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
    /// The SHA-256 of the body alone, where every attempt is signed at a time of its own. For a provider whose bodies say
    /// themselves when their event was.
    Body,
    /// Deliveries of these event types are never deduplicated. The type is the one in the body, never one in a header.
    NeverFor(Cow<'static, [Text]>),
    /// No delivery is deduplicated: two that tell of different things may be equal in every byte.
    Never,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_differs_between_providers() {
        let repeats = |retried: Retried| {
            [200, 204, 302, 400, 408, 429, 500, 503]
                .into_iter()
                .filter(|status| retried.includes(StatusCode::from_u16(*status).unwrap()))
                .collect::<Vec<_>>()
        };
        assert!(repeats(Retried::Nothing).is_empty());
        assert_eq!(repeats(Retried::ServerErrors), [429, 500, 503]);
        assert_eq!(repeats(Retried::AnythingButSuccess), [302, 400, 408, 429, 500, 503]);
        assert_eq!(repeats(Retried::AnythingBut(&[200])), [204, 302, 400, 408, 429, 500, 503]);
        assert_eq!(repeats(Retried::Only(&[408, 429, 503])), [408, 429, 503]);
    }
}
