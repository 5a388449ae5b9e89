//! `authly-lambda`: the server as an AWS Lambda function. HTTP events come from API Gateway, a function URL or a load
//! balancer; a schedule's event runs the maintenance.

mod event;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use authly_core::{
    ClientAddress, Server,
    error::{Fault, ProtocolError},
};
use authly_native::{
    Database, NativeConfig, NativeHost,
    config::{LogFormat, environment_variable},
    first_run,
    logging::{self, Access},
    postgres,
};
use bytes::Bytes;
use http::Response;
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
}

fn main() -> ExitCode {
    match start() {
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

fn start() -> anyhow::Result<()> {
    let config = NativeConfig::read(&variable).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration cannot be used: {}", problems.join("; "))
    })?;
    logging::start(&config.log_level, config.log_format);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run(config))
}

async fn run(config: NativeConfig) -> anyhow::Result<()> {
    // The first statement connects, not this.
    let Database::Postgres(store) = Database::open(&config).await? else {
        anyhow::bail!("DATABASE_URL: a function keeps no files: it must be postgresql://…");
    };
    let host = NativeHost::new(config.core.password_cost, config.hashing).with_redis(config.redis_url.as_ref());
    let server = Server::new(config.core.clone(), store, host);
    let function = Arc::new(Function { server, config });
    let handler = service_fn(move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        // In a box: the types around a future this deep would be too deep for the compiler.
        Box::pin(async move { function.handle(event).await })
    });
    lambda_runtime::run(handler).await.map_err(anyhow::Error::from_boxed).context("the runtime interface failed")
}

/// Whether this is the event of a schedule: EventBridge's rules and scheduler, or any with `"authly": "maintenance"`.
fn is_schedule(event: &Value) -> bool {
    matches!(event["source"].as_str(), Some("aws.events" | "aws.scheduler")) || event["authly"] == "maintenance"
}

impl Function {
    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
        let LambdaEvent { payload, context } = event;
        // An HTTP request cannot pass for a schedule: its JSON is the gateway's, not the client's.
        if is_schedule(&payload) {
            return self.maintain().await;
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
        let access = Access::begin(&request);
        let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let limit = self.config.request_timeout.min(left.saturating_sub(MARGIN));
        let handled = timeout(limit, self.server.handle(request)).await;
        let response = handled.unwrap_or_else(|_| self.server.refuse(Fault::Timeout));
        access.end(&response, address, Some(&context.request_id));
        response
    }

    /// What a server process does by itself. A failure is the function's: whoever invoked it tries again.
    async fn maintain(&self) -> Result<Value, lambda_runtime::Error> {
        if let Some(admin) = &self.config.admin {
            first_run::create_configured_admin(&self.server, admin).await?;
        }
        let report = self.server.maintain().await?;
        tracing::info!(?report, "maintenance");
        Ok(json!({ "removed": report.removed(), "newSigningKey": report.new_signing_key }))
    }
}
