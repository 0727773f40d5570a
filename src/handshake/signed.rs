//! What a verified delivery asks for, by its body.

use super::{
    answer::HandshakeAnswer,
    data::{Handshake, SignedAnswer, When},
    text::{PlainToken, echoed},
};
use crate::{
    defaults,
    delivery::Delivery,
    provider::{Provider, TypeSource},
    rejection::Rejection,
    verify::{Found, Pointers},
};

/// The signed handshakes of one provider, with their pointers gathered so that a body is read once.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pointers: Pointers,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    when: Vec<Condition>,
    answer: Answer,
    /// The event type without which it is not this handshake, where verification has looked where the type stands: then
    /// the bodies of all other deliveries are not read again.
    event_type: Option<String>,
}

#[derive(Debug, Clone)]
struct Condition {
    slot: usize,
    /// `None` where there must be nothing.
    value: Option<String>,
}

#[derive(Debug, Clone)]
enum Answer {
    Echo { slot: usize },
    Json(String),
    NoContent,
    Sign { slot: usize, plain: String, signed: String },
    Confirm,
}

/// What a delivery asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignedAsked<'s> {
    Answer(HandshakeAnswer),
    /// A token and its MAC, in these fields.
    Mac {
        token: PlainToken,
        plain: &'s str,
        signed: &'s str,
    },
    /// That its subscription be confirmed.
    Confirmation,
}

impl Signed {
    /// `None` for a provider that has none.
    pub(super) fn new(provider: &Provider) -> Option<Self> {
        let mut pointers = Pointers::default();
        let rules: Vec<Rule> = provider
            .handshakes()
            .iter()
            .filter_map(|handshake| match handshake {
                Handshake::Signed { when, answer } => Some(rule(provider, when, answer, &mut pointers)),
                _ => None,
            })
            .collect();
        (!rules.is_empty()).then_some(Self { pointers, rules })
    }

    /// Whether one of them asks for a confirmation.
    pub(super) fn confirms(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.answer, Answer::Confirm))
    }

    /// What the delivery asks for; `None` where it is a delivery like any other.
    pub(super) fn asked(&self, delivery: &Delivery) -> Result<Option<SignedAsked<'_>>, Rejection> {
        let (body, event_type) = (delivery.body(), delivery.event_type());
        let may_be = |rule: &&Rule| rule.event_type.is_none() || rule.event_type.as_deref() == event_type;
        if body.len() > defaults::HANDSHAKE_BODY || !self.rules.iter().any(|rule| may_be(&rule)) {
            return Ok(None);
        }
        let found = self.pointers.find(body);
        let asked = self.rules.iter().filter(may_be).find_map(|rule| rule.asked(&found).transpose());
        asked.transpose()
    }
}

fn rule(provider: &Provider, when: &[When], answer: &SignedAnswer, pointers: &mut Pointers) -> Rule {
    let event_type = when.iter().find_map(|when| match when {
        When::Is { pointer, value } if names_the_type(provider, pointer) => Some(value.to_string()),
        _ => None,
    });
    let when = when.iter().map(|when| match when {
        When::Is { pointer, value } => {
            Condition { slot: pointers.add(pointer), value: Some(value.to_string()) }
        }
        When::Lacks { pointer } => Condition { slot: pointers.add(pointer), value: None },
    });
    let when = when.collect();
    let answer = match answer {
        SignedAnswer::Echo { pointer } => Answer::Echo { slot: pointers.add(pointer) },
        SignedAnswer::Json(json) => Answer::Json(json.to_string()),
        SignedAnswer::NoContent => Answer::NoContent,
        SignedAnswer::Sign { pointer, plain, signed } => {
            Answer::Sign { slot: pointers.add(pointer), plain: plain.to_string(), signed: signed.to_string() }
        }
        SignedAnswer::Confirm => Answer::Confirm,
    };
    Rule { when, answer, event_type }
}

/// Whether what stands there is the event type of every delivery in which nothing else of its body is. A header could be
/// written by anybody, so one that is asked before decides nothing here.
fn names_the_type(provider: &Provider, pointer: &str) -> bool {
    let in_body = provider.type_sources().iter().map_while(|source| match source {
        TypeSource::Pointer(source) => Some(source),
        _ => None,
    });
    in_body.into_iter().any(|source| source == pointer)
}

impl Rule {
    fn asked(&self, found: &Found) -> Result<Option<SignedAsked<'_>>, Rejection> {
        let text = |slot: usize| found.get(slot).and_then(Option::as_deref);
        if !self.when.iter().all(|condition| text(condition.slot) == condition.value.as_deref()) {
            return Ok(None);
        }
        Ok(Some(match &self.answer {
            Answer::Echo { slot } => {
                let Some(challenge) = text(*slot) else { return Ok(None) };
                SignedAsked::Answer(HandshakeAnswer::text(echoed(challenge)?))
            }
            Answer::Json(json) => SignedAsked::Answer(HandshakeAnswer::json(json.clone())),
            Answer::NoContent => SignedAsked::Answer(HandshakeAnswer::empty(http::StatusCode::NO_CONTENT)),
            Answer::Sign { slot, plain, signed } => {
                let token = PlainToken::new(text(*slot).unwrap_or_default())?;
                SignedAsked::Mac { token, plain, signed }
            }
            Answer::Confirm => SignedAsked::Confirmation,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{super::data, *};
    use crate::{delivery::Endpoint, verify::Scheme};

    fn provider(handshakes: &[Handshake]) -> Provider {
        Provider::custom("p", Scheme::bearer()).challenging_with(handshakes)
    }

    fn asked(provider: &Provider, body: &str) -> Result<Option<String>, Rejection> {
        let signed = Signed::new(provider).unwrap();
        let event_type = provider.type_sources().iter().find_map(|source| match source {
            TypeSource::Pointer(pointer) => serde_json::from_str::<serde_json::Value>(body)
                .ok()?
                .pointer(pointer)
                .and_then(|value| value.as_str().map(str::to_owned)),
            _ => None,
        });
        let endpoint = Arc::new(Endpoint::new("e", provider.clone()));
        let mut delivery =
            Delivery::dangerously_unverified(endpoint, None, Bytes::copy_from_slice(body.as_bytes()));
        if let Some(event_type) = event_type {
            delivery = delivery.with_event_type(event_type);
        }
        Ok(signed.asked(&delivery)?.map(|asked| match asked {
            SignedAsked::Answer(answer) => {
                let body = String::from_utf8(answer.body().to_vec()).unwrap();
                format!("{} {body}", answer.status().as_u16())
            }
            SignedAsked::Mac { token, plain, signed } => format!("{plain} {signed} {}", token.as_str()),
            SignedAsked::Confirmation => "confirm".to_owned(),
        }))
    }

    #[test]
    fn slack_is_echoed_its_challenge_and_told_nothing_else() {
        for sources in [vec![], vec![TypeSource::pointer("/event/type"), TypeSource::pointer("/type")]] {
            let slack = provider(&[data::SLACK]).event_type(sources);
            let body = r#"{"token":"t","challenge":"3eZ","type":"url_verification"}"#;
            assert_eq!(asked(&slack, body), Ok(Some("200 3eZ".to_owned())));
            for other in [
                r#"{"type":"event_callback","challenge":"3eZ","event":{"type":"message"}}"#,
                r#"{"type":"url_verification"}"#,
                r#"{"type":"event_callback","event":{"text":"url_verification"}}"#,
                "",
                "url_verification",
            ] {
                assert_eq!(asked(&slack, other), Ok(None), "{other}");
            }
            let long = format!(r#"{{"type":"url_verification","challenge":"{}"}}"#, "c".repeat(1025));
            assert!(matches!(asked(&slack, &long), Err(Rejection::HandshakeMalformed { .. })));
        }
    }

    #[test]
    fn discords_two_pings_are_told_from_its_events() {
        let discord = provider(&[data::DISCORD_INTERACTION, data::DISCORD_EVENT]);
        let interaction = r#"{"id":"1","application_id":"2","type":1,"token":"t","version":1}"#;
        assert_eq!(asked(&discord, interaction), Ok(Some(r#"200 {"type":1}"#.to_owned())));
        let ping = r#"{"version":1,"application_id":"2","type":0}"#;
        assert_eq!(asked(&discord, ping), Ok(Some("204 ".to_owned())));
        for event in [
            r#"{"version":1,"application_id":"2","type":1,"event":{"type":"ENTITLEMENT_CREATE"}}"#,
            r#"{"id":"1","type":2,"data":{"type":1}}"#,
        ] {
            assert_eq!(asked(&discord, event), Ok(None), "{event}");
        }
    }

    #[test]
    fn zoom_may_ask_for_the_mac_of_a_plain_token_and_of_nothing_else() {
        let zoom = provider(&[data::ZOOM]).event_type([TypeSource::pointer("/event")]);
        let ask = |token: &str| {
            let body =
                serde_json::json!({ "event": "endpoint.url_validation", "payload": { "plainToken": token } });
            asked(&zoom, &body.to_string())
        };
        assert_eq!(ask("qg-8_A"), Ok(Some("plainToken encryptedToken qg-8_A".to_owned())));
        for payload in ["", "v0:1:{}", "{}", "a b"] {
            assert!(matches!(ask(payload), Err(Rejection::HandshakeMalformed { .. })), "{payload}");
        }
        assert!(asked(&zoom, r#"{"event":"endpoint.url_validation"}"#).is_err());
        assert_eq!(asked(&zoom, r#"{"event":"meeting.started","payload":{"plainToken":"x"}}"#), Ok(None));
    }

    #[test]
    fn twitch_is_answered_by_what_its_body_says() {
        let twitch = provider(&[data::TWITCH]).event_type([TypeSource::header("a-header")]);
        let verification = r#"{"challenge":"p-0","subscription":{"status":"pending"}}"#;
        assert_eq!(asked(&twitch, verification), Ok(Some("200 p-0".to_owned())));
        let notification = r#"{"subscription":{"status":"enabled"},"event":{"challenge":"x"}}"#;
        assert_eq!(asked(&twitch, notification), Ok(None));
    }

    #[test]
    fn sns_asks_for_a_confirmation() {
        let sns = provider(&[data::SNS]);
        assert_eq!(asked(&sns, r#"{"Type":"SubscriptionConfirmation"}"#), Ok(Some("confirm".to_owned())));
        for other in [r#"{"Type":"Notification"}"#, r#"{"Type":"UnsubscribeConfirmation"}"#] {
            assert_eq!(asked(&sns, other), Ok(None));
        }
    }

    #[test]
    fn a_large_delivery_is_not_read_again() {
        let padding = "x".repeat(defaults::HANDSHAKE_BODY);
        let body = format!(r#"{{"type":"url_verification","challenge":"c","p":"{padding}"}}"#);
        assert_eq!(asked(&provider(&[data::SLACK]), &body), Ok(None));
    }

    #[test]
    fn a_type_that_a_header_tells_does_not_hide_a_handshake() {
        let by_header =
            provider(&[data::SLACK]).event_type([TypeSource::header("x-type"), TypeSource::pointer("/type")]);
        let body = r#"{"challenge":"c","type":"url_verification"}"#;
        assert_eq!(asked(&by_header, body), Ok(Some("200 c".to_owned())));
    }
}
