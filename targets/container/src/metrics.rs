//! `GET /metrics`, and who may read it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use authly_core::{proxy::is_from_inside, store::Store};
use authly_native::metrics::Observed;
use axum::{Router, body::Body, extract::State, routing::get};
use http::{Method, Request, Response};
use tokio::net::TcpListener;

use crate::serve::Container;

const PATH: &str = "/metrics";

/// The page, where this is a request for it. Counts of logins and errors are nobody's business outside: whoever comes
/// through a proxy or from a public address finds nothing here, whatever the proxy in front lets through.
pub(crate) fn answer<S: Store + Observed>(
    container: &Container<S>,
    request: &Request<Body>,
    peer: IpAddr,
) -> Option<Response<Body>> {
    let is_asked = request.uri().path() == PATH && matches!(*request.method(), Method::GET | Method::HEAD);
    (is_asked && is_from_inside(peer, request.headers())).then(|| page(container)).flatten()
}

fn page<S: Store + Observed>(container: &Container<S>) -> Option<Response<Body>> {
    container.metrics.as_ref().map(|metrics| metrics.response(&container.server))
}

/// Serves the page at an address of its own, to whoever reaches it.
pub(crate) async fn listen<S: Store + Observed>(
    address: SocketAddr,
    container: Arc<Container<S>>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("METRICS_ADDRESS: {address}"))?;
    tracing::info!(address = %listener.local_addr()?, "metrics");
    let show = async |State(container): State<Arc<Container<S>>>| page(&container).unwrap_or_default();
    let router = Router::new().route(PATH, get(show)).with_state(container);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(())
}
