//! `authly-lambda`: the server as an AWS Lambda function. HTTP events come from API Gateway, a function URL or a load
//! balancer; a schedule's event runs the maintenance, and an operator's the migrations.

mod event;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use authly_core::{
    ClientAddress, Server,
    error::{Fault, ProtocolError},
};
use authly_native::{
    Database, NativeConfig, NativeHost, NativeMailer,
    config::{LogFormat, environment_variable},
    emf::Emf,
    jobs,
    logging::{self, Access, Invocation, trace_of},
    otlp, postgres,
};
use bytes::Bytes;
use http::{HeaderMap, Response};
use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::event::{HttpEvent, Malformed, Source};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The answer is on its way before the function's own time is over.
const MARGIN: Duration = Duration::from_millis(250);

struct Function {
    server: Server<postgres::Store, NativeHost>,
    config: NativeConfig,
    metrics: Arc<Emf>,
    /// Sends mail when the schedule comes: between requests a function does not run.
    mailer: Option<NativeMailer>,
}

fn main() -> ExitCode {
    match start(Instant::now()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::start("info", LogFormat::Json);
            tracing::error!(error = format!("{error:#}"), "the function cannot run");
            ExitCode::FAILURE
        }
    }
}

/// An instance answers one request at a time: it needs few connections, and a database has only so many. Its logs are
/// read by CloudWatch.
fn variable(name: &str) -> Result<Option<String>, String> {
    let default = match name {
        "DATABASE_POOL_SIZE" => Some("2"),
        "LOG_FORMAT" => Some("json"),
        _ => None,
    };
    Ok(environment_variable(name)?.or_else(|| default.map(str::to_owned)))
}

fn start(started: Instant) -> anyhow::Result<()> {
    let config = NativeConfig::read(&variable).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration cannot be used: {}", problems.join("; "))
    })?;
    logging::start(&config.log_level, config.log_format);
    let _exporting = otlp::start(config.otlp.as_ref())?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(config, started))
}

async fn run(config: NativeConfig, started: Instant) -> anyhow::Result<()> {
    // The first statement connects, not this.
    let Database::Postgres(store) = Database::open(&config).await? else {
        anyhow::bail!("DATABASE_URL: a function keeps no files: it must be postgresql://…");
    };
    let metrics = Arc::new(Emf::of_this_function(config.metrics_enabled));
    let host = NativeHost::new(config.core.password_cost, config.hashing)
        .with_redis(config.redis_url.as_ref())
        .with_telemetry(Arc::<Emf>::clone(&metrics));
    let server = Server::new(config.core.clone(), store, host);
    metrics.cold_start(started.elapsed());
    let mailer = NativeMailer::smtp(&config).context("TLS for the mail server cannot be set up")?;
    let function = Arc::new(Function { server, config, metrics, mailer });
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        // In a box: the types around a future this deep would be too deep for the compiler.
        Box::pin(async move { function.handle(event).await })
    });
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed).context("the runtime interface failed")
}

/// What is to be done, where the event is no HTTP request: what its member `authly` says. The events of EventBridge's
/// rules and scheduler mean the maintenance.
fn job(event: &Value) -> Option<&str> {
    let is_schedule = matches!(event["source"].as_str(), Some("aws.events" | "aws.scheduler"));
    event["authly"].as_str().or(is_schedule.then_some("maintenance"))
}

impl Function {
    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
        let LambdaEvent { payload, context } = event;
        // An HTTP request cannot pass for a job: its JSON is the gateway's, not the client's.
        if let Some(job) = job(&payload) {
            let trace = trace_of(&HeaderMap::new(), context.xray_trace_id.as_deref());
            let done = trace.scope(otlp::traced_job(job, self.run(job, context.deadline()))).await;
            otlp::flush().await;
            return done;
        }
        let event: HttpEvent = serde_json::from_value(payload)?;
        let source = event.source().ok_or("the event is neither an HTTP request nor a schedule's")?;
        Ok(event::response(source, self.answer(event, source, &context).await))
    }

    async fn answer(&self, event: HttpEvent, source: Source, context: &Context) -> Response<Bytes> {
        let issuer_path = self.config.core.issuer.path();
        let (mut request, peer) = match event.into_request(source, issuer_path) {
            Ok(request) => request,
            Err(Malformed) => {
                return self.server.refuse(ProtocolError::invalid_request("the request is not well-formed"));
            }
        };
        let address = peer.map(|peer| self.config.trusted_proxies.client_address(peer, request.headers()));
        if let Some(address) = address {
            request.extensions_mut().insert(ClientAddress(address));
        }
        let access = Access::begin(&request, self.server.endpoint(request.uri().path()));
        let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
        let limit = self.config.request_timeout.min(left.saturating_sub(MARGIN));
        let (aws_request_id, xray_trace_id) = (context.request_id.as_str(), context.xray_trace_id.as_deref());
        let trace = trace_of(request.headers(), xray_trace_id);
        let answered = async {
            let handled = timeout(limit, self.server.handle(request)).await;
            let response = handled.unwrap_or_else(|_| self.server.refuse(Fault::Timeout));
            let observation = access.end(&response, address, Some(Invocation { aws_request_id, xray_trace_id }));
            self.metrics.request(&observation);
            response
        };
        let response = trace.scope(answered).await;
        // Afterwards the function may stand still, or be gone.
        otlp::flush().await;
        response
    }

    /// What a server process does by itself, or its operator with it. A failure is the function's: whoever invoked it
    /// tries again.
    async fn run(&self, job: &str, deadline: SystemTime) -> Result<Value, lambda_runtime::Error> {
        match job {
            "maintenance" => {
                let mailer = self.mailer.as_ref();
                let report = jobs::run_before(deadline.into(), &self.config, &self.server, mailer).await?;
                Ok(json!({ "removed": report.removed(), "newSigningKey": report.new_signing_key }))
            }
            "migrate" => {
                let executor = self.server.store().executor();
                let pending = postgres::pending_migrations(executor).await?;
                postgres::migrate(executor).await?;
                Ok(json!({ "applied": pending.into_iter().map(|(_, name)| name).collect::<Vec<_>>() }))
            }
            _ => Err(format!("there is no job {job:?}: it is maintenance or migrate").into()),
        }
    }
}
