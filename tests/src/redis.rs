//! A Redis of a test's own.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use crate::server::free_port;

/// A running server, killed at the end.
pub struct TestRedis {
    port: u16,
    process: Option<Child>,
    directory: TempDir,
}

impl TestRedis {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut redis = Self { port: free_port(), process: None, directory };
        redis.resume().await;
        redis
    }

    /// `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// It is gone, and what it counted with it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it on the same port.
    pub async fn resume(&mut self) {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &self.port.to_string()])
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: run tests/run.sh");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.command("PING").await.is_none_or(|reply| !reply.contains("PONG")) {
            assert!(Instant::now() < deadline, "redis-server does not start");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The reply to a command, as it comes.
    pub async fn command(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.ok()?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.ok()?;
        Some(reply)
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        self.kill();
    }
}
