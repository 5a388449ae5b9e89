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
    http::{Form, Reply, RequestExt as _, encode, in_parallel},
    postgres::TestDatabase,
    proxy::{Link, Proxy},
    server::{Database, TestServer, program},
    target::{App, Code, Person, Target, Tokens, http_client},
};
use http::header;
use reqwest::{Client, RequestBuilder};
use tokio::{net::TcpStream, sync::watch, task::JoinHandle, time::sleep};

/// How many grants are refreshed at the same time.
const CHAINS: usize = 12;

/// A refresh as a client sends it.
fn refresh(client: &Client, base: &str, app: &App, token: &str) -> RequestBuilder {
    let parameters = [("refresh_token", token), ("client_id", &app.client_id)];
    client.post(format!("{base}/auth/refresh")).form_body(&parameters)
}

/// Clients that refresh one grant each, as fast as they can, and try again whatever goes wrong on the way.
struct Storm {
    stop: watch::Sender<bool>,
    chains: Vec<JoinHandle<Vec<Tokens>>>,
}

impl Storm {
    async fn start(target: &Target, app: &App, person: &Person) -> Self {
        let stop = watch::Sender::new(false);
        let mut browser = target.user_agent();
        browser.log_in(person).await;
        let mut chains = Vec::new();
        for _ in 0..CHAINS {
            let ask = app.ask();
            let code = Code { code: browser.code(&ask).await, verifier: ask.verifier };
            let first = Tokens::of(&target.exchange(app, &code).await.expect(200));
            chains.push(tokio::spawn(chain(target.base().to_owned(), app.clone(), first, stop.subscribe())));
        }
        Self { stop, chains }
    }

    /// Every token that each client was given, in order.
    async fn stop(self) -> Vec<Vec<Tokens>> {
        self.stop.send_replace(true);
        let mut chains = Vec::new();
        for chain in self.chains {
            chains.push(chain.await.expect("no client was refused"));
        }
        chains
    }
}

async fn chain(base: String, app: App, first: Tokens, stop: watch::Receiver<bool>) -> Vec<Tokens> {
    let client = http_client();
    let mut tokens = vec![first];
    while !*stop.borrow() {
        let last = tokens.last().expect("the first one");
        // Nobody waits for an answer for ever, and so the client does not know either.
        let request = refresh(&client, &base, &app, &last.refresh).timeout(Duration::from_secs(2));
        match request.try_reply().await {
            Ok(reply) if reply.status == 200 => tokens.push(Tokens::of(&reply)),
            Ok(reply) => {
                assert_eq!(reply.status, 503, "an honest client is refused: {reply:?}");
                assert!(reply.header("retry-after").is_some(), "{reply:?}");
                sleep(Duration::from_millis(20)).await;
            }
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    tokens
}

/// Whatever a client was told is true, and nothing else is.
async fn expect_consistent(target: &Target, app: &App, chains: Vec<Vec<Tokens>>) {
    let length: usize = chains.iter().map(Vec::len).sum();
    assert!(length > 3 * CHAINS, "it was no storm: {length} refreshes");
    for (index, chain) in chains.into_iter().enumerate() {
        let last = chain.last().expect("the first one");
        assert!(target.is_active(&last.access).await, "an acknowledged access token is lost");
        let [.., third_last, second_last, _] = chain.as_slice() else {
            target.refresh(app, &last.refresh).await.expect(200);
            continue;
        };
        match index % 3 {
            // The honest client goes on; the token before is then a replay.
            0 => {
                let next = Tokens::of(&target.refresh(app, &last.refresh).await.expect(200));
                assert!(target.is_active(&next.refresh).await && target.is_active(&next.access).await);
                target.refresh(app, &second_last.refresh).await.expect_error(400, "invalid_grant");
                assert!(!target.is_active(&next.refresh).await, "a replay kills the grant");
            }
            // The one before is good for a retry at most, which returns what was acknowledged. Where the last one was
            // used by a request whose answer was lost, it is a replay.
            1 => {
                let reply = target.refresh(app, &second_last.refresh).await;
                match reply.status {
                    200 => assert_eq!(Tokens::of(&reply).refresh, last.refresh, "a fork"),
                    _ => _ = reply.expect_error(400, "invalid_grant"),
                }
            }
            // What is older is never good.
            _ => {
                target.refresh(app, &third_last.refresh).await.expect_error(400, "invalid_grant");
                assert!(!target.is_active(&last.refresh).await, "a replay kills the grant");
            }
        }
    }
}

async fn kill_in_a_storm(database: Database) {
    let server = TestServer::start(database, &[]).await;
    let target = container::target(&server).await;
    let (app, person) = (target.public().await, target.person().await);
    for round in 0..3 {
        let storm = Storm::start(&target, &app, &person).await;
        sleep(Duration::from_millis(400 + 173 * round)).await;
        server.kill9();
        sleep(Duration::from_millis(50)).await;
        let chains = storm.stop().await;
        server.restart().await;
        expect_consistent(&target, &app, chains).await;
    }
}

/// SIGKILL in the middle: no token is valid that should not be, none acknowledged is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_a_storm_of_refreshes_loses_nothing_on_sqlite() {
    kill_in_a_storm(Database::sqlite()).await;
}

/// The same on Postgres, which goes on without the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_a_storm_of_refreshes_loses_nothing_on_postgres() {
    kill_in_a_storm(container::postgres().await).await;
}

/// What everybody is told while the database is away, each within `limit`.
async fn expect_unavailable(target: &Target, app: &App, token: &str, limit: Duration) {
    let confidential = App { client_id: "never-seen-before".to_owned(), secret: Some("x".to_owned()), ..app.clone() };
    let within = async |what: &str, request: RequestBuilder| -> Reply {
        let started = Instant::now();
        let reply = request.reply().await;
        assert!(started.elapsed() < limit, "{what} took {:?}", started.elapsed());
        reply
    };
    for (what, request) in [
        ("refresh", target.client_request(app, "/auth/refresh", &[("refresh_token", token)])),
        (
            "client_credentials",
            target.client_request(&confidential, "/auth/token", &[("grant_type", "client_credentials")]),
        ),
        ("introspection", target.client_request(&confidential, "/auth/introspect", &[("token", token)])),
        ("revocation", target.client_request(&confidential, "/auth/revoke", &[("token", token)])),
    ] {
        let reply = within(what, request).await;
        assert!(reply.header("retry-after").is_some(), "{what}: {reply:?}");
        let text = reply.text().to_ascii_lowercase();
        for internal in ["sqlx", "postgres", "pool", "tcp", "connection"] {
            assert!(!text.contains(internal), "{what} shows internals: {text}");
        }
        reply.expect_error(503, "temporarily_unavailable");
    }
    let session = authly_core::model::SessionToken::generate(&authly_native::host::OsEntropy);
    let page = target.get(&app.ask().path()).header(header::COOKIE, format!("authly_session={}", session.expose()));
    let page = within("authorize", page).await.expect_error_page(503, "temporarily_unavailable");
    assert!(page.header("retry-after").is_some(), "{page:?}");
    for path in ["/health", "/health/ready"] {
        let reply = within(path, target.get(path)).await.expect(503);
        assert!(reply.header("retry-after").is_some() && reply.json()["database"] == "unreachable", "{reply:?}");
    }
    for path in ["/health/live", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/login"] {
        within(path, target.get(path)).await.expect(200);
    }
}

/// Takes the database away in the middle of a storm and gives it back.
async fn outage(
    target: &Target,
    server: &TestServer,
    limit: Duration,
    take_away: impl AsyncFn(),
    give_back: impl AsyncFn(),
) {
    let (app, person) = (target.public().await, target.person().await);
    let other = target.tokens(&app, &person).await;
    target.jwks().await;
    let storm = Storm::start(target, &app, &person).await;
    sleep(Duration::from_millis(500)).await;
    take_away().await;
    expect_unavailable(target, &app, &other.refresh, limit).await;
    expect_unavailable(target, &app, &other.refresh, limit).await;
    give_back().await;
    let started = Instant::now();
    while !server.is_ready().await {
        assert!(started.elapsed() < Duration::from_secs(15), "not ready again; its log:\n{}", server.log());
        sleep(Duration::from_millis(50)).await;
    }
    eprintln!("ready again after {:?}", started.elapsed());
    // And it serves: the same clients go on where they were.
    sleep(Duration::from_millis(500)).await;
    let chains = storm.stop().await;
    expect_consistent(target, &app, chains).await;
    target.refresh(&app, &other.refresh).await.expect(200);
    target.tokens(&app, &person).await;
    assert!(!server.has_exited());
    assert!(!server.log().contains("panicked at"));
}

async fn outage_by_proxy(link: Link, limit: Duration) {
    let database = TestDatabase::new().await;
    let direct = url::Url::parse(&database.url()).expect("an address");
    let upstream = format!("{}:{}", direct.host_str().expect("a host"), direct.port().unwrap_or(5432));
    let proxy = Proxy::start(upstream).await;
    let mut proxied = direct.clone();
    proxied.set_host(Some("127.0.0.1")).expect("a host");
    proxied.set_port(Some(proxy.port())).expect("a port");
    let server = TestServer::start(Database::new(proxied.into(), ()), &[]).await;
    let target = Target::new(&server.base(), server.issuer(), &database.url()).await.with_log(&server.log_path());
    outage(&target, &server, limit, async || proxy.set(link), async || proxy.set(Link::Up)).await;
}

/// Nobody listens at the database's address: 503 within a second, on a machine that has something else to do as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_everything_is_503_and_service_resumes_by_itself() {
    outage_by_proxy(Link::Down, Duration::from_millis(2_500)).await;
}

/// The database accepts connections and says nothing: a hanging machine. That takes as long as a statement may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_silent_database_everything_is_503_and_service_resumes_by_itself() {
    outage_by_proxy(Link::Silent, Duration::from_secs(8)).await;
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
