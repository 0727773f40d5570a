//! gRPC: what of it can be a webhook, and how a refusal is told in it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use crate::{
    body::ResponseBody,
    delivery::{Fresh, Verified},
    gate::Gate,
    rejection::Rejection,
};

/// One byte that says whether the message is compressed, and four of its length.
const FRAME_HEAD: usize = 5;

const GRPC: &str = "application/grpc";
static STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether a request is gRPC, by its content type.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return false };
    // gRPC-Web, `application/grpc-web`, is another protocol with statuses of its own.
    let Some((start, rest)) = kind.as_bytes().split_at_checked(GRPC.len()) else { return false };
    start.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// One message of no bytes: not compressed, and a length of zero.
pub(crate) const EMPTY_MESSAGE: &[u8] = &[0; FRAME_HEAD];

/// A successful gRPC answer of these framed bytes.
pub(crate) fn answer<R>(framed: Bytes) -> Response<ResponseBody<R>> {
    let mut trailers = HeaderMap::new();
    trailers.insert(&STATUS, HeaderValue::from_static("0"));
    let mut response = Response::new(ResponseBody::with_trailers(framed, trailers));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

/// Whether a gRPC request's head announces what no webhook can be: a compressed message could be any size.
pub(crate) fn check_head(headers: &HeaderMap) -> Result<(), Rejection> {
    if headers.get("grpc-encoding").is_some_and(|coding| coding != "identity") {
        return Err(Rejection::GrpcUnsupported { fault: "a compressed message" });
    }
    Ok(())
}

/// The `grpc-status` in these headers or trailers, where there is one.
pub(crate) fn status(fields: &HeaderMap) -> Option<u32> {
    // Most answers have a header or two, and to look at these costs less than to hash the name.
    let (_, status) = fields.iter().find(|(name, _)| **name == STATUS)?;
    status.to_str().ok()?.parse().ok()
}

/// Lets gRPC requests pass that are one plain unary message, and every request that is not gRPC.
///
/// The signed bytes of a gRPC delivery are its HTTP body with the frame's five bytes. A stream has no body to verify
/// before it is handled, and a compressed message could be any size, so both are UNIMPLEMENTED.
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcUnaryGate;

impl Gate<Verified<Fresh>> for GrpcUnaryGate {
    type Pass = ();

    fn admit(&self, request: &mut Request<Verified<Fresh>>) -> Result<(), Rejection> {
        if !request.body().is_grpc(request.headers()) {
            return Ok(());
        }
        unary(request.body().delivery().body()).map_err(|fault| Rejection::GrpcUnsupported { fault })
    }

    fn annotate(&self, (): (), _: &mut HeaderMap) {}
}

/// Whether the bytes are exactly one uncompressed message.
fn unary(body: &[u8]) -> Result<(), &'static str> {
    let Some((head, message)) = body.split_first_chunk::<FRAME_HEAD>() else {
        return Err("no whole message");
    };
    if head[0] != 0 {
        return Err("a compressed message");
    }
    let announced = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    match (message.len() as u64).cmp(&u64::from(announced)) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err("a message cut short"),
        std::cmp::Ordering::Greater => Err("more than one message"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_one_whole_plain_message_is_unary() {
        assert_eq!(unary(&[0, 0, 0, 0, 0]), Ok(()));
        assert_eq!(unary(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        assert_eq!(unary(&[]), Err("no whole message"));
        assert_eq!(unary(&[0, 0, 0, 0]), Err("no whole message"));
        assert_eq!(unary(&[1, 0, 0, 0, 1, 8]), Err("a compressed message"));
        assert_eq!(unary(&[0, 0, 0, 0, 3, 8, 1]), Err("a message cut short"));
        assert_eq!(unary(&[0, 0, 0, 0, 1, 8, 0, 0, 0, 0, 0]), Err("more than one message"));
        assert_eq!(unary(&[0, 255, 255, 255, 255]), Err("a message cut short"));
    }

    #[test]
    fn grpc_is_told_by_its_content_type_alone() {
        for (kind, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC", true),
            ("application/grpc; charset=x", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(is_grpc(&headers), expected, "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
