//! A Redis server of a test's own, which it may kill, pause and set as it likes.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

/// How long a server may take to come up; far more than it needs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct RedisServer {
    port: u16,
    directory: PathBuf,
    settings: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// A server that keeps claims.
    pub(crate) fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--maxmemory-policy", "noeviction"])
    }

    pub(crate) fn with(settings: &[&str]) -> Self {
        let mut server = Self::down(settings);
        server.restart();
        server
    }

    /// A server that is not running yet, on a port that is free.
    pub(crate) fn down(settings: &[&str]) -> Self {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("tower-webhook-redis-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Self { port, directory, settings, process: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts it, on the same port and with the files that are there.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "it is running");
        let mut command = Command::new(binary());
        command.args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--port"]);
        command.arg(self.port.to_string()).arg("--dir").arg(&self.directory).args(&self.settings);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while !self.command("PING").is_ok_and(|answer| answer == "+PONG") {
            assert!(begun.elapsed() < PATIENCE, "the server did not come up on port {}", self.port);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it is running");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// SIGSTOP: connections stay open, and nobody answers.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it is running").id().to_string();
        let status = Command::new("kill").args(["-s", signal, &process]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) fn set(&self, setting: &str, value: &str) {
        assert_eq!(self.command(&format!("CONFIG SET {setting} {value}")).unwrap(), "+OK");
    }

    /// The first line of its answer to one command without blanks in its arguments.
    pub(crate) fn command(&self, line: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The one that `REDIS_SERVER` names, else Redis or Valkey from the path.
fn binary() -> String {
    let named = std::env::var("REDIS_SERVER").ok();
    let known = ["redis-server", "valkey-server"].map(str::to_owned);
    let runs = |binary: &String| {
        let version =
            Command::new(binary).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    named.map_or_else(|| known.to_vec(), |named| vec![named]).into_iter().find(runs).expect(
        "these tests start a Redis of their own, and find neither what REDIS_SERVER names nor redis-server nor \
         valkey-server on PATH: install one (Debian and Ubuntu: apt-get install -y redis-server; macOS: brew \
         install redis)",
    )
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come to pass");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
