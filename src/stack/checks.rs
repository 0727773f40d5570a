//! What a stack is checked for before it is built.

use std::time::Duration;

use crate::{
    error::ConfigError,
    provider::{Provider, Retried},
};

/// What the checks look at.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) provider: &'a Provider,
    /// How long completed claims are kept, where there are claims.
    pub(super) keep: Option<Duration>,
    pub(super) inline_limit: Duration,
    pub(super) acknowledges_first: bool,
    pub(super) tenant_quota: bool,
    pub(super) may_lose: bool,
}

/// Refuses a plan that would run a late retry twice, answer after the sender has gone, or lose a delivery of a sender
/// that never sends again.
pub(super) fn check(plan: &Plan<'_>) -> Result<(), ConfigError> {
    let name = || plan.provider.name().to_owned();
    let retries = plan.provider.retries();
    if let Some(keep) = plan.keep.filter(|keep| *keep < retries.span) {
        return Err(ConfigError::RetentionTooShort { provider: name(), keep, retries_for: retries.span });
    }
    let waits = plan.provider.waits();
    let times = [
        ("what the sender waits", Some(waits)),
        ("what the sender waits for one event type", plan.provider.shortest_wait_of_a_type()),
        ("the inline limit", Some(plan.inline_limit)),
    ];
    if let Some((setting, _)) = times.into_iter().find(|(_, time)| *time == Some(Duration::ZERO)) {
        return Err(ConfigError::Zero { setting });
    }
    if plan.inline_limit > waits {
        return Err(ConfigError::InlineLimitTooLong { provider: name(), limit: plan.inline_limit, waits });
    }
    if retries.after == Retried::Nothing && !plan.may_lose {
        let what = match (plan.acknowledges_first, plan.tenant_quota) {
            (true, _) => "an acknowledgement that is kept in memory alone",
            (_, true) => "a quota after verification",
            _ => return Ok(()),
        };
        return Err(ConfigError::WouldLose { provider: name(), what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider;

    static DASHA_BLACKBOX: Provider = provider::DASHA_BLACKBOX;
    static GITHUB: Provider = provider::GITHUB;
    static STRIPE: Provider = provider::STRIPE;

    fn plan(provider: &Provider) -> Plan<'_> {
        Plan {
            provider,
            keep: None,
            inline_limit: Duration::from_secs(1),
            acknowledges_first: false,
            tenant_quota: false,
            may_lose: false,
        }
    }

    #[test]
    fn claims_must_outlive_the_senders_retries() {
        let span = STRIPE.retries().span;
        let short = Plan { keep: Some(span - Duration::from_secs(1)), ..plan(&STRIPE) };
        assert!(matches!(check(&short), Err(ConfigError::RetentionTooShort { keep, retries_for, .. })
            if retries_for == span && keep < span));
        assert!(check(&Plan { keep: Some(span), ..plan(&STRIPE) }).is_ok());
    }

    #[test]
    fn an_inline_handler_must_answer_while_the_sender_waits() {
        let waits = DASHA_BLACKBOX.waits();
        assert!(check(&Plan { inline_limit: waits, ..plan(&DASHA_BLACKBOX) }).is_ok());
        let late = Plan { inline_limit: waits + Duration::from_millis(1), ..plan(&DASHA_BLACKBOX) };
        assert!(matches!(check(&late), Err(ConfigError::InlineLimitTooLong { .. })));
    }

    #[test]
    fn a_handler_must_have_time() {
        let refused = |provider: &Provider, inline_limit| {
            let checked = check(&Plan { inline_limit, ..plan(provider) });
            let Err(ConfigError::Zero { setting }) = checked else { panic!("{checked:?}") };
            setting
        };
        let second = Duration::from_secs(1);
        assert_eq!(refused(&STRIPE, Duration::ZERO), "the inline limit");
        assert_eq!(refused(&provider::STRIPE.waiting(Duration::ZERO), second), "what the sender waits");
        let tools = provider::DASHA_BLACKBOX.waiting_for("ToolWebHookPayload", Duration::ZERO);
        assert_eq!(refused(&tools, second), "what the sender waits for one event type");
    }

    #[test]
    fn what_a_sender_sends_once_is_not_risked_unless_asked_for() {
        let acknowledges = Plan { acknowledges_first: true, ..plan(&GITHUB) };
        assert!(matches!(check(&acknowledges), Err(ConfigError::WouldLose { .. })));
        let counts = Plan { tenant_quota: true, ..plan(&GITHUB) };
        assert!(matches!(check(&counts), Err(ConfigError::WouldLose { .. })));
        assert!(check(&Plan { may_lose: true, acknowledges_first: true, ..plan(&GITHUB) }).is_ok());
        assert!(check(&Plan { acknowledges_first: true, ..plan(&STRIPE) }).is_ok());
    }
}
