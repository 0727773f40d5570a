//! The test kit, tried on stacks.

mod mischief;
mod schedule;

use std::{sync::Arc, time::Duration};

use tower_webhook::{SigningSecret, Webhook, provider, store::MemoryClaims, test_util::ManualClock};

fn secret() -> SigningSecret {
    SigningSecret::from_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

fn clock() -> ManualClock {
    ManualClock::at(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000))
}

/// A stack that processes each delivery once.
fn stack(clock: &ManualClock) -> Webhook {
    Webhook::from(provider::STANDARD_WEBHOOKS)
        .secret(secret())
        .clock(Arc::new(clock.clone()))
        .idempotent(MemoryClaims::default())
}
