//! The Lambda target as a host for the scenarios: the program `authly-lambda` behind an emulator of Lambda's runtime
//! interface, and before that a server that turns HTTP into events as the gateways of AWS do, and answers into HTTP.

use std::{
    collections::{BTreeMap, HashMap},
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Path as UrlPath, State},
    response::Response,
    routing::{get, post},
};
use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, oneshot},
};
use url::form_urlencoded;

use crate::{
    container,
    server::{Database, JWT_REFRESH_SECRET_KEY, JWT_SECRET_KEY, memory_kib, program, read_from},
    target::{Host, Running, Target},
};

/// Lambda runs as many instances as there are requests at once; each of them serves one at a time.
const INSTANCES: usize = 3;
/// The function's time limit.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The largest event that Lambda takes.
const MAX_EVENT: usize = 6 * 1024 * 1024;

/// Who makes the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// API Gateway, HTTP API: format 2.0, the path decoded.
    HttpApi,
    /// A function URL: format 2.0, the path as it came.
    FunctionUrl,
    /// API Gateway, REST API with binary media types `*/*`: format 1.0.
    RestApi,
    /// A load balancer; whether its target group has multi-value headers on.
    LoadBalancer {
        /// `lambda.multi_value_headers.enabled`
        multi_value: bool,
    },
}

type Answer = oneshot::Sender<Result<Value, Value>>;

struct Invocation {
    event: Value,
    answer: Answer,
}

/// The service between gateways and instances.
struct Lambda {
    gateway: Gateway,
    queue: mpsc::UnboundedSender<Invocation>,
    waiting: Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: StdMutex<HashMap<String, (Answer, Instant)>>,
    times: StdMutex<Times>,
    last: AtomicU64,
}

/// What the service sees of its instances.
#[derive(Default)]
struct Times {
    first_ready: Option<Instant>,
    invocations: Vec<Duration>,
}

/// A function with its emulated surroundings. Dropping it ends all of it.
pub struct Function {
    base: String,
    issuer: String,
    lambda: Arc<Lambda>,
    started: Instant,
    instances: Vec<Child>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    database: Database,
    directory: TempDir,
}

impl Function {
    /// Starts a function on this database. `variables` are as for
    /// [`TestServer::start`](crate::server::TestServer::start).
    pub fn start(gateway: Gateway, database: Database, variables: &[(&str, &str)]) -> Self {
        Self::start_instances(INSTANCES, gateway, database, variables)
    }

    /// The same with so many instances.
    pub fn start_instances(instances: usize, gateway: Gateway, database: Database, variables: &[(&str, &str)]) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let lambda = Arc::new(Lambda {
            gateway,
            queue,
            waiting: Mutex::new(waiting),
            running: StdMutex::default(),
            times: StdMutex::default(),
            last: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let (send_addresses, addresses) = std::sync::mpsc::channel();
        let served = Arc::clone(&lambda);
        // Tests have a runtime each, and share this.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let (front, api) = (listener().await, listener().await);
                let address = |listener: &TcpListener| listener.local_addr().expect("it is bound");
                send_addresses.send((address(&front), address(&api))).expect("somebody waits");
                let gateway = Router::new().fallback(forward).with_state(Arc::clone(&served));
                tokio::spawn(async move { axum::serve(api, runtime_interface(served)).await });
                let gateway = gateway.into_make_service_with_connect_info::<SocketAddr>();
                tokio::spawn(async move { axum::serve(front, gateway).await });
                let _ = stopped.await;
            });
        });
        let (front, api) = addresses.recv().expect("the emulator starts");
        let base = format!("http://{front}");
        let directory = tempfile::Builder::new().prefix("authly-lambda-").tempdir().expect("a temporary directory");
        let api = api.to_string();
        let mut all = BTreeMap::from([
            ("AWS_LAMBDA_RUNTIME_API", api.clone()),
            ("AWS_LAMBDA_FUNCTION_NAME", "authly".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
            ("ISSUER_URL", base.clone()),
            ("DATABASE_URL", database.url().to_owned()),
            ("ENVIRONMENT", "development".to_owned()),
            ("JWT_SECRET_KEY", JWT_SECRET_KEY.to_owned()),
            ("JWT_REFRESH_SECRET_KEY", JWT_REFRESH_SECRET_KEY.to_owned()),
            // All tests come from one address.
            ("RATE_LIMIT_REQUESTS_PER_MINUTE", "1000000".to_owned()),
            ("ARGON2_MEMORY_KIB", "8192".to_owned()),
            ("ARGON2_ITERATIONS", "1".to_owned()),
        ]);
        for (name, value) in variables {
            all.insert(name, value.replace("{base}", &base));
        }
        let issuer = all["ISSUER_URL"].clone();
        let log = directory.path().join("function.log");
        let started = Instant::now();
        let instances = (0..instances).map(|_| spawn(&all, directory.path(), &log)).collect();
        let stop = Some(stop);
        Self { base, issuer, lambda, started, instances, stop, thread: Some(thread), database, directory }
    }

    /// The gateway's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Runs the function once, with this event.
    pub async fn invoke(&self, event: Value) -> Result<Value, Value> {
        self.lambda.invoke(event).await
    }

    /// The time from the start of the program to its asking for the first event; `None` while it has not asked.
    pub fn init_time(&self) -> Option<Duration> {
        self.lambda.times().first_ready.map(|ready| ready - self.started)
    }

    /// How long each invocation since the last call took, from the event's delivery to the answer's arrival.
    pub fn take_invocations(&self) -> Vec<Duration> {
        std::mem::take(&mut self.lambda.times().invocations)
    }

    /// The resident memory of the first instance.
    pub fn resident_kib(&self) -> u64 {
        memory_kib(self.instances[0].id(), "VmRSS:")
    }

    /// What all instances wrote.
    pub fn log(&self) -> String {
        read_from(&self.log_path(), 0)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("function.log")
    }

    /// It as a server that scenarios can talk to.
    pub async fn target(&self) -> Target {
        let target = Target::new(&self.base, &self.issuer, self.database.url()).await.with_log(&self.log_path());
        target.on_lambda(matches!(self.lambda.gateway, Gateway::HttpApi))
    }

    async fn running(self: Arc<Self>) -> Running {
        Running::new(self.target().await, self)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        for instance in &mut self.instances {
            let _ = instance.kill();
            let _ = instance.wait();
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port")
}

fn spawn(variables: &BTreeMap<&str, String>, directory: &Path, log: &Path) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(log).expect("the log file opens");
    Command::new(program("authly-lambda"))
        .env_clear()
        .envs(env::vars_os().filter(|(name, _)| name == "PATH" || name == "LLVM_PROFILE_FILE"))
        .envs(variables)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file handle"))
        .stderr(log)
        .spawn()
        .expect("the function starts")
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
fn runtime_interface(lambda: Arc<Lambda>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(finished))
        .route("/2018-06-01/runtime/init/error", post(async || StatusCode::ACCEPTED))
        .with_state(lambda)
}

async fn next(State(lambda): State<Arc<Lambda>>) -> Response {
    lambda.times().first_ready.get_or_insert_with(Instant::now);
    let invocation = lambda.waiting.lock().await.recv().await.expect("the queue is as old as this");
    let id = format!("00000000-0000-0000-0000-{:012}", lambda.last.fetch_add(1, Ordering::Relaxed));
    let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970") + TIME_LIMIT;
    lambda.running().insert(id.clone(), (invocation.answer, Instant::now()));
    Response::builder()
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:authly")
        .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1")
        .body(Body::from(invocation.event.to_string()))
        .expect("a response")
}

async fn finished(
    State(lambda): State<Arc<Lambda>>,
    UrlPath((id, outcome)): UrlPath<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let Some((answer, delivered)) = lambda.running().remove(&id) else {
        return StatusCode::BAD_REQUEST;
    };
    lambda.times().invocations.push(delivered.elapsed());
    let value = serde_json::from_slice(&body).unwrap_or_default();
    let _ = answer.send(if outcome == "response" { Ok(value) } else { Err(value) });
    StatusCode::ACCEPTED
}

impl Lambda {
    fn running(&self) -> MutexGuard<'_, HashMap<String, (Answer, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invoke(&self, event: Value) -> Result<Value, Value> {
        let (answer, answered) = oneshot::channel();
        let _ = self.queue.send(Invocation { event, answer });
        let timed_out = || Err(json!({ "errorMessage": "Task timed out" }));
        tokio::time::timeout(TIME_LIMIT, answered).await.ok().and_then(Result::ok).unwrap_or_else(timed_out)
    }
}

async fn forward(
    State(lambda): State<Arc<Lambda>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let too_large = || message(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long");
    let Ok(body) = to_bytes(body, MAX_EVENT).await else {
        return too_large();
    };
    let request = Request::from_parts(parts, body);
    let is_head = request.method() == Method::HEAD;
    let event = event(lambda.gateway, &request, &peer.ip().to_string());
    if event.to_string().len() > MAX_EVENT {
        return too_large();
    }
    match lambda.invoke(event).await {
        Ok(answer) => response(lambda.gateway, &answer, is_head),
        Err(_) => message(StatusCode::BAD_GATEWAY, "Internal Server Error"),
    }
}

fn message(status: StatusCode, text: &str) -> Response {
    Response::builder().status(status).body(json!({ "message": text }).to_string().into()).expect("a response")
}

/// What this gateway makes of a request.
fn event(gateway: Gateway, request: &Request<Bytes>, peer: &str) -> Value {
    let mut headers = request.headers().clone();
    let before = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    let forwarded = before.map_or_else(|| peer.to_owned(), |before| format!("{before}, {peer}"));
    headers.insert("x-forwarded-for", forwarded.parse().expect("a header value"));
    headers.insert("x-forwarded-proto", "https".parse().expect("a header value"));
    let raw_path = request.uri().path();
    let decoded = percent_decode(raw_path);
    let query = request.uri().query().unwrap_or_default();
    let method = request.method().as_str();
    let (first, all) = (single_values(&headers), multiple_values(&headers));
    let mut event = match gateway {
        Gateway::HttpApi | Gateway::FunctionUrl => {
            let path = if gateway == Gateway::HttpApi { decoded.as_str() } else { raw_path };
            let cookies = headers.get_all(header::COOKIE).iter();
            let cookies: Vec<_> = cookies.map(|value| latin1(value.as_bytes())).collect();
            let cookies: Vec<_> = cookies.iter().flat_map(|value| value.split("; ")).collect();
            headers.remove(header::COOKIE);
            let mut event = json!({
                "version": "2.0",
                "routeKey": "$default",
                "rawPath": path,
                "rawQueryString": query,
                "headers": joined_values(&headers),
                "requestContext": {
                    "accountId": "123456789012",
                    "apiId": "api-id",
                    "domainName": "id.execute-api.eu-west-1.amazonaws.com",
                    "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": peer },
                    "requestId": "JKJaXmPLvHcESHA=",
                    "routeKey": "$default",
                    "stage": "$default",
                    "time": "12/Mar/2026:19:03:58 +0000",
                    "timeEpoch": 1_773_342_238_000_u64,
                },
            });
            if !cookies.is_empty() {
                event["cookies"] = json!(cookies);
            }
            event
        }
        Gateway::RestApi => json!({
            "resource": "/{proxy+}",
            "path": decoded,
            "httpMethod": method,
            "headers": first,
            "multiValueHeaders": all,
            "queryStringParameters": single_query(form_urlencoded::parse(query.as_bytes())),
            "multiValueQueryStringParameters": multiple_query(form_urlencoded::parse(query.as_bytes())),
            "requestContext": {
                "accountId": "123456789012",
                "httpMethod": method,
                "identity": { "sourceIp": peer, "userAgent": null },
                "path": decoded,
                "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
                "stage": "prod",
            },
        }),
        Gateway::LoadBalancer { multi_value } => {
            let raw = query.split('&').filter(|pair| !pair.is_empty());
            let raw = raw.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let raw: Vec<_> = raw.map(|(name, value)| (name.into(), value.into())).collect();
            let mut event = json!({
                "requestContext": { "elb": { "targetGroupArn": "arn:aws:elasticloadbalancing:…" } },
                "httpMethod": method,
                "path": raw_path,
            });
            if multi_value {
                event["multiValueHeaders"] = all.into();
                event["multiValueQueryStringParameters"] = multiple_query(raw.into_iter());
            } else {
                event["headers"] = first.into();
                event["queryStringParameters"] = single_query(raw.into_iter());
            }
            event
        }
    };
    let body = request.body();
    event["isBase64Encoded"] = (!body.is_empty()).into();
    event["body"] = if body.is_empty() { Value::Null } else { Base64::encode_string(body).into() };
    event
}

fn percent_decode(text: &str) -> String {
    let plus_stays = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(plus_stays.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

fn values(headers: &HeaderMap, make: impl Fn(Vec<String>) -> Value) -> Map<String, Value> {
    let all = |name| headers.get_all(name).iter().map(|value| latin1(value.as_bytes())).collect();
    headers.keys().map(|name| (name.to_string(), make(all(name)))).collect()
}

fn joined_values(headers: &HeaderMap) -> Map<String, Value> {
    values(headers, |all| all.join(",").into())
}

fn single_values(headers: &HeaderMap) -> Map<String, Value> {
    values(headers, |mut all| all.pop().into())
}

fn multiple_values(headers: &HeaderMap) -> Map<String, Value> {
    values(headers, Value::from)
}

type Pair<'a> = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>);

fn single_query<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> Value {
    pairs.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned()))).collect::<Map<_, _>>().into()
}

fn multiple_query<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> Value {
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in pairs {
        all.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    json!(all)
}

/// What this gateway makes of an answer. It reads only what the real one reads.
fn response(gateway: Gateway, answer: &Value, is_head: bool) -> Response {
    let status = answer["statusCode"].as_u64().and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    let Some(status) = status else {
        return message(StatusCode::BAD_GATEWAY, "Internal Server Error");
    };
    let mut response = Response::builder().status(status);
    let (single, multiple) = match gateway {
        Gateway::HttpApi | Gateway::FunctionUrl | Gateway::LoadBalancer { multi_value: false } => (true, false),
        Gateway::RestApi => (true, true),
        Gateway::LoadBalancer { multi_value: true } => (false, true),
    };
    let headers = answer["headers"].as_object().filter(|_| single);
    let mut pairs: Vec<(&str, &Value)> =
        headers.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
    let many = answer["multiValueHeaders"].as_object().filter(|_| multiple);
    for (name, values) in many.into_iter().flatten() {
        pairs.extend(values.as_array().into_iter().flatten().map(|value| (name.as_str(), value)));
    }
    if matches!(gateway, Gateway::HttpApi | Gateway::FunctionUrl) {
        pairs.extend(answer["cookies"].as_array().into_iter().flatten().map(|value| ("set-cookie", value)));
    }
    for (name, value) in pairs {
        // The gateway frames the body itself.
        if is_head || !name.eq_ignore_ascii_case("content-length") {
            response = response.header(name, value.as_str().expect("header values are strings"));
        }
    }
    let body = answer["body"].as_str().unwrap_or_default();
    let is_encoded = answer["isBase64Encoded"] == true;
    let body = if is_encoded { Base64::decode_vec(body).expect("Base64") } else { body.into() };
    response.body(Body::from(body)).expect("a response")
}

/// Behind an HTTP API, on Postgres.
pub struct OnHttpApi;

/// Behind a function URL, on Postgres.
pub struct OnFunctionUrl;

/// Behind a REST API, on Postgres.
pub struct OnRestApi;

/// Behind a load balancer, on Postgres.
pub struct OnLoadBalancer;

async fn start(gateway: Gateway, variables: &[(&str, &str)]) -> Function {
    Function::start(gateway, container::postgres().await, variables)
}

macro_rules! host {
    ($host:ident, $gateway:expr) => {
        impl Host for $host {
            async fn shared() -> Running {
                static SHARED: Mutex<Weak<Function>> = Mutex::const_new(Weak::new());
                let mut weak = SHARED.lock().await;
                let function = match weak.upgrade() {
                    Some(function) => function,
                    None => Arc::new(start($gateway, &[]).await),
                };
                *weak = Arc::downgrade(&function);
                drop(weak);
                function.running().await
            }

            async fn start(variables: &[(&str, &str)]) -> Running {
                Arc::new(start($gateway, variables).await).running().await
            }
        }
    };
}

host!(OnHttpApi, Gateway::HttpApi);
host!(OnFunctionUrl, Gateway::FunctionUrl);
host!(OnRestApi, Gateway::RestApi);
host!(OnLoadBalancer, Gateway::LoadBalancer { multi_value: true });
