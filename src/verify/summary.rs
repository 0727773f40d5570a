//! A scheme told in words, for tables and tools.

use super::{
    encoding::Encoding,
    mac::Algorithm,
    scheme::{HmacScheme, Kind, Part, Scheme, TokenScheme},
    secret::KeyForm,
    signature::SignatureForm,
    timestamp::{TimestampFormat, TimestampPlace},
};

/// What a [`Scheme`] does, in words.
///
/// ```
/// use tower_webhook::provider;
///
/// let slack = provider::SLACK.scheme().summary();
/// assert_eq!(slack.headers, ["x-slack-signature"]);
/// assert_eq!(slack.written, "v0=<hex>");
/// assert_eq!(slack.content.as_deref(), Some("v0:{timestamp}:{body}"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The headers that a signature or a token may be in; the first one that is there is read.
    pub headers: Vec<String>,
    /// How the signature is made, such as `HMAC-SHA256`; `token` where there is none.
    pub algorithm: String,
    /// What the header's value looks like, such as `sha256=<hex>`.
    pub written: String,
    /// What is signed, such as `{timestamp}.{body}`; `None` where nothing is.
    pub content: Option<String>,
    /// What the secret's text stands for.
    pub secret: String,
    /// Where the timestamp is and how it is written, such as ``header `x-timestamp`, seconds``; `None` where there is none.
    pub timestamp: Option<String>,
    /// The header of a delivery id that is signed.
    pub id: Option<String>,
}

impl Scheme {
    /// The scheme in words.
    pub fn summary(&self) -> Summary {
        match &self.0 {
            Kind::Hmac(scheme) => scheme.summary(),
            Kind::Token(scheme) => scheme.summary(),
        }
    }
}

impl TokenScheme {
    fn summary(&self) -> Summary {
        Summary {
            headers: vec![self.header.to_string()],
            algorithm: "token".to_owned(),
            written: format!("{}<secret>", self.prefix),
            content: None,
            secret: "text".to_owned(),
            timestamp: None,
            id: None,
        }
    }
}

impl HmacScheme {
    fn summary(&self) -> Summary {
        let first = self.families.first();
        let content: String = self.content.iter().map(Part::shown).collect();
        Summary {
            headers: self.families.iter().map(|family| family.signature.to_string()).collect(),
            algorithm: self.algorithm.name().to_owned(),
            written: self.form.shown(self.encoding),
            content: Some(content),
            secret: self.key.shown(),
            timestamp: self.timestamp.as_ref().map(|rule| {
                let unit = rule.format.name();
                match rule.place() {
                    TimestampPlace::Header => {
                        let header = first.and_then(|family| family.timestamp.as_deref()).unwrap_or_default();
                        format!("header `{header}`, {unit}")
                    }
                    TimestampPlace::Field => format!("in the signature's header, {unit}"),
                    TimestampPlace::Body(pointer) => format!("body `{pointer}`, {unit}"),
                }
            }),
            id: first.and_then(|family| family.id.as_deref()).map(str::to_owned),
        }
    }
}

impl Algorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "HMAC-SHA1",
            Self::HmacSha256 => "HMAC-SHA256",
            Self::HmacSha512 => "HMAC-SHA512",
        }
    }
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }
}

impl TimestampFormat {
    const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Rfc3339 => "RFC 3339",
        }
    }
}

impl KeyForm {
    fn shown(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Hex => "hex".to_owned(),
            Self::Base64 { prefix } => format!("base64, with or without `{prefix}`"),
            Self::Base64OrText { prefix } => format!("base64 behind `{prefix}`, else text"),
        }
    }
}

impl SignatureForm {
    fn shown(&self, encoding: Encoding) -> String {
        let value = format!("<{}>", encoding.name());
        match self {
            Self::MaybePrefixed(prefix) => format!("{value} or {prefix}{value}"),
            Self::Versions(_) => format!("{} …", self.write(&value, "")),
            Self::Fields { .. } => self.write(&value, "<time>"),
            Self::Bare | Self::Prefixed(_) => self.write(&value, ""),
        }
    }
}

impl Part {
    fn shown(&self) -> String {
        match self {
            Self::Id => "{id}".to_owned(),
            Self::Timestamp => "{timestamp}".to_owned(),
            Self::Method => "{method}".to_owned(),
            Self::Url => "{url}".to_owned(),
            Self::Header(name) => format!("{{header {name}}}"),
            Self::Literal(text) => text.to_string(),
            Self::Body => "{body}".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::provider;

    #[test]
    fn each_form_is_told_as_a_sender_writes_it() {
        let written = |preset: crate::Provider| preset.scheme().summary().written;
        assert_eq!(written(provider::SHOPIFY), "<base64>");
        assert_eq!(written(provider::GITHUB), "sha256=<hex>");
        assert_eq!(written(provider::DASHA_BLACKBOX), "<hex> or sha256=<hex>");
        assert_eq!(written(provider::STANDARD_WEBHOOKS), "v1,<base64> …");
        assert_eq!(written(provider::STRIPE), "t=<time>,v1=<hex>");
        assert_eq!(written(provider::PAGERDUTY), "v1=<hex>");
        assert_eq!(written(provider::DASHA_BLACKBOX_STATIC), "Bearer <secret>");
    }

    #[test]
    fn a_token_signs_nothing_and_a_signed_id_has_a_header() {
        assert_eq!(provider::TELEGRAM.scheme().summary().content, None);
        let hubspot = provider::HUBSPOT.scheme().summary();
        assert_eq!(hubspot.content.as_deref(), Some("{method}{url}{body}{timestamp}"));
        assert_eq!(hubspot.timestamp.as_deref(), Some("header `x-hubspot-request-timestamp`, milliseconds"));
        assert_eq!(provider::CLERK.scheme().summary().id.as_deref(), Some("svix-id"));
    }
}
