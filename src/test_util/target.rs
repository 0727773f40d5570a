//! Where a sender sends to.

use bytes::{Bytes, BytesMut};
use http::{Request, Response, response::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{BoxError, Service, ServiceExt, util::BoxCloneSyncService};

use super::wire::WireBody;

/// Bytes of an answer that are kept.
const ANSWER: usize = 64 * 1024;

/// Whatever takes a delivery and answers it, its answer read to the end.
pub(super) type Target = BoxCloneSyncService<Request<WireBody>, (Parts, Bytes), BoxError>;

/// A service, in this process.
pub(super) fn service<S, R>(service: S) -> Target
where
    S: Service<Request<WireBody>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    R: Body + Send + 'static,
    R::Data: Send,
    R::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(tower::service_fn(move |request| {
        let service = service.clone();
        async move {
            let response = service.oneshot(request).await.map_err(Into::into)?;
            let (head, body) = response.into_parts();
            Ok((head, read(body).await?))
        }
    }))
}

/// A server, over TCP. Each delivery has a connection of its own, so that leaving it disturbs no other.
pub(super) fn http() -> Target {
    let client: Client<HttpConnector, WireBody> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new());
    service(client)
}

async fn read<R>(body: R) -> Result<Bytes, BoxError>
where
    R: Body,
    R::Error: Into<BoxError>,
{
    let (mut body, mut kept) = (std::pin::pin!(body), BytesMut::new());
    while let Some(frame) = body.frame().await {
        if let Ok(mut data) = frame.map_err(Into::into)?.into_data() {
            use bytes::Buf;
            let data = data.copy_to_bytes(data.remaining());
            kept.extend_from_slice(&data[..data.len().min(ANSWER - kept.len())]);
        }
    }
    Ok(kept.freeze())
}
