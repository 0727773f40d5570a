//! The same signatures, made.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};

use super::{
    base::{Missing, Target},
    component::{CONTENT_DIGEST, Component},
    digest::DigestAlgorithm,
    keys::{MessageKey, Signer},
    structured::{Bare, InnerList, Parameters, is_name},
    verifier::{SIGNATURE, SIGNATURE_INPUT, default_components},
};
use crate::{
    error::ConfigError,
    verify::{SignError, Signing},
};

/// Signs requests with HTTP message signatures: method, authority, path and, where there is a body, its digest, under the
/// label `sig1`, unless said otherwise.
///
/// ```
/// use std::time::SystemTime;
/// use tower_webhook::{SigningSecret, verify::{Signing, message_signatures::{MessageAlgorithm, MessageKey, MessageSigner}}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = MessageKey::new("2026-11", MessageAlgorithm::HmacSha256, SigningSecret::from_text("a secret")?);
/// let signer = MessageSigner::new(key)?;
/// let mut request =
///     http::Request::post("https://hooks.example.com/in").body(bytes::Bytes::from_static(b"{}"))?;
/// signer.sign(&mut request, &Signing::new("a-nonce", SystemTime::now()))?;
/// assert!(request.headers().contains_key("content-digest"));
/// assert!(request.headers()["signature-input"].to_str()?.starts_with(r#"sig1=("@method" "@authority""#));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MessageSigner {
    signer: Signer,
    key_id: Arc<str>,
    source_name: String,
    components: Vec<Component>,
    label: String,
    tag: Option<String>,
    lifetime: Option<Duration>,
    digest: DigestAlgorithm,
}

impl MessageSigner {
    /// Signs with this key: a secret, or a private key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MalformedSecret`] and [`ConfigError::PublicKeyGiven`] when the key is not what its algorithm takes,
    /// [`ConfigError::FeatureMissing`] when the algorithm is not built in.
    pub fn new(key: MessageKey) -> Result<Self, ConfigError> {
        Ok(Self {
            signer: key.signer()?,
            key_id: Arc::clone(key.id()),
            source_name: key.secret().source_name().to_owned(),
            components: default_components(),
            label: "sig1".to_owned(),
            tag: None,
            lifetime: None,
            digest: DigestAlgorithm::default(),
        })
    }

    /// What is signed instead, in this order. [`Component::ContentDigest`] is left out where there is no body.
    #[must_use]
    pub fn components(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        self.components = components.into_iter().collect();
        self
    }

    /// The signature's label: lower-case letters, digits and `_-.*`, a letter first.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What the signature is for.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// For how long after it is made a signature may be used.
    #[must_use]
    pub const fn expiring_after(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The digest of the body.
    #[must_use]
    pub const fn digest(mut self, algorithm: DigestAlgorithm) -> Self {
        self.digest = algorithm;
        self
    }

    /// Sets `Content-Digest` where it is signed, `Signature-Input` and `Signature`. The id of `signing`, where it has one,
    /// becomes the nonce.
    ///
    /// # Errors
    ///
    /// [`SignError`] when a header or the URL that is signed is missing, a value cannot stand in its header, or the label is
    /// none.
    pub fn sign(&self, request: &mut Request<Bytes>, signing: &Signing<'_>) -> Result<(), SignError> {
        if !is_name(&self.label) {
            return Err(SignError::Label { label: self.label.clone() });
        }
        let with_digest = !request.body().is_empty();
        let components: Vec<Component> = self
            .components
            .iter()
            .filter(|component| with_digest || **component != Component::ContentDigest)
            .cloned()
            .collect();
        if components.contains(&Component::ContentDigest) {
            let digest = self.digest.write(request.body());
            put(request, CONTENT_DIGEST, &digest)?;
        }
        let parameters = self.parameters(&components, signing)?;
        let base = base(request, signing, &components, &parameters)?;
        let signature = self
            .signer
            .sign(&base)
            .ok_or_else(|| SignError::Key { source_name: self.source_name.clone() })?;
        let mut field = format!("{}=", self.label);
        Bare::Bytes(signature).write(&mut field);
        put(request, SIGNATURE_INPUT, &format!("{}={parameters}", self.label))?;
        put(request, SIGNATURE, &field)
    }

    /// Components and parameters as they are written, and signed.
    fn parameters(&self, components: &[Component], signing: &Signing<'_>) -> Result<String, SignError> {
        let created = seconds(signing.at())?;
        let mut parameters = vec![("created".to_owned(), Bare::Integer(created))];
        if let Some(lifetime) = self.lifetime {
            let expires = signing.at().checked_add(lifetime).ok_or(SignError::Time)?;
            parameters.push(("expires".to_owned(), Bare::Integer(seconds(expires)?)));
        }
        parameters.push(("keyid".to_owned(), Bare::Text(self.key_id.to_string())));
        if !signing.id().is_empty() {
            parameters.push(("nonce".to_owned(), Bare::Text(signing.id().to_owned())));
        }
        if let Some(tag) = &self.tag {
            parameters.push(("tag".to_owned(), Bare::Text(tag.clone())));
        }
        let not_printable = |(_, value): &(String, Bare)| matches!(value, Bare::Text(text) if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        if parameters.iter().any(not_printable) {
            return Err(SignError::HeaderValue { header: SIGNATURE_INPUT.to_owned() });
        }
        let items = components.iter().map(Component::item).collect();
        let mut written = String::new();
        InnerList { items, parameters: Parameters(parameters) }.write(&mut written);
        Ok(written)
    }
}

fn base(
    request: &Request<Bytes>,
    signing: &Signing<'_>,
    components: &[Component],
    parameters: &str,
) -> Result<Vec<u8>, SignError> {
    let own = Some(request.uri()).filter(|uri| uri.authority().is_some()).cloned();
    let url: Option<Uri> = match signing.url() {
        Some(url) => Some(url.parse().map_err(|_| SignError::NoUrl)?),
        None => own,
    };
    let target = Target {
        method: request.method(),
        url: url.as_ref(),
        request_uri: request.uri(),
        headers: request.headers(),
    };
    target.base(components, parameters).map_err(|missing| match missing {
        Missing::Url => SignError::NoUrl,
        Missing::Header(name) => SignError::NoHeader { header: name.to_string() },
        Missing::QueryParam(name) => SignError::NoQueryParam { name },
    })
}

fn seconds(time: SystemTime) -> Result<i64, SignError> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| SignError::Time)?;
    i64::try_from(since.as_secs()).map_err(|_| SignError::Time)
}

fn put(request: &mut Request<Bytes>, header: &'static str, value: &str) -> Result<(), SignError> {
    let bad = |_| SignError::HeaderValue { header: header.to_owned() };
    let value = HeaderValue::from_str(value).map_err(bad)?;
    request.headers_mut().insert(HeaderName::from_static(header), value);
    Ok(())
}
