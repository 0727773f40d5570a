//! All presets by name.

use super::*;
use crate::provider::Provider;

/// One line a preset, in the order of the alphabet. A name is the constant's, in lower case and with hyphens: a provider
/// that signs in several ways has several.
static ALL: &[(&str, Provider)] = &[
    ("bitbucket", BITBUCKET),
    ("calendly", CALENDLY),
    ("clerk", CLERK),
    ("coinbase-commerce", COINBASE_COMMERCE),
    ("dasha-blackbox", DASHA_BLACKBOX),
    ("dasha-blackbox-static", DASHA_BLACKBOX_STATIC),
    ("dropbox", DROPBOX),
    ("github", GITHUB),
    ("gitlab", GITLAB),
    ("gitlab-signed", GITLAB_SIGNED),
    ("hubspot", HUBSPOT),
    ("intercom", INTERCOM),
    ("lemon-squeezy", LEMON_SQUEEZY),
    ("line", LINE),
    ("linear", LINEAR),
    ("liveblocks", LIVEBLOCKS),
    ("meta", META),
    ("mux", MUX),
    ("okta", OKTA),
    ("openai", OPENAI),
    ("paddle", PADDLE),
    ("pagerduty", PAGERDUTY),
    ("razorpay", RAZORPAY),
    ("resend", RESEND),
    ("sanity", SANITY),
    ("sentry", SENTRY),
    ("shopify", SHOPIFY),
    ("slack", SLACK),
    ("square", SQUARE),
    ("standard-webhooks", STANDARD_WEBHOOKS),
    ("stripe", STRIPE),
    ("svix", SVIX),
    ("telegram", TELEGRAM),
    ("twitch", TWITCH),
    ("typeform", TYPEFORM),
    ("vercel", VERCEL),
    ("x-twitter", X_TWITTER),
    ("zendesk", ZENDESK),
    ("zoom", ZOOM),
];

/// All presets, by the names of their constants in lower case and with hyphens, in the order of the alphabet.
///
/// ```
/// use tower_webhook::provider;
///
/// let (_, github) = provider::all().iter().find(|(name, _)| *name == "github").expect("it is a preset");
/// assert_eq!(*github, provider::GITHUB);
/// ```
pub fn all() -> &'static [(&'static str, Provider)] {
    ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        assert!(all().is_sorted_by(|(one, _), (next, _)| one < next));
    }

    #[test]
    fn a_schedule_is_no_longer_than_what_is_counted_for_its_retries() {
        for (name, preset) in all() {
            let together: std::time::Duration = preset.retry_schedule().iter().sum();
            assert!(together <= preset.retries().span, "{name}: {together:?}");
        }
    }
}
