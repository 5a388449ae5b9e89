//! Throughput of a real `authly` process over Postgres: operations per second, latency, processor time, memory. Run it by
//! `tests/bench.sh`, which puts server and database on one core and this on another.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use authly_core::{
    crypto::password::{self, PasswordCost},
    model::{
        AuthMethod, AuthorizationCode, ClientId, ClientSecret, ClientSecretHash, CodeVerifier, GrantType, NewClient,
        NewUser, Origin, Password, RedirectUri, Scopes, User,
    },
    server::new_id,
    store::{NewGrant, Store as _},
};
use authly_native::{host::OsEntropy, postgres::Store};
use authly_tests::{
    http::{Reply, RequestExt as _},
    postgres::TestDatabase,
    server::{Database, TestServer, cpu_time},
};
use chrono::{TimeDelta, Utc};
use reqwest::{Client, RequestBuilder, redirect::Policy};
use uuid::Uuid;

const CONNECTIONS: usize = 16;
const DURATION: Duration = Duration::from_secs(4);
const CODES: usize = 40_000;
const REDIRECT_URI: &str = "https://app.example/callback";
const PASSWORD: &str = "correct horse battery staple";

struct Bench {
    server: TestServer,
    client: Client,
    secret: String,
    verifier: CodeVerifier,
}

/// Measures and prints.
pub async fn run() {
    let database = TestDatabase::new().await;
    let store = Arc::clone(database.store());
    let secret = ClientSecret::generate(&OsEntropy);
    let (user, client) = people(&store, &secret).await;
    let verifier = CodeVerifier::from_random(&[7; 32]);
    let codes = codes(&store, user, client, &verifier).await;
    let cost = PasswordCost::default();
    let (memory, iterations) = (cost.memory_kib.to_string(), cost.iterations.to_string());
    let started = Instant::now();
    // Limits are on, and high (see TestServer).
    let variables = [
        ("LOG_LEVEL", "warn"),
        ("ARGON2_MEMORY_KIB", memory.as_str()),
        ("ARGON2_ITERATIONS", iterations.as_str()),
        ("MAINTENANCE_INTERVAL_MINUTES", "0"),
    ];
    let server = TestServer::start(Database::new(database.url(), ()), &variables).await;
    let ready = started.elapsed();
    let idle = server.resident_kib();
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    let bench = Bench { server, client, secret: secret.expose().to_owned(), verifier };
    bench.run(codes).await;
    eprintln!("ready after {ready:.2?}; resident: {idle} KiB idle, {} KiB at the end", bench.server.resident_kib());
}

async fn people(store: &Store, secret: &ClientSecret) -> (Uuid, Uuid) {
    let now = Utc::now();
    let user = User::new(new_id(&OsEntropy, now), "bench@example.com", None, true, false).expect("a valid account");
    let password = Password::new(PASSWORD).expect("a valid password");
    let password_hash = password::hash(&password, PasswordCost::default(), &OsEntropy);
    let id = user.id;
    store.create_user(&NewUser { user, password_hash }, now, None).await.expect("an account");
    let client = NewClient {
        id: new_id(&OsEntropy, now),
        client_id: ClientId::parse("bench").expect("a valid id"),
        name: "Bench".to_owned(),
        secret_hash: Some(ClientSecretHash::from(secret.digest())),
        redirect_uris: vec![RedirectUri::parse(REDIRECT_URI).expect("a valid URI")],
        client_uri: None,
        auth_method: AuthMethod::ClientSecretPost,
        require_pkce: true,
        grant_types: GrantType::ALL.iter().copied().collect(),
        scopes: Scopes::parse("read profile").expect("valid scopes"),
        resources: Vec::new(),
        introspect_all: false,
        logo_uri: None,
        is_active: true,
    };
    store.create_client(&client, now, None).await.expect("a client");
    (id, client.id)
}

/// Authorization codes as the consent page would have made them.
async fn codes(store: &Arc<Store>, user: Uuid, client: Uuid, verifier: &CodeVerifier) -> Vec<String> {
    let next = Arc::new(AtomicUsize::new(0));
    let challenge = verifier.challenge();
    let workers = (0..CONNECTIONS).map(|_| {
        let (store, next) = (Arc::clone(store), Arc::clone(&next));
        tokio::spawn(async move {
            let mut codes = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < CODES {
                let now = Utc::now();
                let code = AuthorizationCode::generate(&OsEntropy);
                let grant = NewGrant {
                    id: new_id(&OsEntropy, now),
                    user_id: user,
                    client_id: client,
                    scopes: Scopes::parse("read").expect("valid scopes"),
                    resources: vec!["https://api.example".to_owned()],
                    authenticated_at: now,
                    created_at: now,
                    expires_at: now + TimeDelta::days(90),
                    code: code.digest(),
                    code_expires_at: now + TimeDelta::minutes(10),
                    redirect_uri: RedirectUri::parse(REDIRECT_URI).expect("a valid URI"),
                    code_challenge: Some(challenge),
                    origin: Origin::default(),
                    remember_consent: false,
                    audit: None,
                };
                store.create_grant(&grant).await.expect("a grant");
                codes.push(code.expose().to_owned());
            }
            codes
        })
    });
    let mut codes = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        codes.extend(worker.await.expect("a worker"));
    }
    codes
}

/// The processor time of every Postgres on this machine.
fn database_cpu_time() -> Duration {
    let processes = fs::read_dir("/proc").expect("procfs").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_postgres = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == "postgres\n");
    pids.filter(is_postgres).filter_map(cpu_time).sum()
}

impl Bench {
    async fn run(&self, codes: Vec<String>) {
        println!("| operation | per second | median | 99 % | processor: server | processor: database |");
        println!("|---|---|---|---|---|---|");
        let url = |path: &str| format!("{}{path}", self.server.base());
        let metadata = url("/.well-known/oauth-authorization-server");
        self.measure("discovery", |_| self.client.get(&metadata)).await;
        self.measure("client_credentials", |_| self.token(&[("grant_type", "client_credentials")])).await;
        let tokens = self.token(&[("grant_type", "client_credentials")]).reply().await.expect(200);
        let access_token = tokens.member("access_token");
        let introspection = url("/auth/introspect");
        self.measure("introspection", |_| self.form(&introspection, &[("token", &access_token)])).await;
        let refresh_tokens = self.exchange(codes).await;
        self.refresh(&refresh_tokens).await;
        self.log_in().await;
    }

    fn form(&self, url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let credentials = [("client_id", "bench"), ("client_secret", self.secret.as_str())];
        self.client.post(url).form_body(&[fields, credentials.as_slice()].concat())
    }

    fn token(&self, fields: &[(&str, &str)]) -> RequestBuilder {
        self.form(&format!("{}/auth/token", self.server.base()), fields)
    }

    async fn measure(&self, name: &str, request: impl Fn(usize) -> RequestBuilder) {
        self.drive(name, async |worker| Some(request(worker).reply().await.expect(200))).await;
    }

    /// Has every connection do one thing after another until time or work is over.
    async fn drive(&self, name: &str, step: impl AsyncFn(usize) -> Option<Reply>) {
        let before = (self.server.cpu_time(), database_cpu_time());
        let started = Instant::now();
        let step = &step;
        let latencies = Mutex::new(Vec::new());
        let workers = (0..CONNECTIONS).map(|worker| {
            let latencies = &latencies;
            async move {
                while started.elapsed() < DURATION {
                    let begun = Instant::now();
                    if step(worker).await.is_none() {
                        break;
                    }
                    latencies.lock().unwrap_or_else(PoisonError::into_inner).push(begun.elapsed());
                }
            }
        });
        futures_util::future::join_all(workers).await;
        let elapsed = started.elapsed();
        let mut latencies = latencies.into_inner().unwrap_or_else(PoisonError::into_inner);
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
        let rate = latencies.len() as f64 / elapsed.as_secs_f64();
        let each = |time: Duration| time / u32::try_from(latencies.len().max(1)).unwrap_or(u32::MAX);
        let (server, database) = (self.server.cpu_time() - before.0, database_cpu_time() - before.1);
        println!(
            "| {name} | {rate:.0} | {:.2?} | {:.2?} | {:.1?} | {:.1?} |",
            at(50),
            at(99),
            each(server),
            each(database)
        );
    }

    async fn exchange(&self, codes: Vec<String>) -> Vec<Mutex<String>> {
        let codes = Mutex::new(codes);
        let refresh_tokens = Mutex::new(Vec::new());
        self.drive("code exchange", async |_| {
            let code = codes.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let fields = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", REDIRECT_URI),
                ("code_verifier", self.verifier.expose()),
            ];
            let reply = self.token(&fields).reply().await.expect(200);
            let token = reply.member("refresh_token");
            refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).push(Mutex::new(token));
            Some(reply)
        })
        .await;
        refresh_tokens.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every connection rotates tokens of its own, each as often as its turn comes.
    async fn refresh(&self, tokens: &[Mutex<String>]) {
        let turns: Vec<_> = (0..CONNECTIONS).map(|_| AtomicUsize::new(0)).collect();
        let share = tokens.len() / CONNECTIONS;
        self.drive("refresh", async |worker| {
            let turn = turns[worker].fetch_add(1, Ordering::Relaxed) % share;
            let token = &tokens[worker * share + turn];
            let presented = token.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let fields = [("grant_type", "refresh_token"), ("refresh_token", &presented)];
            let reply = self.token(&fields).reply().await.expect(200);
            *token.lock().unwrap_or_else(PoisonError::into_inner) = reply.member("refresh_token");
            Some(reply)
        })
        .await;
    }

    async fn log_in(&self) {
        let url = format!("{}/login", self.server.base());
        let page = self.client.get(&url).reply().await.expect(200);
        let cookie =
            page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
        let csrf_token = page.form().value("csrf_token").to_owned();
        let fields = [("username", "bench@example.com"), ("password", PASSWORD), ("csrf_token", csrf_token.as_str())];
        let log_in =
            async || self.client.post(&url).header("cookie", &cookie).form_body(&fields).reply().await.expect(303);
        // From now on the account knows the address: as many logins may be under way at once as there are connections.
        log_in().await;
        self.drive("login", async |_| Some(log_in().await)).await;
    }
}
