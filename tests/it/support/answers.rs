//! Answers whose end says something else than their beginning.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tower::{service_fn, util::BoxCloneSyncService};

type Frames = Vec<Result<Frame<Bytes>, io::Error>>;

/// A body of these frames.
pub type Framed = StreamBody<tokio_stream::Iter<<Frames as IntoIterator>::IntoIter>>;

pub type Handler<B> = BoxCloneSyncService<Request<B>, Response<Framed>, Infallible>;

/// How the body of an answer with status 200 ends.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// With these trailers' `grpc-status`.
    GrpcStatus(u16),
    /// In the middle.
    Broken,
    Well,
}

fn answer(end: End) -> Response<Framed> {
    let mut frames: Frames = vec![Ok(Frame::data(Bytes::from_static(&[0; 5])))];
    match end {
        End::GrpcStatus(code) => {
            let trailers =
                HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from(code))]);
            frames.push(Ok(Frame::trailers(trailers)));
        }
        End::Broken => frames.push(Err(io::ErrorKind::ConnectionReset.into())),
        End::Well => {}
    }
    Response::new(StreamBody::new(tokio_stream::iter(frames)))
}

/// A handler that answers these one after the other, and well after that; and how often it has run.
pub fn answering<B: Send + 'static>(ends: &[End]) -> (Handler<B>, Arc<AtomicU32>) {
    let (ends, runs) = (ends.to_vec(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&runs);
    let handler = service_fn(move |_: Request<B>| {
        let run = counted.fetch_add(1, Ordering::SeqCst) as usize;
        let end = ends.get(run).copied().unwrap_or(End::Well);
        async move { Ok(answer(end)) }
    });
    (BoxCloneSyncService::new(handler), runs)
}
