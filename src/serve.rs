//! hyper with its timers set: what a layer cannot do.

mod activity;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
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
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::BoxError;
use tower_service::Service;

use crate::defaults;

#[cfg(not(feature = "axum"))]
use crate::client_ip::PeerAddr as PeerInfo;
use activity::{Activity, AnswerBody, Answering, Next, Watch};
/// One extension and not two: each costs a request an allocation.
#[cfg(feature = "axum")]
use axum::extract::ConnectInfo as PeerInfo;

/// Serves a tower service over HTTP/1 and HTTP/2, and stands open for nobody.
#[derive(Debug, Clone)]
pub struct Server {
    header_deadline: Duration,
    idle_deadline: Duration,
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
            idle_deadline: defaults::IDLE_DEADLINE,
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

    /// A connection that has been answered and asks nothing more for so long is ended, in HTTP/2 with a `GOAWAY`. One that
    /// speaks HTTP/1 is ended by the header deadline, where that is shorter.
    #[must_use]
    pub const fn idle_deadline(mut self, deadline: Duration) -> Self {
        self.idle_deadline = deadline;
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
    /// Each request has the peer's address in its extensions, as axum's `ConnectInfo` where the feature `axum` is on and
    /// as [`PeerAddr`](crate::client_ip::PeerAddr) otherwise; [`client_ip`](crate::client_ip) reads both.
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
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
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

/// Whether a peer has caused it by leaving. A pause after that would let one peer hold up all others.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

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
        let activity = Arc::new(Activity::default());
        let service = WithPeer { inner: service, peer, activity: Arc::clone(&activity) };
        let builder = server.hyper();
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
        let watch = Watch::new(Instant::now(), server.header_deadline, server.idle_deadline);
        let mut check = pin!(tokio::time::sleep_until(watch.first_check()));
        let (mut stopping, mut ending) = (false, false);
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
                () = check.as_mut(), if !stopping => match watch.judge(activity.doing(), Instant::now(), ending) {
                    Next::CheckAt(moment) => check.as_mut().reset(moment),
                    Next::End => {
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                        check.as_mut().reset(Instant::now());
                    }
                    Next::Close => {
                        tracing::debug!(%peer, "connection closed: no request came");
                        break;
                    }
                },
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
    activity: Arc<Activity>,
}

impl<S, R> Service<Request<Incoming>> for WithPeer<S>
where
    S: Service<Request<Incoming>, Response = Response<R>>,
{
    type Response = Response<AnswerBody<R>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.begin();
        request.extensions_mut().insert(PeerInfo(self.peer));
        Answering::new(self.inner.call(request), in_flight)
    }
}
