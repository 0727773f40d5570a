//! What each cause comes to: its code, its status and when to come back. The sender is told no more.

use std::time::Duration;

use http::StatusCode;

use super::Rejection;

/// What the sender is told about the cause, and no more.
struct Answer {
    code: &'static str,
    status: StatusCode,
    retry_after: Option<RetryAfter>,
}

#[derive(Clone, Copy)]
enum RetryAfter {
    Exactly(Duration),
    /// Spread over ± 50 %, so that senders that failed together do not come back together.
    Around(Duration),
}

const fn final_answer(code: &'static str, status: StatusCode) -> Answer {
    Answer { code, status, retry_after: None }
}

const fn unauthorized(code: &'static str) -> Answer {
    final_answer(code, StatusCode::UNAUTHORIZED)
}

const fn come_back(code: &'static str, seconds: u64) -> Answer {
    let retry_after = Some(RetryAfter::Exactly(Duration::from_secs(seconds)));
    Answer { code, status: StatusCode::SERVICE_UNAVAILABLE, retry_after }
}

impl Rejection {
    /// A stable name of the cause for logs and metrics, such as `signature-mismatch`.
    pub fn code(&self) -> &'static str {
        self.answer().code
    }

    /// The status that the sender gets.
    pub fn status(&self) -> StatusCode {
        self.answer().status
    }

    /// When the sender should come back, where coming back can help.
    ///
    /// Where many senders fail together the time is spread at random, so each call may answer another one.
    pub fn retry_after(&self) -> Option<Duration> {
        Some(match self.answer().retry_after? {
            RetryAfter::Exactly(wait) => wait,
            RetryAfter::Around(wait) => wait.mul_f64(0.5 + fastrand::f64()),
        })
    }

    /// Whether the cause lies with the receiver or will pass, so that the same delivery may succeed later.
    pub fn is_temporary(&self) -> bool {
        let status = self.status();
        status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
    }

    fn answer(&self) -> Answer {
        use StatusCode as S;
        match self {
            Self::ClientIpUnknown { .. } => come_back("client-ip-unknown", 30),
            Self::AddressNotAllowed { .. } => final_answer("address-not-allowed", S::FORBIDDEN),
            Self::AllowlistNotLoaded => come_back("allowlist-not-loaded", 30),
            Self::MethodNotAllowed { .. } => final_answer("method-not-allowed", S::METHOD_NOT_ALLOWED),
            Self::HandshakeRefused { .. } => final_answer("handshake-refused", S::FORBIDDEN),
            Self::HandshakeMalformed { .. } => final_answer("handshake-malformed", S::BAD_REQUEST),
            Self::ConfirmationUnavailable => come_back("confirmation-unavailable", 30),
            Self::SeveralTypes { .. } => come_back("several-types", 300),
            Self::OverQuota { retry_after, .. } => Answer {
                code: "over-quota",
                status: S::TOO_MANY_REQUESTS,
                retry_after: Some(RetryAfter::Exactly(*retry_after)),
            },
            Self::BodyTooLarge { .. } => final_answer("body-too-large", S::PAYLOAD_TOO_LARGE),
            Self::BodyBudgetSpent { .. } => come_back("body-budget-spent", 10),
            Self::BodyTooSlow { .. } => come_back("body-too-slow", 10),
            Self::BodyBroken { .. } => come_back("body-broken", 5),
            Self::ContentCoding { .. } => final_answer("content-coding", S::UNSUPPORTED_MEDIA_TYPE),
            Self::HeaderMissing { .. } => unauthorized("header-missing"),
            Self::HeaderRepeated { .. } => unauthorized("header-repeated"),
            Self::SignatureMalformed { .. } => unauthorized("signature-malformed"),
            Self::TooManySignatures { .. } => unauthorized("too-many-signatures"),
            Self::SignatureMismatch { .. } => unauthorized("signature-mismatch"),
            Self::TokenMismatch { .. } => unauthorized("token-mismatch"),
            Self::SignedForAnybody => unauthorized("signed-for-anybody"),
            Self::ComponentNotSigned { .. } => unauthorized("component-not-signed"),
            Self::DigestMismatch { .. } => unauthorized("digest-mismatch"),
            Self::HeaderNotSigned { .. } => unauthorized("header-not-signed"),
            Self::HeaderFieldMismatch { .. } => unauthorized("header-field-mismatch"),
            Self::BodyUnreadable { .. } => unauthorized("body-unreadable"),
            Self::FieldMissing { .. } => unauthorized("field-missing"),
            Self::FieldDivided { .. } => unauthorized("field-divided"),
            Self::FieldTokenMismatch { .. } => unauthorized("field-token-mismatch"),
            Self::BodyDigestMismatch { .. } => unauthorized("body-digest-mismatch"),
            Self::TooManyParts { .. } => unauthorized("too-many-parts"),
            Self::UnknownKey => unauthorized("unknown-key"),
            Self::KeyUrlRefused { .. } => unauthorized("key-url-refused"),
            Self::KeyRefused { .. } => unauthorized("key-refused"),
            Self::KeyExpired { .. } => unauthorized("key-expired"),
            Self::SourceNotAllowed { .. } => unauthorized("source-not-allowed"),
            Self::TimestampMalformed { .. } => unauthorized("timestamp-malformed"),
            Self::TimestampTooOld { .. } => unauthorized("timestamp-too-old"),
            Self::PublicUrlUnknown { .. } => come_back("public-url-unknown", 30),
            Self::TimestampTooNew { .. } => come_back("timestamp-too-new", 60),
            Self::KeyNotYetValid { .. } => come_back("key-not-yet-valid", 60),
            Self::ClockImplausible { .. } => come_back("clock-implausible", 60),
            Self::DeliveryIdMalformed { .. } => final_answer("delivery-id-malformed", S::BAD_REQUEST),
            Self::VerifiedTwice { .. } => final_answer("verified-twice", S::INTERNAL_SERVER_ERROR),
            Self::KeySourceUnavailable => come_back("key-source-unavailable", 60),
            Self::StoreUnavailable => Answer {
                code: "store-unavailable",
                status: S::SERVICE_UNAVAILABLE,
                retry_after: Some(RetryAfter::Around(Duration::from_secs(30))),
            },
            Self::StoreSlow { .. } => come_back("store-slow", 10),
            Self::StoreUncertain => come_back("store-uncertain", 5),
            Self::StoreFull => come_back("store-full", 300),
            Self::TooManyClaims { .. } => come_back("too-many-claims", 10),
            Self::CircuitOpen { remaining } => Answer {
                code: "circuit-open",
                status: S::SERVICE_UNAVAILABLE,
                retry_after: Some(RetryAfter::Exactly(*remaining)),
            },
            Self::InFlight => come_back("in-flight", 2),
            Self::IdempotencyKeyMissing => final_answer("idempotency-key-missing", S::BAD_REQUEST),
            Self::IdempotencyKeyMalformed => final_answer("idempotency-key-malformed", S::BAD_REQUEST),
            Self::IdempotencyKeyInFlight => final_answer("idempotency-key-in-flight", S::CONFLICT),
            Self::IdempotencyKeyReused => final_answer("idempotency-key-reused", S::UNPROCESSABLE_ENTITY),
            Self::TooManyWaiting { .. } => come_back("too-many-waiting", 10),
            Self::Draining => come_back("draining", 2),
            Self::NoDelivery => final_answer("no-delivery", S::INTERNAL_SERVER_ERROR),
            Self::PayloadUnreadable { .. } => come_back("payload-unreadable", 300),
            Self::HandlerPanicked => final_answer("handler-panicked", S::INTERNAL_SERVER_ERROR),
            Self::AnswerBroken => final_answer("answer-broken", S::INTERNAL_SERVER_ERROR),
            Self::HandlerTooSlow { .. } => come_back("handler-too-slow", 5),
            Self::GrpcUnsupported { .. } => final_answer("grpc-unsupported", S::NOT_IMPLEMENTED),
        }
    }
}
