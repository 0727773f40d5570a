//! All presets by name.

use super::*;
use crate::provider::Provider;

/// One line a preset, in the order of the alphabet. A name is the constant's, in lower case and with hyphens: a provider
/// that signs in several ways has several.
static ALL: &[(&str, Provider)] = &[
    ("adyen", ADYEN),
    ("adyen-platforms", ADYEN_PLATFORMS),
    ("aws-sns", AWS_SNS),
    ("bitbucket", BITBUCKET),
    ("calendly", CALENDLY),
    ("clerk", CLERK),
    ("coinbase-commerce", COINBASE_COMMERCE),
    ("contentful", CONTENTFUL),
    ("dasha-blackbox", DASHA_BLACKBOX),
    ("dasha-blackbox-static", DASHA_BLACKBOX_STATIC),
    ("discord", DISCORD),
    ("dropbox", DROPBOX),
    ("github", GITHUB),
    ("gitlab", GITLAB),
    ("gitlab-signed", GITLAB_SIGNED),
    ("hubspot", HUBSPOT),
    ("hubspot-v1-dangerously-plain-hash", HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH),
    ("hubspot-v2-dangerously-plain-hash", HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH),
    ("intercom", INTERCOM),
    ("lemon-squeezy", LEMON_SQUEEZY),
    ("line", LINE),
    ("linear", LINEAR),
    ("liveblocks", LIVEBLOCKS),
    ("mailgun", MAILGUN),
    ("mailgun-routes", MAILGUN_ROUTES),
    ("meta", META),
    ("microsoft-graph", MICROSOFT_GRAPH),
    ("microsoft-graph-rich", MICROSOFT_GRAPH_RICH),
    ("mux", MUX),
    ("okta", OKTA),
    ("openai", OPENAI),
    ("paddle", PADDLE),
    ("pagerduty", PAGERDUTY),
    ("paypal", PAYPAL),
    ("plaid", PLAID),
    ("razorpay", RAZORPAY),
    ("resend", RESEND),
    ("sanity", SANITY),
    ("sendgrid", SENDGRID),
    ("sentry", SENTRY),
    ("shopify", SHOPIFY),
    ("slack", SLACK),
    ("square", SQUARE),
    ("standard-webhooks", STANDARD_WEBHOOKS),
    ("standard-webhooks-v1a", STANDARD_WEBHOOKS_V1A),
    ("stripe", STRIPE),
    ("svix", SVIX),
    ("svix-v1a", SVIX_V1A),
    ("telegram", TELEGRAM),
    ("twilio", TWILIO),
    ("twilio-shared-key", TWILIO_SHARED_KEY),
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
