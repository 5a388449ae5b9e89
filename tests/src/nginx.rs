//! nginx as `deploy/nginx` configures it, and clients that come to it over TLS from addresses of their own.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, pki_types::CertificateDer},
};

use crate::{
    server::{free_port, read_from},
    target::Target,
};

/// The name in the certificate. The tests' HTTP clients know that it is this machine.
pub const HOST: &str = "auth.example.com";
/// What the instances behind it are called.
pub const ISSUER: &str = "https://auth.example.com";
/// `nobody` on Debian: nginx runs as a user without any rights.
const NOBODY: u32 = 65534;
/// For how long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running nginx, stopped at the end.
pub struct Nginx {
    process: Child,
    directory: TempDir,
    certificate: CertificateDer<'static>,
    plain_port: u16,
    port: u16,
}

impl Nginx {
    /// In front of the instances at these ports of 127.0.0.1. `variables` are those of `deploy/nginx/render.sh`.
    pub async fn start(upstreams: &[u16], variables: &[(&str, &str)]) -> Self {
        for _ in 0..3 {
            let mut nginx = Self::launch(upstreams, variables);
            let deadline = Instant::now() + PATIENCE;
            while nginx.process.try_wait().expect("a child of ours").is_none() {
                if TcpStream::connect(("127.0.0.1", nginx.port)).await.is_ok() {
                    return nginx;
                }
                assert!(Instant::now() < deadline, "nginx does not listen");
                sleep(Duration::from_millis(10)).await;
            }
            // Somebody else took a port in between.
            eprintln!("nginx ended: {}", nginx.error_log());
        }
        panic!("nginx does not start");
    }

    fn launch(upstreams: &[u16], variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("authly-nginx-").tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        let signed = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
        fs::write(path("certificate.pem"), signed.cert.pem()).expect("it is written");
        fs::write(path("key.pem"), signed.signing_key.serialize_pem()).expect("it is written");
        fs::create_dir(path("acme")).expect("a directory");
        let (plain_port, port) = (free_port(), free_port());
        let instances: Vec<_> = upstreams.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let text = |name: &str| path(name).to_str().expect("temporary directories have plain names").to_owned();
        let settings = [
            ("AUTHLY_SERVER_NAME", HOST.to_owned()),
            ("AUTHLY_UPSTREAMS", instances.join(" ")),
            ("AUTHLY_CERTIFICATE", text("certificate.pem")),
            ("AUTHLY_CERTIFICATE_KEY", text("key.pem")),
            ("AUTHLY_LISTEN", "127.0.0.1".to_owned()),
            ("AUTHLY_HTTP_PORT", plain_port.to_string()),
            ("AUTHLY_HTTPS_PORT", port.to_string()),
            ("AUTHLY_NGINX_STATE", text("")),
            ("AUTHLY_NGINX_PID", text("nginx.pid")),
            ("AUTHLY_ACCESS_LOG", text("access.log")),
            ("AUTHLY_ERROR_LOG", text("error.log")),
            ("AUTHLY_ACME_ROOT", text("acme")),
        ];
        let rendered = Command::new(deploy().join("render.sh"))
            .envs(settings)
            .envs(variables.iter().copied())
            .output()
            .expect("a shell");
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        fs::write(path("nginx.conf"), rendered.stdout).expect("it is written");
        let mut command = Command::new("nginx");
        command
            .args(["-g", "daemon off;", "-e"])
            .arg(path("error.log"))
            .arg("-c")
            .arg(path("nginx.conf"))
            // Debian has it where only root looks.
            .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
            .stdin(Stdio::null());
        if geteuid().is_root() {
            let mut files: Vec<_> = ["certificate.pem", "key.pem", "acme", "nginx.conf"].map(path).into();
            files.push(directory.path().to_owned());
            for file in files {
                chown(file, Some(NOBODY), Some(NOBODY)).expect("root may do so");
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        fs::set_permissions(path("key.pem"), fs::Permissions::from_mode(0o400)).expect("it is ours");
        let process = command.spawn().expect("nginx is installed: run deploy/setup.sh");
        Self { process, certificate: signed.cert.der().clone(), directory, plain_port, port }
    }

    /// The port for TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port without.
    pub fn plain_port(&self) -> u16 {
        self.plain_port
    }

    /// A file of its directory: `certificate.pem`, the directory `acme`, …
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What it complained about.
    pub fn error_log(&self) -> String {
        read_from(&self.path("error.log"), 0)
    }

    /// Every request that it has answered so far, as its access log tells.
    pub fn requests(&self) -> Vec<Value> {
        let log = read_from(&self.path("access.log"), 0);
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// The same, as soon as there are so many for which this is true: a request is logged after it was answered.
    pub async fn wait_for_requests(&self, count: usize, which: impl Fn(&Value) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut requests = self.requests();
            requests.retain(&which);
            if requests.len() >= count {
                return requests;
            }
            assert!(Instant::now() < deadline, "{} of {count} are logged: {requests:?}", requests.len());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Clients that come from this address of the loopback network, such as 127.0.0.2.
    pub async fn clients_at(&self, address: [u8; 4]) -> Clients {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let task = tokio::spawn(relay(listener, address.into(), self.port, connector));
        Clients { port, task }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The workers go with the master only if that is asked to.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- nginx's error log ---\n{}--- end ---", self.error_log());
        }
    }
}

/// Where the configuration is.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").join("deploy/nginx")
}

/// Clients at one address: what they send to a port of this machine goes on to nginx over TLS.
pub struct Clients {
    port: u16,
    task: JoinHandle<()>,
}

impl Clients {
    /// The address that they use, as if there were no TLS.
    pub fn base(&self) -> String {
        format!("http://{HOST}:{}", self.port)
    }

    /// nginx as they see it, over a database.
    pub async fn target(&self, database_url: &str) -> Target {
        Target::new(&self.base(), ISSUER, database_url).await
    }

    /// Sends a request as it is, with everything that HTTP clients would put right, and returns the answer.
    pub async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut reply = Vec::new();
        // Whoever refuses a request may close the connection before it was read.
        let _ = stream.read_to_end(&mut reply).await;
        String::from_utf8_lossy(&reply).into_owned()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(listener: TcpListener, from: Ipv4Addr, to: u16, connector: TlsConnector) {
    while let Ok((mut near, _)) = listener.accept().await {
        let connector = connector.clone();
        tokio::spawn(async move {
            let socket = TcpSocket::new_v4()?;
            socket.bind((from, 0).into())?;
            let far = socket.connect((Ipv4Addr::LOCALHOST, to).into()).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let mut far = connector.connect(HOST.try_into().expect("a name"), far).await?;
            copy_bidirectional(&mut near, &mut far).await
        });
    }
}
