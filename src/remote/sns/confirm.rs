//! Confirming a subscription: what the handshake needs.

use std::fmt;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};

use super::{
    super::{
        fetch::{Fetch, FetchError},
        source,
        url::sns_region,
    },
    message::{Message, SUBSCRIPTION},
};

/// A verified request to confirm a subscription, of a topic that was named.
#[derive(Clone)]
pub struct Confirmation {
    topic: Box<str>,
    url: Uri,
}

/// The topic alone: the address holds a token that confirms.
impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Why a subscription was not confirmed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// SNS could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// SNS refused, because the token is three days old, say.
    #[error("SNS answered {status}")]
    Refused {
        /// Its answer.
        status: StatusCode,
    },
}

impl Confirmation {
    /// Of a message that is verified and whose topic is named; `None` where it is no request to confirm, or points anywhere
    /// but to SNS in its topic's region.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        if message.kind != SUBSCRIPTION {
            return None;
        }
        let url: Uri = message.subscribe_url.as_deref()?.parse().ok()?;
        let host = url.authority()?.as_str();
        let here = region_of_topic(&message.topic_arn)?;
        let pinned = url.scheme_str() == Some("https") && sns_region(host) == Some(here);
        pinned.then(|| Self { topic: message.topic_arn.as_ref().into(), url })
    }

    /// The topic's ARN.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) async fn send(&self, fetch: &dyn Fetch) -> Result<(), ConfirmError> {
        let mut request = Request::new(Bytes::new());
        request.uri_mut().clone_from(&self.url);
        let status = source::ask(fetch, request).await?.status();
        if status == StatusCode::OK { Ok(()) } else { Err(ConfirmError::Refused { status }) }
    }
}

/// The region of `arn:<partition>:sns:<region>:<account>:<name>`.
pub(super) fn region_of_topic(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", partition, "sns", region, account, name]
            if [partition, region, account, name].iter().all(|part| !part.is_empty()) =>
        {
            Some(region)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmation(kind: &str, topic: &str, url: &str) -> Option<Confirmation> {
        let body = serde_json::json!({
            "Type": kind, "MessageId": "i", "TopicArn": topic, "Message": "m", "Timestamp": "t",
            "SignatureVersion": "2", "Signature": "", "SigningCertURL": "", "SubscribeURL": url, "Token": "k",
        });
        Confirmation::of(&Message::read(body.to_string().as_bytes()).unwrap())
    }

    const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:orders";
    const URL: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=x&Token=k";

    #[test]
    fn the_token_is_not_shown() {
        let shown = format!("{:?}", confirmation(SUBSCRIPTION, TOPIC, URL).unwrap());
        assert!(shown.contains(TOPIC) && !shown.contains("Token"), "{shown}");
    }

    #[test]
    fn it_points_to_sns_in_the_topics_region() {
        assert_eq!(confirmation(SUBSCRIPTION, TOPIC, URL).unwrap().topic(), TOPIC);
        let china = "arn:aws-cn:sns:cn-north-1:123456789012:orders";
        assert!(confirmation(SUBSCRIPTION, china, "https://sns.cn-north-1.amazonaws.com.cn/?x=y").is_some());
        for (kind, topic, url) in [
            ("UnsubscribeConfirmation", TOPIC, URL),
            ("Notification", TOPIC, URL),
            (SUBSCRIPTION, "arn:aws:sns:eu-west-1", URL),
            (SUBSCRIPTION, TOPIC, "http://sns.eu-west-1.amazonaws.com/?a=b"),
            (SUBSCRIPTION, TOPIC, "https://sns.us-east-1.amazonaws.com/?a=b"),
            (SUBSCRIPTION, TOPIC, "https://sns.eu-west-1.amazonaws.com:8443/?a=b"),
            (SUBSCRIPTION, TOPIC, "https://user@sns.eu-west-1.amazonaws.com/?a=b"),
            (SUBSCRIPTION, TOPIC, "https://sns.eu-west-1.amazonaws.com.evil.test/?a=b"),
            (SUBSCRIPTION, TOPIC, "https://169.254.169.254/latest/meta-data"),
            (SUBSCRIPTION, TOPIC, "/?a=b"),
            (SUBSCRIPTION, TOPIC, ""),
        ] {
            assert!(confirmation(kind, topic, url).is_none(), "{kind} {topic} {url}");
        }
    }
}
