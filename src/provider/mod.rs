//! Who sends, as data: how a provider signs, where its ids are, how long it waits and how it retries.
//!
//! The presets are constants of this module, and [`all`] lists them. Each tells in its documentation where its facts come
//! from; what was found on no page of the provider's own is marked there as *second-hand*, *from memory*, *assumed* or
//! *unverified*, and is data too: [`Provider::doubts`]. `docs/providers.md` is the table of all of them. A provider that is not
//! here is a few lines of data:
//!
//! ```
//! use std::time::Duration;
//! use tower_webhook::{
//!     Provider,
//!     provider::{IdSource, Retried, TypeSource},
//!     verify::{Algorithm, Scheme, SignatureForm},
//! };
//!
//! let acme = Provider::custom(
//!     "acme",
//!     Scheme::hmac(Algorithm::HmacSha256, "x-acme-signature").form(SignatureForm::Prefixed("sha256=".into())),
//! )
//! .delivery_id([IdSource::header("x-acme-delivery")])
//! .event_type([TypeSource::pointer("/type")])
//! .waiting(Duration::from_secs(10))
//! .retrying(Retried::ServerErrors, Duration::from_secs(24 * 3600));
//! # let _ = acme;
//! ```

mod facts;
mod general;
mod presets;

pub use facts::{AnswerMeaning, Composite, Doubt, Fact, Grounds, IdSource, Retried, Retries, TypeSource};
pub use general::Provider;
pub use presets::all;
pub use presets::{
    ADYEN, ADYEN_PLATFORMS, CONTENTFUL, HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH, HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH,
    MAILGUN, MAILGUN_ROUTES, MICROSOFT_GRAPH, TWILIO, TWILIO_SHARED_KEY,
};
pub use presets::{AWS_SNS, MICROSOFT_GRAPH_RICH, PAYPAL, PLAID};
pub use presets::{BITBUCKET, MUX, OPENAI, PAGERDUTY, SANITY, SENTRY, VERCEL};
pub use presets::{CALENDLY, HUBSPOT, TYPEFORM, ZENDESK};
pub use presets::{CLERK, DROPBOX, LIVEBLOCKS, OKTA, RESEND};
pub use presets::{COINBASE_COMMERCE, LEMON_SQUEEZY, PADDLE, RAZORPAY, SQUARE};
pub use presets::{
    DASHA_BLACKBOX, DASHA_BLACKBOX_STATIC, GITHUB, GITLAB, GITLAB_SIGNED, LINEAR, META, SHOPIFY, SLACK,
    STANDARD_WEBHOOKS, STRIPE, SVIX, TWITCH,
};
pub use presets::{DISCORD, SENDGRID, STANDARD_WEBHOOKS_V1A, SVIX_V1A};
pub use presets::{INTERCOM, LINE, TELEGRAM, X_TWITTER, ZOOM};
#[cfg(feature = "remote-keys")]
pub(crate) use presets::{PAYPAL_TIME, PLAID_TIME, SNS_TIME};
