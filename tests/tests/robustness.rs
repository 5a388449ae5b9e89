//! What happens when things go wrong around the server: it is killed, its database goes away, it is told to stop, or
//! everybody logs in at once.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use authly_native::postgres::{self, PostgresOptions};
use authly_tests::{
    container,
    http::{Form, RequestExt as _, encode, in_parallel},
    proxy::Link,
    server::{Database, Program, TestServer, program},
    storm::{kill_in_a_storm, outage, outage_by_proxy},
    target::{Person, Target, http_client},
};
use http::header;
use reqwest::{Client, RequestBuilder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

/// SIGKILL in the middle: no token is valid that should not be, none acknowledged is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_a_storm_of_refreshes_loses_nothing_on_sqlite() {
    kill_in_a_storm(TestServer::sqlite(&[]).await).await;
}

/// The same on Postgres, which goes on without the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_a_storm_of_refreshes_loses_nothing_on_postgres() {
    kill_in_a_storm(TestServer::start(container::postgres().await, &[]).await).await;
}

/// Nobody listens at the database's address: 503 within a second, on a machine that has something else to do as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_everything_is_503_and_service_resumes_by_itself() {
    outage_by_proxy(&Program::Authly, Link::Down, Duration::from_millis(2_500)).await;
}

/// The database accepts connections and says nothing: a hanging machine. That takes as long as a statement may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_silent_database_everything_is_503_and_service_resumes_by_itself() {
    outage_by_proxy(&Program::Authly, Link::Silent, Duration::from_secs(8)).await;
}

/// A private cluster that crashes: connections break, the server is gone, recovers, and refuses while it starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_postgres_loses_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start() else {
        // A server elsewhere was given, and none of our own can be made: the other two tests have no such needs.
        eprintln!("no PostgreSQL server programs on this machine");
        return;
    };
    let store = postgres::connect(&cluster.url, &PostgresOptions::default()).expect("an address");
    postgres::migrate(store.executor()).await.expect("the migrations apply");
    let server = TestServer::start(Database::new(cluster.url.clone(), ()), &[]).await;
    let target = container::target(&server).await;
    let run = async |command| {
        let cluster = cluster.directory.path().to_owned();
        tokio::task::spawn_blocking(move || postgres_sh(&cluster, command).expect(command)).await.expect("it ran");
    };
    outage(&target, &server, Duration::from_millis(2_500), async || run("halt").await, async || run("resume").await)
        .await;
}

/// A PostgreSQL server of this test alone.
struct Cluster {
    directory: tempfile::TempDir,
    url: String,
}

impl Cluster {
    fn start() -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("authly-cluster-").tempdir().expect("a temporary directory");
        // Its server may run as another user.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mine");
        let url = postgres_sh(directory.path(), "start");
        let is_given = std::env::var_os("DATABASE_URL").is_some();
        assert!(url.is_some() || is_given, "tests/postgres.sh cannot start a server");
        Some(Self { directory, url: url? })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = postgres_sh(self.directory.path(), "stop");
    }
}

fn postgres_sh(directory: &Path, command: &str) -> Option<String> {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres.sh"))
        .arg(command)
        .env("AUTHLY_TEST_POSTGRES_DIR", directory.join("state"))
        .output()
        .expect("a shell");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A login of this person, ready to be sent many times.
async fn login(target: &Target, person: &Person) -> (Client, String, String) {
    let mut browser = target.user_agent();
    let form: Form = browser.login_form().await.fill("username", &person.username).fill("password", &person.password);
    let cookie = format!("authly_browser={}", browser.cookies()["authly_browser"]);
    (http_client(), cookie, encode(form.fields))
}

fn login_request(target: &Target, (client, cookie, form): &(Client, String, String)) -> RequestBuilder {
    let request = client.post(target.url("/login")).header(header::COOKIE, cookie);
    request.typed_body("application/x-www-form-urlencoded", form.clone())
}

/// SIGTERM: what was begun is finished, nothing new is accepted, and the process reports success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_requests_in_flight() {
    // Slow logins, one at a time.
    let slow = [("ARGON2_ITERATIONS", "40"), ("PASSWORD_HASHING_CONCURRENCY", "1")];
    let server = TestServer::sqlite(&slow).await;
    let target = container::target(&server).await;
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let login = login(&target, &person).await;
    let requests: Vec<_> = (0..6).map(|_| login_request(&target, &login)).collect();
    let in_flight = tokio::spawn(in_parallel(requests));
    sleep(Duration::from_millis(150)).await;
    let started = Instant::now();
    server.signal_terminate();
    let replies = in_flight.await.expect("all are answered");
    assert_eq!(replies.len(), 6);
    for reply in replies {
        let reply = reply.expect(303);
        assert!(reply.header("set-cookie").is_some_and(|it| it.contains("authly_session=")), "{reply:?}");
    }
    assert!(server.wait_for_exit().await, "it reports success");
    eprintln!("stopped after {:?}", started.elapsed());
    assert!(TcpStream::connect(("127.0.0.1", server.port())).await.is_err(), "nobody listens any more");
    server.restart().await;
    target.refresh(&app, &tokens.refresh).await.expect(200);
    assert!(server.terminate().await, "an idle server stops as well");
}

/// Sends a request on an open connection, and returns the answer.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.expect("it is open");
    let (mut reply, mut buffer) = (String::new(), [0; 4096]);
    while !reply.ends_with('}') {
        let length = stream.read(&mut buffer).await.expect("it is open");
        assert_ne!(length, 0, "closed without an answer: {reply:?}");
        reply.push_str(std::str::from_utf8(&buffer[..length]).expect("UTF-8"));
    }
    reply
}

/// A proxy may be sending a request on a connection that was idle when SIGTERM came: it is answered, as the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_closes_no_connection_that_is_about_to_be_used() {
    let server = TestServer::sqlite(&[("SHUTDOWN_DRAIN_SECONDS", "20")]).await;
    let connect = || TcpStream::connect(("127.0.0.1", server.port()));
    let (mut used, idle) = (connect().await.expect("it listens"), connect().await.expect("it listens"));
    assert!(!ask(&mut used).await.contains("connection: close"));
    let started = Instant::now();
    server.signal_terminate();
    server.wait_for_log("shutting down").await;
    while connect().await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "it still listens");
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(500)).await;
    let last = ask(&mut used).await;
    assert!(last.starts_with("HTTP/1.1 200 ") && last.contains("connection: close"), "{last}");
    assert_eq!(used.read(&mut [0; 16]).await.expect("it was closed in order"), 0);
    assert!(!server.has_exited(), "another connection is open");
    drop(idle);
    assert!(server.wait_for_exit().await, "it reports success");
    assert!(started.elapsed() < Duration::from_secs(15), "it waits for nobody");
}

/// 200 logins at once: they wait for each other, not everybody else for them, and memory stays bounded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_logins_starves_nobody() {
    let cost = [
        ("ARGON2_MEMORY_KIB", "19456"),
        ("ARGON2_ITERATIONS", "2"),
        ("PASSWORD_HASHING_CONCURRENCY", "2"),
        ("REQUEST_TIMEOUT_SECONDS", "60"),
        // They are all of one account.
        ("RATE_LIMIT_ENABLED", "false"),
    ];
    let server = TestServer::sqlite(&cost).await;
    let target = container::target(&server).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let login = login(&target, &person).await;
    let mut burst = tokio::spawn(in_parallel((0..200).map(|_| login_request(&target, &login)).collect::<Vec<_>>()));
    sleep(Duration::from_millis(100)).await;
    let (mut served, mut slowest) = (0, Duration::ZERO);
    while !burst.is_finished() {
        let started = Instant::now();
        target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
        target.get("/.well-known/oauth-authorization-server").reply().await.expect(200);
        target.get("/health/ready").reply().await.expect(200);
        slowest = slowest.max(started.elapsed());
        served += 1;
    }
    let replies = (&mut burst).await.expect("all are answered");
    for reply in replies {
        match reply.status {
            // Refused with a hint rather than queued without end.
            503 => assert!(reply.header("retry-after").is_some(), "{reply:?}"),
            _ => _ = reply.expect(303),
        }
    }
    let peak = server.peak_resident_kib() / 1024;
    eprintln!("{served} rounds of others during the burst, the slowest {slowest:?}; peak {peak} MiB");
    assert!(served >= 10, "only {served} rounds of others");
    assert!(slowest < Duration::from_secs(3), "others waited for {slowest:?}");
    assert!(peak < 256, "{peak} MiB for two hashes of 19 MiB at a time");
}

/// RFC 6749 §4.1.2: codes live for ten minutes at most, whatever the operator would like.
#[test]
fn a_code_lifetime_of_more_than_ten_minutes_is_refused_at_start_up() {
    let check = |minutes: &str| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Command::new(program("authly"))
            .args(["config", "check"])
            .current_dir(directory.path())
            .env_clear()
            .env("ISSUER_URL", "http://127.0.0.1:8000")
            .env("AUTHORIZATION_CODE_EXPIRE_MINUTES", minutes)
            .output()
            .expect("it runs")
    };
    assert!(check("10").status.success());
    let refused = check("11");
    assert!(!refused.status.success());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("AUTHORIZATION_CODE_EXPIRE_MINUTES"), "{text}");
}
