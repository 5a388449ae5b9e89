//! deploy/monitoring against a loaded server: a real Prometheus with its configuration reads a real server, Postgres,
//! Redis and the issuer's certificate, is asked everything that the dashboard and the rules ask, and tells a real
//! Alertmanager. Run by deploy/monitoring/check.sh.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use authly_tests::{
    container,
    http::{RequestExt as _, encode},
    postgres::TestDatabase,
    proxy::{Link, Proxy},
    redis::TestRedis,
    server::{Database, TestServer, free_port},
    target::{Target, Tokens, http_client},
    tls,
};
use axum::Router;
use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// Between two scrapes here, so that an exercise of seconds is seen.
const SCRAPE: Duration = Duration::from_secs(2);
/// What `$__rate_interval` stands for: all of the exercise.
const RATE_INTERVAL: &str = "3m";
const PATIENCE: Duration = Duration::from_secs(30);

/// What counts in queries and does not move here, and why.
const STILL: [(&str, &str); 2] = [
    ("authly_maintenance_runs_total", "the jobs run when the server starts, and ten minutes later"),
    ("pg_stat_database_xact_rollback", "nothing is rolled back"),
];

/// Alerts that a slow machine is near to, at one moment or another.
const BUSY_MACHINE: [&str; 3] =
    ["AuthlyLatencyBudgetBurnsFast", "AuthlyLatencyBudgetBurnsSlowly", "AuthlySlowStatements"];

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").canonicalize().expect("it is there")
}

fn read(path: &str) -> String {
    fs::read_to_string(monitoring().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program that runs until this is dropped.
struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    /// Starts it; `{port}` in an argument is the port that it is to listen on.
    fn start(program: &str, arguments: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let port = free_port();
        let log = fs::File::create(log).expect("a log file");
        let arguments = arguments.iter().map(|argument| argument.replace("{port}", &port.to_string()));
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; run deploy/setup.sh"));
        Self { child, port }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// TLS in front of a server, as a proxy would do it. Returns its port and the authority's certificate.
async fn with_tls(upstream: u16) -> (u16, String) {
    let (acceptor, authority) = tls::localhost();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut near = acceptor.accept(stream).await.ok()?;
                let mut far = TcpStream::connect(("127.0.0.1", upstream)).await.ok()?;
                copy_bidirectional(&mut near, &mut far).await.ok()
            });
        }
    });
    (port, authority)
}

/// What pagers and chats are sent: by which receiver of Alertmanager's configuration, and about which alerts.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Messages {
    /// Listens for them. Returns the address.
    async fn listen(&self) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let messages = self.clone();
        let take = move |body: Bytes| {
            messages.keep(&serde_json::from_slice(&body).expect("JSON"));
            std::future::ready(())
        };
        let router = Router::new().fallback(take);
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn keep(&self, message: &Value) {
        let receiver = message["receiver"].as_str().expect("a receiver");
        let alerts = message["alerts"].as_array().expect("alerts");
        let alerts = alerts.iter().map(|alert| (receiver.to_owned(), named(alert).to_owned()));
        self.0.lock().expect("nobody panics with it").extend(alerts);
    }

    fn have(&self, receiver: &str, alert: &str) -> bool {
        self.0.lock().expect("nobody panics with it").contains(&(receiver.to_owned(), alert.to_owned()))
    }
}

/// Prometheus with the configuration of deploy/monitoring, but for the addresses and the intervals.
struct Prometheus {
    daemon: Daemon,
    _others: [Daemon; 4],
    messages: Messages,
    directory: TempDir,
}

impl Prometheus {
    async fn start(server: &TestServer, postgres: &str, redis: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = |name: &str| directory.path().join(name);
        let (tls_port, authority) = with_tls(server.port()).await;
        fs::write(file("authority.pem"), authority).expect("it is written");
        // The exporter's own default, but for the authority. (JSON is YAML.)
        let tls = json!({ "tls_config": { "ca_file": file("authority.pem") } });
        let blackbox = json!({ "modules": { "http_2xx": { "prober": "http", "http": tls } } });
        fs::write(file("blackbox.yml"), blackbox.to_string()).expect("it is written");
        let data_source = format!("{postgres}?sslmode=disable");
        let messages = Messages::default();
        let receiver = messages.listen().await;
        let alertmanager = replaced(
            &read("alertmanager.yml"),
            &[
                ("https://pager.example.com/", &format!("http://{receiver}/")),
                ("https://chat.example.com/", &format!("http://{receiver}/")),
                ("group_wait: 30s", "group_wait: 1s"),
            ],
        );
        fs::write(file("alertmanager.yml"), alertmanager).expect("it is written");
        let others = [
            Daemon::start(
                "prometheus-postgres-exporter",
                &["--web.listen-address=127.0.0.1:{port}"],
                &[("DATA_SOURCE_NAME", &data_source)],
                &file("postgres.log"),
            ),
            Daemon::start(
                "prometheus-redis-exporter",
                &["-web.listen-address=127.0.0.1:{port}", "-redis.addr", redis],
                &[],
                &file("redis.log"),
            ),
            Daemon::start(
                "prometheus-blackbox-exporter",
                &[
                    "--web.listen-address=127.0.0.1:{port}",
                    &format!("--config.file={}", file("blackbox.yml").display()),
                ],
                &[],
                &file("blackbox.log"),
            ),
            Daemon::start(
                "prometheus-alertmanager",
                &[
                    "--web.listen-address=127.0.0.1:{port}",
                    "--cluster.listen-address=",
                    &format!("--config.file={}", file("alertmanager.yml").display()),
                    &format!("--storage.path={}", file("alerts").display()),
                ],
                &[],
                &file("alertmanager.log"),
            ),
        ];
        let seconds = format!("{}s", SCRAPE.as_secs());
        let config = replaced(
            &read("prometheus.yml"),
            &[
                ("scrape_interval: 15s", &format!("scrape_interval: {seconds}")),
                ("scrape_timeout: 10s", &format!("scrape_timeout: {seconds}")),
                ("evaluation_interval: 15s", &format!("evaluation_interval: {seconds}")),
                ("rules/*.yml", &format!("{}/rules/*.yml", monitoring().display())),
                ("alertmanager:9093", &others[3].address()),
                (
                    "dns_sd_configs:\n      - names: [authly]\n        type: A\n        port: 8000\n",
                    &format!("static_configs:\n      - targets: ['127.0.0.1:{}']\n", server.port()),
                ),
                ("postgres-exporter:9187", &others[0].address()),
                ("redis-exporter:9121", &others[1].address()),
                ("blackbox-exporter:9115", &others[2].address()),
                ("https://auth.example.com/", &format!("https://localhost:{tls_port}/")),
            ],
        );
        fs::write(file("prometheus.yml"), config).expect("it is written");
        let daemon = Daemon::start(
            "prometheus",
            &[
                "--web.listen-address=127.0.0.1:{port}",
                &format!("--config.file={}", file("prometheus.yml").display()),
                &format!("--storage.tsdb.path={}", file("data").display()),
            ],
            &[],
            &file("prometheus.log"),
        );
        let prometheus = Self { daemon, _others: others, messages, directory };
        prometheus.until("every target answers", async || prometheus.targets_answer().await).await;
        prometheus
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let reply = http_client().get(format!("http://{}{path}", self.daemon.address())).try_reply().await.ok()?;
        let answer: Value = serde_json::from_slice(&reply.body).ok()?;
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        Some(answer["data"].clone())
    }

    async fn list(&self, path: &str, member: &str) -> Vec<Value> {
        let data = self.get(path).await.unwrap_or_default();
        data[member].as_array().cloned().unwrap_or_default()
    }

    async fn targets_answer(&self) -> bool {
        let targets = self.list("/api/v1/targets", "activeTargets").await;
        targets.len() == 4 && targets.iter().all(|target| target["health"] == "up")
    }

    /// The values that a query finds, but those that are not numbers.
    async fn values(&self, query: &str) -> Vec<f64> {
        let path = format!("/api/v1/query?{}", encode([("query", query)]));
        let result = self.list(&path, "result").await;
        let values = result.iter().map(|sample| sample["value"][1].as_str().unwrap_or_default());
        values.filter_map(|value| value.parse().ok()).filter(|value: &f64| value.is_finite()).collect()
    }

    async fn rules(&self) -> Vec<Value> {
        let groups = self.list("/api/v1/rules", "groups").await;
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
    }

    async fn alerts(&self) -> Vec<Value> {
        self.list("/api/v1/alerts", "alerts").await
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so().await {
            if Instant::now() > deadline {
                let targets = self.list("/api/v1/targets", "activeTargets").await;
                let errors: Vec<_> = targets.iter().map(|it| (&it["scrapeUrl"], &it["lastError"])).collect();
                let log = fs::read_to_string(self.directory.path().join("prometheus.log")).unwrap_or_default();
                panic!("{what}: not within {PATIENCE:?}\n{errors:#?}\n{:#?}\n{log}", self.alerts().await);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Every text must be there: what was renamed would not be exercised.
fn replaced(text: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in\n{text}");
        text.replace(from, to)
    })
}

/// What goes on all day: a login, consent, a code, refreshes, tokens for a client, introspection, and an end.
async fn visit(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let next = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
    target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
    assert_eq!(target.introspect(&app, &next.access).await["active"], true);
    let me = target.get("/api/v1/users/me").header("authorization", format!("Bearer {}", next.access));
    me.reply().await.expect(200);
    target.jwks().await;
    target.revoke(&app, &next.refresh).await.expect(200);
}

/// What also happens: somebody mistypes, somebody says no, a client asks for what there is not.
async fn mishap(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", &person.username).fill("password", "not this one");
    browser.submit(&form).await.expect(403);
    browser.log_in(&person).await;
    let page = browser.authorize(&app.ask()).await.page();
    assert_eq!(browser.decide(&page, "deny").await.answer()["error"], "access_denied");
    let answer = browser.authorize(&app.ask().with("response_type", "token")).await;
    assert_eq!(answer.answer()["error"], "unsupported_response_type");
}

/// What should be told to somebody: replays, guesses, strangers, an audit log that takes nothing, and a database that is
/// away.
async fn trouble(target: &Target, database: &TestDatabase, link: &Proxy) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    target.exchange(&app, &code).await.expect(200);
    target.exchange(&app, &code).await.expect(400);
    let tokens = target.tokens(&app, &person).await;
    let next = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
    target.refresh(&app, &next.refresh).await.expect(200);
    target.refresh(&app, &tokens.refresh).await.expect(400);
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", &person.username).fill("password", "not this one");
    for _ in 0..12 {
        let reply = browser.submit(&form).await;
        assert!(matches!(reply.status, 403 | 429), "{reply:?}");
    }
    let stranger = || target.post("/auth/token").client_basic("nobody", "a guess");
    for _ in 0..5 {
        stranger().form_body(&[("grant_type", "client_credentials")]).reply().await.expect(401);
    }
    target.get("/authorize?client_id=nobody").reply().await.expect(400);
    let rename = async |from: &str, to: &str| {
        let sql = sqlx::AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
        sqlx::raw_sql(sql).execute(database.pool()).await.expect("it may");
    };
    rename("audit_log", "elsewhere").await;
    stranger().form_body(&[("grant_type", "client_credentials")]).reply().await.expect(401);
    rename("elsewhere", "audit_log").await;
    let unknown = target.confidential().await;
    link.set(Link::Down);
    for _ in 0..4 {
        target.token(&unknown, &[("grant_type", "client_credentials")]).await.expect(503);
    }
    link.set(Link::Up);
    let deadline = Instant::now() + PATIENCE;
    while target.token(&unknown, &[("grant_type", "client_credentials")]).await.status != 200 {
        assert!(Instant::now() < deadline, "the server does not find its database again");
        sleep(Duration::from_millis(100)).await;
    }
}

/// One address asks until it is refused.
async fn flood(target: &Target) {
    let mut refused = 0;
    for _ in 0..3000 {
        refused += u32::from(target.get("/authorize?client_id=nobody").reply().await.status == 429);
        if refused == 20 {
            return;
        }
    }
    panic!("nobody was refused");
}

/// A query as Grafana would send it, with every variable at "All".
fn expanded(expression: &str) -> String {
    let query = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$job", ".+").replace("$instance", ".+");
    assert!(!query.contains('$'), "an unknown variable: {expression}");
    query
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/dashboards/authly.json")).expect("JSON")
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("panels")
}

/// The selectors of an expression: a metric of ours or of an exporter, and what it is narrowed to.
fn selectors(query: &str) -> BTreeSet<String> {
    const PREFIXES: [&str; 8] = ["authly_", "authly:", "process_", "pg_", "redis_", "probe_", "up{", "ALERTS"];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = BTreeSet::new();
    let mut rest = query;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let text = &rest[start..];
        let name = text.find(|c| !is_name(c)).unwrap_or(text.len());
        let end = match text[name..].strip_prefix('{') {
            Some(labels) => name + labels.find('}').map_or(0, |end| end + 2),
            None => name,
        };
        if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
            found.insert(text[..end].to_owned());
        }
        rest = &text[end.max(1)..];
    }
    found
}

/// What the dashboard asks, and does not find. Nothing is to be empty, and what counts is to have counted.
async fn problems_of_panels(prometheus: &Prometheus) -> Vec<String> {
    let mut problems = Vec::new();
    let dashboard = dashboard();
    for panel in panels(&dashboard).iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().expect("targets") {
            let query = expanded(target["expr"].as_str().expect("an expression"));
            let values = prometheus.values(&query).await;
            let counts = query.contains("rate(") || query.contains("increase(");
            let title = panel["title"].as_str().expect("a title");
            let is_still = STILL.iter().any(|(metric, _)| query.contains(metric));
            let problem = if values.is_empty() {
                "no data"
            } else if counts && !is_still && values.iter().all(|value| *value == 0.0) {
                "zero"
            } else {
                continue;
            };
            problems.push(format!("{title}: {problem}: {query}"));
        }
    }
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations");
    for expression in annotations.iter().filter_map(|annotation| annotation["expr"].as_str()) {
        prometheus.values(&expanded(expression)).await;
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        if let Some((_, inner)) = variable["definition"].as_str().and_then(|text| text.split_once("label_values(")) {
            let (selector, label) = inner.trim_end_matches(')').rsplit_once(", ").expect("a selector and a label");
            let query = format!("count by ({label}) ({})", expanded(selector));
            if prometheus.values(&query).await.is_empty() {
                problems.push(format!("a variable without values: {query}"));
            }
        }
    }
    problems
}

/// What the rules ask for and is not there: an alert on what nobody measures is never heard.
async fn problems_of_rules(prometheus: &Prometheus) -> Vec<String> {
    let mut problems = Vec::new();
    for rule in prometheus.rules().await {
        let (name, query) = (rule["name"].as_str().expect("a name"), rule["query"].as_str().expect("a query"));
        if rule["health"] != "ok" {
            problems.push(format!("{name}: {}", rule["lastError"]));
        }
        if rule["type"] == "recording" && prometheus.values(name).await.is_empty() {
            problems.push(format!("{name} records nothing"));
        }
        let selectors = selectors(query);
        assert!(!selectors.is_empty(), "{name} asks for nothing: {query}");
        for selector in selectors {
            if prometheus.values(&selector).await.is_empty() {
                problems.push(format!("{name}: nothing is measured as {selector}"));
            }
        }
    }
    problems
}

fn named(alert: &Value) -> &str {
    alert["labels"]["alertname"].as_str().expect("a name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_finds_what_it_asks_for() {
    let database = TestDatabase::new().await;
    let direct = url::Url::parse(&database.direct_url()).expect("a URL");
    let upstream = format!("{}:{}", direct.host_str().expect("a host"), direct.port().unwrap_or(5432));
    let proxy = Proxy::start(upstream).await;
    let mut proxied = direct.clone();
    proxied.set_host(Some("127.0.0.1")).expect("a host");
    proxied.set_port(Some(proxy.port())).expect("a port");
    let redis = TestRedis::start().await;
    let variables = [("RATE_LIMIT_REQUESTS_PER_MINUTE", "600"), ("REDIS_URL", &redis.url())];
    let server = TestServer::start(Database::new(proxied.into(), ()), &variables).await;
    let target = container::target_on(&server, direct.as_str()).await;
    let prometheus = Prometheus::start(&server, direct.as_str(), &redis.url()).await;

    for _ in 0..4 {
        join_all((0..4).map(|_| visit(&target))).await;
        mishap(&target).await;
        sleep(SCRAPE).await;
    }
    let issued = "authly_tokens_issued_total{grant_type=\"refresh_token\"} >= 16";
    prometheus.until("the load is seen", async || !prometheus.values(issued).await.is_empty()).await;
    let is_quiet = async || {
        let alerts = prometheus.alerts().await;
        let mut others = alerts.iter().filter(|it| it["state"] == "firing" || !BUSY_MACHINE.contains(&named(it)));
        others.next().is_none() && prometheus.rules().await.iter().all(|rule| rule["health"] == "ok")
    };
    prometheus.until("no alert on a healthy server", is_quiet).await;

    for _ in 0..3 {
        trouble(&target, &database, &proxy).await;
        sleep(SCRAPE).await;
    }
    for _ in 0..2 {
        flood(&target).await;
        sleep(SCRAPE).await;
    }
    let refused = "authly_rate_limit_refusals_total{limit=\"address\"} >= 40";
    prometheus.until("the flood is seen", async || !prometheus.values(refused).await.is_empty()).await;
    sleep(2 * SCRAPE).await;
    let alerts = prometheus.alerts().await;
    for expected in ["AuthlyRefreshTokenReplayed", "AuthlyCodeReplayed", "AuthlyDatabaseUnavailable"] {
        assert!(alerts.iter().any(|alert| named(alert) == expected), "{expected} is not in {alerts:#?}");
    }
    let told = async || {
        let messages = &prometheus.messages;
        messages.have("night", "AuthlyAuditRecordsLost") && messages.have("morning", "AuthlyRefreshTokenReplayed")
    };
    prometheus.until("somebody is told", told).await;
    for alert in &alerts {
        let text = alert["annotations"].to_string();
        assert!(!text.contains("{{") && !text.contains("<no value>") && !text.contains("<error"), "{text}");
        assert!(text.contains("\"runbook_url\"") && alert["labels"]["severity"].is_string(), "{alert}");
    }
    let problems = [problems_of_panels(&prometheus).await, problems_of_rules(&prometheus).await].concat();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_dashboard_is_laid_out_without_overlaps_and_of_current_panels() {
    let dashboard = dashboard();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}: its id is another panel's");
        assert!(matches!(panel["type"].as_str(), Some("row" | "timeseries" | "stat")), "{title}");
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{title}: too wide");
        for cell in (place("x")..place("x") + place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
            assert!(cells.insert((cell.0, cell.1 + place("y"))), "{title} lies on another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty() && panel["datasource"]["uid"] == "${datasource}", "{title}");
        assert!(targets.iter().all(|target| target["datasource"] == panel["datasource"]), "{title}");
    }
}

#[test]
fn selectors_are_found_in_expressions() {
    let query = "sum by (job) (rate(authly_logins_total{result=\"failure\"}[15m])) / up{job=\"authly\"} > pg_up";
    let expected = ["authly_logins_total{result=\"failure\"}", "pg_up", "up{job=\"authly\"}"];
    assert_eq!(selectors(query), expected.map(str::to_owned).into());
}
