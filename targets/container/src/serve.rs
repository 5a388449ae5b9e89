//! HTTP over TCP: limits, the client's address, access logs, and a shutdown that finishes what is in flight.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use authly_core::{ClientAddress, Server, error::Fault, proxy::TrustedProxies, read_body, store::Store};
use authly_native::{
    NativeConfig, NativeHost, NativeMailer, jobs,
    logging::{Access, trace_of},
    metrics::{Metrics, Observed},
};
use axum::{Extension, Router, body::Body, extract::State};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

use crate::metrics;

pub(crate) struct Container<S> {
    pub(crate) server: Arc<Server<S, NativeHost>>,
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// Whether metrics are served beside everything else.
    metrics_here: bool,
    proxies: TrustedProxies,
    timeout: Duration,
    /// Every response is the last one on its connection.
    is_draining: AtomicBool,
    /// Woken when a request has left mail.
    mail: Arc<Notify>,
}

/// The other end of a connection.
#[derive(Clone, Copy)]
struct Peer(IpAddr);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve<S: Store + Observed>(
    config: &NativeConfig,
    server: Server<S, NativeHost>,
    metrics: Option<Arc<Metrics>>,
    mailer: Option<NativeMailer>,
) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {}", config.listen))?;
    let container = Arc::new(Container {
        server: Arc::new(server),
        metrics,
        metrics_here: config.metrics_address.is_none(),
        proxies: config.trusted_proxies.clone(),
        timeout: config.request_timeout,
        is_draining: AtomicBool::new(false),
        mail: Arc::default(),
    });
    if let Some(address) = config.metrics_address.filter(|_| container.metrics.is_some()) {
        metrics::listen(address, Arc::clone(&container)).await?;
    }
    jobs::start(config, &container.server, container.metrics.as_ref(), mailer, &container.mail);
    tracing::info!(address = %listener.local_addr()?, issuer = config.core.issuer.as_str(), "listening");
    let graceful = GracefulShutdown::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let drain = loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => break config.shutdown_drain,
            // Somebody at a terminal, who does not like to wait.
            _ = interrupt.recv() => break Duration::ZERO,
        };
        match accepted {
            Ok((stream, peer)) => spawn_connection(&container, &graceful, stream, peer.ip()),
            Err(error) => {
                // Out of file descriptors, for instance: others may be closed in a moment.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    tracing::info!(open_connections = graceful.count(), "shutting down");
    let finished = async {
        // Whoever has connected is served, and whoever comes later is refused: a proxy then asks another instance.
        let listener = listener.into_std()?;
        while let Ok((stream, peer)) = listener.accept() {
            stream.set_nonblocking(true)?;
            spawn_connection(&container, &graceful, TcpStream::from_std(stream)?, peer.ip());
        }
        drop(listener);
        // A proxy may be about to send a request on an idle connection. To close it now would fail that request.
        container.is_draining.store(true, Ordering::Relaxed);
        let drained = async {
            while graceful.count() > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(drain, drained).await;
        graceful.shutdown().await;
        anyhow::Ok(())
    };
    timeout(config.shutdown_timeout, finished).await.unwrap_or_else(|_| {
        tracing::warn!("some requests did not finish in time");
        Ok(())
    })
}

fn spawn_connection<S: Store + Observed>(
    container: &Arc<Container<S>>,
    graceful: &GracefulShutdown,
    stream: TcpStream,
    peer: IpAddr,
) {
    // A response is one write: waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let router = Router::new().fallback(answer).with_state(Arc::clone(container));
    let service = router.map_request(move |mut request: Request<_>| {
        request.extensions_mut().insert(Peer(peer));
        request.map(Body::new)
    });
    let service = TowerToHyperService::new(service);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Whoever sends headers slowly does not hold a connection for ever.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(container.timeout);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(250);
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}

async fn answer<S: Store + Observed>(
    State(container): State<Arc<Container<S>>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request<Body>,
) -> Response<Body> {
    if container.metrics_here
        && let Some(page) = metrics::answer(&container, &request, peer)
    {
        return page;
    }
    let trace = trace_of(request.headers(), None);
    let answered = async move {
        let access = Access::begin(&request, container.server.endpoint(request.uri().path()));
        let client_address = container.proxies.client_address(peer, request.headers());
        let handled = timeout(container.timeout, container.handle(request, client_address)).await;
        let mut response = handled.unwrap_or_else(|_| container.server.refuse(Fault::Timeout));
        if container.is_draining.load(Ordering::Relaxed) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let observation = access.end(&response, Some(client_address), None);
        if let Some(metrics) = &container.metrics {
            metrics.request(&observation);
        }
        if container.server.take_queued_mail() {
            container.mail.notify_one();
        }
        response.map(Body::from)
    };
    trace.scope(answered).await
}

impl<S: Store> Container<S> {
    async fn handle(&self, request: Request<Body>, client_address: IpAddr) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        let body = match read_body(body).await {
            Ok(body) => body,
            Err(error) => {
                let mut response = self.server.refuse(error);
                // The rest of the body is still to come: the connection is of no use any more. (HTTP/2 has no such
                // header, and hyper leaves it out.)
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                return response;
            }
        };
        parts.extensions.insert(ClientAddress(client_address));
        self.server.handle(Request::from_parts(parts, body)).await
    }
}
