//! Thousands of clients that dribble, against a server that must not stand open for them, and one honest sender beside.
//!
//! ```text
//! cargo run --release --example bench_server -- --listen 127.0.0.1:3000 &
//! cargo run --release --example slow_clients -- 127.0.0.1:3000 10000 30
//! ```
//!
//! A third of the clients sends nothing, a third a head byte by byte, a third a body byte by byte. Prints how many are
//! still open at the end, and how long the honest deliveries took. `scripts/slow-connections` runs both and reads the
//! server's memory.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_webhook::{SigningSecret, provider, verify::Signing};

const SECRET: &str = "bench-secret";

/// Sends one byte of `text` a second, for ever or until the server closes.
async fn dribble(address: String, text: Vec<u8>) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.split();
    let write = async {
        for byte in text.iter().cycle() {
            writer.write_all(std::slice::from_ref(byte)).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    };
    let closed = async {
        let mut answer = [0; 1024];
        while reader.read(&mut answer).await? > 0 {}
        Ok(())
    };
    tokio::select! { ended = write => ended, ended = closed => ended }
}

async fn silent(address: String) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.read(&mut [0]).await.map(drop)
}

/// The head of a delivery that promises a body, and then the body byte by byte.
async fn slow_body(address: String) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(&address).await?;
    let signature = "0".repeat(64);
    let head = format!(
        "POST /stack HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\nx-github-delivery: 1\r\n\
         x-hub-signature-256: sha256={signature}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = [0; 1024];
    loop {
        stream.write_all(b"{").await?;
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

async fn honest(address: &str, until: Instant) -> Result<Vec<Duration>, Box<dyn Error + Send + Sync>> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let secret = SigningSecret::from_text(SECRET)?;
    let mut took = Vec::new();
    while Instant::now() < until {
        let mut request = Request::post(format!("http://{address}/stack")).body(Bytes::from_static(b"{}"))?;
        let id = format!("honest-{}", took.len());
        provider::GITHUB.sign(&mut request, &secret, &Signing::new(&id, SystemTime::now()))?;
        let started = Instant::now();
        let answer = client.request(request.map(Full::new)).await?;
        if !answer.status().is_success() {
            return Err(format!("an honest delivery was answered {}", answer.status()).into());
        }
        took.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(took)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, clients, seconds] = &arguments[..] else {
        eprintln!("usage: slow_clients ADDRESS:PORT CLIENTS SECONDS");
        std::process::exit(2);
    };
    let (clients, seconds): (usize, u64) = (clients.parse()?, seconds.parse()?);
    let open = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    for index in 0..clients {
        let (address, open, most) = (address.clone(), Arc::clone(&open), Arc::clone(&most));
        tokio::spawn(async move {
            most.fetch_max(open.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let ended = match index % 3 {
                0 => silent(address).await,
                1 => dribble(address, b"POST /stack HTTP/1.1\r\nx: ".to_vec()).await,
                _ => slow_body(address).await,
            };
            // A reset is how a server ends a connection that still sends.
            let _ = ended;
            open.fetch_sub(1, Ordering::Relaxed);
        });
        if index % 200 == 199 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut took = honest(address, Instant::now() + Duration::from_secs(seconds)).await?;
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "slow clients: {} at most, {} still open",
        most.load(Ordering::Relaxed),
        open.load(Ordering::Relaxed)
    );
    println!(
        "honest deliveries: {}, p50 {:.2?}, p99 {:.2?}, worst {:.2?}",
        took.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}
