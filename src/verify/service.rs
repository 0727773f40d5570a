//! From a request to a verified delivery.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header, request::Parts};
use tower::ServiceExt;
use tower_service::Service;
use tracing::Instrument;

use super::{
    Received,
    collect::{collect, drain},
    layer::Settings,
};
use crate::{
    client_ip,
    delivery::{Delivery, Endpoint, Fresh, Unverified, Verified},
    grpc, handshake,
    rejection::{RefusalBody, Rejection},
    span,
};

/// A service behind [`VerifyLayer`](super::VerifyLayer).
#[derive(Clone)]
pub struct Verify<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Verify<S> {
    pub(super) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S: fmt::Debug> fmt::Debug for Verify<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Verified<Fresh>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Unverified,
    R: RefusalBody + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = PassedOn<R, S::Error>;

    /// Always ready: a permit of the inner service is taken once the delivery is verified, and not for as long as a
    /// stranger takes over a body.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Asked for once: the header is wanted here and by every layer behind.
        let is_grpc = grpc::is_grpc(request.headers());
        let inner = self.inner.clone();
        pass_on(Arc::clone(&self.settings), request, is_grpc, |_, verified| inner.oneshot(*verified))
    }
}

/// A request that is verified and then answered by what stands behind.
pub(crate) type PassedOn<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

/// Verifies a request and hands it to `next`, together with what holds the settings.
pub(crate) fn pass_on<H, B, F, R, E>(
    holder: H,
    request: Request<B>,
    is_grpc: bool,
    next: impl FnOnce(H, Box<Request<Verified<Fresh>>>) -> F + Send + 'static,
) -> PassedOn<R, E>
where
    H: AsRef<Settings> + Send + Sync + 'static,
    B: Unverified,
    F: Future<Output = Result<Response<R>, E>> + Send,
    R: RefusalBody,
{
    // Taken apart out here: what is moved within the block takes its place in the future twice.
    let (mut head, body) = request.into_parts();
    Box::pin(async move {
        let settings: &Settings = holder.as_ref();
        let delivery = match settings.receive(&head, is_grpc, body).await {
            Ok(delivery) => delivery,
            Err(rejection) => {
                let span = span::of_unverified(&head.extensions, Some(&settings.endpoint));
                return Ok(span.in_scope(|| rejection.into_response()));
            }
        };
        let span = span::of_delivery(&delivery);
        tracing::debug!(parent: &span, "delivery verified");
        head.extensions.insert(Arc::clone(&delivery));
        let mut request = Box::new(Request::from_parts(head, Verified::received(delivery, is_grpc)));
        unlimited(&mut request);
        let answer = span.in_scope(|| next(holder, request));
        answer.instrument(span).await
    })
}

/// axum limits every body to 2 MB; this one has been held to a limit of its own.
#[cfg(feature = "axum")]
fn unlimited<B>(request: &mut Request<B>) {
    axum::extract::DefaultBodyLimit::disable().apply(request);
}

#[cfg(not(feature = "axum"))]
const fn unlimited<B>(_: &mut Request<B>) {}

impl Settings {
    /// Reads and judges a request. One that is refused is read to its end, within bounds, so that its sender has written
    /// all of it and reads the answer.
    async fn receive<B: Unverified>(
        &self,
        head: &Parts,
        is_grpc: bool,
        body: B,
    ) -> Result<Arc<Delivery>, Rejection> {
        let mut body = pin!(body);
        let received = self.read(head, is_grpc, body.as_mut()).await;
        let Err(rejection) = &received else { return received };
        let hopeless = matches!(rejection, Rejection::BodyTooSlow { .. } | Rejection::BodyBroken { .. });
        // A sender that waits for `100 Continue` has written nothing yet, and polling its body would ask for it.
        if !hopeless && !head.headers.contains_key(header::EXPECT) && !body.is_end_stream() {
            drain(body, &self.clock).await;
        }
        received
    }

    async fn read<B: Unverified>(
        &self,
        head: &Parts,
        is_grpc: bool,
        body: Pin<&mut B>,
    ) -> Result<Arc<Delivery>, Rejection> {
        self.look_behind(head)?;
        let hint = body.size_hint();
        // A body that something has wrapped may not know its length any more.
        self.look(head, is_grpc, hint.exact().unwrap_or_else(|| hint.lower().max(content_length(head))))?;
        let tenant = self.tenant.as_ref().and_then(|source| source.find(head));
        let prepared = self.verifier.prepare(head, tenant.as_ref()).await?;
        let mut share = self.budget.share();
        let body = collect(body, &self.limits, &mut share, &self.clock).await?;
        if handshake::signs_for_anybody(self.endpoint.provider(), &body) {
            return Err(Rejection::SignedForAnybody);
        }
        let url = self.public_url.as_deref().map(|base| signed_url(base, head));
        let now = self.clock.wall();
        let mut received = Received::new(head, &body, now);
        received.public_url = url.as_deref();
        received.tenant = tenant.as_ref();
        let verdict =
            self.verifier.verify(received, prepared).await.map_err(|rejection| self.doubt(rejection))?;
        Ok(Arc::new(Delivery {
            endpoint: Arc::clone(&self.endpoint),
            tenant,
            id: verdict.id,
            event_type: verdict.event_type,
            signed_at: verdict.signed_at,
            received_at: now,
            key_id: verdict.key_id,
            client_ip: client_ip::of(&head.extensions).ok(),
            body,
            signed_content: verdict.signed_content,
            share: Some(share),
        }))
    }

    /// Refuses a request that a stack of this endpoint has let pass before. A framework that erases bodies between two
    /// layers hides the first one from the types, and the second would take its delivery for a duplicate.
    fn look_behind(&self, head: &Parts) -> Result<(), Rejection> {
        let before = head.extensions.get::<Arc<Delivery>>().map(|delivery| delivery.endpoint());
        let same = |before: &Arc<Endpoint>| {
            before.name() == self.endpoint.name()
                && before.provider().name() == self.endpoint.provider().name()
        };
        if before.is_some_and(same) {
            return Err(Rejection::VerifiedTwice { endpoint: self.endpoint.name().into() });
        }
        Ok(())
    }

    /// What the head alone tells.
    fn look(&self, head: &Parts, is_grpc: bool, at_least: u64) -> Result<(), Rejection> {
        // Nearly no request has one, and to know that costs less than to list none.
        let is_coded = head.headers.contains_key(header::CONTENT_ENCODING);
        for coding in is_coded.then(|| head.headers.get_all(header::CONTENT_ENCODING)).into_iter().flatten() {
            if !coding.as_bytes().eq_ignore_ascii_case(b"identity") {
                let shown = coding.as_bytes().escape_ascii().take(SHOWN).map(char::from).collect();
                return Err(Rejection::ContentCoding { coding: shown });
            }
        }
        if is_grpc {
            grpc::check_head(&head.headers)?;
        }
        let limit = self.limits.bytes;
        if at_least > limit {
            return Err(Rejection::BodyTooLarge { limit, declared: Some(at_least) });
        }
        Ok(())
    }

    /// Too old, or expired, by a clock that is wrong is no fault of the sender's.
    fn doubt(&self, rejection: Rejection) -> Rejection {
        match rejection {
            Rejection::TimestampTooOld { age, .. } | Rejection::KeyExpired { age }
                if self.watch.doubts(&*self.clock) =>
            {
                Rejection::ClockImplausible { age }
            }
            other => other,
        }
    }
}

/// The length that the head declares; 0 where it declares none that is a number.
fn content_length(head: &Parts) -> u64 {
    let declared = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    declared.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Characters of a header's value that are shown in a log.
const SHOWN: usize = 128;

/// The URL that the sender signed: our public address with the path and query of the request as it arrived.
fn signed_url(base: &str, head: &Parts) -> String {
    let uri = original_uri(head);
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    format!("{base}{path}")
}

#[cfg(feature = "axum")]
pub(super) fn original_uri(head: &Parts) -> &http::Uri {
    head.extensions.get::<axum::extract::OriginalUri>().map_or(&head.uri, |original| &original.0)
}

#[cfg(not(feature = "axum"))]
pub(super) const fn original_uri(head: &Parts) -> &http::Uri {
    &head.uri
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, mem::size_of_val};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
    use tower::{Layer, service_fn};

    use super::*;
    use crate::{
        provider,
        verify::{KeyRing, SigningSecret, VerifyLayer},
    };

    /// Above a kilobyte the most used allocator, glibc's, keeps no cache for each thread, and the allocation alone costs
    /// every request as much as all checks but the HMAC.
    #[test]
    fn the_future_of_a_request_fits_an_allocators_cache() {
        let keys = KeyRing::new(SigningSecret::from_text("a secret of some length").unwrap());
        let layer = VerifyLayer::new(provider::GITHUB, keys).unwrap();
        let inner = service_fn(async |_: Request<Verified<Fresh>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let body: UnsyncBoxBody<Bytes, Infallible> = Full::<Bytes>::default().boxed_unsync();
        let future = layer.layer(inner).call(Request::new(body));
        assert!(size_of_val(&*future) <= 1024, "{} bytes", size_of_val(&*future));
    }
}
