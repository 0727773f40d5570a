//! A webhook route behind a reverse proxy, which admits the sender's networks alone.
//!
//! It runs by itself: it serves on loopback, plays the proxy and the strangers, and prints what was sent and what was
//! answered. It ends with an error when an answer is not the promised one.
//!
//! ```sh
//! cargo run --example behind_proxy
//! ```

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::{error::Error, net::SocketAddr};

use axum::{Router, routing::post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceBuilder;
use tower_webhook::{ConfigError, allowlist::AllowlistLayer, client_ip::ClientIpLayer, serve::Server};

/// Where the sender's deliveries come from.
const SENDER: [&str; 2] = ["52.6.0.0/16", "2001:db8::/32"];

/// The route with its layers, on the route and not on the whole router: a path without a route stays a 404.
fn app(proxies: [&str; 1]) -> Result<Router, ConfigError> {
    let layers =
        ServiceBuilder::new().layer(ClientIpLayer::behind(proxies)?).layer(AllowlistLayer::new(SENDER)?);
    Ok(Router::new().route("/webhooks/billing", post(async || "processed").layer(layers)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Everything here connects from 127.0.0.1, so that is the proxy for one server and a stranger for the other.
    let behind_proxy = serve(app(["127.0.0.1"])?).await?;
    let reached_directly = serve(app(["10.0.0.0/8"])?).await?;

    let cases = [
        ("the proxy names the sender", behind_proxy, "52.6.7.8", 200),
        ("the same in an IPv6 coat", behind_proxy, "::ffff:52.6.7.8", 200),
        ("an IPv6 sender, with its port", behind_proxy, "[2001:db8::7]:40000", 200),
        ("the proxy names a stranger", behind_proxy, "203.0.113.9", 403),
        ("a stranger wrote an entry first", behind_proxy, "52.6.7.8, 203.0.113.9", 403),
        ("the proxy does not tell", behind_proxy, "52.6.7.8, unknown", 503),
        ("a stranger without the proxy", reached_directly, "52.6.7.8", 403),
    ];
    println!("{:<32} {:<24} answer  promised", "case", "X-Forwarded-For");
    let mut broken = 0;
    for (case, server, header, promised) in cases {
        let status = deliver(server, header).await?;
        println!("{case:<32} {header:<24} {status:<7} {promised}");
        broken += usize::from(status != promised);
    }
    if broken > 0 {
        return Err(format!("{broken} answers are not as promised").into());
    }
    Ok(())
}

async fn serve(app: Router) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // It tells the layers who is asking. With `axum::serve` that is `into_make_service_with_connect_info::<SocketAddr>()`,
    // without which the allowlist answers 503.
    tokio::spawn(Server::new().serve(listener, app, std::future::pending()));
    Ok(address)
}

async fn deliver(server: SocketAddr, forwarded_for: &str) -> Result<u16, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server).await?;
    let head = format!(
        "POST /webhooks/billing HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {forwarded_for}\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).ok_or("no status line")?;
    Ok(status.parse()?)
}
