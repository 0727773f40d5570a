//! A network that loses the answer to a commit.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Passes everything on, until told to cut a connection at the server's next answer: after it has committed.
pub(crate) struct CuttingProxy {
    port: u16,
    pub(crate) cut_answers: Arc<AtomicBool>,
}

impl CuttingProxy {
    /// Cuts at any answer.
    pub(crate) async fn start(to: u16) -> Self {
        Self::cutting_at(to, b"").await
    }

    /// Cuts at Postgres's answer to a COMMIT of its own, and at no other.
    #[cfg(feature = "postgres")]
    pub(crate) async fn cutting_commits(to: u16) -> Self {
        Self::cutting_at(to, b"COMMIT\0").await
    }

    async fn cutting_at(to: u16, answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let cut_answers = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&cut_answers);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, to, Arc::clone(&cut), answer));
            }
        });
        Self { port, cut_answers }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn pass(client: TcpStream, to: u16, cut: Arc<AtomicBool>, answer: &'static [u8]) {
    let server = TcpStream::connect(("127.0.0.1", to)).await.expect("the server takes connections");
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
        let bytes = &bytes[..read];
        let meant = answer.is_empty() || bytes.windows(answer.len()).any(|window| window == answer);
        if (meant && cut.load(Ordering::SeqCst)) || to_client.write_all(bytes).await.is_err() {
            break;
        }
    }
    asking.abort();
}
