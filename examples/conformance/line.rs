//! One captured request with the answer that the provider's own SDK gave, as a line of JSON.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tower_webhook::{
    ConfigError, Provider, SigningSecret, provider,
    verify::{Key, KeyRing},
};

#[derive(Debug, Deserialize)]
pub struct Line {
    pub id: String,
    pub provider: String,
    pub scheme: String,
    #[serde(default)]
    secret: Option<String>,
    /// Newest first.
    #[serde(default)]
    secrets: Vec<String>,
    /// The provider's public key, in the form that it hands out; for providers whose keys are fetched, what they serve.
    #[serde(default)]
    pub public_key: Option<String>,
    /// PayPal's name of the webhook, which is signed and not sent.
    #[cfg(feature = "remote-keys")]
    #[serde(default)]
    pub webhook_id: Option<String>,
    #[serde(default = "post")]
    method: String,
    pub url: String,
    pub headers: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    body_base64: Option<String>,
    #[serde(default)]
    body_seed: Option<Seed>,
    #[serde(default)]
    body_len: Option<usize>,
    #[serde(default)]
    body_sha256: Option<String>,
    now_unix: f64,
    pub expect: Answer,
    /// The answer to a handshake, where the line is one.
    #[serde(default)]
    pub response_body: Option<String>,
    #[serde(default)]
    pub tier: Tier,
    #[serde(default)]
    pub why: String,
}

fn post() -> String {
    "POST".to_owned()
}

/// A large body, told by how it is made.
#[derive(Debug, Deserialize)]
struct Seed {
    prefix: String,
    unit: String,
    count: usize,
    suffix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Accept,
    Reject,
}

/// Whether the SDK's answer is the only right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    #[default]
    Core,
    Quirk,
}

impl Line {
    /// The preset for the line, where it is built in.
    pub fn preset(&self) -> Option<Provider> {
        Some(match (self.provider.as_str(), self.scheme.as_str()) {
            ("standard-webhooks", "standard-webhooks-v1") => provider::STANDARD_WEBHOOKS,
            ("svix", "standard-webhooks-v1") => provider::SVIX,
            ("github", "github-sha256") => provider::GITHUB,
            ("stripe", "stripe-v1") => provider::STRIPE,
            ("slack", "slack-v0") => provider::SLACK,
            ("shopify", "shopify-base64") => provider::SHOPIFY,
            ("linear", "linear-hex") => provider::LINEAR,
            ("meta", "meta-sha256") => provider::META,
            ("twitch", "twitch-id-ts-body") => provider::TWITCH,
            ("clerk", "standard-webhooks-v1") => provider::CLERK,
            ("coinbase-commerce", "plain-hex") => provider::COINBASE_COMMERCE,
            ("hubspot", "hubspot-v3") => provider::HUBSPOT,
            ("line", "line-base64") => provider::LINE,
            ("liveblocks", "standard-webhooks-v1") => provider::LIVEBLOCKS,
            ("mux", "stripe-v1") => provider::MUX,
            ("openai", "standard-webhooks-v1") => provider::OPENAI,
            ("paddle", "paddle-h1") => provider::PADDLE,
            ("razorpay", "plain-hex") => provider::RAZORPAY,
            ("resend", "standard-webhooks-v1") => provider::RESEND,
            ("sanity", "sanity-ms-base64url") => provider::SANITY,
            ("square", "square-url-body") => provider::SQUARE,
            ("x-twitter", "x-sha256-base64" | "x-crc") => provider::X_TWITTER,
            ("zoom", "zoom-v0") => provider::ZOOM,
            ("standard-webhooks", "standard-webhooks-v1a") => provider::STANDARD_WEBHOOKS_V1A,
            ("svix", "standard-webhooks-v1a") => provider::SVIX_V1A,
            ("discord", "discord-ed25519") => provider::DISCORD,
            ("sendgrid", "sendgrid-ecdsa-p256") => provider::SENDGRID,
            ("twilio", "twilio-form-sha1" | "twilio-json-bodysha256") => provider::TWILIO,
            ("twilio", "twilio-sharedkey") => provider::TWILIO_SHARED_KEY,
            ("mailgun", "mailgun-ts-token") => provider::MAILGUN,
            ("adyen", "adyen-payment-item") => provider::ADYEN,
            ("adyen", "adyen-header") => provider::ADYEN_PLATFORMS,
            ("contentful", "contentful-canonical") => provider::CONTENTFUL,
            ("hubspot", "hubspot-v1") => provider::HUBSPOT_V1_DANGEROUSLY_PLAIN_HASH,
            ("hubspot", "hubspot-v2") => provider::HUBSPOT_V2_DANGEROUSLY_PLAIN_HASH,
            #[cfg(feature = "remote-keys")]
            ("aws-sns", "aws-sns") => provider::AWS_SNS,
            #[cfg(feature = "remote-keys")]
            ("paypal", "paypal-rsa-crc32") => provider::PAYPAL,
            #[cfg(feature = "remote-keys")]
            ("plaid", "plaid-jwt-es256") => provider::PLAID,
            ("gitlab", "standard-webhooks-v1") => provider::GITLAB_SIGNED,
            // Schemes that many providers share: which of them it is, the preset of the provider's name knows.
            (name, "plain-hex" | "plain-base64" | "static-token" | "standard-webhooks-v1") => {
                let (_, preset) = provider::all().iter().find(|(known, _)| *known == name)?;
                preset.clone()
            }
            _ => return None,
        })
    }

    /// The line's secrets, or its public key.
    pub fn keys(&self) -> Result<KeyRing, ConfigError> {
        let mut secrets = self.secrets.iter().chain(&self.secret).chain(&self.public_key);
        let first = SigningSecret::from_text(secrets.next().map(String::as_str).unwrap_or_default())?;
        secrets.try_fold(KeyRing::of(Key::new(first)), |ring, next| {
            Ok(ring.and(SigningSecret::from_text(next.as_str())?))
        })
    }

    /// The clock that the SDK saw.
    pub fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(self.now_unix).unwrap_or_default()
    }

    /// The request, as far as HTTP can carry it.
    pub fn request(&self) -> Result<Request<Bytes>, String> {
        let mut request = Request::new(self.body()?);
        *request.method_mut() = self.method.parse::<Method>().map_err(|error| error.to_string())?;
        *request.uri_mut() = self.url.parse().map_err(|_| format!("{:?} is no URL", self.url))?;
        *request.headers_mut() = self.header_map()?;
        Ok(request)
    }

    fn header_map(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
            let one = std::slice::from_ref(value);
            for value in value.as_array().map_or(one, Vec::as_slice) {
                let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
                let value = HeaderValue::from_bytes(text.as_bytes());
                headers.append(name.clone(), value.map_err(|_| format!("{text:?} is no header value"))?);
            }
        }
        Ok(headers)
    }

    fn body(&self) -> Result<Bytes, String> {
        let body = match (&self.body_base64, &self.body_seed) {
            (Some(text), _) => STANDARD.decode(text).map_err(|error| format!("body_base64: {error}"))?,
            (None, Some(Seed { prefix, unit, count, suffix })) => {
                format!("{prefix}{}{suffix}", unit.repeat(*count)).into_bytes()
            }
            (None, None) => Vec::new(),
        };
        if self.body_len.is_some_and(|length| length != body.len()) {
            return Err(format!("the body has {} bytes, not {:?}", body.len(), self.body_len));
        }
        let digest = hex::encode(Sha256::digest(&body));
        match &self.body_sha256 {
            Some(expected) if *expected != digest => Err("the body has another SHA-256".to_owned()),
            _ => Ok(body.into()),
        }
    }
}
