//! What a store of quotas does.

use std::{fmt, num::NonZeroU32, time::Duration};

use super::BucketKey;
use crate::store::StoreFuture;

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It may, and one is taken from the bucket.
    Admitted {
        /// How many more may come at once.
        left: u32,
    },
    /// It may not, and nothing is taken.
    Refused {
        /// When the next one may.
        retry_after: Duration,
    },
}

/// Where several processes count one quota together.
///
/// Every operation is atomic over all of them, and time is the store's own. It answers or fails within a bound of its
/// own that is short, because requests wait for it.
pub trait QuotaStore: fmt::Debug + Send + Sync + 'static {
    /// Takes one request from a bucket that holds `burst` and refills one each `interval`. A bucket that was never
    /// used is full.
    fn take<'a>(&'a self, bucket: BucketKey, interval: Duration, burst: NonZeroU32)
    -> StoreFuture<'a, Taken>;
}
