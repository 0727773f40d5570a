//! The server that is killed.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::Fault;

const PATIENCE: Duration = Duration::from_secs(60);

/// How it is started each time.
pub struct Settings {
    pub program: PathBuf,
    pub store: String,
    pub listen: SocketAddr,
    pub log: PathBuf,
    pub errors: PathBuf,
    pub secret: &'static str,
    pub lease: Duration,
    pub attempts: u32,
}

/// One life of a process. Dropped, it is killed.
pub struct Server {
    child: Child,
    /// Held, because a server that cannot write its last line would panic.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Settings {
    /// Starts it, and waits until it listens.
    pub async fn start(&self) -> Result<Server, Fault> {
        let mut command = Command::new(&self.program);
        command
            .args(["--store", &self.store, "--listen", &self.listen.to_string()])
            .args(["--attempts", &self.attempts.to_string()])
            .args(["--lease-ms", &self.lease.as_millis().to_string(), "--log"])
            .arg(&self.log)
            .env("WEBHOOK_SECRET", self.secret);
        Server::launch(command, &self.errors, "listening on http://").await
    }

    /// What an operator is told of the store.
    pub async fn admin(&self, task: &str) -> Result<String, Fault> {
        let asked = Command::new(&self.program)
            .args(["--store", &self.store, "--admin", task])
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, asked).await??;
        if !output.status.success() {
            return Err(format!("--admin {task}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

impl Server {
    /// Starts a process, and waits until its first line says that it is ready.
    pub async fn launch(mut command: Command, errors: &Path, ready: &str) -> Result<Self, Fault> {
        let errors = File::options().create(true).append(true).open(errors)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .map_err(|fault| format!("{:?}: {fault}", command.as_std().get_program()))?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        let mut output = BufReader::new(output).lines();
        let line = tokio::time::timeout(PATIENCE, output.next_line()).await??;
        if !line.as_deref().is_some_and(|line| line.starts_with(ready)) {
            return Err(format!("the server is not {ready}: it printed {line:?}").into());
        }
        Ok(Self { child, _output: output })
    }

    /// STOP: it goes on as if no time had passed after a CONT.
    pub async fn signal(&self, signal: &str) -> Result<(), Fault> {
        let pid = self.child.id().ok_or("the server ended by itself")?;
        Command::new("kill").args(["-s", signal, &pid.to_string()]).status().await?;
        Ok(())
    }

    /// SIGKILL. Ends once nothing of it is left.
    pub async fn kill(mut self) -> Result<(), Fault> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server ended by itself: {status}").into());
        }
        Ok(self.child.kill().await?)
    }

    /// SIGTERM, after which it must end by itself and well.
    pub async fn stop(mut self) -> Result<(), Fault> {
        let pid = self.child.id().ok_or("the server ended by itself")?;
        Command::new("kill").arg(pid.to_string()).status().await?;
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("the server did not stop well: {status}").into()) }
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> Result<ExitStatus, Fault> {
        Ok(self.child.wait().await?)
    }

    pub fn has_ended(&mut self) -> Result<bool, Fault> {
        Ok(self.child.try_wait()?.is_some())
    }
}

/// An address that the server can have each time.
pub fn free_address() -> Result<SocketAddr, Fault> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
