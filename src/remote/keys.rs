//! The keys of tokens by their names, kept.

use std::{net::IpAddr, sync::Arc};

use tower::BoxError;

use super::{
    jwk::{Jwk, JwkSource},
    source::{NamedBy, Source},
};
use crate::{clock::SharedClock, defaults, rejection::Rejection, verify::Need};

/// What a source of keys has answered: a set under the one name that it has, or keys under theirs.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    source: Arc<dyn JwkSource>,
    clock: SharedClock,
    kept: Source<Jwk>,
    sets: Source<Vec<Arc<Jwk>>>,
}

/// The name that a set is kept under: a source has one.
const THE_SET: &str = "";

/// A set without a key that can be used is taken for a fault, and does not replace one that has keys.
#[derive(Debug, thiserror::Error)]
#[error("there is no key of use in the set")]
struct EmptySet;

impl Keys {
    pub(super) fn new(source: impl JwkSource, clock: SharedClock) -> Self {
        Self::keep(Arc::new(source), clock)
    }

    fn keep(source: Arc<dyn JwkSource>, clock: SharedClock) -> Self {
        let (kept, sets) = (Source::new(Arc::clone(&clock)), Source::new(Arc::clone(&clock)));
        Self { source, clock, kept, sets }
    }

    pub(super) fn clock(&mut self, clock: SharedClock) {
        *self = Self::keep(Arc::clone(&self.source), clock);
    }

    /// From another source: what the first one has answered is forgotten.
    pub(super) fn take_from(&mut self, source: impl JwkSource) {
        *self = Self::keep(Arc::new(source), Arc::clone(&self.clock));
    }

    /// The key of this name, which a token from this client has.
    pub(super) async fn of(&self, kid: &str, client: Option<IpAddr>) -> Result<Arc<Jwk>, Rejection> {
        if self.source.keys().is_some() {
            return self.in_the_set(kid).await;
        }
        let (source, name) = (Arc::clone(&self.source), Box::<str>::from(kid));
        let ask = move || async move { source.key(&name).await };
        self.kept.of(kid, NamedBy::Client(client), Need::Kept, ask).await
    }

    /// A name that is not in the set may be that of a new key. So the set is asked for again, and not at will: how often does not
    /// depend on how many names there are, so strangers cannot use up what a new key needs.
    async fn in_the_set(&self, kid: &str) -> Result<Arc<Jwk>, Rejection> {
        for need in [Need::Kept, Need::Asked { within: defaults::KEY_SET_AGAIN }] {
            let source = Arc::clone(&self.source);
            let ask = move || async move {
                let Some(keys) = source.keys() else { return Ok(None) };
                let keys: Vec<_> = keys.await?.into_iter().map(Arc::new).collect();
                if keys.is_empty() { Err(BoxError::from(EmptySet)) } else { Ok(Some(keys)) }
            };
            let set = self.sets.of(THE_SET, NamedBy::Us, need, ask).await?;
            if let Some(key) = set.iter().find(|key| key.kid() == Some(kid)) {
                return Ok(Arc::clone(key));
            }
        }
        Err(Rejection::UnknownKey)
    }
}
