//! The same schemes, signing.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Request, Uri};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    BodyToken,
    assemble::{Source, says_form},
    bound::{Bound, BoundPart, BoundPlace},
    form,
    scheme::{ComposedScheme, SignaturePlace},
    url,
};
use crate::{
    error::ConfigError,
    verify::{
        SignError, Signing, SigningSecret,
        mac::Keyed,
        pointer::{Found, Pointers, segments},
        scheme::HmacScheme,
        sign::{put, put_head},
    },
};

/// Signs a request: in a header, or in its body, which is then written anew.
pub(in crate::verify) fn sign(
    scheme: &ComposedScheme,
    request: &mut Request<Bytes>,
    secret: &SigningSecret,
    signing: &Signing<'_>,
) -> Result<(), SignError> {
    let bound = Bound::new(scheme)?;
    let malformed = || ConfigError::MalformedSecret {
        source_name: secret.source_name().to_owned(),
        expected: "a key that the scheme takes",
    };
    let keyed = scheme.keyed(&secret.key(&scheme.hmac.key)?).ok_or_else(malformed)?;
    for demand in &*scheme.demands {
        put(request.headers_mut(), &demand.header, &format!("{}={}", demand.name, demand.value))?;
    }
    match (&scheme.place, &bound.place) {
        (SignaturePlace::Body { signature, id, is_form }, _) => {
            let body = match is_form {
                true => SignedBody::Form(request.body().to_vec()),
                false => SignedBody::Json(json(request.body())?),
            };
            let places = BodyPlaces { signature, id: id.as_deref() };
            sign_in_body(scheme, &bound, request, &keyed, signing, &places, body)
        }
        (SignaturePlace::Items { list, signature }, BoundPlace::Items { items, .. }) => {
            change_items(request, list, |item| {
                let fields = fields(items.each(), item)?;
                let content = bound.item(&fields).map_err(unsignable)?;
                let text = signature_text(&scheme.hmac, &keyed, |take| take(&content), "");
                set(item, signature, text)
            })
        }
        _ => sign_in_header(scheme, &bound, request, &keyed, signing),
    }
}

/// Puts the secret into each item of the body, which is then written anew.
pub(in crate::verify) fn sign_token(
    token: &BodyToken,
    request: &mut Request<Bytes>,
    secret: &SigningSecret,
) -> Result<(), SignError> {
    let text = std::str::from_utf8(secret.as_given()).map_err(|_| ConfigError::MalformedSecret {
        source_name: secret.source_name().to_owned(),
        expected: "text",
    })?;
    change_items(request, &token.list, |item| set(item, &token.token, text.to_owned()))
}

fn sign_in_header(
    scheme: &ComposedScheme,
    bound: &Bound,
    request: &mut Request<Bytes>,
    keyed: &Keyed,
    signing: &Signing<'_>,
) -> Result<(), SignError> {
    let Some(family) = scheme.hmac.families.first() else { return Ok(()) };
    let timestamp = put_head(scheme.hmac.frame(), family, request, signing)?;
    for part in &bound.parts {
        if let BoundPart::SignedHeaders(headers) = part {
            let (name, list) = headers.list_all(request.headers());
            put(request.headers_mut(), name.as_str(), &list)?;
        }
    }
    let sent_to = add_digest(bound, request, signing.url)?;
    if scheme.signs_url() && !sent_to.starts_with("http") {
        return Err(SignError::NoUrl);
    }
    let target = match signing.url {
        Some(_) => url::path_and_query(&sent_to),
        None => request.uri().path_and_query().map_or("/", |path| path.as_str()),
    };
    let source = Source {
        id: signing.id().as_bytes().into(),
        timestamp: (&*timestamp).into(),
        method: request.method(),
        url: &sent_to,
        path: target,
        headers: request.headers(),
        body: request.body(),
    };
    let fields = bound.fields.find(request.headers(), request.body()).map_err(unsignable)?;
    let assembled = bound.assemble(&source, &fields).map_err(unsignable)?;
    let text = signature_text(&scheme.hmac, keyed, |take| assembled.feed(0, take), &timestamp);
    put(request.headers_mut(), &family.signature, &text)
}

/// Writes the body's digest into the query, where the scheme has one and the body is no form. Returns the full URL.
fn add_digest(bound: &Bound, request: &mut Request<Bytes>, url: Option<&str>) -> Result<String, SignError> {
    let full = url.map_or_else(|| request.uri().to_string(), str::to_owned);
    let is_form = request.body().is_empty() || says_form(request.headers());
    let name = bound.parts.iter().find_map(|part| match part {
        BoundPart::BodyDigest(name) => Some(name),
        BoundPart::FormOrBodyDigest(name) if !is_form => Some(name),
        _ => None,
    });
    let Some(name) = name.filter(|name| url::parameter(&full, name).is_none()) else { return Ok(full) };
    let digest = hex::encode(Sha256::digest(request.body()));
    let with_digest = |url: &str| url::with_parameter(url, name, &digest);
    let uri: Uri = with_digest(&request.uri().to_string()).parse().map_err(|_| SignError::NoUrl)?;
    *request.uri_mut() = uri;
    Ok(with_digest(&full))
}

struct BodyPlaces<'a> {
    signature: &'a str,
    id: Option<&'a str>,
}

/// A body whose fields can be set.
enum SignedBody {
    Json(Value),
    Form(Vec<u8>),
}

impl SignedBody {
    fn set(&mut self, field: &str, text: String) -> Result<(), SignError> {
        match self {
            Self::Json(value) => set(value, field, text)?,
            Self::Form(form) => *form = form::with_field(form, field, &text),
        }
        Ok(())
    }

    fn bytes(&self) -> Bytes {
        match self {
            Self::Json(value) => value.to_string().into(),
            Self::Form(form) => form.clone().into(),
        }
    }
}

fn sign_in_body(
    scheme: &ComposedScheme,
    bound: &Bound,
    request: &mut Request<Bytes>,
    keyed: &Keyed,
    signing: &Signing<'_>,
    places: &BodyPlaces<'_>,
    mut body: SignedBody,
) -> Result<(), SignError> {
    let mut timestamp = String::new();
    if let (Some(pointer), Some(rule)) = (scheme.timestamp_pointer(), &scheme.hmac.timestamp) {
        timestamp = rule.format.write(signing.at).ok_or(SignError::Time)?;
        body.set(pointer, timestamp.clone())?;
    }
    if let Some(pointer) = places.id {
        if signing.id().is_empty() {
            return Err(SignError::NoId);
        }
        body.set(pointer, signing.id().to_owned())?;
    }
    let found = bound.fields.find(request.headers(), &body.bytes()).map_err(unsignable)?;
    let source = Source {
        id: Cow::Borrowed(signing.id().as_bytes()),
        timestamp: (&*timestamp).into(),
        method: request.method(),
        url: signing.url.unwrap_or_default(),
        path: request.uri().path_and_query().map_or("/", |path| path.as_str()),
        headers: request.headers(),
        body: request.body(),
    };
    let assembled = bound.assemble(&source, &found).map_err(unsignable)?;
    let text = signature_text(&scheme.hmac, keyed, |take| assembled.feed(0, take), &timestamp);
    body.set(places.signature, text)?;
    *request.body_mut() = body.bytes();
    Ok(())
}

fn signature_text(
    hmac: &HmacScheme,
    keyed: &Keyed,
    feed: impl FnOnce(&mut dyn FnMut(&[u8])),
    timestamp: &str,
) -> String {
    let mac = keyed.mac(feed);
    hmac.form.write(&hmac.encoding.encode(&mac[..hmac.algorithm.length()]), timestamp)
}

fn unsignable(rejection: crate::Rejection) -> SignError {
    SignError::Content { cause: Box::new(rejection) }
}

fn json(body: &[u8]) -> Result<Value, SignError> {
    serde_json::from_slice(body).map_err(|_| SignError::NotJson)
}

/// The fields as they will be read.
fn fields(pointers: &Pointers, value: &Value) -> Result<Found, SignError> {
    pointers.find_strictly(value.to_string().as_bytes()).ok_or(SignError::NotJson)
}

/// Changes each item of the list, of which there must be one, and writes the body anew.
fn change_items(
    request: &mut Request<Bytes>,
    list: &str,
    mut change: impl FnMut(&mut Value) -> Result<(), SignError>,
) -> Result<(), SignError> {
    let mut body = json(request.body())?;
    let none = || SignError::NoItems { pointer: list.to_owned() };
    let items = body.pointer_mut(list).and_then(Value::as_array_mut).filter(|items| !items.is_empty());
    for item in items.ok_or_else(none)? {
        change(item)?;
    }
    *request.body_mut() = body.to_string().into();
    Ok(())
}

/// Sets the text at a pointer, with the objects on the way to it.
fn set(value: &mut Value, pointer: &str, text: String) -> Result<(), SignError> {
    let mut place = value;
    for segment in segments(pointer) {
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        let object = place.as_object_mut().ok_or(SignError::NotJson)?;
        place = object.entry(segment).or_insert(Value::Null);
    }
    *place = Value::String(text);
    Ok(())
}
