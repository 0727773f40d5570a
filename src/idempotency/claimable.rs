//! The request bodies that may be claimed: one.

use crate::delivery::{Fresh, Verified};

/// A verified delivery that nobody has claimed yet.
///
/// Only `Verified<Fresh>` is one, which [`VerifyLayer`](crate::verify::VerifyLayer) passes on.
#[diagnostic::on_unimplemented(
    message = "`IdempotencyLayer` cannot claim a request whose body is `{Self}`",
    label = "not a verified delivery that is still unclaimed",
    note = "put `VerifyLayer` outside of `IdempotencyLayer`: an unverified delivery could take a real one's place",
    note = "put only one `IdempotencyLayer` into a stack, and not inside of `AckLayer`: what is claimed or \
            acknowledged already cannot be claimed again"
)]
pub trait Claimable: sealed::Sealed + Send + 'static {
    /// The body with its stage in its type.
    fn into_fresh(self) -> Verified<Fresh>;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for Verified<Fresh> {}

impl Claimable for Verified<Fresh> {
    fn into_fresh(self) -> Verified<Fresh> {
        self
    }
}
