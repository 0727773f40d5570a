//! A secret that the sender puts into the body as it is.

use std::borrow::Cow;

use crate::{
    defaults,
    rejection::Rejection,
    verify::{
        judge::{Covered, Proven},
        pointer::{Items, NotItems, Pointers},
        ring::BoundRing,
        scheme::{Kind, Scheme},
        verifier::Received,
    },
};

use super::judge::JSON;

/// In each item of a list: a pointer to the list, and one from an item to the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BodyToken {
    pub(crate) list: Cow<'static, str>,
    pub(crate) token: Cow<'static, str>,
}

impl Scheme {
    /// The secret itself in each item of a list in the JSON body: a pointer to the list, and one from an item to the
    /// secret. Every item must have it, compared in constant time, and there must be one.
    ///
    /// It proves who sent the request and nothing about its body: whoever sees one request can make any other. The secret
    /// is in the body that the handler gets, and that an inbox keeps.
    pub fn token_in_each_item(
        list: impl Into<Cow<'static, str>>,
        token: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Kind::BodyToken(BodyToken { list: list.into(), token: token.into() }))
    }
}

#[derive(Debug, Clone)]
pub(in crate::verify) struct BoundToken {
    items: Items,
    pointer: String,
}

impl BoundToken {
    pub(in crate::verify) fn new(token: &BodyToken) -> Self {
        let mut each = Pointers::default();
        each.add(&token.token);
        Self { items: Items::new(&token.list, each), pointer: token.token.to_string() }
    }

    #[cold]
    pub(in crate::verify) fn prove<'r>(
        &self,
        ring: &BoundRing,
        received: Received<'r>,
    ) -> Result<Proven<'r>, Rejection> {
        let (mut key_id, mut count) = (None, 0);
        let mismatch = || Rejection::FieldTokenMismatch { field: self.pointer.clone() };
        let outcome = self.items.read(received.body, |fields| {
            if count == defaults::SIGNED_ITEMS {
                return Err(Rejection::TooManyParts { of: "items", limit: defaults::SIGNED_ITEMS });
            }
            count += 1;
            let given = fields.first().and_then(Option::as_deref).ok_or_else(mismatch)?;
            key_id = ring.find_token(received.now, given.as_bytes()).map_err(|_| mismatch())?;
            Ok(())
        });
        match outcome {
            Ok(0) => Err(Rejection::FieldMissing { field: self.pointer.clone() }),
            Ok(_) => Ok(Proven { covered: Covered::Nothing, scheme_id: None, signed_at: None, key_id }),
            Err(NotItems::Unreadable) => Err(JSON),
            Err(NotItems::Refused(rejection)) => Err(rejection),
        }
    }
}
