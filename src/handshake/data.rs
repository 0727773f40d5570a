//! The handshakes of providers, as data.

use std::borrow::Cow;

use http::Method;

type Text = Cow<'static, str>;

/// A provider's challenge to prove that an endpoint is ours, and how it is answered.
///
/// The [constants](super#constants) are those of the known providers; a provider of one's own takes one of them, or the
/// same with other names: [`Provider::challenging_with`](crate::Provider::challenging_with).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handshake {
    /// `GET` with `hub.mode=subscribe`, `hub.verify_token` and `hub.challenge`: where the verify token is ours the
    /// challenge is echoed, otherwise 403. Nothing is signed.
    HubChallenge,
    /// A parameter of the query is echoed. Nothing is signed.
    Echo {
        /// The method that it comes with.
        method: Method,
        /// The parameter's name.
        parameter: Text,
    },
    /// `HEAD`, answered 200 without a body, so that it tells nobody anything. Nothing is signed.
    Head,
    /// `GET` with a header, whose value is answered in a field of a JSON object. Nothing is signed.
    EchoHeader {
        /// The header's name.
        header: Text,
        /// The field's name.
        field: Text,
    },
    /// `GET` with a parameter, whose HMAC-SHA256 under the signing secret is answered: `sha256=` and base64, in a field of
    /// a JSON object. Nothing of the request is signed, so the parameter must not be able to pass for a payload: it matches
    /// `[A-Za-z0-9_-]{1,128}`.
    SignParameter {
        /// The parameter's name.
        parameter: Text,
        /// The field's name.
        field: Text,
    },
    /// A delivery that is signed like any other.
    Signed {
        /// What of its body must hold, all of it.
        when: Cow<'static, [When]>,
        /// What it is answered with.
        answer: SignedAnswer,
    },
}

/// What a signed body must have to be a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// This text, or a number written so, at a JSON pointer.
    Is {
        /// The pointer.
        pointer: Text,
        /// The text.
        value: Text,
    },
    /// Neither text, number nor boolean at a JSON pointer.
    Lacks {
        /// The pointer.
        pointer: Text,
    },
}

/// What a signed handshake is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignedAnswer {
    /// The text at a JSON pointer, as plain text. A body without it is no handshake.
    Echo {
        /// The pointer.
        pointer: Text,
    },
    /// This JSON.
    Json(Text),
    /// 204 without a body.
    NoContent,
    /// The text at a JSON pointer and its HMAC-SHA256 in hex, under the key that signed the delivery, as two fields of a
    /// JSON object. The text matches `[A-Za-z0-9_-]{1,128}`.
    Sign {
        /// The pointer.
        pointer: Text,
        /// The field for the text.
        plain: Text,
        /// The field for its HMAC.
        signed: Text,
    },
    /// 200 without a body, once a [`Confirm`](super::Confirm) has confirmed the subscription. In a stack without one the
    /// delivery goes on to the handler.
    Confirm,
}

const fn text(text: &'static str) -> Text {
    Cow::Borrowed(text)
}

/// Meta (Facebook, Instagram, WhatsApp): `hub.challenge`.
/// <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>
pub const META: Handshake = Handshake::HubChallenge;

/// Dropbox: `GET ?challenge=`. <https://www.dropbox.com/developers/reference/webhooks>
pub const DROPBOX: Handshake = Handshake::Echo { method: Method::GET, parameter: text("challenge") };

/// Okta event hooks: `GET` with `X-Okta-Verification-Challenge`.
/// <https://developer.okta.com/docs/concepts/event-hooks/>
pub const OKTA: Handshake =
    Handshake::EchoHeader { header: text("x-okta-verification-challenge"), field: text("verification") };

/// X (Twitter): `GET ?crc_token=`, asked again every hour. <https://docs.x.com/x-api/webhooks/quickstart>
pub const X: Handshake =
    Handshake::SignParameter { parameter: text("crc_token"), field: text("response_token") };

/// Microsoft Graph: `POST ?validationToken=`, without a body.
/// <https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks>
pub const MICROSOFT_GRAPH: Handshake =
    Handshake::Echo { method: Method::POST, parameter: text("validationToken") };

/// Intercom: `HEAD`, when the endpoint's address is entered. <https://developers.intercom.com/docs/webhooks/setting-up-webhooks>
pub const INTERCOM: Handshake = Handshake::Head;

/// Slack: `url_verification`. <https://docs.slack.dev/apis/events-api/using-http-request-urls>
pub const SLACK: Handshake = Handshake::Signed {
    when: Cow::Borrowed(&[When::Is { pointer: text("/type"), value: text("url_verification") }]),
    answer: SignedAnswer::Echo { pointer: text("/challenge") },
};

/// Discord's interactions: a PING of type 1 is answered `{"type":1}`.
/// <https://docs.discord.com/developers/interactions/overview>
///
/// A webhook event of Discord's has type 1 too, and is told from it by the event that it carries.
pub const DISCORD_INTERACTION: Handshake = Handshake::Signed {
    when: Cow::Borrowed(&[
        When::Is { pointer: text("/type"), value: text("1") },
        When::Lacks { pointer: text("/event/type") },
    ]),
    answer: SignedAnswer::Json(text(r#"{"type":1}"#)),
};

/// Discord's webhook events: a PING of type 0 is answered 204. <https://docs.discord.com/developers/events/webhook-events>
pub const DISCORD_EVENT: Handshake = Handshake::Signed {
    when: Cow::Borrowed(&[
        When::Is { pointer: text("/type"), value: text("0") },
        When::Lacks { pointer: text("/event/type") },
    ]),
    answer: SignedAnswer::NoContent,
};

/// Zoom: `endpoint.url_validation`, asked again every 72 hours. <https://developers.zoom.us/docs/api/webhooks/>
pub const ZOOM: Handshake = Handshake::Signed {
    when: Cow::Borrowed(&[When::Is { pointer: text("/event"), value: text("endpoint.url_validation") }]),
    answer: SignedAnswer::Sign {
        pointer: text("/payload/plainToken"),
        plain: text("plainToken"),
        signed: text("encryptedToken"),
    },
};

/// Twitch EventSub: `webhook_callback_verification`. <https://dev.twitch.tv/docs/eventsub/handling-webhook-events/>
///
/// The header that names the type of a message is not signed, so the body decides: the challenge stands there, and in no
/// notification or revocation.
pub const TWITCH: Handshake = Handshake::Signed {
    when: Cow::Borrowed(&[]),
    answer: SignedAnswer::Echo { pointer: text("/challenge") },
};

/// AWS SNS: `SubscriptionConfirmation`. <https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.prepare.html>
pub const SNS: Handshake = Handshake::Signed {
    when: Cow::Borrowed(&[When::Is { pointer: text("/Type"), value: text("SubscriptionConfirmation") }]),
    answer: SignedAnswer::Confirm,
};

impl Handshake {
    /// Whether it must be answered before a signature can be asked for.
    pub const fn is_open(&self) -> bool {
        !matches!(self, Self::Signed { .. })
    }

    /// The method of an open one.
    pub(crate) const fn method(&self) -> Option<&Method> {
        match self {
            Self::HubChallenge | Self::EchoHeader { .. } | Self::SignParameter { .. } => Some(&Method::GET),
            Self::Echo { method, .. } => Some(method),
            Self::Head => Some(&Method::HEAD),
            Self::Signed { .. } => None,
        }
    }

    /// Whether it is answered with a MAC under the provider's signing secret.
    pub(crate) const fn signs(&self) -> bool {
        matches!(self, Self::SignParameter { .. } | Self::Signed { answer: SignedAnswer::Sign { .. }, .. })
    }
}
