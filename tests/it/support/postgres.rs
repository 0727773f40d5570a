//! Private Postgres servers, which tests may kill, pause and start again.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The account that servers run as when tests run as root, which Postgres refuses.
const ACCOUNT: &str = "postgres";

/// A server of its own: a temporary directory, a free port of the loopback address, a unix socket in the directory, and
/// logins without a password. Dropped, or left by a test process that died, it is killed and its directory deleted.
pub(crate) struct Postgres {
    directory: PathBuf,
    port: u16,
    running: Mutex<Option<Child>>,
    watchdog: Option<(Child, ChildStdin)>,
}

/// The server that most tests of this process share: each has a schema of its own there.
pub(crate) fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| Postgres::start(&["max_connections = 300"]))
}

/// A name that no other test uses.
pub(crate) fn fresh_schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Postgres {
    /// A server with these lines in its configuration.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_from(settings, |data| {
            run(as_account(&program("initdb"))
                .args(["--no-sync", "--auth=trust", "--username=postgres", "-D"])
                .arg(data));
        })
    }

    /// A server that keeps its log, in segments of 1 MiB, in this directory.
    pub(crate) fn start_with_log_on(directory: &Path) -> Self {
        Self::start_from(&["max_wal_size = '4MB'", "min_wal_size = '2MB'"], |data| {
            run(as_account(&program("initdb"))
                .args(["--no-sync", "--auth=trust", "--username=postgres", "--wal-segsize=1", "-X"])
                .arg(directory)
                .arg("-D")
                .arg(data));
        })
    }

    /// Goes on to the next segment of its log, if it can. Says whether the server has ended by itself.
    pub(crate) fn ends_when_it_writes_log(&self) -> bool {
        drop(self.try_sql("SELECT pg_logical_emit_message(true, '', repeat('x', 500000)), pg_switch_wal()"));
        let mut running = self.running.lock().expect("no test panicked with it");
        running.as_mut().is_none_or(|child| child.try_wait().expect("its end can be asked for").is_some())
    }

    /// A hot standby of this server.
    pub(crate) fn standby(&self) -> Self {
        Self::start_from(&[], |data| {
            let source = format!("--dbname={}", self.url("postgres"));
            run(as_account(&program("pg_basebackup"))
                .args([&source, "-R", "--checkpoint=fast", "-D"])
                .arg(data));
        })
    }

    fn start_from(settings: &[&str], make: impl FnOnce(&Path)) -> Self {
        let directory = temporary_directory();
        let data = directory.join("data");
        make(&data);
        let port = free_port();
        let mut configuration = fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .expect("the data directory has a configuration");
        writeln!(
            configuration,
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nfsync = on\n\
             wal_level = replica\n{}",
            directory.display(),
            settings.join("\n")
        )
        .expect("a line is written");
        let watchdog = watchdog(&directory);
        let server = Self { directory, port, running: Mutex::new(None), watchdog: Some(watchdog) };
        server.start_again();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Over TCP.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Over the unix socket.
    pub(crate) fn socket_url(&self) -> String {
        format!("host={} port={} user=postgres dbname=postgres", self.directory.display(), self.port)
    }

    /// Where the server's files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts it, after a kill, and waits until it takes connections.
    pub(crate) fn start_again(&self) {
        let mut running = self.running.lock().expect("no test panicked with it");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.join("log"))
            .expect("the log is opened");
        let child = as_account(&program("postgres"))
            .arg("-D")
            .arg(self.directory.join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log is opened twice"))
            .stderr(log)
            .spawn()
            .expect("postgres starts");
        *running = Some(child);
        drop(running);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.try_sql("SELECT 1").is_err() {
            assert!(Instant::now() < deadline, "Postgres did not start:\n{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL to every process of it, as when the machine is reset, save that what is in the page cache stays.
    pub(crate) fn kill(&self) {
        self.signal("KILL");
        let mut running = self.running.lock().expect("no test panicked with it");
        if let Some(mut child) = running.take() {
            child.wait().expect("a killed server ends");
        }
        drop(running);
        // What is left of it keeps a new one from starting.
        thread::sleep(Duration::from_millis(200));
    }

    /// Stops every process of it; they answer nothing until [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets them go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let postmaster = match &*self.running.lock().expect("no test panicked with it") {
            Some(child) => child.id(),
            None => return,
        };
        // Twice: it may have made another one while the list was read.
        for _ in 0..2 {
            let mut processes = children(postmaster);
            processes.insert(0, postmaster);
            let processes: Vec<String> = processes.iter().map(ToString::to_string).collect();
            let _ =
                Command::new("kill").arg(format!("-{name}")).args(processes).stderr(Stdio::null()).status();
        }
    }

    /// Runs statements, each in a transaction of its own.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.try_sql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    fn try_sql(&self, statements: &str) -> Result<String, String> {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url("postgres")]);
        psql.env("PGCONNECT_TIMEOUT", "5");
        for statement in statements.split(";;") {
            psql.args(["-c", statement]);
        }
        let output = psql.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Sets a setting for all sessions, those that are open included.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.sql(&format!("ALTER SYSTEM SET {name} = {value};;SELECT pg_reload_conf()"));
        let wanted = value.trim_matches('\'');
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.sql(&format!("SHOW {name}")) != wanted {
            assert!(Instant::now() < deadline, "{name} did not become {value}");
            thread::sleep(Duration::from_millis(20));
        }
        // Sessions that wait for their next statement read the file a moment later.
        thread::sleep(Duration::from_millis(100));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.signal("KILL");
        if let Ok(mut running) = self.running.lock()
            && let Some(mut child) = running.take()
        {
            let _ = child.wait();
        }
        if let Some((mut watchdog, line)) = self.watchdog.take() {
            drop(line);
            let _ = watchdog.wait();
        }
    }
}

/// A pgbouncer that hands out connections by the transaction.
pub(crate) struct Pgbouncer {
    child: Child,
    port: u16,
    directory: PathBuf,
}

impl Pgbouncer {
    /// In front of `server`, with so many connections to it.
    pub(crate) fn start(server: &Postgres, connections: usize) -> Self {
        let directory = temporary_directory();
        let port = free_port();
        let users = directory.join("users");
        fs::write(&users, "\"postgres\" \"\"\n").expect("the users are written");
        let configuration = directory.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = {connections}\nmax_client_conn = 200\nserver_reset_query =\n",
            server.port(),
            users.display()
        );
        fs::write(&configuration, text).expect("the configuration is written");
        let log = fs::File::create(directory.join("log")).expect("the log is made");
        let child = as_account(&installed("pgbouncer", &["/usr/sbin", "/usr/local/bin"], "pgbouncer"))
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("pgbouncer starts");
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "pgbouncer did not start");
            thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, directory }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Pgbouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Kills the server and deletes its directory once this process is gone, whatever way it went.
fn watchdog(directory: &Path) -> (Child, ChildStdin) {
    let script = "read -r _; pid=$(head -1 \"$0/data/postmaster.pid\" 2>/dev/null) && kill -KILL $pid $(ps -o pid= --ppid $pid) \
                  2>/dev/null; sleep 0.1; rm -rf \"$0\"";
    let mut child = Command::new("bash")
        .args(["-c", script])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("bash starts");
    let line = child.stdin.take().expect("its input is a pipe");
    (child, line)
}

/// A directory that the servers' account may use.
fn temporary_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("tower-webhook-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).expect("a temporary directory is made");
    if let Some((user, group)) = account() {
        std::os::unix::fs::chown(&directory, Some(user), Some(group)).expect("root may give it away");
    }
    directory
}

/// Lets the servers' account have it.
pub(crate) fn give_away(path: &Path) {
    if let Some((user, group)) = account() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may give it away");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it has an address").port()
}

/// Where Debian and others put the server's programs; `initdb` and `postgres` are not on everybody's path.
fn program(name: &str) -> PathBuf {
    static DIRECTORIES: OnceLock<Vec<String>> = OnceLock::new();
    let directories = DIRECTORIES.get_or_init(|| {
        let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
            .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
            .unwrap_or_default();
        versions.sort();
        versions.reverse();
        let versions = versions.iter().map(|path| path.display().to_string());
        versions.chain(["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(String::from)).collect()
    });
    let directories: Vec<&str> = directories.iter().map(String::as_str).collect();
    installed(name, &directories, "postgresql")
}

fn installed(name: &str, directories: &[&str], package: &str) -> PathBuf {
    directories
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!("{name} is not installed: apt-get install {package}, or run scripts/services")
        })
}

/// Runs as the account when this process is root.
fn as_account(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(std::env::temp_dir());
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
    command
}

fn account() -> Option<(u32, u32)> {
    static ACCOUNT_IDS: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *ACCOUNT_IDS.get_or_init(|| {
        let is_root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        is_root.then(|| {
            let accounts = fs::read_to_string("/etc/passwd").expect("the accounts are readable");
            let line = accounts.lines().find(|line| line.split(':').next() == Some(ACCOUNT)).unwrap_or_else(|| {
                panic!("there is no account {ACCOUNT}, and Postgres refuses to run as root: apt-get install postgresql")
            });
            let mut numbers = line.split(':').skip(2).map(|field| field.parse().expect("an account has numbers"));
            (numbers.next().expect("a user"), numbers.next().expect("a group"))
        })
    })
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which stands in parentheses: the state, and then the parent.
        let rest = stat.rsplit(')').next().unwrap_or_default().split_whitespace().nth(1).map(str::to_owned);
        rest.and_then(|text| text.parse().ok()) == Some(parent)
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

fn run(command: &mut Command) {
    let Output { status, stderr, .. } = command.output().expect("the program starts");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
}
