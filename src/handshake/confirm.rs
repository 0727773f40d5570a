//! Subscriptions that are confirmed by a call to the provider.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{delivery::Delivery, rejection::Rejection};

/// What [`Confirm::confirm`] returns.
pub type ConfirmFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>;

/// Confirms a subscription that a verified delivery asks to be confirmed: AWS SNS wants the URL in it fetched.
///
/// Whoever can sign for the provider can ask for this, for a topic of his own too. So confirm only what the application has
/// named, and fetch from the provider's hosts alone.
///
/// ```
/// use std::sync::Arc;
/// use tower_webhook::{Delivery, Rejection, handshake::{Confirm, ConfirmFuture}};
///
/// #[derive(Debug)]
/// struct OfTopic(&'static str);
///
/// impl Confirm for OfTopic {
///     fn confirm<'a>(&'a self, delivery: &'a Arc<Delivery>) -> ConfirmFuture<'a> {
///         Box::pin(async move {
///             let message: serde_json::Value = serde_json::from_slice(delivery.body())
///                 .map_err(|_| Rejection::HandshakeMalformed { fault: "it is not JSON" })?;
///             if message["TopicArn"] != self.0 {
///                 return Err(Rejection::HandshakeRefused { what: "the topic" });
///             }
///             // Fetch message["SubscribeURL"], if its host is the provider's.
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait Confirm: fmt::Debug + Send + Sync + 'static {
    /// Confirms the subscription. Dropped after [`CONFIRM_LIMIT`](crate::defaults::CONFIRM_LIMIT), and when the client
    /// goes; its sender then asks again.
    ///
    /// # Errors
    ///
    /// [`Rejection::HandshakeRefused`] for what the application has not named, [`Rejection::ConfirmationUnavailable`] where
    /// the provider could not be reached.
    fn confirm<'a>(&'a self, delivery: &'a Arc<Delivery>) -> ConfirmFuture<'a>;
}
