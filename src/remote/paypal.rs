//! PayPal.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Uri, request::Parts};

use super::{
    certificate::{Certificates, RsaHash},
    certificate_source::CertificateSource,
    fetch::Fetch,
    trust::Trust,
    url,
};
use crate::{
    client_ip,
    clock::SharedClock,
    delivery::{DeliveryId, IdOrigin, Tenant},
    error::ConfigError,
    provider,
    rejection::Rejection,
    verify::{PrepareFuture, Prepared, Received, Timestamp, Verdict, Verifier, VerifyFuture, single},
};

/// Verifies PayPal's REST webhooks: <https://developer.paypal.com/api/rest/webhooks/rest/>.
///
/// A delivery passes if `PAYPAL-CERT-URL` is a certificate on `api.paypal.com` or `api-m.paypal.com`
/// ([`sandbox`](Self::sandbox): the hosts of the sandbox) under `/v1/notifications/certs/`, that certificate has a name under
/// `paypal.com` and a chain to a root of the web's ([`Trust::web_pki`]), and `PAYPAL-TRANSMISSION-SIG` is its RSA signature with
/// SHA-256 over transmission id, time, the webhook's id and the CRC-32 of the body. SHA-1 is never accepted.
///
/// # What this signature leaves open
///
/// **A CRC-32 does not protect the body.** Whoever has one genuine delivery, from a log, a proxy or a backup, can write any
/// other body and put four bytes into it, into a string say, that give it the same CRC-32: it verifies. What they cannot choose
/// is the transmission id, the time and the webhook. So:
///
/// - deduplicate ([`Webhook::idempotent`](crate::Webhook::idempotent), or an inbox): the transmission id is signed, a forged
///   body under an id that was processed does not run, and the log warns of the mismatch. Without it, nothing stops it;
/// - keep requests out of logs, headers and all;
/// - the [`tolerance`](Self::tolerance) ends for how long a captured delivery is of use. By default it is as long as PayPal sends
///   again, since it is not documented whether it signs each attempt anew; where yours are, choose minutes;
/// - fetch from PayPal's API what money depends on, by the id in the body, instead of believing the body.
#[derive(Debug, Clone)]
pub struct PayPal {
    webhook_id: Box<str>,
    hosts: &'static [&'static str],
    certificates: CertificateSource,
    trust: Trust,
    timestamp: Timestamp,
}

const LIVE: &[&str] = &["api.paypal.com", "api-m.paypal.com"];
const SANDBOX: &[&str] = &["api.sandbox.paypal.com", "api-m.sandbox.paypal.com"];

/// What the head says.
struct Transmission {
    id: String,
    time: String,
    signature: Vec<u8>,
    certificates: Arc<Certificates>,
}

impl PayPal {
    /// Accepts deliveries to the webhook of this id, as PayPal's dashboard shows it. It is signed and not sent, so that a
    /// delivery to another one does not pass here.
    ///
    /// # Errors
    ///
    /// [`ConfigError::EmptySecret`] when it is empty; [`ConfigError::Tls`] when TLS cannot be set up.
    pub fn new(webhook_id: impl Into<Box<str>>) -> Result<Self, ConfigError> {
        let webhook_id = webhook_id.into();
        if webhook_id.trim().is_empty() {
            return Err(ConfigError::EmptySecret { source_name: "the webhook's id".to_owned() });
        }
        Ok(Self {
            webhook_id,
            hosts: LIVE,
            certificates: CertificateSource::new()?,
            trust: Trust::web_pki(),
            timestamp: provider::PAYPAL_TIME,
        })
    }

    /// Takes certificates from the sandbox's hosts instead of the live ones.
    #[must_use]
    pub const fn sandbox(mut self) -> Self {
        self.hosts = SANDBOX;
        self
    }

    /// Accepts deliveries up to `past` old and `future` ahead; `None` accepts any.
    #[must_use]
    pub fn tolerance(
        mut self,
        past: impl Into<Option<Duration>>,
        future: impl Into<Option<Duration>>,
    ) -> Self {
        self.timestamp = self.timestamp.tolerance(past, future);
        self
    }

    /// What makes a certificate one to trust; [`Trust::web_pki`] unless said otherwise. Its name is checked in any case.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Another client than [`HttpsFetch::new`](super::HttpsFetch::new).
    #[must_use]
    pub fn fetching_with(mut self, fetch: impl Fetch) -> Self {
        self.certificates.fetching_with(Arc::new(fetch));
        self
    }

    /// Another clock than the machine's, for how long certificates are kept.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.certificates.clock(clock);
        self
    }

    fn look(&self, head: &Parts) -> Result<(String, String, Vec<u8>, Uri), Rejection> {
        let text = |name: &'static str| {
            let value = single(&head.headers, name)?;
            let fits = !value.is_empty() && value.iter().all(u8::is_ascii_graphic);
            let text = std::str::from_utf8(value).ok().filter(|_| fits);
            text.ok_or(Rejection::SignatureMalformed { fault: "a header is not visible ASCII" })
        };
        if text("paypal-auth-algo")? != "SHA256withRSA" {
            return Err(Rejection::SignatureMalformed { fault: "its algorithm is not SHA256withRSA" });
        }
        let (id, time) = (text("paypal-transmission-id")?, text("paypal-transmission-time")?);
        // What divides the parts that are signed must not stand within one.
        if id.contains('|') || time.contains('|') {
            return Err(Rejection::SignatureMalformed {
                fault: "a part holds what divides it from the next",
            });
        }
        let signature = STANDARD
            .decode(text("paypal-transmission-sig")?)
            .map_err(|_| Rejection::SignatureMalformed { fault: "it is not base64" })?;
        let is_paypal = |host: &str| self.hosts.contains(&host);
        let is_certificate = |path: &str| path.starts_with("/v1/notifications/certs/");
        let url = url::pinned(text("paypal-cert-url")?, is_paypal, is_certificate)?;
        Ok((id.to_owned(), time.to_owned(), signature, url))
    }

    fn judge(&self, received: Received<'_>, transmission: Transmission) -> Result<Verdict, Rejection> {
        let Transmission { id, time, signature, certificates } = transmission;
        self.trust.check(&certificates, received.now)?;
        if !certificates.names().iter().any(|name| name.ends_with(".paypal.com")) {
            return Err(Rejection::KeyRefused { fault: "its name is not one of PayPal's" });
        }
        let content = format!("{id}|{time}|{}|{}", self.webhook_id, crc32(received.body));
        if !certificates.has_signed(RsaHash::Sha256, content.as_bytes(), &signature) {
            return Err(Rejection::SignatureMismatch { keys: 1 });
        }
        let signed_at = self.timestamp.judge(&time, received.now)?;
        let length = id.len();
        let id = DeliveryId::new(id, IdOrigin::Signed);
        let id = id.ok_or(Rejection::DeliveryIdMalformed { fault: "longer than 128 bytes", length })?;
        Ok(Verdict {
            id: Some(id),
            event_type: event_type(received.body),
            signed_at: Some(signed_at),
            key_id: Some(Arc::clone(certificates.id())),
            signed_content: None,
        })
    }
}

impl Verifier for PayPal {
    fn prepare<'a>(&'a self, head: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        match self.look(head) {
            Err(rejection) => PrepareFuture::ready(Err(rejection)),
            Ok((id, time, signature, url)) => PrepareFuture::wait(async move {
                let client = client_ip::of(&head.extensions).ok();
                let certificates = self.certificates.at(url, client).await?;
                Ok(Prepared::carrying(Transmission { id, time, signature, certificates }))
            }),
        }
    }

    fn verify<'a>(&'a self, received: Received<'a>, mut prepared: Prepared<'a>) -> VerifyFuture<'a> {
        let transmission = prepared.take::<Transmission>().ok_or(Rejection::UnknownKey);
        VerifyFuture::ready(transmission.and_then(|transmission| self.judge(received, transmission)))
    }

    fn shares_keys(&self) -> bool {
        true
    }
}

fn event_type(body: &[u8]) -> Option<Box<str>> {
    crate::verify::shown_fields(body, &["/event_type"]).into_iter().next().flatten()
}

/// CRC-32 as in gzip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        let low = (sum ^ u32::from(*byte)) & 0xff;
        (sum >> 8) ^ CRC[low as usize]
    })
}

const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = at as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
