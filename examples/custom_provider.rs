//! Two providers that are not built in: one whose scheme is written as data, and one whose rule is written in code.
//!
//! Serves both on loopback, sends each a signed and a forged delivery, and exits 1 if not all went as promised.
//!
//! ```text
//! cargo run --example custom_provider
//! ```

use std::{convert::Infallible, error::Error, process::ExitCode, time::SystemTime};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Request, Response, request::Parts};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};
use tower_webhook::{
    Provider, Rejection, SigningSecret, Verified, Webhook,
    delivery::{DeliveryId, IdOrigin, Tenant},
    provider::{IdSource, TypeSource},
    serve::Server,
    verify::{
        Algorithm, Part, PrepareFuture, Prepared, Received, Scheme, SignatureForm, Signing, Timestamp,
        TimestampFormat, Verdict, Verifier, VerifyFuture,
    },
};

type Failure = Box<dyn Error + Send + Sync>;

const SECRET: &str = "a secret of this endpoint";
const BODY: &[u8] = br#"{"id":"evt_1","kind":"parcel.delivered"}"#;

/// `x-acme-signature: v1=<hex>` over `{timestamp}.{body}`; id and event type stand in the body.
fn acme() -> Provider {
    let scheme = Scheme::hmac(Algorithm::HmacSha256, "x-acme-signature")
        .form(SignatureForm::Prefixed("v1=".into()))
        .timestamp("x-acme-timestamp", Timestamp::header(TimestampFormat::Seconds))
        .content([Part::Timestamp, Part::literal("."), Part::Body]);
    Provider::custom("acme", scheme)
        .delivery_id([IdSource::pointer("/id")])
        .event_type([TypeSource::pointer("/kind")])
}

/// Signs the hex digest of the body instead of the body, which no scheme describes.
#[derive(Debug)]
struct DigestSigned;

const HEADER: &str = "x-digest-signature";

fn mac_of_digest(body: &[u8]) -> Result<Hmac<Sha256>, hmac::digest::InvalidLength> {
    Ok(Hmac::new_from_slice(SECRET.as_bytes())?.chain_update(hex::encode(Sha256::digest(body))))
}

impl Verifier for DigestSigned {
    /// The head alone: what is missing or malformed there costs no read of the body.
    fn prepare<'a>(&'a self, head: &'a Parts, _: Option<&'a Tenant>) -> PrepareFuture<'a> {
        let missing = || Rejection::HeaderMissing { header: HEADER.to_owned() };
        let signature = head.headers.get(HEADER).ok_or_else(missing).and_then(|value| {
            hex::decode(value).map_err(|_| Rejection::SignatureMalformed { fault: "it is not hex" })
        });
        PrepareFuture::ready(signature.map(Prepared::carrying))
    }

    fn verify<'a>(&'a self, received: Received<'a>, mut prepared: Prepared) -> VerifyFuture<'a> {
        let signature = prepared.take::<Vec<u8>>().unwrap_or_default();
        let mac = mac_of_digest(received.body);
        let fits = mac.is_ok_and(|mac| mac.verify_slice(&signature).is_ok());
        VerifyFuture::ready(if fits {
            let mut verdict = Verdict::default();
            verdict.id = DeliveryId::new(hex::encode(Sha256::digest(received.body)), IdOrigin::Signed);
            Ok(verdict)
        } else {
            Err(Rejection::SignatureMismatch { keys: 1 })
        })
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let secret = SigningSecret::from_text(SECRET)?;

    let stack = Webhook::from(acme()).secret(secret.clone()).build()?;
    let in_data = stack.layer(service_fn(|request: Request<Verified>| async move {
        Ok::<_, Infallible>(Response::new(Full::from(format!(
            "{:?}",
            request.body().delivery().event_type()
        ))))
    }));
    let mut signed = Request::post(serve(in_data).await?).body(Bytes::from_static(BODY))?;
    acme().sign(&mut signed, &secret, &Signing::new("", SystemTime::now()))?;
    let mut good = show("as data", signed, "x-acme-signature").await?;

    // The verifier stands in for the scheme; the rest of the provider's facts still count.
    let provider = Provider::custom("digest-signed", Scheme::in_code("DigestSigned"));
    let stack = Webhook::from(provider).verifier(DigestSigned).build()?;
    let in_code = stack.layer(service_fn(|request: Request<Verified>| async move {
        Ok::<_, Infallible>(Response::new(Full::from(format!("{:?}", request.body().delivery().id()))))
    }));
    let mut signed = Request::post(serve(in_code).await?).body(Bytes::from_static(BODY))?;
    let mac = hex::encode(mac_of_digest(BODY)?.finalize().into_bytes());
    signed.headers_mut().insert(HEADER, HeaderValue::from_str(&mac)?);
    good &= show("in code", signed, HEADER).await?;

    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Serves on a free port of loopback, and returns the URL.
async fn serve<S, R>(service: S) -> Result<String, Failure>
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Failure>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Failure>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(Server::new().serve(listener, service, std::future::pending()));
    Ok(url)
}

/// Sends the delivery as it is, with another body, and without its signature. Whether all were answered as promised.
async fn show(rule: &str, signed: Request<Bytes>, header: &str) -> Result<bool, Failure> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let forged = signed.clone().map(|_| Bytes::from_static(b"{\"id\":\"evt_2\"}"));
    let mut unsigned = signed.clone();
    unsigned.headers_mut().remove(header);
    let mut good = true;
    for (what, request, promised) in
        [("signed", signed, 200), ("forged", forged, 401), ("unsigned", unsigned, 401)]
    {
        let status = client.request(request.map(Full::new)).await?.status().as_u16();
        println!("{rule:8} {what:9} {status}, promised {promised}");
        good &= status == promised;
    }
    Ok(good)
}
