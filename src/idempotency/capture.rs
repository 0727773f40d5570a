//! Reads an answer that its duplicates must get too, and passes it on unchanged.

use std::{future::poll_fn, pin::Pin};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::{body::ResponseBody, grpc};

/// An answer's body, and its bytes if it was small enough to be kept.
pub(super) struct Captured<R> {
    pub(super) body: ResponseBody<R>,
    pub(super) kept: Option<Bytes>,
    /// The `grpc-status` in its trailers, where they were read.
    pub(super) grpc_status: Option<u32>,
}

/// Reads `body` up to `limit` bytes. A larger one goes on whole and is not kept.
pub(super) async fn capture<R: Body<Data = Bytes>>(body: R, limit: usize) -> Result<Captured<R>, R::Error> {
    if body.size_hint().lower() > limit as u64 {
        return Ok(Captured { body: ResponseBody::inner(body), kept: None, grpc_status: None });
    }
    let mut body: Pin<Box<R>> = Box::pin(body);
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        match frame?.into_data() {
            Ok(data) => read.extend_from_slice(&data),
            Err(frame) => {
                let Ok(trailers) = frame.into_trailers() else { continue };
                let kept = read.freeze();
                let grpc_status = grpc::status(&trailers);
                let body = ResponseBody::with_trailers(kept.clone(), trailers);
                return Ok(Captured { body, kept: Some(kept), grpc_status });
            }
        }
        if read.len() > limit {
            return Ok(Captured {
                body: ResponseBody::resumed(read.freeze(), body),
                kept: None,
                grpc_status: None,
            });
        }
    }
    let kept = read.freeze();
    Ok(Captured { body: ResponseBody::full(kept.clone()), kept: Some(kept), grpc_status: None })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        convert::Infallible,
        task::{Context, Poll},
    };

    use http::{HeaderMap, HeaderValue};
    use http_body::Frame;
    use http_body_util::BodyExt;

    use super::*;

    struct Frames(VecDeque<Result<Frame<Bytes>, &'static str>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready(self.0.pop_front())
        }
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn an_answer_within_the_limit_is_kept_and_passed_on() {
        let captured = capture(Frames([data("ab"), data("cd")].into()), 4).await.expect("whole");
        assert_eq!(captured.kept.as_deref(), Some(&b"abcd"[..]));
        assert_eq!(captured.body.collect().await.expect("whole").to_bytes(), "abcd");
    }

    #[tokio::test]
    async fn a_larger_answer_is_passed_on_whole_and_not_kept() {
        let captured = capture(Frames([data("ab"), data("cde"), data("f")].into()), 4).await.expect("whole");
        assert_eq!(captured.kept, None);
        assert_eq!(captured.body.collect().await.expect("whole").to_bytes(), "abcdef");
    }

    #[tokio::test]
    async fn an_answer_that_declares_to_be_larger_is_not_read() {
        let body = http_body_util::Full::new(Bytes::from_static(b"abcde"));
        let captured = capture(body, 4).await.unwrap_or_else(|never: Infallible| match never {});
        assert_eq!(captured.kept, None);
        assert_eq!(captured.body.size_hint().exact(), Some(5));
    }

    #[tokio::test]
    async fn trailers_are_passed_on() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = Frames([data("ab"), Ok(Frame::trailers(trailers.clone()))].into());
        let collected = capture(frames, 4).await.expect("whole").body.collect().await.expect("whole");
        assert_eq!(collected.trailers(), Some(&trailers));
        assert_eq!(collected.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_told() {
        let broken = capture(Frames([data("ab"), Err("reset")].into()), 4).await;
        assert_eq!(broken.err(), Some("reset"));
    }
}
