//! The response body of the layers that may answer in place of the inner service.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

/// The inner service's body, or one that a layer wrote in its place.
#[pin_project(project = BodyProjection)]
#[derive(Debug)]
pub struct ResponseBody<B> {
    #[pin]
    kind: Kind<B>,
}

#[pin_project(project = KindProjection)]
#[derive(Debug)]
enum Kind<B> {
    Inner(#[pin] B),
    Own { data: Option<Bytes>, trailers: Option<Box<HeaderMap>> },
    Resumed { read: Option<Bytes>, rest: Pin<Box<B>> },
}

impl<B> ResponseBody<B> {
    /// Passes the inner service's body on.
    pub const fn inner(body: B) -> Self {
        Self { kind: Kind::Inner(body) }
    }

    /// What was read of the inner service's body, and then the rest of it.
    pub(crate) fn resumed(read: Bytes, rest: Pin<Box<B>>) -> Self {
        let read = Some(read).filter(|read| !read.is_empty());
        Self { kind: Kind::Resumed { read, rest } }
    }

    /// A body of these bytes.
    pub fn full(data: impl Into<Bytes>) -> Self {
        let data = Some(data.into()).filter(|data| !data.is_empty());
        Self { kind: Kind::Own { data, trailers: None } }
    }

    /// A body of these bytes, and trailers behind it.
    pub fn with_trailers(data: impl Into<Bytes>, trailers: HeaderMap) -> Self {
        let data = Some(data.into()).filter(|data| !data.is_empty());
        Self { kind: Kind::Own { data, trailers: Some(Box::new(trailers)) } }
    }
}

impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Own { data: None, trailers: None } }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner(body) => body.poll_frame(cx),
            KindProjection::Own { data, trailers } => Poll::Ready(match data.take() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))),
            }),
            KindProjection::Resumed { read, rest } => match read.take() {
                Some(read) => Poll::Ready(Some(Ok(Frame::data(read)))),
                None => rest.as_mut().poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner(body) => body.is_end_stream(),
            Kind::Own { data, trailers } => data.is_none() && trailers.is_none(),
            Kind::Resumed { read, rest } => read.is_none() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner(body) => body.size_hint(),
            Kind::Own { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Kind::Resumed { read, rest } => {
                let read = read.as_ref().map_or(0, |read| read.len() as u64);
                let rest = rest.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower().saturating_add(read));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper.saturating_add(read));
                }
                hint
            }
        }
    }
}
