//! `GET /metrics`, and who may read it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use authly_core::{ports::Clock as _, store::Store};
use authly_native::metrics::{CONTENT_TYPE, Observed, Snapshot};
use axum::{Router, body::Body, extract::State, routing::get};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use tokio::net::TcpListener;

use crate::serve::Container;

const PATH: &str = "/metrics";

/// What proxies add to a request that they forward.
const FORWARDED: [HeaderName; 4] =
    [header::FORWARDED, header::VIA, HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

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

fn is_from_inside(peer: IpAddr, headers: &HeaderMap) -> bool {
    let is_inside = match peer.to_canonical() {
        IpAddr::V4(address) => {
            let octets = address.octets();
            // RFC 6598 too: some clusters number their pods so.
            let is_shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    };
    is_inside && !FORWARDED.iter().any(|name| headers.contains_key(name))
}

fn page<S: Store + Observed>(container: &Container<S>) -> Option<Response<Body>> {
    let server = &container.server;
    let activated_at = server.signing_key_activated_at();
    let snapshot = Snapshot {
        pool: server.store().pool_load(),
        hashing: server.host().hashing_load(),
        signing_key_age: activated_at.map(|at| (server.host().now() - at).as_seconds_f64()),
    };
    let mut response = Response::new(Body::from(container.metrics.as_ref()?.page(&snapshot)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_direct_peers_inside_are_answered() {
        let may = |peer: &str, header: Option<&'static str>| {
            let headers = header.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")));
            is_from_inside(peer.parse().expect("an address"), &headers.into_iter().collect())
        };
        for inside in ["127.0.0.1", "10.1.2.3", "::ffff:192.168.0.1", "100.64.0.1", "100.127.9.9", "::1", "fd00::1"] {
            assert!(may(inside, None), "{inside}");
        }
        for outside in ["203.0.113.7", "100.128.0.1", "::ffff:203.0.113.7", "2001:db8::1"] {
            assert!(!may(outside, None), "{outside}");
        }
        for header in ["x-forwarded-for", "x-real-ip", "forwarded", "via"] {
            assert!(!may("127.0.0.1", Some(header)), "{header}");
        }
    }
}
