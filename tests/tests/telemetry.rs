//! What operators are told: metrics, and traces in the log.

use std::collections::BTreeMap;

use authly_tests::{
    collector::{Collector, Recorded},
    container,
    http::{Reply, RequestExt as _},
    lambda::{Function, Gateway},
    postgres::TestDatabase,
    proxy::{Link, Proxy},
    redis::TestRedis,
    server::{Database, TestServer, free_port},
    spin::Application,
    target::{App, Target, Tokens, http_client},
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

/// The samples of a page in Prometheus' text format, by name and labels as they are written.
fn samples(page: &Reply) -> BTreeMap<String, f64> {
    assert!(page.header("content-type").is_some_and(|it| it.starts_with("text/plain; version=0.0.4")), "{page:?}");
    let lines = page.text().lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        (series.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

async fn scrape(base: &str) -> BTreeMap<String, f64> {
    samples(&http_client().get(format!("{base}/metrics")).reply().await.expect(200))
}

/// A login, a code, a refresh, a replay, a refusal, a token for a client, and a path that is none.
async fn some_of_everything(target: &Target) -> App {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
    let next = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
    target.refresh(&app, &next.refresh).await.expect(200);
    target.refresh(&app, &tokens.refresh).await.expect(400);
    target.exchange(&app, &code).await.expect(400);
    target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", &person.username).fill("password", "not this one");
    browser.submit(&form).await.expect(403);
    target.get("/authorize?client_id=nobody").reply().await.expect(400);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    browser.authorize(&app.ask().with("response_type", "token")).await.client();
    target.get(&format!("/{}", person.username)).reply().await.expect(404);
    app
}

const COUNTED: [(&str, &str, &str, f64); 10] = [
    ("oauth_authorizations", "result", "granted", 1.0),
    ("oauth_authorizations", "result", "invalid", 1.0),
    ("oauth_authorizations", "result", "rejected", 1.0),
    ("tokens_issued", "grant_type", "authorization_code", 1.0),
    ("tokens_issued", "grant_type", "refresh_token", 2.0),
    ("tokens_issued", "grant_type", "client_credentials", 1.0),
    ("logins", "result", "success", 2.0),
    ("logins", "result", "failure", 1.0),
    ("replays", "replayed", "refresh_token", 1.0),
    ("replays", "replayed", "authorization_code", 1.0),
];

async fn metrics_count(server: &TestServer) -> BTreeMap<String, f64> {
    let target = container::target(server).await;
    let app = some_of_everything(&target).await;
    let page = http_client().get(format!("{}/metrics", server.base())).reply().await.expect(200);
    assert!(!page.text().contains(&app.client_id), "labels never name clients:\n{}", page.text());
    let samples = samples(&page);
    for (name, label, value, count) in COUNTED {
        let series = format!("authly_{name}_total{{{label}=\"{value}\"}}");
        assert_eq!(samples.get(&series), Some(&count), "{series} in\n{}", page.text());
    }
    let token = "authly_requests_total{endpoint=\"token\",method=\"POST\",status=\"200\"}";
    assert_eq!(samples[token], 4.0);
    assert_eq!(samples["authly_requests_total{endpoint=\"none\",method=\"GET\",status=\"404\"}"], 1.0);
    assert_eq!(samples["authly_request_duration_seconds_count{endpoint=\"token\"}"], 6.0);
    assert_eq!(samples["authly_request_duration_seconds_bucket{endpoint=\"token\",le=\"+Inf\"}"], 6.0);
    // It was made when the server started, and dated back by a day.
    assert!((86_400.0..90_000.0).contains(&samples["authly_signing_key_age_seconds"]));
    // The mail of nobody.
    assert_eq!((samples["authly_mail_waiting"], samples["authly_mail_failed"]), (0.0, 0.0));
    assert!(!samples.keys().any(|series| series.starts_with("authly_service_up")), "no service is configured");
    assert!(samples["process_resident_memory_bytes"] > 1_000_000.0);
    assert!(samples["process_open_fds"] > 3.0);
    samples
}

#[tokio::test]
async fn metrics_count_what_happens_on_sqlite() {
    let samples = metrics_count(&TestServer::sqlite(&[]).await).await;
    assert_eq!(samples["authly_db_connections_max"], 5.0);
}

#[tokio::test]
async fn metrics_count_what_happens_on_postgres() {
    let variables = [("DATABASE_POOL_SIZE", "7")];
    let samples = metrics_count(&TestServer::start(container::postgres().await, &variables).await).await;
    assert_eq!(samples["authly_db_connections_max"], 7.0);
    assert_eq!(samples["authly_db_connections_active"], 0.0);
    // The two uses of the code.
    assert_eq!(samples["authly_db_query_duration_seconds_count{statement=\"redeem_code\"}"], 2.0);
    assert!(!samples.keys().any(|series| series.starts_with("authly_db_query_failures_total")));
}

#[tokio::test]
async fn metrics_are_not_for_strangers() {
    let server = TestServer::sqlite(&[]).await;
    let metrics = || http_client().get(format!("{}/metrics", server.base()));
    metrics().reply().await.expect(200);
    metrics().header("host", "10.0.0.1:8000").reply().await.expect(200);
    metrics().header("x-forwarded-for", "203.0.113.7").reply().await.expect(404);
    metrics().header("x-forwarded-for", "127.0.0.1").reply().await.expect(404);
    http_client().post(format!("{}/metrics", server.base())).reply().await.expect(404);

    let server = TestServer::sqlite(&[("METRICS_ENABLED", "false")]).await;
    http_client().get(format!("{}/metrics", server.base())).reply().await.expect(404);

    let address = format!("127.0.0.1:{}", free_port());
    let server = TestServer::sqlite(&[("METRICS_ADDRESS", &address)]).await;
    http_client().get(format!("{}/metrics", server.base())).reply().await.expect(404);
    assert!(scrape(&format!("http://{address}")).await.contains_key("process_cpu_seconds_total"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_counted_by_its_kind() {
    let database = TestDatabase::new().await;
    let direct = url::Url::parse(&database.url()).expect("a URL");
    let (host, port) = (direct.host_str().unwrap_or("127.0.0.1"), direct.port().unwrap_or(5432));
    let proxy = Proxy::start(format!("{host}:{port}")).await;
    let mut proxied = direct.clone();
    proxied.set_host(Some("127.0.0.1")).expect("a host");
    proxied.set_port(Some(proxy.port())).expect("a port");
    let server = TestServer::start(Database::new(proxied.into(), ()), &[]).await;
    let before = scrape(&server.base()).await;
    assert_eq!(before["authly_faults_total{kind=\"store_unavailable\"}"], 0.0);
    proxy.set(Link::Down);
    // No client is known yet: the database would have to be asked.
    let authorize = format!("{}/authorize?client_id=client-1", server.base());
    http_client().get(authorize).reply().await.expect(503);
    let after = scrape(&server.base()).await;
    assert_eq!(after["authly_faults_total{kind=\"store_unavailable\"}"], 1.0);
    assert_eq!(after["authly_requests_total{endpoint=\"authorize\",method=\"GET\",status=\"503\"}"], 1.0);
    assert_eq!(after["authly_db_query_failures_total{statement=\"client\"}"], 1.0);
}

#[tokio::test]
async fn refusals_are_counted_by_their_limit() {
    let redis = TestRedis::start().await;
    let variables = [("RATE_LIMIT_REQUESTS_PER_MINUTE", "60"), ("REDIS_URL", &redis.url())];
    let server = TestServer::start(container::postgres().await, &variables).await;
    let target = container::target(&server).await;
    let person = target.person().await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", &person.username).fill("password", "not this one");
    let mut held_back = 0.0;
    for _ in 0..30 {
        held_back += f64::from(u8::from(browser.submit(&form).await.status == 429));
    }
    let mut refused = 0.0;
    // More than two windows have, should one end meanwhile.
    for _ in 0..150 {
        let reply = target.get("/authorize?client_id=nobody").reply().await;
        refused += f64::from(u8::from(reply.status == 429));
    }
    let samples = scrape(&server.base()).await;
    assert!(held_back > 0.0 && refused > 0.0, "{held_back} {refused}");
    assert_eq!(samples["authly_rate_limit_refusals_total{limit=\"address\"}"], refused);
    assert_eq!(samples["authly_rate_limit_refusals_total{limit=\"origin\"}"], held_back);
    assert_eq!(samples["authly_rate_limit_refusals_total{limit=\"account\"}"], 0.0);
    assert_eq!(samples["authly_service_up{service=\"redis\"}"], 1.0);
}

#[tokio::test]
async fn records_that_the_audit_log_lacks_are_counted() {
    let database = TestDatabase::new().await;
    sqlx::raw_sql("ALTER TABLE audit_log RENAME TO elsewhere").execute(database.pool()).await.expect("it may");
    let server = TestServer::start(Database::new(database.url(), database), &[]).await;
    let target = container::target(&server).await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", "nobody").fill("password", "not this one");
    browser.submit(&form).await.expect(403);
    let samples = scrape(&server.base()).await;
    assert_eq!(samples["authly_audit_records_lost_total{outcome=\"failure\"}"], 1.0);
    assert_eq!(samples["authly_audit_records_lost_total{outcome=\"alert\"}"], 0.0);
}

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of a log that are JSON, as most are.
fn lines(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn every_line_names_its_trace(server: TestServer) {
    let target = container::target(&server).await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", "nobody").fill("password", "not this one");
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (name, value) = browser.cookies().iter().next().expect("the form's cookie");
    let parent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    let request = target.post("/login?secret=1").header("cookie", format!("{name}={value}"));
    let request = request.header("traceparent", &parent).header("x-request-id", "r-1");
    request.form_body(&fields).reply().await.expect(403);
    target.get("/health/live").header("traceparent", "00-nothing-good-01").reply().await.expect(200);
    let lines = lines(&server.log());
    let traced: Vec<_> = lines.iter().filter(|line| line["trace_id"] == TRACE_ID).collect();
    // Where nobody can be asked for metrics, events are lines as well.
    let targets = traced.iter().map(|line| line["target"].as_str().expect("a target"));
    let targets: Vec<_> = targets.filter(|target| *target != "authly::telemetry").collect();
    assert_eq!(targets, ["authly::audit", "authly::access"], "{lines:#?}");
    let span = traced[0]["span_id"].as_str().expect("a span");
    assert!(span.len() == 16 && span != "00f067aa0ba902b7", "{traced:#?}");
    let access = traced.last().expect("the line of the access log");
    for (member, value) in [
        ("level", json!("INFO")),
        ("message", json!("request")),
        ("method", json!("POST")),
        ("path", json!("/login")),
        ("endpoint", json!("login")),
        ("status", json!(403)),
        ("client_address", json!("127.0.0.1")),
        ("request_id", json!("r-1")),
        ("span_id", json!(span)),
    ] {
        assert_eq!(access[member], value, "{access:#}");
    }
    assert!(access["duration_us"].as_u64() > Some(0), "{access:#}");
    let time = access["timestamp"].as_str().and_then(|time| time.parse::<chrono::DateTime<chrono::Utc>>().ok());
    assert!((chrono::Utc::now() - time.expect("a time")).num_minutes() < 10, "{access:#}");
    let other = lines.iter().find(|line| line["path"] == "/health/live").expect("its line");
    let other = other["trace_id"].as_str().expect("a trace of its own");
    assert!(other.len() == 32 && other != TRACE_ID);
}

#[tokio::test]
async fn every_line_of_a_request_names_its_trace() {
    every_line_names_its_trace(TestServer::sqlite(&[("LOG_FORMAT", "json")]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_request_names_its_trace_on_spin() {
    every_line_names_its_trace(Application::FRESH.start(container::postgres().await, &[]).await).await;
}

#[tokio::test]
async fn a_collector_is_sent_requests_and_their_statements() {
    let collector = Collector::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20YTpi".to_owned()),
        ("OTEL_SERVICE_NAME", "login".to_owned()),
        // Of what nobody asks to record, nothing.
        ("OTEL_TRACES_SAMPLER_ARG", "0".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start(container::postgres().await, &variables).await;
    let target = container::target(&server).await;
    let app = target.confidential().await;
    let parent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    let request = target.client_request(&app, "/auth/token", &[("grant_type", "client_credentials")]);
    request.header("traceparent", &parent).header("x-request-id", "r-1").reply().await.expect(200);

    let spans = collector.spans_with("POST token").await;
    assert_eq!(spans.len(), 2, "a request that is recorded, and its statement: {spans:#?}");
    assert!(spans.iter().all(|recorded| recorded.service == "login"));
    assert!(spans.iter().all(|recorded| recorded.headers["authorization"] == "Basic YTpi"));
    assert!(spans.iter().all(|recorded| hex(&recorded.span.trace_id) == TRACE_ID));
    let find = |name: &str| spans.iter().find(|recorded| recorded.span.name == name).expect("a span of this name");
    let (request, statement) = (find("POST token"), find("client"));
    assert_eq!(hex(&request.span.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(statement.span.parent_span_id, request.span.span_id);
    assert_ne!(statement.span.span_id, request.span.span_id);
    assert_eq!((request.span.kind(), statement.span.kind()), (SpanKind::Server, SpanKind::Client));
    let inner = statement.span.start_time_unix_nano..=statement.span.end_time_unix_nano;
    let outer = request.span.start_time_unix_nano..=request.span.end_time_unix_nano;
    assert!(inner.start() < inner.end() && outer.contains(inner.start()) && outer.contains(inner.end()), "{spans:#?}");
    let attributes = request.attributes();
    for (name, value) in [
        ("http.request.method", "POST"),
        ("url.path", "/auth/token"),
        ("http.response.status_code", "200"),
        ("client.address", "127.0.0.1"),
        ("authly.endpoint", "token"),
        ("authly.request_id", "r-1"),
    ] {
        assert_eq!(attributes[name], value);
    }
    assert_eq!(statement.attributes()["db.system.name"], "postgresql");
    let log = server.log();
    let lines = lines(&log);
    let line = lines.iter().find(|line| line["request_id"] == "r-1").expect("the request's line in the log");
    assert_eq!(line["span_id"], hex(&request.span.span_id), "log and trace tell of the same");
    assert!(!log.contains("YTpi"), "{log}");
}

#[tokio::test]
async fn traces_begin_here_and_what_waits_is_sent_at_the_end() {
    let collector = Collector::start().await;
    let server = TestServer::sqlite(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]).await;
    let live = || http_client().get(format!("{}/health/live", server.base()));
    live().header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-00")).reply().await.expect(200);
    live().header("x-request-id", "last").reply().await.expect(200);
    server.terminate().await;
    let spans = collector.spans();
    let last =
        spans.iter().find(|recorded| recorded.attributes().get("authly.request_id").is_some_and(|id| id == "last"));
    let last = last.expect("it was sent before the process ended");
    assert_eq!((last.service.as_str(), last.span.parent_span_id.len()), ("authly", 0));
    assert!(spans.iter().all(|recorded| hex(&recorded.span.trace_id) != TRACE_ID), "its caller does not record it");
}

#[tokio::test]
async fn a_collector_that_is_away_is_logged_and_fails_nothing() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let server = TestServer::sqlite(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &nobody)]).await;
    http_client().get(format!("{}/health/live", server.base())).reply().await.expect(200);
    server.terminate().await;
    assert!(server.log().contains("the collector of traces cannot be reached"), "{}", server.log());
}

#[tokio::test]
async fn a_function_sends_its_spans_before_it_stands_still() {
    let collector = Collector::start().await;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let function = Function::start(Gateway::HttpApi, container::postgres().await, &variables);
    let target = function.target().await;
    target.get("/health/live").header("x-request-id", "function").reply().await.expect(200);
    let spans = collector.spans();
    let of_it =
        |recorded: &&Recorded| recorded.attributes().get("authly.request_id").is_some_and(|id| id == "function");
    let span = &spans.iter().find(of_it).expect("it is there as soon as the answer is").span;
    assert_eq!(hex(&span.trace_id), "5bef4de7ad49b0e87f6ef6c87fc2e700", "the trace is X-Ray's");

    function.invoke(json!({ "authly": "maintenance" })).await.expect("a report");
    let spans = collector.spans();
    let job = spans.iter().find(|recorded| recorded.span.name == "maintenance").expect("the job's span");
    let of_job = spans.iter().filter(|recorded| recorded.span.parent_span_id == job.span.span_id);
    assert!(of_job.count() > 5, "its statements are within it: {spans:#?}");
}

#[tokio::test]
async fn a_function_writes_metrics_for_cloudwatch_and_names_its_trace() {
    let function = Function::start(Gateway::HttpApi, container::postgres().await, &[]);
    let target = function.target().await;
    let app = some_of_everything(&target).await;
    target.get("/health/live").header("traceparent", format!("00-{TRACE_ID}-00f067aa0ba902b7-01")).reply().await;
    let log = function.log();
    let (metrics, lines): (Vec<_>, Vec<_>) = lines(&log).into_iter().partition(|line| line["_aws"].is_object());
    for (name, label, value, count) in COUNTED {
        let found = metrics.iter().filter(|line| line[label] == value && line[name] == 1.0).count();
        assert_eq!(found as f64, count, "{name} {value} in\n{log}");
    }
    assert!(metrics.iter().all(|line| line["function"] == "authly" && !line.to_string().contains(&app.client_id)));
    assert!(metrics.iter().all(|line| line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Authly"));
    let requests = metrics.iter().filter(|line| line["requests"] == 1.0 && line["endpoint"] == "token");
    assert_eq!(requests.filter(|line| line["request_duration"].as_f64() > Some(0.0)).count(), 6, "{log}");
    assert!(metrics.iter().any(|line| line["cold_starts"] == 1.0 && line["init_duration"].as_f64() > Some(0.0)));

    let access: Vec<_> = lines.iter().filter(|line| line["target"] == "authly::access").collect();
    let last = access.last().expect("a line for each request");
    assert_eq!(last["trace_id"], TRACE_ID);
    let xray = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1";
    assert!(access.iter().all(|line| line["xray_trace_id"] == xray), "{access:#?}");
    assert!(access[..access.len() - 1].iter().all(|line| line["trace_id"] == "5bef4de7ad49b0e87f6ef6c87fc2e700"));
}

#[tokio::test]
async fn a_functions_metrics_can_be_turned_off() {
    let function = Function::start(Gateway::HttpApi, container::postgres().await, &[("METRICS_ENABLED", "false")]);
    function.target().await.get("/health/live").reply().await.expect(200);
    assert!(!function.log().contains("CloudWatchMetrics"));
}
