//! Clients that refresh in a storm while things go wrong around the server, and what must be true afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use authly_core::model::SessionToken;
use authly_native::host::OsEntropy;
use http::header;
use reqwest::{Client, RequestBuilder};
use tokio::{sync::watch, task::JoinHandle, time::sleep};

use crate::{
    container,
    http::{Reply, RequestExt as _},
    postgres::TestDatabase,
    proxy::{Link, Proxy},
    server::{Database, Program, TestServer},
    target::{App, Code, Person, Target, Tokens, http_client},
};

/// How many grants are refreshed at the same time.
const CHAINS: usize = 12;

/// A refresh as a client sends it.
fn refresh(client: &Client, base: &str, app: &App, token: &str) -> RequestBuilder {
    let parameters = [("refresh_token", token), ("client_id", &app.client_id)];
    client.post(format!("{base}/auth/refresh")).form_body(&parameters)
}

/// Clients that refresh one grant each, as fast as they can, and try again whatever goes wrong on the way.
pub struct Storm {
    stop: watch::Sender<bool>,
    failures: Arc<AtomicUsize>,
    chains: Vec<JoinHandle<Vec<Tokens>>>,
}

impl Storm {
    /// Starts one client for each of a dozen grants.
    pub async fn start(target: &Target, app: &App, person: &Person) -> Self {
        Self::start_at(target.base(), target, app, person).await
    }

    /// The same, with a pause between two refreshes of a client: for a test that has something else to do as well.
    pub async fn start_paced(pause: Duration, target: &Target, app: &App, person: &Person) -> Self {
        Self::launch(target.base(), pause, target, app, person).await
    }

    /// The same, where the refreshes go to another server of the same database.
    pub async fn start_at(base: &str, target: &Target, app: &App, person: &Person) -> Self {
        Self::launch(base, Duration::ZERO, target, app, person).await
    }

    async fn launch(base: &str, pause: Duration, target: &Target, app: &App, person: &Person) -> Self {
        let failures = Arc::<AtomicUsize>::default();
        let stop = watch::Sender::new(false);
        let mut browser = target.user_agent();
        browser.log_in(person).await;
        let mut chains = Vec::new();
        for _ in 0..CHAINS {
            let ask = app.ask();
            let code = Code { code: browser.code(&ask).await, verifier: ask.verifier };
            let first = Tokens::of(&target.exchange(app, &code).await.expect(200));
            let chain = Chain { base: base.to_owned(), app: app.clone(), pause, failures: Arc::clone(&failures) };
            chains.push(tokio::spawn(chain.run(first, stop.subscribe())));
        }
        Self { stop, failures, chains }
    }

    /// How many requests had no answer or another than 200 so far, and were tried again.
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Every token that each client was given, in order.
    pub async fn stop(self) -> Vec<Vec<Tokens>> {
        self.stop.send_replace(true);
        let mut chains = Vec::new();
        for chain in self.chains {
            chains.push(chain.await.expect("no client was refused"));
        }
        chains
    }
}

/// One client with its grant.
struct Chain {
    base: String,
    app: App,
    pause: Duration,
    failures: Arc<AtomicUsize>,
}

impl Chain {
    async fn run(self, first: Tokens, stop: watch::Receiver<bool>) -> Vec<Tokens> {
        let client = http_client();
        let mut tokens = vec![first];
        while !*stop.borrow() {
            let last = tokens.last().expect("the first one");
            // Nobody waits for an answer for ever, and so the client does not know either.
            let request = refresh(&client, &self.base, &self.app, &last.refresh).timeout(Duration::from_secs(2));
            let reply = request.try_reply().await;
            if let Ok(reply) = &reply
                && reply.status == 200
            {
                tokens.push(Tokens::of(reply));
                if !self.pause.is_zero() {
                    sleep(self.pause).await;
                }
                continue;
            }
            self.failures.fetch_add(1, Ordering::Relaxed);
            match reply {
                // Of a host whose instance trapped. Nobody knows what was done.
                Ok(reply) if reply.status == 500 && reply.body.is_empty() => {}
                Ok(reply) => {
                    // 502 is a proxy's whose server died. Nobody knows either.
                    assert!(matches!(reply.status, 502 | 503), "an honest client is refused: {reply:?}");
                    assert!(reply.header("retry-after").is_some(), "{reply:?}");
                    sleep(Duration::from_millis(20)).await;
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
        tokens
    }
}

/// Whatever a client was told is true, and nothing else is.
pub async fn expect_consistent(target: &Target, app: &App, chains: Vec<Vec<Tokens>>) {
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

/// SIGKILL in the middle of storms: what was acknowledged holds, and nothing else does.
pub async fn kill_in_a_storm(server: TestServer) {
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

/// What everybody is told while the database is away, each within `limit`.
pub async fn expect_unavailable(target: &Target, app: &App, token: &str, limit: Duration) {
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
        for internal in ["sqlx", "postgres", "pool", "tcp", "connection", "caused by", "os error"] {
            assert!(!text.contains(internal), "{what} shows internals: {text}");
        }
        reply.expect_error(503, "temporarily_unavailable");
    }
    let session = SessionToken::generate(&OsEntropy);
    let page = target.get(&app.ask().path()).header(header::COOKIE, format!("authly_session={}", session.expose()));
    let page = within("authorize", page).await.expect_error_page(503, "temporarily_unavailable");
    assert!(page.header("retry-after").is_some(), "{page:?}");
    for path in ["/health", "/health/ready"] {
        let reply = within(path, target.get(path)).await.expect(503);
        assert!(reply.header("retry-after").is_some() && reply.json()["database"] == "unreachable", "{reply:?}");
    }
    for path in ["/health/live", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/login"] {
        // An instance that is new knows no keys.
        if target.is_on_spin() && path.ends_with("jwks.json") {
            continue;
        }
        within(path, target.get(path)).await.expect(200);
    }
}

/// Takes the database away in the middle of a storm and gives it back.
pub async fn outage(
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

/// An outage of this kind between a server and its database.
pub async fn outage_by_proxy(program: &Program, link: Link, limit: Duration) {
    let database = TestDatabase::new().await;
    let direct = url::Url::parse(&database.url()).expect("an address");
    let upstream = format!("{}:{}", direct.host_str().expect("a host"), direct.port().unwrap_or(5432));
    let proxy = Proxy::start(upstream).await;
    let mut proxied = direct.clone();
    proxied.set_host(Some("127.0.0.1")).expect("a host");
    proxied.set_port(Some(proxy.port())).expect("a port");
    let server = TestServer::start_program(program.clone(), Database::new(proxied.into(), ()), &[]).await;
    let target = container::target_on(&server, &database.url()).await;
    outage(&target, &server, limit, async || proxy.set(link), async || proxy.set(Link::Up)).await;
}
