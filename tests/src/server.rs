//! A real server process for a test: on a free port, with a database of its own.

use std::{
    any::Any,
    env, fs,
    io::{Read as _, Seek as _, SeekFrom},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::spin::Application;

/// What tests sign and derive with: long enough, and nobody's.
pub const JWT_SECRET_KEY: &str = "the tests' own root key, of no use to anyone else";
/// The same for refresh tokens.
pub const JWT_REFRESH_SECRET_KEY: &str = "the tests' own refresh key, of no use to anyone else";

/// For how long a process may take to be ready on a busy machine.
const STARTUP: Duration = Duration::from_secs(60);
/// For how long it may take to finish after SIGTERM.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// Where a server keeps its state: a URL, and what keeps it alive.
#[derive(Clone)]
pub struct Database {
    url: String,
    /// Removed with the last clone.
    _keep: Arc<dyn Any + Send + Sync>,
}

impl Database {
    /// A new SQLite file in a directory of its own.
    pub fn sqlite() -> Self {
        let directory = tempfile::Builder::new().prefix("authly-sqlite-").tempdir().expect("a temporary directory");
        let url = format!("sqlite://{}", directory.path().join("authly.db").display());
        Self { url, _keep: Arc::new(directory) }
    }

    /// A database that exists for as long as `keep`.
    pub fn new(url: String, keep: impl Any + Send + Sync) -> Self {
        Self { url, _keep: Arc::new(keep) }
    }

    /// `DATABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The program under test: `authly`, or one that was built beside it.
pub fn program(name: &str) -> PathBuf {
    let authly = env::var_os("AUTHLY_BIN").map_or_else(
        || {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
            let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
            target.join("debug").join("authly")
        },
        PathBuf::from,
    );
    let path = if name == "authly" { authly } else { authly.with_file_name(name) };
    assert!(
        path.is_file(),
        "{} is not there: build it first (`cargo build --workspace`), set AUTHLY_BIN, or use tests/run.sh",
        path.display()
    );
    path
}

/// What runs.
#[derive(Clone, Debug)]
pub enum Program {
    /// The container's: `authly serve`.
    Authly,
    /// The same of another build, or by a link that is changed before a restart.
    File(PathBuf),
    /// A Spin application in the tests' own host.
    Spin(Application),
}

impl Program {
    fn command(&self, port: u16, variables: &[(String, String)]) -> Command {
        match self {
            Self::Authly => Self::File(program("authly")).command(port, variables),
            Self::File(path) => {
                let mut command = Command::new(path);
                // Nothing of the developer's own settings leaks in.
                command.arg("serve").env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
                command
            }
            Self::Spin(application) => application.command(port, variables),
        }
    }
}

struct Process {
    child: Child,
}

impl Process {
    fn spawn(mut command: Command, directory: &Path, log: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("the log file opens");
        let child = command
            .envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "LLVM_PROFILE_FILE"))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle"))
            .stderr(log)
            .spawn()
            .expect("the server starts");
        Self { child }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process dies of SIGKILL all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running server. Dropping it kills the process; when a test is failing, its log is printed.
pub struct TestServer {
    program: Program,
    process: Mutex<Option<Process>>,
    database: Database,
    variables: Vec<(String, String)>,
    port: u16,
    directory: TempDir,
}

impl TestServer {
    /// Starts a server on this database. `variables` override the tests' defaults, `NAME_FILE` that of `NAME` too;
    /// `{base}` in a value is replaced by the server's own base URL. It returns when the server is ready.
    pub async fn start(database: Database, variables: &[(&str, &str)]) -> Self {
        Self::start_program(Program::Authly, database, variables).await
    }

    /// The same with another program.
    pub async fn start_program(program: Program, database: Database, variables: &[(&str, &str)]) -> Self {
        // Between finding a port and binding it, somebody else may take it.
        for _ in 0..3 {
            let server = Self::launch(&program, &database, variables);
            if server.wait_until_ready().await {
                return server;
            }
        }
        let server = Self::launch(&program, &database, variables);
        if !server.wait_until_ready().await {
            let log = server.log();
            panic!("the server does not become ready; its log:\n{log}");
        }
        server
    }

    /// Starts a server on a new SQLite file.
    pub async fn sqlite(variables: &[(&str, &str)]) -> Self {
        Self::start(Database::sqlite(), variables).await
    }

    fn launch(program: &Program, database: &Database, overrides: &[(&str, &str)]) -> Self {
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let directory = tempfile::Builder::new().prefix("authly-server-").tempdir().expect("a temporary directory");
        let mut variables: Vec<(String, String)> = [
            ("HOST", "127.0.0.1"),
            ("PORT", &port.to_string()),
            ("ISSUER_URL", &base),
            ("DATABASE_URL", database.url()),
            ("ENVIRONMENT", "development"),
            ("JWT_SECRET_KEY", JWT_SECRET_KEY),
            ("JWT_REFRESH_SECRET_KEY", JWT_REFRESH_SECRET_KEY),
            // All tests come from one address.
            ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1000000"),
            // Password hashing is not what these tests are about.
            ("ARGON2_MEMORY_KIB", "8192"),
            ("ARGON2_ITERATIONS", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        for (name, value) in overrides {
            variables.retain(|(known, _)| known != name && Some(known.as_str()) != name.strip_suffix("_FILE"));
            variables.push(((*name).to_owned(), value.replace("{base}", &base)));
        }
        let process = Mutex::new(None);
        let (program, database) = (program.clone(), database.clone());
        let server = Self { program, process, database, variables, port, directory };
        server.spawn();
        server
    }

    fn spawn(&self) {
        let command = self.program.command(self.port, &self.variables);
        let process = Process::spawn(command, self.directory.path(), &self.log_path());
        *self.process() = Some(process);
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `http://127.0.0.1:<port>`, without a path.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The configured issuer identifier.
    pub fn issuer(&self) -> &str {
        self.variable("ISSUER_URL").expect("it is always set")
    }

    /// A variable that the server was started with.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether Spin's host runs it.
    pub fn is_on_spin(&self) -> bool {
        matches!(self.program, Program::Spin(_))
    }

    /// Whether requests are spread over instances that live on, each with caches of its own.
    pub fn has_several_instances(&self) -> bool {
        matches!(&self.program, Program::Spin(application) if application.is_reused())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The working directory, for what the server writes there.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Everything that the process wrote so far, through all restarts.
    pub fn log(&self) -> String {
        read_from(&self.log_path(), 0)
    }

    /// Waits until this is in the log, and returns all of it.
    pub async fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + STARTUP;
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(Instant::now() < deadline, "{text:?} is not logged:\n{log}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs another command of the program with the same variables, to its end, and returns what it said.
    pub fn run(&self, arguments: &[&str]) -> String {
        let (is_success, text) = self.try_run(arguments);
        assert!(is_success, "{arguments:?}: {text}");
        text
    }

    /// The same, and whether it reported success.
    pub fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(program("authly"))
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Where that is kept.
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// The process's resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most that it ever was.
    pub fn peak_resident_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    fn memory_kib(&self, which: &str) -> u64 {
        memory_kib(self.process().as_ref().expect("it runs").child.id(), which)
    }

    /// The processor time that the process has used so far.
    pub fn cpu_time(&self) -> Duration {
        cpu_time(self.process().as_ref().expect("it runs").child.id()).expect("procfs")
    }

    /// Whether the process has ended by itself.
    pub fn has_exited(&self) -> bool {
        let mut process = self.process();
        process.as_mut().is_none_or(|process| process.child.try_wait().expect("a child of ours").is_some())
    }

    async fn wait_until_ready(&self) -> bool {
        let deadline = Instant::now() + STARTUP;
        while Instant::now() < deadline && !self.has_exited() {
            if self.is_ready().await {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// Whether `/health/ready` answers 200 at this moment.
    pub async fn is_ready(&self) -> bool {
        let path = match &self.program {
            Program::Spin(application) => application.readiness(),
            Program::Authly | Program::File(_) => "/health/ready",
        };
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).await?;
            std::io::Result::Ok(reply.starts_with(b"HTTP/1.1 200 "))
        };
        matches!(timeout(Duration::from_secs(5), ask).await, Ok(Ok(true)))
    }

    /// SIGKILL: no time for anything.
    pub fn kill9(&self) {
        *self.process() = None;
    }

    /// SIGTERM, without waiting for the end.
    pub fn signal_terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self.process().as_ref().expect("it runs").pid();
        kill_process(pid, signal).expect("a child of ours");
    }

    /// SIGTERM, and waits for the end. Returns whether the process reported success.
    pub async fn terminate(&self) -> bool {
        self.signal_terminate();
        self.wait_for_exit().await
    }

    /// Waits until the process has ended by itself. Returns whether it reported success.
    pub async fn wait_for_exit(&self) -> bool {
        let deadline = Instant::now() + SHUTDOWN;
        while Instant::now() < deadline {
            let status = {
                let mut process = self.process();
                process.as_mut().expect("it ran").child.try_wait().expect("a child of ours")
            };
            if let Some(status) = status {
                *self.process() = None;
                return status.success();
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("the server did not end in {SHUTDOWN:?}; its log:\n{}", self.log());
    }

    /// Starts it again on the same database and port, however it ended. It returns when the server is ready.
    pub async fn restart(&self) {
        self.kill9();
        self.spawn();
        assert!(self.wait_until_ready().await, "the server does not start again; its log:\n{}", self.log());
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        *self.process() = None;
        if std::thread::panicking() {
            eprintln!("--- log of the server at {} ---\n{}--- end ---", self.base(), self.log());
        }
    }
}

/// How much memory a process has, in KiB, by the name of a line of its status (proc(5)), such as `VmRSS:`.
pub fn memory_kib(pid: u32, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("procfs");
    let line = status.lines().find_map(|line| line.strip_prefix(which)).expect("a process has memory");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// The processor time that a process has used, in user and in kernel mode; `None` where there is no such process.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 14 and 15, counted behind the name in parentheses, in hundredths of a second (proc(5)).
    let ticks = stat.rsplit_once(") ")?.1.split(' ').skip(11).take(2).map(str::parse::<u64>);
    ticks.sum::<Result<u64, _>>().ok().map(|ticks| Duration::from_millis(ticks * 10))
}

/// The text of a growing file from `offset` on.
pub fn read_from(path: &Path, offset: u64) -> String {
    let Ok(mut file) = fs::File::open(path) else {
        return String::new();
    };
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset)).expect("a regular file");
    file.read_to_end(&mut bytes).expect("a readable file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
