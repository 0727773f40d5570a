//! Who sends, as data: how a provider signs, where its ids are, how long it waits and how it retries.

use std::{borrow::Cow, time::Duration};

use http::Method;

/// A provider's facts. The presets are constants of this module; see `docs/design.md`, decision 9.
#[derive(Debug, Clone)]
pub struct Provider {
    name: Cow<'static, str>,
    methods: Cow<'static, [Method]>,
    largest_body: Option<u64>,
    waits: Duration,
    retries: Retries,
}

/// When and for how long a provider sends again.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Provider {
    /// A provider of which this process knows no more than the name.
    pub(crate) fn unknown(name: String) -> Self {
        Self {
            name: name.into(),
            methods: Cow::Borrowed(&[Method::POST]),
            largest_body: None,
            waits: Duration::from_secs(10),
            retries: Retries { after: Retried::ServerErrors, span: crate::defaults::RETENTION },
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The methods that it sends with.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The largest body that it sends, where it says so.
    pub const fn largest_body(&self) -> Option<u64> {
        self.largest_body
    }

    /// How long it waits for an answer.
    pub const fn waits(&self) -> Duration {
        self.waits
    }

    /// When and for how long it sends again.
    pub const fn retries(&self) -> &Retries {
        &self.retries
    }

    /// Whether it reads the body of the answer to deliveries of this type, so that a duplicate must get it too.
    pub fn answer_carries_meaning(&self, _event_type: Option<&str>) -> bool {
        false
    }
}

/// GitHub.
pub const GITHUB: Provider = Provider {
    name: Cow::Borrowed("github"),
    methods: Cow::Borrowed(&[Method::POST]),
    largest_body: Some(25 * 1024 * 1024),
    waits: Duration::from_secs(10),
    retries: Retries { after: Retried::Nothing, span: Duration::from_secs(3 * 24 * 3600) },
};
