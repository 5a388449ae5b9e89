//! Every environment variable acts. The table says what is seen of each from outside: without it, with it, and with it
//! from a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    net::TcpListener,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use authly_native::host::HashingLimits;
use authly_tests::{
    container::{postgres, target},
    http::{RequestExt as _, in_parallel},
    redis::TestRedis,
    server::{Database, JWT_SECRET_KEY, TestServer, free_port},
    shell::Shell,
    smtp::{self, Encryption, MailServer},
    target::{Person, Target, Tokens, http_client, unique},
    user_agent::{Landing, fill},
};
use cookie::Cookie;
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use http::header;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::RequestBuilder;
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

/// What the first design promised.
const SEED: [&str; 32] = [
    "DATABASE_URL",
    "JWT_SECRET_KEY",
    "JWT_REFRESH_SECRET_KEY",
    "JWT_ALGORITHM",
    "ACCESS_TOKEN_EXPIRE_MINUTES",
    "REFRESH_TOKEN_EXPIRE_DAYS",
    "OAUTH_ENABLED",
    "AUTHORIZATION_CODE_EXPIRE_MINUTES",
    "PKCE_REQUIRED",
    "REQUIRE_USER_CONSENT",
    "CORS_ORIGINS",
    "ALLOWED_HOSTS",
    "RATE_LIMIT_ENABLED",
    "RATE_LIMIT_REQUESTS_PER_MINUTE",
    "ENVIRONMENT",
    "LOG_LEVEL",
    "DEBUG",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_USERNAME",
    "SMTP_PASSWORD",
    "SMTP_FROM_EMAIL",
    "METRICS_ENABLED",
    "HEALTH_CHECK_ENABLED",
    "REDIS_URL",
    "CACHE_TTL",
    "ADMIN_EMAIL",
    "ADMIN_PASSWORD",
    "ISSUER_URL",
    "HOST",
    "PORT",
    "TRUSTED_PROXIES",
];

/// Names that begin so are those of OpenTelemetry: tests/telemetry.rs shows that they act.
const ELSEWHERE: &str = "OTEL_";

/// For as long as something that must not happen is given to happen. Every default that it is held against is at least
/// twice as long.
const PATIENCE: Duration = Duration::from_secs(8);
/// For how long something that must happen may take on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

const OTHER_SECRET: &str = "another key of the tests, of no use to anyone either";
const ADMIN_EMAIL: &str = "ada@example.com";
const ADMIN_PASSWORD: &str = "a password of the operator's";
const CREDENTIALS: (&str, &str) = ("grant_type", "client_credentials");
const SENDER: &str = "Authly <no-reply@auth.example>";

/// A variable, and what shows that it acts.
struct Entry {
    variable: &'static str,
    /// Not the default. `{name}` is filled in by the probe.
    value: String,
    /// Its value where it counts as not there: the tests' servers have one, or no server goes without. Empty is unset.
    otherwise: Option<&'static str>,
    beside: Vec<(&'static str, &'static str)>,
    /// Set where the variable is, and not where it is not: one of the two without the other is refused.
    partner: Option<(&'static str, &'static str)>,
    probe: Box<dyn Fn(Run) -> LocalBoxFuture<'static, String>>,
    without: String,
    with: String,
}

fn entry<F: Future<Output = String> + 'static>(
    variable: &'static str,
    value: &str,
    probe: impl Fn(Run) -> F + 'static,
    [without, with]: [&str; 2],
) -> Entry {
    Entry {
        variable,
        value: value.to_owned(),
        otherwise: None,
        beside: Vec::new(),
        partner: None,
        probe: Box::new(move |run| probe(run).boxed_local()),
        without: without.to_owned(),
        with: with.to_owned(),
    }
}

impl Entry {
    fn otherwise(self, value: &'static str) -> Self {
        Self { otherwise: Some(value), ..self }
    }

    fn beside(mut self, name: &'static str, value: &'static str) -> Self {
        self.beside.push((name, value));
        self
    }

    fn partner(self, name: &'static str, value: &'static str) -> Self {
        Self { partner: Some((name, value)), ..self }
    }

    fn run(&self, is_set: bool, file: Option<TempDir>) -> Run {
        let mut run = Run {
            variable: self.variable,
            value: if is_set { Some(self.value.clone()) } else { self.otherwise.map(str::to_owned) },
            is_set,
            file,
            left_out: self.partner.filter(|_| !is_set).map(|(name, _)| name),
            beside: Vec::new(),
        };
        for (name, value) in self.beside.iter().chain(&self.partner) {
            run.add(name, *value);
        }
        run
    }
}

/// What one look at the program is given.
struct Run {
    variable: &'static str,
    value: Option<String>,
    is_set: bool,
    /// Where the value is kept if it comes from a file.
    file: Option<TempDir>,
    left_out: Option<&'static str>,
    beside: Vec<(&'static str, String)>,
}

impl Run {
    /// Another variable, unless it is the one that this is about.
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        if name != self.variable && Some(name) != self.left_out {
            self.beside.push((name, value.into()));
        }
    }

    fn fill_in(&mut self, name: &str, value: &str) {
        self.value = self.value.take().map(|text| text.replace(&format!("{{{name}}}"), value));
    }

    fn variables(&self) -> Vec<(String, String)> {
        let beside = self.beside.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let own = self.value.as_ref().map(|value| match &self.file {
            None => (self.variable.to_owned(), value.clone()),
            Some(directory) => {
                let path = directory.path().join("value");
                fs::write(&path, format!("{value}\n")).expect("the directory is ours");
                (format!("{}_FILE", self.variable), path.display().to_string())
            }
        });
        beside.chain(own).collect()
    }

    async fn server_on(&self, database: Database) -> TestServer {
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        TestServer::start(database, &variables).await
    }

    async fn server(&self) -> TestServer {
        self.server_on(Database::sqlite()).await
    }

    async fn start(&self) -> (TestServer, Target) {
        let server = self.server().await;
        let target = target(&server).await;
        (server, target)
    }

    /// The program without anything that a [`TestServer`] is given.
    fn process(&self) -> Process {
        let mut shell = Shell::new(&[]);
        shell.variables = self.variables();
        let child = shell.command("authly", &[]).spawn().expect("the program runs");
        Process { child, _shell: shell }
    }
}

/// Killed in the end.
struct Process {
    child: Child,
    _shell: Shell,
}

impl Process {
    /// What it said, once it has ended by itself.
    fn last_words(&mut self) -> Option<String> {
        self.child.try_wait().expect("a child of ours")?;
        let mut said = String::new();
        self.child.stderr.take()?.read_to_string(&mut said).expect("text");
        Some(said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks three times at the program for each entry. Tells of all that do not act, not of the first one only.
async fn expect_to_act(entries: Vec<Entry>) {
    LocalSet::new().run_until(look_at_all(entries)).await;
}

async fn look_at_all(entries: Vec<Entry>) {
    let mut failures = Vec::new();
    for entry in entries {
        let Entry { variable, without, with, .. } = &entry;
        if without == with {
            failures.push(format!("{variable}: nothing is expected of it"));
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let look = |run| spawn_local((entry.probe)(run));
        let looks = [
            ("without it", without, look(entry.run(false, None))),
            ("with it", with, look(entry.run(true, None))),
            ("from a file", with, look(entry.run(true, Some(directory)))),
        ];
        for (how, expected, seen) in looks {
            match seen.await {
                Ok(seen) if seen == *expected => {}
                Ok(seen) => failures.push(format!("{variable}, {how}: {seen:?} instead of {expected:?}")),
                Err(panic) => failures.push(format!("{variable}, {how}: {panic}")),
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

const TOPICS: [fn() -> Vec<Entry>; 7] = [lifetimes, secrets, requests, accounts, mail, operation, stopping];

#[test]
fn the_table_has_every_variable() {
    let printed = Shell::new(&[]).succeed("authly", &["config", "check"]);
    let known: BTreeSet<_> = printed.lines().map(|line| line.split('=').next().unwrap_or(line)).collect();
    let entries: Vec<_> = TOPICS.iter().flat_map(|topic| topic()).map(|entry| entry.variable).collect();
    let table: BTreeSet<_> = entries.iter().copied().collect();
    assert_eq!(table.len(), entries.len(), "twice in the table: {entries:?}");
    let missing: Vec<_> = known.difference(&table).filter(|name| !name.starts_with(ELSEWHERE)).collect();
    assert!(missing.is_empty(), "nothing shows that they act: {missing:?}");
    let unknown: Vec<_> = table.difference(&known).collect();
    assert!(unknown.is_empty(), "the program does not know them: {unknown:?}");
    let lost: Vec<_> = SEED.iter().filter(|name| !known.contains(*name)).collect();
    assert!(lost.is_empty(), "promised, and not there: {lost:?}");
}

/// An empty variable is as if unset, and so gives way to its file.
#[test]
fn an_empty_variable_is_unset() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(&file, "http://127.0.0.1:7000").expect("it is written");
    let file = file.path().to_str().expect("a path");
    let empty = ["PORT", "ISSUER_URL", "JWT_SECRET_KEY", "DATABASE_URL"].map(|name| (name, ""));
    let printed = |variables: &[(&str, &str)]| Shell::new(variables).succeed("authly", &["config", "check"]);
    assert_eq!(printed(&empty), printed(&[]));
    let from_file = printed(&[("ISSUER_URL", ""), ("ISSUER_URL_FILE", file)]);
    assert!(from_file.contains("ISSUER_URL=http://127.0.0.1:7000\n"), "{from_file}");
}

/// The README's table has a row for each, and where it names a default, that is the program's.
#[test]
fn the_readme_tells_every_variable() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("the README");
    let table = readme.split("\n## Configuration\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = table.expect("its table").lines().filter(|line| line.starts_with("| `")).map(|line| {
        let cells: Vec<_> = line.split(" | ").collect();
        (code(cells[0]), cells[1].replace('`', ""))
    });
    let printed = Shell::new(&[]).succeed("authly", &["config", "check"]);
    let known: BTreeMap<_, _> = printed.lines().filter_map(|line| line.split_once('=')).collect();
    let mut told = BTreeSet::new();
    for (names, default) in rows {
        let defaults: Vec<_> = default.split(", ").collect();
        for (index, name) in names.iter().enumerate() {
            let value = known.get(name.as_str()).unwrap_or_else(|| panic!("the program does not know {name}"));
            let value = value.trim_end_matches("  (default)");
            // Words are told to people; a number, a word of the program's, or a value for each is compared.
            let told_default = if defaults.len() == names.len() { defaults[index] } else { defaults[0] };
            if told_default.parse::<u64>().is_ok() || matches!(told_default, "true" | "false") {
                assert_eq!(value, told_default, "{name}");
            }
            assert!(told.insert(name.clone()), "{name} is there twice");
        }
    }
    let missing: Vec<_> = known.keys().filter(|name| !told.contains(**name)).collect();
    assert!(missing.is_empty(), "not in the README: {missing:?}");
}

fn lifetimes() -> Vec<Entry> {
    vec![
        entry("ACCESS_TOKEN_EXPIRE_MINUTES", "7", access_token_seconds, ["1800", "420"]),
        entry("REFRESH_TOKEN_EXPIRE_DAYS", "3", refresh_token_hours, ["168", "72"]),
        entry("GRANT_EXPIRE_DAYS", "2", refresh_token_hours, ["2160", "48"]).beside("REFRESH_TOKEN_EXPIRE_DAYS", "365"),
        entry("REFRESH_TOKEN_RETRY_SECONDS", "0", repeated_refresh, ["200", "400"]),
        entry("AUTHORIZATION_CODE_EXPIRE_MINUTES", "2", code_seconds, ["600", "120"]),
        entry("SESSION_EXPIRE_HOURS", "3", session_cookie_seconds, ["86400", "10800"]),
        entry("SIGNING_KEY_EXPIRE_DAYS", "2", signing_keys, ["1", "2"]).beside("MAINTENANCE_INTERVAL_MINUTES", "0"),
        entry("CACHE_TTL", "3600", client_deactivated_seconds_ago, ["401", "200"]),
        // Of two records, ten and a hundred days old.
        entry("AUDIT_RETENTION_DAYS", "7", old_audit_records, ["1", "0"]).beside("MAINTENANCE_INTERVAL_MINUTES", "0"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lifetimes_act() {
    expect_to_act(lifetimes()).await;
}

async fn access_token_seconds(run: Run) -> String {
    let (_server, target) = run.start().await;
    let app = target.confidential().await;
    target.token(&app, &[CREDENTIALS]).await.expect(200).json()["expires_in"].to_string()
}

async fn refresh_token_hours(run: Run) -> String {
    let (_server, target) = run.start().await;
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let seen = target.introspect(&app, &tokens.refresh).await;
    let time = |name: &str| seen[name].as_i64().expect("whole seconds");
    // The grant is a little older than the token.
    ((time("exp") - time("iat") + 1800) / 3600).to_string()
}

async fn repeated_refresh(run: Run) -> String {
    let (_server, target) = run.start().await;
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    target.refresh(&app, &tokens.refresh).await.expect(200);
    target.refresh(&app, &tokens.refresh).await.status.to_string()
}

/// Its database, beside it.
async fn sqlite(server: &TestServer) -> SqliteConnection {
    SqliteConnection::connect(server.database().url()).await.expect("it opens")
}

async fn number(server: &TestServer, sql: &'static str) -> String {
    let number: i64 = sqlx::query_scalar(sql).fetch_one(&mut sqlite(server).await).await.expect("a number");
    number.to_string()
}

async fn execute(server: &TestServer, sql: &'static str) {
    sqlx::raw_sql(sql).execute(&mut sqlite(server).await).await.expect("it runs");
}

async fn code_seconds(run: Run) -> String {
    let (server, target) = run.start().await;
    target.code(&target.public().await, &target.person().await).await;
    number(&server, "SELECT (expires_at - created_at) / 1000000 FROM authorization_codes").await
}

async fn session_cookie_seconds(run: Run) -> String {
    let (_server, target) = run.start().await;
    let mut browser = target.user_agent();
    let form = fill(browser.login_form().await, &target.person().await);
    let reply = browser.submit(&form).await.expect(303);
    let cookies = reply.header_values("set-cookie").into_iter().map(|it| Cookie::parse(it).expect("a cookie"));
    let session = cookies.into_iter().find(|cookie| cookie.name() == "authly_session").expect("a session");
    session.max_age().expect("an end").whole_seconds().to_string()
}

/// A key is followed by the next one a day before its end, and the first one counts as a day old.
async fn signing_keys(run: Run) -> String {
    let server = run.server().await;
    server.run(&["maintenance", "run"]);
    number(&server, "SELECT count(*) FROM signing_keys").await
}

async fn client_deactivated_seconds_ago(run: Run) -> String {
    let (_server, target) = run.start().await;
    let app = target.confidential().await;
    target.token(&app, &[CREDENTIALS]).await.expect(200);
    target.deactivate_app(&app).await;
    // The default is five.
    sleep(Duration::from_secs(6)).await;
    target.token(&app, &[CREDENTIALS]).await.status.to_string()
}

async fn old_audit_records(run: Run) -> String {
    let server = run.server().await;
    execute(
        &server,
        "INSERT INTO audit_log (id, occurred_at, event, outcome)
        SELECT randomblob(16), (unixepoch() - column1 * 86400) * 1000000, 'long ago', 'success'
        FROM (VALUES (10), (100))",
    )
    .await;
    server.run(&["maintenance", "run"]);
    number(&server, "SELECT count(*) FROM audit_log WHERE event = 'long ago'").await
}

fn secrets() -> Vec<Entry> {
    vec![
        entry("JWT_ALGORITHM", "EdDSA", published_algorithm, ["ES256", "EdDSA"]),
        entry("JWT_SECRET_KEY", OTHER_SECRET, signing_secret, [JWT_SECRET_KEY, OTHER_SECRET])
            .beside("JWT_ALGORITHM", "HS256"),
        entry("JWT_SECRET_KEY_PREVIOUS", OTHER_SECRET, token_by_a_key_of_the_other_secret, ["500", "200"]),
        entry("JWT_REFRESH_SECRET_KEY", OTHER_SECRET, refresh_token_of_the_other_secret, ["400", "200"]),
        entry("JWT_REFRESH_SECRET_KEY_PREVIOUS", OTHER_SECRET, refresh_token_of_the_other_secret, ["400", "200"]),
        entry("ARGON2_MEMORY_KIB", "9216", password_cost, ["m=19456,t=1,p=1", "m=9216,t=1,p=1"]).otherwise(""),
        entry("ARGON2_ITERATIONS", "3", password_cost, ["m=8192,t=2,p=1", "m=8192,t=3,p=1"]).otherwise(""),
        entry("ARGON2_PARALLELISM", "2", password_cost, ["m=8192,t=1,p=1", "m=8192,t=1,p=2"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_act() {
    expect_to_act(secrets()).await;
}

async fn published_algorithm(run: Run) -> String {
    let (_server, target) = run.start().await;
    let jwks = target.get("/.well-known/jwks.json").reply().await.expect(200).json();
    jwks["keys"][0]["alg"].as_str().expect("an algorithm").to_owned()
}

/// Whoever knows it can verify.
async fn signing_secret(run: Run) -> String {
    let (_server, target) = run.start().await;
    let app = target.confidential().await;
    let token = target.token(&app, &[CREDENTIALS]).await.expect(200).member("access_token");
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let is_signed_with = |secret: &str| {
        jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_secret(secret.as_bytes()), &validation).is_ok()
    };
    let secret = [JWT_SECRET_KEY, OTHER_SECRET].into_iter().find(|secret| is_signed_with(secret));
    secret.expect("signed with one of them").to_owned()
}

/// Signing keys are sealed under the secret.
async fn token_by_a_key_of_the_other_secret(run: Run) -> String {
    let earlier = TestServer::sqlite(&[("JWT_SECRET_KEY", OTHER_SECRET)]).await;
    let server = run.server_on(earlier.database().clone()).await;
    let target = target(&server).await;
    target.token(&target.confidential().await, &[CREDENTIALS]).await.status.to_string()
}

async fn refresh_token_of_the_other_secret(run: Run) -> String {
    let earlier = TestServer::sqlite(&[("JWT_REFRESH_SECRET_KEY", OTHER_SECRET)]).await;
    let before = target(&earlier).await;
    let (app, person) = (before.public().await, before.person().await);
    let Tokens { refresh, .. } = before.tokens(&app, &person).await;
    let server = run.server_on(earlier.database().clone()).await;
    target(&server).await.refresh(&app, &refresh).await.status.to_string()
}

/// Of the first administrator's password, from the PHC string.
async fn password_cost(run: Run) -> String {
    let server = run.server().await;
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE username = 'admin'")
        .fetch_one(&mut sqlite(&server).await)
        .await
        .expect("the first run made it");
    hash.split('$').nth(3).expect("parameters").to_owned()
}

fn requests() -> Vec<Entry> {
    vec![
        entry("ISSUER_URL", "https://auth.example", issuer, ["where it listens", "https://auth.example"]),
        entry("AUDIENCE", "urn:example:all", audience, ["where it listens", "urn:example:all"]),
        entry("RESOURCES", "https://api.example/v1", resource, ["invalid_target", "https://api.example/v1"]),
        entry("OAUTH_ENABLED", "false", metadata, ["200", "404"]),
        entry("PKCE_REQUIRED", "false", request_without_challenge, ["invalid_request", "a code"]),
        entry("REQUIRE_USER_CONSENT", "false", first_authorization, ["a page: 200", "a code"]),
        entry("CORS_ORIGINS", "https://app.example", allowed_origin, ["none", "https://app.example"]),
        entry("ALLOWED_HOSTS", "api.example", request_for_a_host, ["421", "200"]),
        entry("TRUSTED_PROXIES", "127.0.0.0/8", logged_address, ["127.0.0.1", "203.0.113.7"])
            .beside("LOG_FORMAT", "json"),
        entry("RATE_LIMIT_REQUESTS_PER_MINUTE", "3", let_through, ["100", "3"]).otherwise(""),
        entry("RATE_LIMIT_ENABLED", "false", let_through, ["3", "all"]).beside("RATE_LIMIT_REQUESTS_PER_MINUTE", "3"),
        entry("REDIS_URL", "{url}", counts_in_redis, ["false", "true"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_requests_acts() {
    expect_to_act(requests()).await;
}

fn name_of(url: &str, server: &TestServer) -> String {
    if url == server.base() { "where it listens".to_owned() } else { url.to_owned() }
}

async fn issuer(run: Run) -> String {
    let server = run.server().await;
    let url = format!("{}/.well-known/oauth-authorization-server", server.base());
    name_of(&http_client().get(url).reply().await.expect(200).member("issuer"), &server)
}

async fn audience(run: Run) -> String {
    let (server, target) = run.start().await;
    let app = target.confidential().await;
    let token = target.token(&app, &[CREDENTIALS]).await.expect(200).member("access_token");
    name_of(target.introspect(&app, &token).await["aud"].as_str().expect("one"), &server)
}

async fn resource(run: Run) -> String {
    let (_server, target) = run.start().await;
    let app = target.confidential().await;
    let reply = target.token(&app, &[CREDENTIALS, ("resource", "https://api.example/v1")]).await;
    if reply.status != 200 {
        return reply.member("error");
    }
    target.introspect(&app, &reply.member("access_token")).await["aud"].as_str().expect("one").to_owned()
}

async fn metadata(run: Run) -> String {
    let (_server, target) = run.start().await;
    target.get("/.well-known/oauth-authorization-server").reply().await.status.to_string()
}

/// Where an authorization request leads.
fn outcome(landing: Landing) -> String {
    match landing {
        Landing::Page(reply) => format!("a page: {}", reply.status),
        Landing::Client(_) => match landing.answer().remove("error") {
            Some(error) => error,
            None => "a code".to_owned(),
        },
    }
}

async fn request_without_challenge(run: Run) -> String {
    let (_server, target) = run.start().await;
    let app = target.confidential_with(|client| client.require_pkce = false).await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    let landing = browser.authorize(&app.ask().without("code_challenge").without("code_challenge_method")).await;
    match landing {
        Landing::Page(page) => outcome(browser.decide(&page, "allow").await),
        Landing::Client(_) => outcome(landing),
    }
}

async fn first_authorization(run: Run) -> String {
    let (_server, target) = run.start().await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    outcome(browser.authorize(&target.confidential().await.ask()).await)
}

async fn allowed_origin(run: Run) -> String {
    let (_server, target) = run.start().await;
    let request = target.post("/auth/token").header(header::ORIGIN, "https://app.example");
    let reply = request.form_body(&[CREDENTIALS]).reply().await;
    reply.header("access-control-allow-origin").unwrap_or("none").to_owned()
}

async fn request_for_a_host(run: Run) -> String {
    let (_server, target) = run.start().await;
    target.get("/login").header(header::HOST, "api.example").reply().await.status.to_string()
}

async fn logged_address(run: Run) -> String {
    let (server, target) = run.start().await;
    target.get("/login").header("x-forwarded-for", "203.0.113.7").reply().await.expect(200);
    let log = server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.into_iter().find(|line| line["path"] == "/login").expect("the request is logged");
    line["client_address"].as_str().expect("an address").to_owned()
}

/// A token request of somebody who is not who they say they are.
async fn impostor(target: &Target) -> u16 {
    let request = target.post("/auth/token").client_basic("nobody", "a guess");
    request.form_body(&[CREDENTIALS]).reply().await.status
}

/// How many of 110 requests.
async fn let_through(run: Run) -> String {
    let (_server, target) = run.start().await;
    for asked in 0..110 {
        if impostor(&target).await == 429 {
            return asked.to_string();
        }
    }
    "all".to_owned()
}

async fn counts_in_redis(mut run: Run) -> String {
    let redis = TestRedis::start().await;
    run.fill_in("url", &redis.url());
    let (_server, target) = run.start().await;
    let deadline = Instant::now() + BOUND;
    loop {
        let health = target.get("/health").reply().await.expect(200).json();
        if health.get("redis").is_none_or(|redis| redis == "ok") {
            break;
        }
        assert!(Instant::now() < deadline, "{health}");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(impostor(&target).await, 401);
    redis.command("KEYS *").await.expect("it answers").contains("authly:limit:").to_string()
}

fn accounts() -> Vec<Entry> {
    let half_of_cores = HashingLimits::default().concurrency;
    let (half_of_cores, one_more) = (half_of_cores.to_string(), (half_of_cores + 1).to_string());
    vec![
        entry("REGISTRATION_ENABLED", "false", registration_page, ["200", "404"]),
        entry("EMAIL_VERIFICATION_REQUIRED", "false", authorization_by_a_new_account, ["a page: 403", "a page: 200"]),
        entry("ADMIN_EMAIL", ADMIN_EMAIL, administrators_login, ["403", "303"])
            .partner("ADMIN_PASSWORD", ADMIN_PASSWORD),
        entry("ADMIN_PASSWORD", ADMIN_PASSWORD, administrators_login, ["403", "303"])
            .partner("ADMIN_EMAIL", ADMIN_EMAIL),
        entry("PASSWORD_HASHING_CONCURRENCY", &one_more, hashes_at_once, [&half_of_cores, &one_more])
            .beside("ARGON2_ITERATIONS", "60"),
        entry("PASSWORD_HASHING_QUEUE", "1", logins_at_once, ["{403}", "{403, 503}"])
            .beside("ARGON2_ITERATIONS", "60")
            .beside("PASSWORD_HASHING_CONCURRENCY", "1"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_accounts_acts() {
    expect_to_act(accounts()).await;
}

async fn registration_page(run: Run) -> String {
    let (_server, target) = run.start().await;
    target.get("/register").reply().await.status.to_string()
}

/// Somebody makes an account; a mail is to confirm the address.
async fn register(target: &Target) -> Person {
    let email = format!("somebody-{}@example.com", unique());
    let password = "a few quiet words";
    let mut browser = target.user_agent();
    let form = browser.get("/register").await.expect(200).form();
    browser.submit(&form.fill("email", &email).fill("password", password)).await.expect(303);
    Person { id: uuid::Uuid::nil(), username: email.clone(), email, password: password.to_owned() }
}

async fn authorization_by_a_new_account(run: Run) -> String {
    let (_server, target) = run.start().await;
    let mut browser = target.user_agent();
    browser.log_in(&register(&target).await).await;
    outcome(browser.authorize(&target.confidential().await.ask()).await)
}

async fn administrators_login(run: Run) -> String {
    let (_server, target) = run.start().await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", ADMIN_EMAIL).fill("password", ADMIN_PASSWORD);
    browser.submit(&form).await.status.to_string()
}

/// Logins of people who do not exist, each of which costs a hash.
async fn logins(target: &Target, count: usize) -> Vec<RequestBuilder> {
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("password", "a guess");
    let cookie = format!("authly_browser={}", browser.cookies()["authly_browser"]);
    let login = |_| {
        let form = form.clone().fill("username", &unique());
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        target.post("/login").header(header::COOKIE, &cookie).form_body(&fields)
    };
    (0..count).map(login).collect()
}

/// The most that were seen while there were enough to be done.
async fn hashes_at_once(run: Run) -> String {
    let (server, target) = run.start().await;
    let logins = logins(&target, HashingLimits::default().concurrency + 4).await;
    let burst = tokio::spawn(in_parallel(logins));
    let mut most = 0;
    while !burst.is_finished() {
        most = most.max(gauge(&server, "authly_password_hashing_running").await);
    }
    most.to_string()
}

async fn logins_at_once(run: Run) -> String {
    let (_server, target) = run.start().await;
    let replies = in_parallel(logins(&target, 6).await).await;
    format!("{:?}", replies.iter().map(|reply| reply.status).collect::<BTreeSet<_>>())
}

async fn metrics(server: &TestServer) -> String {
    http_client().get(format!("{}/metrics", server.base())).reply().await.expect(200).text().to_owned()
}

async fn gauge(server: &TestServer, name: &str) -> u64 {
    let page = metrics(server).await;
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().expect("a whole number")
}

fn mail() -> Vec<Entry> {
    let taken = &*format!("taken from {SENDER}");
    vec![
        entry("SMTP_HOST", "localhost", delivery, ["shown in the log", taken]),
        entry("SMTP_PORT", "{SMTP_PORT}", delivery, ["not sent", taken]),
        entry("SMTP_TLS", "tls", delivery_by_tls, ["not sent", taken]),
        entry("SMTP_CA", "{SMTP_CA}", delivery, ["not sent", taken]),
        entry("SMTP_USERNAME", smtp::USERNAME, delivery, ["not sent", taken]).partner("SMTP_PASSWORD", smtp::PASSWORD),
        entry("SMTP_PASSWORD", smtp::PASSWORD, delivery, ["not sent", taken]).partner("SMTP_USERNAME", smtp::USERNAME),
        entry("SMTP_FROM_EMAIL", "hello@example.com", delivery, [taken, "taken from hello@example.com"])
            .otherwise(SENDER),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_mail_acts() {
    expect_to_act(mail()).await;
}

async fn delivery(run: Run) -> String {
    delivery_to(&MailServer::start(Encryption::StartTls).await, run).await
}

async fn delivery_by_tls(run: Run) -> String {
    delivery_to(&MailServer::start(Encryption::Tls).await, run).await
}

/// What becomes of a mail. The server has one account, and takes nothing without it.
async fn delivery_to(mail: &MailServer, mut run: Run) -> String {
    for (name, value) in mail.variables() {
        run.fill_in(name, &value);
        run.add(name, value);
    }
    let (server, target) = run.start().await;
    register(&target).await;
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(received) = mail.received().pop() {
            let sender = received.data.lines().find_map(|line| line.strip_prefix("From: ")).expect("a sender");
            return format!("taken from {sender}");
        }
        let log = server.log();
        if log.contains("this is the mail to somebody-") {
            return "shown in the log".to_owned();
        }
        if log.contains("a mail was not sent") {
            return "not sent".to_owned();
        }
        assert!(Instant::now() < deadline, "nothing becomes of it");
        sleep(Duration::from_millis(20)).await;
    }
}

fn operation() -> Vec<Entry> {
    vec![
        entry("ENVIRONMENT", "production", demo, ["303", "404"]),
        entry("DATABASE_URL", "sqlite://./other/authly.db", database_file, ["data/authly.db", "other/authly.db"])
            .otherwise(""),
        entry("DATABASE_POOL_SIZE", "7", connections, ["16", "7"]),
        entry("HOST", "0.0.0.0", listens_at_other_addresses, ["false", "true"]),
        entry("PORT", "{port}", port, ["cannot listen on 127.0.0.1:8000", "listens"]),
        entry("LOG_LEVEL", "warn", requests_are_logged, ["true", "false"]),
        entry("LOG_FORMAT", "json", log_is_json, ["false", "true"]),
        entry("DEBUG", "true", fault_shows_its_cause, ["false", "true"]),
        entry("HEALTH_CHECK_ENABLED", "false", readiness, ["200", "404"]),
        entry("METRICS_ENABLED", "false", metrics_page, ["200", "404"]),
        entry("METRICS_ADDRESS", "127.0.0.1:{port}", metrics_page, ["200", "404 here, 200 there"]),
        entry("MAINTENANCE_INTERVAL_MINUTES", "0", maintenance_ran, ["true", "false"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_operation_acts() {
    expect_to_act(operation()).await;
}

async fn demo(run: Run) -> String {
    let (_server, target) = run.start().await;
    target.get("/demo").reply().await.status.to_string()
}

async fn database_file(run: Run) -> String {
    let server = run.server().await;
    let is_there = |path: &&str| server.directory().join(path).exists();
    ["data/authly.db", "other/authly.db"].into_iter().filter(is_there).collect::<Vec<_>>().join(" ")
}

async fn connections(run: Run) -> String {
    let server = run.server_on(postgres().await).await;
    gauge(&server, "authly_db_connections_max").await.to_string()
}

async fn listens_at_other_addresses(run: Run) -> String {
    let server = run.server().await;
    TcpStream::connect(("127.0.0.2", server.port())).await.is_ok().to_string()
}

async fn port(mut run: Run) -> String {
    let port = free_port();
    run.fill_in("port", &port.to_string());
    // Nobody else gets the default's while this lasts; who has it already keeps the program from it as well.
    let _taken = (!run.is_set).then(|| TcpListener::bind(("127.0.0.1", 8000)));
    let mut process = run.process();
    let deadline = Instant::now() + BOUND;
    while Instant::now() < deadline {
        if let Some(said) = process.last_words() {
            let refused = "cannot listen on 127.0.0.1:8000";
            return if said.contains(refused) { refused.to_owned() } else { said };
        }
        if run.is_set && TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return "listens".to_owned();
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("it neither ends nor listens where it should");
}

async fn requests_are_logged(run: Run) -> String {
    let (server, target) = run.start().await;
    target.get("/login").reply().await.expect(200);
    server.log().contains("authly::access").to_string()
}

async fn log_is_json(run: Run) -> String {
    let server = run.server().await;
    let log = server.wait_for_log("listening").await;
    let line = log.lines().find(|line| line.contains("listening")).expect("it is there");
    serde_json::from_str::<Value>(line).is_ok().to_string()
}

async fn fault_shows_its_cause(run: Run) -> String {
    let (server, target) = run.start().await;
    execute(&server, "ALTER TABLE clients RENAME TO elsewhere").await;
    let request = target.post("/auth/token").client_basic("nobody", "a guess");
    let fault = request.form_body(&[CREDENTIALS]).reply().await.expect(500);
    fault.member("error_description").contains("no such table").to_string()
}

async fn readiness(mut run: Run) -> String {
    let port = free_port();
    run.add("PORT", port.to_string());
    let mut process = run.process();
    let deadline = Instant::now() + BOUND;
    let url = format!("http://127.0.0.1:{port}/health/ready");
    loop {
        if let Ok(reply) = http_client().get(&url).try_reply().await {
            return reply.status.to_string();
        }
        assert_eq!(process.last_words(), None);
        assert!(Instant::now() < deadline, "it does not answer");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn metrics_page(mut run: Run) -> String {
    run.fill_in("port", &free_port().to_string());
    let server = run.server().await;
    let status = async |address: &str| http_client().get(format!("http://{address}/metrics")).reply().await.status;
    let here = status(&format!("127.0.0.1:{}", server.port())).await;
    match run.value.as_deref() {
        Some(address) if run.variable == "METRICS_ADDRESS" => format!("{here} here, {} there", status(address).await),
        _ => here.to_string(),
    }
}

/// Where there is a timer, the first turn comes before the first look at what became of it.
async fn maintenance_ran(run: Run) -> String {
    let server = run.server().await;
    let deadline = Instant::now() + BOUND;
    loop {
        let page = metrics(&server).await;
        let jobs = page.lines().filter_map(|line| {
            line.strip_prefix("authly_maintenance_last_success_timestamp_seconds{")?.split_once("} ")
        });
        let mut times = jobs.map(|(_, time)| time).peekable();
        if times.peek().is_some() {
            return times.all(|time| time != "0").to_string();
        }
        assert!(Instant::now() < deadline, "{page}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn stopping() -> Vec<Entry> {
    vec![
        entry("REQUEST_TIMEOUT_SECONDS", "1", slow_request, ["401 in the end", "503 before its end"]),
        entry("SHUTDOWN_TIMEOUT_SECONDS", "1", stop_during_a_request, ["401", "cut off"]),
        entry("SHUTDOWN_DRAIN_SECONDS", "20", stop_beside_an_idle_connection, ["closed", "200"]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_slow_requests_and_stopping_acts() {
    expect_to_act(stopping()).await;
}

/// Sends a request without its body, and waits until the server asks for that (RFC 9110 §10.1.1).
async fn begin_request(server: &TestServer) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.expect("it listens");
    let head = "POST /auth/token HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nexpect: 100-continue\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 29\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it is open");
    let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await.expect("it is open");
    assert_eq!(answer, expected);
    stream
}

/// The status of what is answered to this, until the connection is closed.
async fn answer(stream: &mut TcpStream, rest: &str) -> String {
    stream.write_all(rest.as_bytes()).await.expect("it is open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is closed in order");
    answer.split(' ').nth(1).expect("a status").to_owned()
}

async fn slow_request(run: Run) -> String {
    let server = run.server().await;
    let mut stream = begin_request(&server).await;
    match timeout(PATIENCE, answer(&mut stream, "")).await {
        Ok(status) => format!("{status} before its end"),
        Err(_) => format!("{} in the end", answer(&mut stream, "grant_type=client_credentials").await),
    }
}

/// Tells it to stop. Whether it does so soon.
async fn stops(server: &TestServer) -> bool {
    server.signal_terminate();
    let deadline = Instant::now() + PATIENCE;
    while !server.has_exited() && Instant::now() < deadline {
        sleep(Duration::from_millis(20)).await;
    }
    server.has_exited()
}

async fn stop_during_a_request(run: Run) -> String {
    let server = run.server().await;
    let mut stream = begin_request(&server).await;
    if stops(&server).await {
        return "cut off".to_owned();
    }
    answer(&mut stream, "grant_type=client_credentials").await
}

async fn stop_beside_an_idle_connection(run: Run) -> String {
    let server = run.server().await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.expect("it listens");
    if stops(&server).await {
        return "closed".to_owned();
    }
    answer(&mut stream, "GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await
}
