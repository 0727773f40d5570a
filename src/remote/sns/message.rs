//! What SNS puts into a body, and which lines of it are signed.

use std::borrow::Cow;

use serde::Deserialize;

use super::super::certificate::RsaHash;
use crate::rejection::Rejection;

/// A message as it stands in the body.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Message<'a> {
    #[serde(borrow, rename = "Type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) topic_arn: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    subject: Option<String>,
    #[serde(borrow)]
    pub(super) timestamp: Cow<'a, str>,
    #[serde(borrow)]
    signature_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) signature: Cow<'a, str>,
    #[serde(borrow, rename = "SigningCertURL")]
    pub(super) signing_cert_url: Cow<'a, str>,
    #[serde(rename = "SubscribeURL")]
    pub(super) subscribe_url: Option<String>,
    pub(super) token: Option<String>,
}

pub(super) const NOTIFICATION: &str = "Notification";
pub(super) const SUBSCRIPTION: &str = "SubscriptionConfirmation";
pub(super) const UNSUBSCRIPTION: &str = "UnsubscribeConfirmation";

const fn malformed(fault: &'static str) -> Rejection {
    Rejection::SignatureMalformed { fault }
}

impl<'a> Message<'a> {
    /// Reads a body. One that has a signed field twice is none: two readers would take two different ones.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Rejection> {
        serde_json::from_slice(body).map_err(|_| malformed("the body is no SNS message"))
    }

    /// The hash of its signature's version.
    pub(super) fn hash(&self) -> Result<RsaHash, Rejection> {
        match &*self.signature_version {
            "1" => Ok(RsaHash::Sha1),
            "2" => Ok(RsaHash::Sha256),
            _ => Err(malformed("an unknown SignatureVersion")),
        }
    }

    /// What is signed: a line with each field's name and one with its value, in the order of the names.
    pub(super) fn content(&self) -> Result<Vec<u8>, Rejection> {
        let missing = || malformed("a field that is signed is missing");
        let (subject, subscribe_url, token) = match &*self.kind {
            NOTIFICATION => (self.subject.as_deref(), None, None),
            SUBSCRIPTION | UNSUBSCRIPTION => {
                let url = self.subscribe_url.as_deref().ok_or_else(missing)?;
                (None, Some(url), Some(self.token.as_deref().ok_or_else(missing)?))
            }
            _ => return Err(malformed("an unknown Type")),
        };
        let fields = [
            ("MessageId", Some(&*self.message_id)),
            ("Subject", subject),
            ("SubscribeURL", subscribe_url),
            ("Timestamp", Some(&*self.timestamp)),
            ("Token", token),
            ("TopicArn", Some(&*self.topic_arn)),
            ("Type", Some(&*self.kind)),
        ];
        let mut content = Vec::with_capacity(self.message.len() + 512);
        line(&mut content, "Message", &self.message);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            // Only the message itself may have lines. Elsewhere, who publishes a message of several lines could have one
            // part of it read as another field.
            if value.contains('\n') {
                return Err(malformed("a field has several lines"));
            }
            line(&mut content, name, value);
        }
        Ok(content)
    }
}

fn line(content: &mut Vec<u8>, name: &str, value: &str) {
    for text in [name, "\n", value, "\n"] {
        content.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(more: &str) -> String {
        format!(
            r#"{{"Type":"Notification","MessageId":"i","TopicArn":"a","Message":"m","Timestamp":"t",
            "SignatureVersion":"2","Signature":"","SigningCertURL":""{more}}}"#
        )
    }

    fn content(body: &str) -> Result<String, Rejection> {
        Message::read(body.as_bytes())?.content().map(|content| String::from_utf8(content).unwrap())
    }

    #[test]
    fn a_notification_signs_its_subject_where_it_has_one() {
        let bare = "Message\nm\nMessageId\ni\nTimestamp\nt\nTopicArn\na\nType\nNotification\n";
        assert_eq!(content(&body("")).unwrap(), bare);
        // What belongs to a confirmation is not signed here.
        assert_eq!(content(&body(r#","SubscribeURL":"u","Token":"k","Unknown":[{}]"#)).unwrap(), bare);
        let with_subject = bare.replace("Timestamp", "Subject\ns\nTimestamp");
        assert_eq!(content(&body(r#","Subject":"s""#)).unwrap(), with_subject);
    }

    #[test]
    fn both_confirmations_sign_their_url_and_token() {
        for kind in [SUBSCRIPTION, UNSUBSCRIPTION] {
            let body = body(r#","SubscribeURL":"u","Token":"k","Subject":"s""#).replace("Notification", kind);
            let expected = format!(
                "Message\nm\nMessageId\ni\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\na\nType\n{kind}\n"
            );
            assert_eq!(content(&body).unwrap(), expected);
            assert!(content(&body.replace("Token", "Tokem")).is_err());
            assert!(content(&body.replace("SubscribeURL", "SubscribeUrl")).is_err());
        }
    }

    #[test]
    fn only_the_message_may_have_lines() {
        assert!(content(&body("").replace(r#""m""#, r#""m\nMessageId\nx""#)).is_ok());
        for field in ["i", "a", "t"] {
            let body = body("").replace(&format!(r#":"{field}""#), r#":"x\ny""#);
            assert!(content(&body).is_err(), "{field}");
        }
        assert!(content(&body(r#","Subject":"s\nTimestamp\n2""#)).is_err());
    }

    #[test]
    fn a_field_that_is_missing_or_there_twice_or_no_text_is_refused() {
        for bad in [
            body("").replace("TopicArn", "topicArn"),
            body(r#","Message":"other""#),
            body(r#","Subject":"s","Subject":"t""#),
            body("").replace(r#""m""#, "7"),
            body("").replace("Notification", "Other"),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(content(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_one_and_two() {
        let version = |text: &str| {
            let body =
                body("").replace(r#""SignatureVersion":"2""#, &format!(r#""SignatureVersion":{text}"#));
            Message::read(body.as_bytes()).and_then(|message| message.hash())
        };
        assert_eq!(version(r#""1""#), Ok(RsaHash::Sha1));
        assert_eq!(version(r#""2""#), Ok(RsaHash::Sha256));
        for bad in [r#""3""#, r#""""#, r#"" 1""#, "1", "2.0", "null"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
