//! Requests that somebody has captured.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use serde_json::Value;

/// A captured request, and what was known beside it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Captured {
    /// Head and body.
    pub request: Request<Bytes>,
    /// When it was received, where the capture says so.
    pub received_at: Option<SystemTime>,
    /// What was left of the capture behind the body that its head declares, in bytes: a newline of an editor's, say.
    pub left_over: usize,
}

/// Why a capture is no request.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// There is no empty line behind the headers.
    #[error("no empty line ends the headers")]
    NoEnd,
    /// The first line is no request line.
    #[error("the first line is no request line: write METHOD PATH HTTP/1.1")]
    RequestLine,
    /// A line is no header.
    #[error("line {line} is no header")]
    Header {
        /// Its number, from 1.
        line: usize,
    },
    /// The body is shorter than its head declares.
    #[error("the body has {found} bytes, and its head declares {declared}: it was cut")]
    BodyCut {
        /// What is there.
        found: usize,
        /// What should be.
        declared: usize,
    },
    /// The body is not chunked as its head says.
    #[error("the body is not chunked as its head says")]
    Chunks,
    /// The text is no JSON, or lacks a field.
    #[error("the JSON form is malformed: {fault}")]
    Json {
        /// What is wrong with it.
        fault: &'static str,
    },
}

impl Captured {
    /// Reads a request as it stands on a connection in HTTP/1.1. Lines may end with a line feed alone. A chunked body is put
    /// together.
    ///
    /// # Errors
    ///
    /// [`CaptureError`] says what is no HTTP.
    pub fn from_http(bytes: &[u8]) -> Result<Self, CaptureError> {
        let (head, body) = split(bytes).ok_or(CaptureError::NoEnd)?;
        let mut lines =
            head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (method, uri) =
            request_line(lines.next().unwrap_or_default()).ok_or(CaptureError::RequestLine)?;
        let mut headers = HeaderMap::new();
        for (number, line) in lines.enumerate() {
            let (name, value) = header_line(line).ok_or(CaptureError::Header { line: number + 2 })?;
            headers.append(name, value);
        }
        let (body, left_over) = framed(&headers, body)?;
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Ok(Self { request, received_at: None, left_over })
    }

    /// Reads a request as a JSON object: `method` (POST where it is missing), `url`, `headers` (a value, or a list of values
    /// for each name), `body_base64` or `body`, and `now_unix` in seconds, where it is known when the request came.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Json`].
    pub fn from_json(text: &str) -> Result<Self, CaptureError> {
        let fault = |fault| CaptureError::Json { fault };
        let value: Value = serde_json::from_str(text).map_err(|_| fault("it is no JSON"))?;
        let field = |name: &str| value.get(name).and_then(Value::as_str);
        let body = match (field("body_base64"), field("body")) {
            (Some(text), _) => STANDARD.decode(text).map_err(|_| fault("body_base64 is no base64"))?.into(),
            (None, Some(text)) => Bytes::from(text.to_owned()),
            (None, None) => return Err(fault("there is no body_base64 and no body")),
        };
        let mut request = Request::new(body);
        *request.method_mut() =
            field("method").unwrap_or("POST").parse().map_err(|_| fault("method is none"))?;
        *request.uri_mut() = field("url").unwrap_or("/").parse().map_err(|_| fault("url is none"))?;
        let headers = value.get("headers").and_then(Value::as_object).ok_or(fault("there are no headers"))?;
        for (name, values) in headers {
            let name: HeaderName = name.parse().map_err(|_| fault("a header's name is none"))?;
            for value in values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let value = HeaderValue::from_bytes(text.as_bytes());
                request.headers_mut().append(&name, value.map_err(|_| fault("a header's value is none"))?);
            }
        }
        let now = value.get("now_unix").and_then(Value::as_f64);
        let since = now.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let received_at = since.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        Ok(Self { request, received_at, left_over: 0 })
    }
}

/// Head and body, apart at the first empty line.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut start = 0;
    loop {
        let end = start + bytes.get(start..)?.iter().position(|byte| *byte == b'\n')?;
        let line = &bytes[start..end];
        if line.is_empty() || line == b"\r" {
            let head = &bytes[..start];
            let head = head.strip_suffix(b"\n").unwrap_or(head);
            return Some((head.strip_suffix(b"\r").unwrap_or(head), &bytes[end + 1..]));
        }
        start = end + 1;
    }
}

fn request_line(line: &[u8]) -> Option<(Method, Uri)> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    let version = words.next()?;
    if words.next().is_some() || !version.starts_with(b"HTTP/") {
        return None;
    }
    Some((Method::from_bytes(method).ok()?, Uri::try_from(target).ok()?))
}

fn header_line(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
}

/// The body as its head frames it, and how many bytes follow.
fn framed(headers: &HeaderMap, body: &[u8]) -> Result<(Bytes, usize), CaptureError> {
    let is_chunked = headers
        .get(header::TRANSFER_ENCODING)
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if is_chunked {
        return dechunk(body).ok_or(CaptureError::Chunks);
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let declared: usize = declared.unwrap_or(body.len());
    match body.split_at_checked(declared) {
        Some((body, rest)) => Ok((Bytes::copy_from_slice(body), rest.len())),
        None => Err(CaptureError::BodyCut { found: body.len(), declared }),
    }
}

fn dechunk(mut rest: &[u8]) -> Option<(Bytes, usize)> {
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = line.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 1..];
        let (chunk, behind) = rest.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        let behind = behind.strip_prefix(b"\r").unwrap_or(behind);
        rest = behind.strip_prefix(b"\n").unwrap_or(behind);
        if size == 0 {
            return Some((body.into(), rest.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_read_with_either_end_of_line() {
        let text = "POST /in?a=b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 3\r\n\r\nabc\n";
        for text in [text.to_owned(), text.replace("\r\n", "\n")] {
            let captured = Captured::from_http(text.as_bytes()).unwrap();
            assert_eq!(captured.request.method(), Method::POST);
            assert_eq!(captured.request.uri(), "/in?a=b");
            let values: Vec<_> = captured.request.headers().get_all("x-a").iter().collect();
            assert_eq!(values, ["1", "2"]);
            assert_eq!((&captured.request.body()[..], captured.left_over), (&b"abc"[..], 1));
        }
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let captured = Captured::from_http(text.as_bytes()).unwrap();
        assert_eq!((&captured.request.body()[..], captured.left_over), (&b"abc0123456789"[..], 0));
    }

    #[test]
    fn what_is_no_request_says_where() {
        let of = |text: &str| Captured::from_http(text.as_bytes()).unwrap_err();
        assert_eq!(of(""), CaptureError::NoEnd);
        assert_eq!(of("POST / HTTP/1.1\r\nA: b\r\n"), CaptureError::NoEnd);
        assert_eq!(of("{}\n\n"), CaptureError::RequestLine);
        assert_eq!(of("POST / HTTP/1.1\nA: b\nno header\n\n"), CaptureError::Header { line: 3 });
        let cut = of("POST / HTTP/1.1\ncontent-length: 4\n\nabc");
        assert_eq!(cut, CaptureError::BodyCut { found: 3, declared: 4 });
        assert_eq!(of("POST / HTTP/1.1\ntransfer-encoding: chunked\n\nxyz\n"), CaptureError::Chunks);
    }

    #[test]
    fn the_json_form_has_its_clock_and_repeated_headers() {
        let text = r#"{"url":"https://a.test/in","headers":{"x":["1","2"],"n":3},"body_base64":"YWJj","now_unix":1.5}"#;
        let captured = Captured::from_json(text).unwrap();
        assert_eq!(captured.request.uri(), "https://a.test/in");
        assert_eq!(captured.request.headers().get_all("x").iter().count(), 2);
        assert_eq!(captured.request.body(), "abc");
        assert_eq!(captured.received_at, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1500)));
        assert!(Captured::from_json("{}").is_err());
    }

    proptest! {
        #[test]
        fn no_capture_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Captured::from_http(&bytes);
            let _ = Captured::from_json(&String::from_utf8_lossy(&bytes));
            let chunked = [b"POST / HTTP/1.1\ntransfer-encoding: chunked\n\n", &bytes[..]].concat();
            let _ = Captured::from_http(&chunked);
        }

        #[test]
        fn what_is_written_is_read(body in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut text = format!("PUT /x HTTP/1.1\r\nA: b\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            text.extend_from_slice(&body);
            let captured = Captured::from_http(&text).unwrap();
            prop_assert_eq!(captured.request.body(), &body);
        }
    }
}
