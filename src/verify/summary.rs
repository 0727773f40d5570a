//! A scheme told in words, for tables and tools.

use super::{
    composed::{BodyToken, ComposedScheme, PathForm, SignaturePlace},
    encoding::Encoding,
    mac::Algorithm,
    public_key::PublicKeyAlgorithm,
    scheme::{CodeScheme, Frame, HeaderFamily, Kind, Part, Scheme, TokenScheme},
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
    /// What it looks like there, such as `sha256=<hex>`.
    pub written: String,
    /// Where in the body it stands, such as ``in the body, at `/signature` ``, where it is in no header.
    pub place: Option<String>,
    /// What is signed, such as `{timestamp}.{body}`; `None` where nothing is.
    pub content: Option<String>,
    /// What the secret's text stands for.
    pub secret: String,
    /// Where the timestamp is and how it is written, such as ``header `x-timestamp`, seconds``; `None` where there is none.
    pub timestamp: Option<String>,
    /// Where a delivery id is that is signed, such as ``header `x-id` ``.
    pub id: Option<String>,
    /// How a rule that is code puts the event type together, where its parts alone do not tell it.
    pub event_type: Option<String>,
}

impl Scheme {
    /// The scheme in words.
    pub fn summary(&self) -> Summary {
        match &self.0 {
            Kind::Hmac(scheme) => scheme.frame().summary(scheme.algorithm.name(), scheme.key.shown()),
            Kind::PublicKey(scheme) => {
                scheme.frame().summary(scheme.algorithm.shown(), "public key".to_owned())
            }
            Kind::Token(scheme) => scheme.summary(),
            Kind::Composed(scheme) => scheme.summary(),
            Kind::BodyToken(scheme) => scheme.summary(),
            Kind::Code(scheme) => scheme.summary(),
        }
    }
}

impl TokenScheme {
    fn summary(&self) -> Summary {
        Summary {
            headers: vec![self.header.to_string()],
            algorithm: "token".to_owned(),
            written: format!("{}<secret>", self.prefix),
            place: None,
            content: None,
            secret: "text".to_owned(),
            timestamp: None,
            id: None,
            event_type: None,
        }
    }
}

impl CodeScheme {
    fn summary(&self) -> Summary {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match &self.told {
            Some(told) => Summary {
                headers: told.headers.iter().map(ToString::to_string).collect(),
                algorithm: told.algorithm.to_owned(),
                written: told.written.to_owned(),
                place: owned(told.place),
                content: owned(told.content),
                secret: format!("none: {}", told.keys),
                timestamp: told.time.as_ref().map(|(place, rule)| format!("{place}, {}", rule.format.name())),
                id: owned(told.id),
                event_type: owned(told.event_type),
            },
            None => Summary {
                headers: Vec::new(),
                algorithm: "in code".to_owned(),
                written: format!("what {} reads", self.verifier),
                place: None,
                content: None,
                secret: format!("what {} holds", self.verifier),
                timestamp: None,
                id: None,
                event_type: None,
            },
        }
    }
}

impl BodyToken {
    fn summary(&self) -> Summary {
        Summary {
            headers: Vec::new(),
            algorithm: "token".to_owned(),
            written: "<secret>".to_owned(),
            place: Some(of_each_item(&self.token, &self.list)),
            content: None,
            secret: "text".to_owned(),
            timestamp: None,
            id: None,
            event_type: None,
        }
    }
}

impl ComposedScheme {
    fn summary(&self) -> Summary {
        let algorithm = match (self.is_plain_hash, self.hmac.algorithm) {
            (false, algorithm) => algorithm.name(),
            (true, Algorithm::HmacSha1) => "SHA-1 of the secret and the content",
            (true, Algorithm::HmacSha256) => "SHA-256 of the secret and the content",
            (true, Algorithm::HmacSha512) => "SHA-512 of the secret and the content",
        };
        let mut summary = self.hmac.frame().summary(algorithm, self.hmac.key.shown());
        match &self.place {
            SignaturePlace::Header => {}
            SignaturePlace::Body { signature, id, is_form } => {
                let place = if *is_form { "in the form, field" } else { "in the body, at" };
                let field = if *is_form { "form field" } else { "body" };
                summary.place = Some(format!("{place} `{signature}`"));
                summary.id = id.as_ref().map(|id| format!("{field} `{id}`"));
                if let Some((rule, pointer)) = self.hmac.timestamp.as_ref().zip(self.timestamp_pointer()) {
                    summary.timestamp = Some(format!("{field} `{pointer}`, {}", rule.format.name()));
                }
            }
            SignaturePlace::Items { list, signature } => {
                summary.place = Some(of_each_item(signature, list));
            }
        }
        summary
    }
}

fn of_each_item(pointer: &str, list: &str) -> String {
    format!("in the body, at `{pointer}` of each item of `{list}`")
}

impl Frame<'_> {
    /// A header as each family names it.
    fn header(&self, of: impl Fn(&HeaderFamily) -> Option<&str>) -> Option<String> {
        let names: Vec<_> = self.families.iter().filter_map(of).map(|name| format!("`{name}`")).collect();
        (!names.is_empty()).then(|| format!("header {}", names.join(" or ")))
    }

    fn summary(&self, algorithm: &str, secret: String) -> Summary {
        Summary {
            headers: self.families.iter().map(|family| family.signature.to_string()).collect(),
            algorithm: algorithm.to_owned(),
            written: self.form.shown(self.encoding),
            place: None,
            content: Some(self.content.iter().map(Part::shown).collect()),
            secret,
            timestamp: self.timestamp.map(|rule| {
                let unit = rule.format.name();
                match rule.place() {
                    TimestampPlace::Header => {
                        let header = self.header(|family| family.timestamp.as_deref());
                        format!("{}, {unit}", header.unwrap_or_default())
                    }
                    TimestampPlace::Field => format!("in the signature's header, {unit}"),
                    TimestampPlace::Body(pointer) => format!("body `{pointer}`, {unit}"),
                }
            }),
            id: self.header(|family| family.id.as_deref()),
            event_type: None,
        }
    }
}

impl PublicKeyAlgorithm {
    const fn shown(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256Sha256Der => "ECDSA P-256 SHA-256 (DER)",
            Self::EcdsaP256Sha256Fixed => "ECDSA P-256 SHA-256",
            Self::RsaPkcs1Sha256 => "RSA PKCS#1 SHA-256",
            Self::RsaPkcs1Sha512 => "RSA PKCS#1 SHA-512",
            Self::RsaPssSha256 => "RSA PSS SHA-256",
            Self::RsaPssSha512 => "RSA PSS SHA-512",
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
            Self::Literal(text) => text.replace('\n', "\\n"),
            Self::Body => "{body}".to_owned(),
            Self::UrlInAnyForm => "{url in any of its forms}".to_owned(),
            Self::Path(PathForm::AsSent) => "{path}".to_owned(),
            Self::Path(PathForm::EscapedAgain) => "{path, escaped again}".to_owned(),
            Self::Field(field) => format!("{{body {}}}", field.pointer),
            Self::Form => "{sorted form}".to_owned(),
            Self::BodyDigest(name) => format!("{{body's digest in the query's {name}}}"),
            Self::FormOrBodyDigest(name) => {
                format!("{{sorted form, or body's digest in the query's {name}}}")
            }
            Self::SignedHeaders(headers) => format!("{{headers listed in {}}}", headers.list),
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
        assert_eq!(provider::CLERK.scheme().summary().id.as_deref(), Some("header `svix-id`"));
        let svix = provider::SVIX.scheme().summary();
        assert_eq!(
            svix.timestamp.as_deref(),
            Some("header `svix-timestamp` or `webhook-timestamp`, seconds")
        );
    }

    #[test]
    fn what_stands_in_the_body_is_told_with_its_place() {
        let adyen = provider::ADYEN.scheme().summary();
        assert_eq!(adyen.written, "<base64>");
        let place = "in the body, at `/NotificationRequestItem/additionalData/hmacSignature` of each item of `/notificationItems`";
        assert_eq!(adyen.place.as_deref(), Some(place));
        let routes = provider::MAILGUN_ROUTES.scheme().summary();
        assert_eq!(routes.place.as_deref(), Some("in the form, field `signature`"));
        assert_eq!(routes.id.as_deref(), Some("form field `token`"));
        assert_eq!(routes.timestamp.as_deref(), Some("form field `timestamp`, seconds"));
    }

    #[test]
    fn a_rule_in_code_is_told_where_it_is_one_of_ours() {
        let paypal = provider::PAYPAL.scheme().summary();
        assert_eq!(paypal.headers, ["paypal-transmission-sig"]);
        assert_eq!(paypal.id.as_deref(), Some("header `paypal-transmission-id`"));
        let own = crate::verify::Scheme::in_code("acme::Verifier").summary();
        assert_eq!((own.written.as_str(), own.content), ("what acme::Verifier reads", None));
    }
}
