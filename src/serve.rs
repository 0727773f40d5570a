//! hyper with its timers set: what a layer cannot do.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::BoxError;
use tower_service::Service;

use crate::{client_ip::PeerAddr, defaults};

/// Serves a tower service over HTTP/1 and HTTP/2, and stands open for nobody.
#[derive(Debug, Clone)]
pub struct Server {
    header_deadline: Duration,
    connections: usize,
    drain_deadline: Duration,
    max_streams: u32,
    max_header_bytes: u32,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

/// What was in flight when the server stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that ended by themselves within the deadline.
    pub finished: usize,
    /// Connections that were cut off.
    pub cut_off: usize,
}

impl Server {
    /// A server with the limits of [`defaults`].
    pub const fn new() -> Self {
        Self {
            header_deadline: defaults::HEADER_DEADLINE,
            connections: defaults::CONNECTIONS,
            drain_deadline: defaults::DRAIN,
            max_streams: defaults::HTTP2_STREAMS,
            max_header_bytes: defaults::HEADER_BYTES,
        }
    }

    /// A request head must be complete by then, the first one and each one after it on a connection that is kept.
    #[must_use]
    pub const fn header_deadline(mut self, deadline: Duration) -> Self {
        self.header_deadline = deadline;
        self
    }

    /// Holds at most so many connections; further ones wait to be accepted.
    #[must_use]
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long shutdown waits for what is in flight.
    #[must_use]
    pub const fn drain_deadline(mut self, deadline: Duration) -> Self {
        self.drain_deadline = deadline;
        self
    }

    fn hyper(&self) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_deadline)
            .max_buf_size(self.max_header_bytes as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(defaults::HTTP2_PING)
            .keep_alive_timeout(self.header_deadline)
            .max_concurrent_streams(self.max_streams)
            .max_header_list_size(self.max_header_bytes);
        builder
    }

    /// Accepts connections until `shutdown` ends, then lets what is in flight finish, until the drain deadline.
    ///
    /// Each request has the peer's address in its extensions, as [`PeerAddr`] and, with the feature `axum`, as axum's
    /// `ConnectInfo`.
    ///
    /// # Errors
    ///
    /// When the listener fails for good. A failed accept (too many open files, say) is tried again after a pause.
    pub async fn serve<S, R>(
        self,
        listener: TcpListener,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<Drained>
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let places = Arc::new(Semaphore::new(self.connections.min(Semaphore::MAX_PERMITS)));
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let connection = Connection { server: self.clone(), stream, peer, place };
                    tasks.spawn(connection.run(service.clone(), stop.clone(), cut.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        stop.cancel();
        tasks.close();
        let open = tasks.len();
        let _ = tokio::time::timeout(self.drain_deadline, tasks.wait()).await;
        let cut_off = tasks.len();
        cut.cancel();
        tasks.wait().await;
        Ok(Drained { finished: open.saturating_sub(cut_off), cut_off })
    }
}

/// After an accept that failed, for want of file descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection, and its place among those that are held. Without a place none is accepted: it waits in the kernel.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

struct Connection {
    server: Server,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run<S, R>(self, service: S, stop: CancellationToken, cut: CancellationToken)
    where
        S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let Self { server, stream, peer, place } = self;
        // Answers are small, and each is written whole.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let asked = Arc::new(AtomicBool::new(false));
        let service = WithPeer { inner: service, peer, asked: Arc::clone(&asked) };
        let builder = server.hyper();
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let mut first_request = pin!(tokio::time::sleep(server.header_deadline));
        let (mut stopping, mut waiting) = (false, true);
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    break;
                }
                () = cut.cancelled() => break,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own timer starts once the protocol is known; until then nothing else ends a silent peer.
                () = first_request.as_mut(), if waiting => {
                    waiting = false;
                    if !asked.load(Ordering::Relaxed) {
                        tracing::debug!(%peer, "connection closed: no request came");
                        break;
                    }
                }
            }
        }
        drop(place);
    }
}

/// Tells each request who sent it, and the connection that one came.
#[derive(Clone)]
struct WithPeer<S> {
    inner: S,
    peer: SocketAddr,
    asked: Arc<AtomicBool>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for WithPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(PeerAddr(self.peer));
        #[cfg(feature = "axum")]
        request.extensions_mut().insert(axum::extract::ConnectInfo(self.peer));
        self.inner.call(request)
    }
}
