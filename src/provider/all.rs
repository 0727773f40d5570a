//! All presets, for those who look through them.

use super::{Provider, presets};

/// All presets.
pub const ALL: &[Provider] = &[
    presets::DASHA_BLACKBOX,
    presets::DASHA_BLACKBOX_STATIC,
    presets::GITHUB,
    presets::GITLAB,
    presets::GITLAB_SIGNED,
    presets::LINEAR,
    presets::META,
    presets::SHOPIFY,
    presets::SLACK,
    presets::STANDARD_WEBHOOKS,
    presets::STRIPE,
    presets::SVIX,
    presets::TWITCH,
];
