//! Why nothing could be sent.

use crate::sender::SendError;

/// Why the test kit could not send anything.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The address is none that a request can have.
    #[error("{text:?} is no address for a request")]
    Address {
        /// What was given.
        text: String,
    },
    /// A header of the message cannot stand in a request.
    #[error("the header {name:?} cannot stand in a request")]
    Header {
        /// Its name.
        name: String,
    },
    /// What proves the provider's deliveries stands in their bodies, so that there is no header to corrupt.
    #[error("what proves the deliveries of {provider} stands in their bodies: corrupt the body")]
    NoProofInHeaders {
        /// The provider.
        provider: String,
    },
    /// The message cannot be signed as the provider does.
    #[error(transparent)]
    Send(#[from] SendError),
}
