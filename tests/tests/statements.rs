//! How many statements each operation costs (design: §9). The server runs in this process, over stores that count.

use std::{collections::BTreeMap, path::Path};

use authly_core::{
    Server,
    config::{Config, Reader},
    crypto::password::PasswordCost,
    store::Store,
};
use authly_native::{
    NativeHost,
    host::HashingLimits,
    postgres::{self, PostgresOptions},
    sqlite::SqliteStore,
};
use authly_tests::{
    http::{Form, encode},
    postgres::TestDatabase,
    server::{Database, JWT_REFRESH_SECRET_KEY, JWT_SECRET_KEY},
    target::{App, Ask, Target},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};

const ISSUER: &str = "http://localhost:8000";

/// A server in this process, and the number of statements that its store has run.
struct InProcess<S> {
    server: Option<Server<S, NativeHost>>,
    /// Nothing is kept from one request to the next, as in an instance of a component that lives for one request.
    forgets: bool,
    cache_ttl: &'static str,
    statements: fn(&S) -> u64,
    fixtures: Target,
    costs: BTreeMap<&'static str, u64>,
    /// What it hashed.
    hashes: BTreeMap<&'static str, u64>,
}

fn config(cache_ttl: &'static str, forgets: bool) -> Config {
    let lookup = move |name: &str| {
        let value = match name {
            "ISSUER_URL" => ISSUER,
            "JWT_SECRET_KEY" => JWT_SECRET_KEY,
            "JWT_REFRESH_SECRET_KEY" => JWT_REFRESH_SECRET_KEY,
            "CACHE_TTL" => cache_ttl,
            // Permits are taken in blocks: of these, the warm-up takes enough for all.
            "RATE_LIMIT_REQUESTS_PER_MINUTE" => "10000",
            // What remembers no permits asks for each: one statement more for each request that counts.
            "RATE_LIMIT_ENABLED" if forgets => "false",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let mut reader = Reader::new(&lookup);
    let config = Config::read(&mut reader);
    reader.finish(config).expect("a valid configuration").0
}

fn json(reply: &Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(reply.body()).expect("JSON")
}

fn location(reply: &Response<Bytes>) -> String {
    reply.headers()[header::LOCATION].to_str().expect("ASCII").to_owned()
}

fn cookies(reply: &Response<Bytes>) -> String {
    let first =
        |value: &header::HeaderValue| value.to_str().expect("ASCII").split(';').next().expect("a cookie").to_owned();
    reply.headers().get_all(header::SET_COOKIE).iter().map(first).collect::<Vec<_>>().join("; ")
}

fn form(reply: &Response<Bytes>) -> Form {
    Form::all(std::str::from_utf8(reply.body()).expect("UTF-8")).remove(0)
}

fn fields(form: &Form) -> String {
    encode(form.fields.iter().map(|(name, value)| (name, value)))
}

impl<S: Store> InProcess<S> {
    async fn new(store: S, statements: fn(&S) -> u64, database_url: &str, cache_ttl: &'static str) -> Self {
        let fixtures = Target::new("http://localhost:8000", ISSUER, database_url).await;
        let server = Some(Self::server(store, cache_ttl, false));
        Self {
            server,
            forgets: false,
            cache_ttl,
            statements,
            fixtures,
            costs: BTreeMap::new(),
            hashes: BTreeMap::new(),
        }
    }

    fn server(store: S, cache_ttl: &'static str, forgets: bool) -> Server<S, NativeHost> {
        let cost = PasswordCost::new(8192, 1, 1).expect("a cost");
        Server::new(config(cache_ttl, forgets), store, NativeHost::new(cost, HashingLimits::default()))
    }

    /// Runs a request, and notes what it cost.
    async fn measure(
        &mut self,
        operation: &'static str,
        expected: u16,
        request: http::request::Builder,
        body: String,
    ) -> Response<Bytes> {
        let mut server = self.server.take().expect("it is put back");
        if self.forgets {
            server = Self::server(server.into_store(), self.cache_ttl, true);
        }
        let (before, hashes) = ((self.statements)(server.store()), server.host().hashes());
        let request = request.header(header::HOST, "localhost:8000").body(Bytes::from(body)).expect("a request");
        // On the heap: without optimisation, futures within futures are more than a test's stack holds.
        let reply = Box::pin(server.handle(request)).await;
        assert_eq!(reply.status(), StatusCode::from_u16(expected).expect("a status"), "{operation}: {reply:?}");
        let cost = (self.statements)(server.store()) - before;
        self.hashes.insert(operation, server.host().hashes() - hashes);
        self.server = Some(server);
        let worst = self.costs.entry(operation).or_default();
        *worst = cost.max(*worst);
        reply
    }

    async fn get(&mut self, operation: &'static str, expected: u16, path: &str, cookie: &str) -> Response<Bytes> {
        let request = Request::builder().method(Method::GET).uri(path).header(header::COOKIE, cookie);
        self.measure(operation, expected, request, String::new()).await
    }

    async fn post(
        &mut self,
        operation: &'static str,
        expected: u16,
        path: &str,
        cookie: &str,
        body: String,
    ) -> Response<Bytes> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, cookie);
        self.measure(operation, expected, request, body).await
    }

    async fn client(
        &mut self,
        operation: &'static str,
        path: &str,
        app: &App,
        parameters: &[(&str, &str)],
    ) -> Response<Bytes> {
        let credentials = [("client_id", app.client_id.as_str()), ("client_secret", app.secret())];
        let body = encode([parameters, &credentials].concat());
        self.post(operation, 200, path, "", body).await
    }

    /// Every operation once, and once more. What each cost at most is noted.
    async fn run(&mut self) {
        let (app, person) = (self.fixtures.confidential().await, self.fixtures.person().await);
        // Keys are made once in the life of a database.
        self.get("warm up", 200, "/.well-known/jwks.json", "").await;
        self.get("warm up", 200, "/login", "").await;
        self.get("discovery", 200, "/.well-known/oauth-authorization-server", "").await;
        self.get("JWKS", 200, "/.well-known/jwks.json", "").await;
        self.get("liveness", 200, "/health/live", "").await;
        self.get("readiness", 200, "/health/ready", "").await;
        self.get("stylesheet", 200, "/assets/authly.css", "").await;

        let page = self.get("login page", 200, "/login", "").await;
        for (operation, username) in [("login, known", &*person.username), ("login, unknown", "nobody")] {
            let wrong = form(&page).fill("username", username).fill("password", "not the password");
            self.post(operation, 403, "/login", &cookies(&page), fields(&wrong)).await;
        }
        let login = form(&page).fill("username", &person.username).fill("password", &person.password);
        let login = self.post("login", 303, "/login", &cookies(&page), fields(&login)).await;
        let session = cookies(&login);

        for (operation, email) in [("register, new", "new@example.com"), ("register, known", "new@example.com")] {
            let page = self.get("registration page", 200, "/register", "").await;
            let filled = form(&page).fill("email", email).fill("password", "a few quiet words");
            self.post(operation, 303, "/register", &cookies(&page), fields(&filled)).await;
        }
        for (operation, email) in [("forgotten, known", &*person.email), ("forgotten, unknown", "nobody@example.com")] {
            let page = self.get("forgotten password page", 200, "/forgot-password", "").await;
            let filled = form(&page).fill("email", email);
            self.post(operation, 303, "/forgot-password", &cookies(&page), fields(&filled)).await;
        }
        self.get("account page", 200, "/account", &session).await;

        let ask = app.ask();
        self.get("authorize, logged out", 303, &ask.path(), "").await;
        let page = self.get("authorize, consent page", 200, &ask.path(), &session).await;
        let consent = fields(&form(&page).fill("decision", "allow"));
        let reply = self.post("consent", 303, "/consent", &session, consent).await;
        let mut refresh = self.exchange(&app, &ask, &reply).await;
        for _ in 0..2 {
            let ask = app.ask();
            let reply = self.get("authorize, remembered", 303, &ask.path(), &session).await;
            refresh = self.exchange(&app, &ask, &reply).await;
        }
        let mut access = String::new();
        for _ in 0..2 {
            let reply = self.client("refresh", "/auth/refresh", &app, &[("refresh_token", &refresh)]).await;
            let again = self.client("refresh, retried", "/auth/refresh", &app, &[("refresh_token", &refresh)]).await;
            assert_eq!(json(&again)["refresh_token"], json(&reply)["refresh_token"]);
            refresh = json(&reply)["refresh_token"].as_str().expect("a token").to_owned();
            access = json(&reply)["access_token"].as_str().expect("a token").to_owned();
        }
        for _ in 0..2 {
            self.client("client_credentials", "/auth/token", &app, &[("grant_type", "client_credentials")]).await;
            for token in [&access, &refresh, "nonsense"] {
                let reply = self.client("introspection", "/auth/introspect", &app, &[("token", token)]).await;
                assert_eq!(json(&reply)["active"], token != "nonsense");
            }
            let request = Request::builder().uri("/api/v1/users/me");
            let request = request.header(header::AUTHORIZATION, format!("Bearer {access}"));
            self.measure("users/me", 200, request, String::new()).await;
        }
        self.client("revocation", "/auth/revoke", &app, &[("token", &access)]).await;
        self.client("revocation", "/auth/revoke", &app, &[("token", &refresh)]).await;
        self.client("revocation of nothing", "/auth/revoke", &app, &[("token", "nonsense")]).await;
        let page = self.get("logout page", 200, "/logout", &session).await;
        let logout = fields(&form(&page));
        self.post("logout", 200, "/logout", &session, logout).await;
    }

    async fn exchange(&mut self, app: &App, ask: &Ask, reply: &Response<Bytes>) -> String {
        let url = url::Url::parse(&location(reply)).expect("a URL");
        let code = authly_tests::http::parameters(&url)["code"].clone();
        let parameters =
            [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", ask.verifier.as_str())];
        let reply = self.client("code exchange", "/auth/token", app, &parameters).await;
        json(&reply)["refresh_token"].as_str().expect("a token").to_owned()
    }
}

/// What design §9 promises, and what is true of the rest.
const COLD: [(&str, u64); 29] = [
    ("discovery", 0),
    ("JWKS", 0),
    ("liveness", 0),
    ("stylesheet", 0),
    ("readiness", 1),
    ("login page", 0),
    ("login", 2),
    ("login, known", 2),
    ("login, unknown", 2),
    ("authorize, logged out", 1),
    ("authorize, consent page", 2),
    ("authorize, remembered", 3),
    ("consent", 3),
    ("code exchange", 2),
    ("refresh", 2),
    ("refresh, retried", 2),
    ("client_credentials", 1),
    ("introspection", 1),
    ("users/me", 1),
    ("revocation", 2),
    ("revocation of nothing", 1),
    ("logout", 1),
    // The same, whether or not there is an account; one is the audit log's.
    ("registration page", 0),
    ("register, new", 2),
    ("register, known", 2),
    ("forgotten password page", 0),
    ("forgotten, known", 2),
    ("forgotten, unknown", 2),
    ("account page", 3),
];

/// Each of these reads the client, which the cache has.
const WARM: [(&str, u64); 9] = [
    ("authorize, logged out", 0),
    ("authorize, consent page", 1),
    ("authorize, remembered", 2),
    ("consent", 2),
    ("code exchange", 1),
    ("refresh", 1),
    ("client_credentials", 0),
    ("revocation", 1),
    ("revocation of nothing", 0),
];

/// Nobody learns from how much work it is whether an account exists: statements, and hashes of passwords.
const ALIKE: [(&str, &str, u64); 3] = [
    ("register, new", "register, known", 1),
    ("forgotten, known", "forgotten, unknown", 0),
    ("login, known", "login, unknown", 1),
];

fn expect_at_most(costs: &BTreeMap<&'static str, u64>, limits: &[(&str, u64)], what: &str) {
    eprintln!("{what}: {costs:?}");
    for (operation, limit) in limits {
        let cost = costs.get(operation).unwrap_or_else(|| panic!("{operation} was not measured"));
        assert!(
            cost <= limit,
            "{what}: {operation} costs {cost} statements instead of {limit}; all of them: {costs:#?}"
        );
    }
}

#[tokio::test]
async fn an_account_is_as_much_work_as_none() {
    let database = TestDatabase::new().await;
    let store = postgres::connect(&database.url(), &PostgresOptions::default()).expect("an address");
    let mut it = InProcess::new(store, |store| store.executor().statements(), &database.url(), "5").await;
    it.run().await;
    for (one, other, hashes) in ALIKE {
        assert_eq!(it.costs[one], it.costs[other], "{one}, {other}: {:?}", it.costs);
        assert_eq!((it.hashes[one], it.hashes[other]), (hashes, hashes), "{one}, {other}");
    }
}

async fn postgres_costs(cache_ttl: &'static str, forgets: bool) -> BTreeMap<&'static str, u64> {
    let database = TestDatabase::new().await;
    let store = postgres::connect(&database.url(), &PostgresOptions::default()).expect("an address");
    let mut it = InProcess::new(store, |store| store.executor().statements(), &database.url(), cache_ttl).await;
    it.forgets = forgets;
    it.run().await;
    it.costs
}

async fn sqlite_costs(cache_ttl: &'static str) -> BTreeMap<&'static str, u64> {
    let database = Database::sqlite();
    let path = database.url().trim_start_matches("sqlite://").to_owned();
    let store = SqliteStore::connect(Path::new(&path)).await.expect("it opens");
    store.migrate().await.expect("the migrations apply");
    let mut it = InProcess::new(store, SqliteStore::statements, database.url(), cache_ttl).await;
    it.run().await;
    it.costs
}

#[tokio::test]
async fn postgres_with_a_cold_client_cache() {
    expect_at_most(&postgres_costs("0", false).await, &COLD, "cold");
}

#[tokio::test]
async fn postgres_with_a_warm_client_cache() {
    let costs = postgres_costs("3600", false).await;
    expect_at_most(&costs, &COLD, "warm");
    // The first use of a client reads it: that one is the logged-out authorization request.
    expect_at_most(&costs, &WARM[1..], "warm");
}

/// A component that lives for one request: the signing keys come along with whatever else it has to read, so that it needs no
/// statement more than a server that has had them for long. Only the JWK Set has nothing to come along with.
#[tokio::test]
async fn postgres_with_nothing_kept_between_requests() {
    let mut costs = postgres_costs("5", true).await;
    assert_eq!(costs.remove("JWKS"), Some(1));
    let but_jwks: Vec<_> = COLD.into_iter().filter(|(operation, _)| *operation != "JWKS").collect();
    expect_at_most(&costs, &but_jwks, "forgetful");
}

/// SQLite decides inside a transaction, in the same process: a statement is no round trip. Reads cost the same.
#[tokio::test]
async fn sqlite_reads_cost_no_more_than_on_postgres() {
    let reads = |limits: &[(&'static str, u64)]| {
        let writes = [
            "login",
            "logout",
            "authorize, remembered",
            "consent",
            "code exchange",
            "refresh",
            "refresh, retried",
            "revocation",
            "login, known",
            "login, unknown",
            "register, new",
            "register, known",
            "forgotten, known",
            "forgotten, unknown",
        ];
        limits.iter().filter(|(operation, _)| !writes.contains(operation)).copied().collect::<Vec<_>>()
    };
    expect_at_most(&sqlite_costs("0").await, &reads(&COLD), "cold");
    expect_at_most(&sqlite_costs("3600").await, &reads(&WARM[1..]), "warm");
}
