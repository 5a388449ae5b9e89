//! Authly as a Spin component: HTTP requests come from Spin, statements go to Postgres through Spin, configuration comes
//! from Spin's variables.
//!
//! An instance may live for one request or for many, and several at once. What it keeps between requests are the
//! core's caches, whose entries age; a request that ends in a trap leaves nothing half-done, since every change is one
//! statement.

mod config;
mod executor;
mod host;

use std::{
    net::{IpAddr, SocketAddr},
    sync::OnceLock,
    time::Instant,
};

use authly_core::{
    ClientAddress, Server, config::Problem, logging::json_lines, proxy::TrustedProxies, read_body, router::Endpoint,
    server::REQUEST_ID, store::postgres::PostgresStore, trace::TraceContext,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};
use tracing::Level;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{config::SpinConfig, executor::SpinExecutor, host::SpinHost};

struct Component {
    server: Server<PostgresStore<SpinExecutor>, SpinHost>,
    trusted_proxies: TrustedProxies,
}

/// Made by the first request of an instance.
static COMPONENT: OnceLock<Component> = OnceLock::new();

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    // One frame with its length: Spin would otherwise send two packets, and the second waits for the first one's receipt.
    let response = match component().await {
        Ok(component) => {
            let trace = TraceContext::of(request.headers(), None, component.server.host());
            trace.scope(component.answer(request)).await
        }
        Err(problems) => misconfigured(&problems),
    };
    response.map(Full::new)
}

async fn component() -> Result<&'static Component, Vec<Problem>> {
    match COMPONENT.get() {
        Some(component) => Ok(component),
        None => SpinConfig::from_variables().await.map(|config| COMPONENT.get_or_init(|| Component::new(config))),
    }
}

/// The operator reads why in the log; a stranger learns nothing.
fn misconfigured(problems: &[Problem]) -> Response<Bytes> {
    start_logging(&Targets::new().with_default(Level::INFO));
    for Problem { variable, problem } in problems {
        tracing::error!(variable = variable.to_lowercase(), problem, "the configuration cannot be used");
    }
    let mut response = Response::new(Bytes::from_static(br#"{"error":"server_error"}"#));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// JSON lines on standard error, which Spin keeps or shows.
fn start_logging(level: &Targets) {
    // Only the first start of an instance counts.
    let _ = tracing_subscriber::registry().with(level.clone()).with(json_lines()).try_init();
}

impl Component {
    fn new(config: SpinConfig) -> Self {
        start_logging(&config.log_level);
        let host = SpinHost { password_cost: config.core.password_cost };
        let store = PostgresStore::new(SpinExecutor::new(config.database_url));
        Self { server: Server::new(config.core, store, host), trusted_proxies: config.trusted_proxies }
    }

    async fn answer(&self, request: Request) -> Response<Bytes> {
        let started = Instant::now();
        let (mut parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let client_address = peer(&parts.headers).map(|peer| self.trusted_proxies.client_address(peer, &parts.headers));
        if let Some(address) = client_address {
            parts.extensions.insert(ClientAddress(address));
        }
        let response = match read_body(body).await {
            Ok(body) => self.server.handle(http::Request::from_parts(parts, body)).await,
            Err(error) => self.server.refuse(error),
        };
        tracing::info!(
            target: "authly::access",
            method = method.as_str(),
            endpoint = self.server.endpoint(&path).map_or("none", Endpoint::name),
            path,
            status = response.status().as_u16(),
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            client_address = client_address.map(tracing::field::display),
            request_id = response.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()),
            "request"
        );
        response
    }
}

/// The other end of the connection. Spin appends it to whatever a client wrote into such a header: the last one counts.
fn peer(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("spin-client-addr").iter().next_back()?;
    last.to_str().ok()?.parse().ok().map(|address: SocketAddr| address.ip())
}
