//! Hints that a delivery may have become due: within the process at once, between processes over LISTEN and NOTIFY.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Config, types::Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{core::Core, fault, pool::Params, schema::Schema};

/// Between two notifications of one process: a worker that is told forty times a second is up to date.
const NOTIFY_EVERY: Duration = Duration::from_millis(25);

/// Between two attempts to listen again.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// How long a connection that listens may take to be made.
const LISTEN_WITHIN: Duration = Duration::from_secs(10);

/// Where workers wait for hints.
#[derive(Debug)]
pub(super) struct Hints {
    given: Arc<Notify>,
    /// Listens for as long as the store is there.
    _listener: Option<Listener>,
}

impl Hints {
    /// Of this process alone.
    pub(super) fn local() -> Self {
        Self { given: Arc::new(Notify::new()), _listener: None }
    }

    /// Of every process.
    pub(super) fn listening(direct: Config, tls: MakeRustlsConnect, schema: Schema) -> Self {
        let given = Arc::new(Notify::new());
        let listener = Listener(tokio::spawn(listen(direct, tls, schema, Arc::clone(&given))));
        Self { given, _listener: Some(listener) }
    }

    pub(super) fn give(&self) {
        self.given.notify_waiters();
    }

    /// Counts from the call, and not from when it is first polled.
    pub(super) fn next(&self) -> Notified<'_> {
        self.given.notified()
    }
}

#[derive(Debug)]
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn listen(direct: Config, tls: MakeRustlsConnect, schema: Schema, given: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&direct, tls.clone(), &schema, &given).await {
            tracing::warn!(error = fault::chain(&error), "not told of new deliveries for now");
        }
        sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(
    direct: &Config,
    tls: MakeRustlsConnect,
    schema: &Schema,
    given: &Notify,
) -> Result<(), tokio_postgres::Error> {
    let Ok(connected) = timeout(LISTEN_WITHIN, direct.connect(tls)).await else { return Ok(()) };
    let (client, mut connection) = connected?;
    let command = format!("LISTEN \"{}\"", schema.channel());
    let mut asked = std::pin::pin!(client.batch_execute(&command));
    let mut listening = false;
    loop {
        tokio::select! {
            answer = &mut asked, if !listening => {
                answer?;
                listening = true;
                // What came while nobody listened.
                given.notify_waiters();
            }
            message = poll_fn(|cx| connection.poll_message(cx)) => match message {
                Some(Ok(AsyncMessage::Notification(_))) => given.notify_waiters(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
        }
    }
}

/// Tells other processes. In a transaction of its own and not with the put: commits that notify wait for each other
/// over all of the server, disk included.
#[derive(Debug)]
pub(super) struct Notifier {
    enabled: bool,
    channel: Box<str>,
    wanted: AtomicBool,
    telling: AtomicBool,
}

impl Notifier {
    pub(super) fn new(enabled: bool, channel: &str) -> Self {
        let (wanted, telling) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { enabled, channel: channel.into(), wanted, telling }
    }

    pub(super) fn tell(&self, core: &Arc<Core>) {
        if !self.enabled {
            return;
        }
        self.wanted.store(true, Ordering::SeqCst);
        if !self.telling.swap(true, Ordering::SeqCst) {
            tokio::spawn(tell_all(Arc::clone(core)));
        }
    }
}

async fn tell_all(core: Arc<Core>) {
    let notifier = &core.notifier;
    loop {
        while notifier.wanted.swap(false, Ordering::SeqCst) {
            let channel: &str = &notifier.channel;
            let params: &Params<'_> = &[(&channel, Type::TEXT)];
            // A lost hint costs a moment, so nobody waits for the disk.
            let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')";
            if let Err(error) = core.reads(sql, params).await {
                tracing::debug!(%error, "workers elsewhere were not told of a delivery");
            }
            sleep(NOTIFY_EVERY).await;
        }
        notifier.telling.store(false, Ordering::SeqCst);
        // Somebody may have come between the two.
        if !notifier.wanted.load(Ordering::SeqCst) || notifier.telling.swap(true, Ordering::SeqCst) {
            return;
        }
    }
}
