//! What an unsigned request asks for, by its head alone.

use std::fmt;

use http::{HeaderName, Method, Request, StatusCode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    answer::HandshakeAnswer,
    data::Handshake,
    query::parameter,
    text::{PlainToken, echoed},
};
use crate::{error::ConfigError, rejection::Rejection, verify::SigningSecret};

/// The digest of the token that we told the provider: digests are compared, so not even its length shows in the time.
#[derive(Clone)]
pub(super) struct VerifyToken([u8; 32]);

impl VerifyToken {
    pub(super) fn new(secret: &SigningSecret) -> Self {
        Self(Sha256::digest(secret.as_given()).into())
    }

    fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

impl fmt::Debug for VerifyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyToken(..)")
    }
}

/// An open handshake with its names parsed.
#[derive(Debug, Clone)]
pub(super) enum Open {
    Hub(VerifyToken),
    Echo { method: Method, parameter: String },
    Head,
    EchoHeader { header: HeaderName, field: String },
    SignParameter { parameter: String, field: String },
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked<'o> {
    Answer(HandshakeAnswer),
    /// The MAC of a token, in this field.
    Mac {
        token: PlainToken,
        field: &'o str,
    },
}

impl Open {
    /// `None` for a signed one.
    pub(super) fn new(
        handshake: &Handshake,
        provider: &str,
        token: Option<&VerifyToken>,
    ) -> Result<Option<Self>, ConfigError> {
        Ok(Some(match handshake {
            Handshake::HubChallenge => {
                let missing = || ConfigError::NoHandshakeToken { provider: provider.to_owned() };
                Self::Hub(token.ok_or_else(missing)?.clone())
            }
            Handshake::Echo { method, parameter } => {
                Self::Echo { method: method.clone(), parameter: parameter.to_string() }
            }
            Handshake::Head => Self::Head,
            Handshake::EchoHeader { header, field } => {
                let invalid = |_| ConfigError::InvalidHeaderName { name: header.to_string() };
                Self::EchoHeader { header: header.parse().map_err(invalid)?, field: field.to_string() }
            }
            Handshake::SignParameter { parameter, field } => {
                Self::SignParameter { parameter: parameter.to_string(), field: field.to_string() }
            }
            Handshake::Signed { .. } => return Ok(None),
        }))
    }

    /// What the request asks for; `None` where it is not this handshake.
    pub(super) fn asked<B>(&self, request: &Request<B>) -> Result<Option<Asked<'_>>, Rejection> {
        let (query, asking) = (request.uri().query().unwrap_or_default(), request.method());
        match self {
            Self::Hub(token) if asking == Method::GET => hub(query, token),
            Self::Echo { method, parameter: name } if asking == method => {
                let Some(given) = parameter(query, name)? else { return Ok(None) };
                Ok(Some(Asked::Answer(HandshakeAnswer::text(echoed(&given)?))))
            }
            Self::Head if asking == Method::HEAD => {
                Ok(Some(Asked::Answer(HandshakeAnswer::empty(StatusCode::OK))))
            }
            Self::EchoHeader { header, field } if asking == Method::GET => {
                let Some(given) = one(request, header)? else { return Ok(None) };
                Ok(Some(Asked::Answer(json(field, echoed(given)?))))
            }
            Self::SignParameter { parameter: name, field } if asking == Method::GET => {
                let Some(given) = parameter(query, name)? else { return Ok(None) };
                Ok(Some(Asked::Mac { token: PlainToken::new(&given)?, field }))
            }
            _ => Ok(None),
        }
    }
}

pub(super) fn json(field: &str, value: &str) -> HandshakeAnswer {
    HandshakeAnswer::json(serde_json::json!({ field: value }).to_string())
}

/// A request that has one of the three parameters must have them all.
fn hub<'o>(query: &str, token: &VerifyToken) -> Result<Option<Asked<'o>>, Rejection> {
    let mode = parameter(query, "hub.mode")?;
    let given = parameter(query, "hub.verify_token")?;
    let challenge = parameter(query, "hub.challenge")?;
    let (mode, given, challenge) = match (mode, given, challenge) {
        (None, None, None) => return Ok(None),
        (Some(mode), Some(given), Some(challenge)) => (mode, given, challenge),
        _ => return Err(Rejection::HandshakeMalformed { fault: "a parameter is missing" }),
    };
    if mode != "subscribe" {
        return Err(Rejection::HandshakeMalformed { fault: "hub.mode is not subscribe" });
    }
    if !token.is(&given) {
        return Err(Rejection::HandshakeRefused { what: "the verify token" });
    }
    Ok(Some(Asked::Answer(HandshakeAnswer::text(echoed(&challenge)?))))
}

/// The one value of a header; `None` where it is not there.
fn one<'h, B>(request: &'h Request<B>, name: &HeaderName) -> Result<Option<&'h str>, Rejection> {
    let mut values = request.headers().get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Rejection::HandshakeMalformed { fault: "a header is repeated" });
    }
    let text = value.to_str().map_err(|_| Rejection::HandshakeMalformed { fault: "not visible ASCII" })?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::{super::data, *};

    fn bound(handshake: &Handshake) -> Open {
        let secret = SigningSecret::from_text("our token&").unwrap();
        Open::new(handshake, "p", Some(&VerifyToken::new(&secret))).unwrap().unwrap()
    }

    fn asked(open: &Open, method: &str, uri: &str) -> Result<Option<String>, StatusCode> {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let answered = open.asked(&request).map_err(|rejection| rejection.status())?;
        Ok(answered.map(|asked| match asked {
            Asked::Answer(answer) => String::from_utf8(answer.body().to_vec()).unwrap(),
            Asked::Mac { token, field } => format!("{field}: {}", token.as_str()),
        }))
    }

    #[test]
    fn meta_gets_its_challenge_for_our_token_alone() {
        let open = bound(&data::META);
        let url = |token: &str| format!("/h?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=115");
        assert_eq!(asked(&open, "GET", &url("our+token%26")), Ok(Some("115".to_owned())));
        for wrong in ["", "our+token", "our+token%26x", "OUR+token%26"] {
            assert_eq!(asked(&open, "GET", &url(wrong)), Err(StatusCode::FORBIDDEN), "{wrong}");
        }
        for malformed in [
            "/?hub.mode=subscribe",
            "/?hub.challenge=1",
            "/?hub.mode=unsubscribe&hub.verify_token=our+token%26&hub.challenge=1",
            "/?hub.mode=subscribe&hub.verify_token=our+token%26&hub.challenge=1&hub.challenge=2",
            "/?hub.mode=subscribe&hub.verify_token=our+token%26&hub.challenge=",
            "/?hub.mode=subscribe&hub.verify_token=our+token%26&hub.challenge=a%0d%0ab",
        ] {
            assert_eq!(asked(&open, "GET", malformed), Err(StatusCode::BAD_REQUEST), "{malformed}");
        }
        assert_eq!(asked(&open, "POST", &url("our+token%26")), Ok(None));
        assert_eq!(asked(&open, "GET", "/?a=b"), Ok(None));
        assert_eq!(asked(&open, "GET", "/"), Ok(None));
    }

    #[test]
    fn a_wrong_token_is_refused_before_its_challenge_is_looked_at() {
        let url = "/?hub.mode=subscribe&hub.verify_token=guess&hub.challenge=a%00b";
        assert_eq!(asked(&bound(&data::META), "GET", url), Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn each_echo_is_bound_to_its_method_and_parameter() {
        let (dropbox, graph) = (bound(&data::DROPBOX), bound(&data::MICROSOFT_GRAPH));
        assert_eq!(asked(&dropbox, "GET", "/?challenge=abc"), Ok(Some("abc".to_owned())));
        assert_eq!(asked(&dropbox, "POST", "/?challenge=abc"), Ok(None));
        let uri = "/?code=ours&validationToken=Validation%3a+Testing+%3cb%3e";
        assert_eq!(asked(&graph, "POST", uri), Ok(Some("Validation: Testing <b>".to_owned())));
        assert_eq!(asked(&graph, "GET", uri), Ok(None));
        assert_eq!(asked(&graph, "POST", "/?validationtoken=x"), Ok(None));
    }

    #[test]
    fn x_may_ask_for_the_mac_of_a_plain_token_and_of_nothing_else() {
        let open = bound(&data::X);
        assert_eq!(asked(&open, "GET", "/?crc_token=a_B-9"), Ok(Some("response_token: a_B-9".to_owned())));
        for payload in ["%7B%7D", "", "a%20b", "a.b"] {
            let uri = format!("/?crc_token={payload}");
            assert_eq!(asked(&open, "GET", &uri), Err(StatusCode::BAD_REQUEST), "{payload}");
        }
    }

    #[test]
    fn okta_gets_its_header_as_json() {
        let open = bound(&data::OKTA);
        let ask = |values: &[&str]| {
            let mut request = Request::get("/");
            for value in values {
                request = request.header("x-okta-verification-challenge", *value);
            }
            open.asked(&request.body(()).unwrap()).map(|asked| match asked {
                Some(Asked::Answer(answer)) => answer.body().clone(),
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(ask(&["a\"b"]).unwrap(), r#"{"verification":"a\"b"}"#);
        assert!(ask(&["a", "b"]).is_err());
        assert!(ask(&[""]).is_err());
        assert_eq!(asked(&open, "GET", "/"), Ok(None));
    }

    #[test]
    fn a_hub_challenge_without_a_token_of_ours_cannot_be_set_up() {
        let outcome = Open::new(&data::META, "meta", None);
        assert!(matches!(outcome, Err(ConfigError::NoHandshakeToken { provider }) if provider == "meta"));
        assert!(Open::new(&data::SLACK, "slack", None).unwrap().is_none());
    }
}
