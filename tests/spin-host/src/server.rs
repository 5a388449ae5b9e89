//! The HTTP side, with what Spin does to requests on their way to a component.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use tokio::net::TcpListener;
use wasmtime::{Result, bail, error::Context as _};
use wasmtime_wasi_http::{Error, WasiBody, handler::ProxyHandler};

use crate::guest::Instances;

type Handler = ProxyHandler<Instances>;

/// Serves until the process ends.
pub async fn run(address: SocketAddr, handler: Handler) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("{address} cannot be listened at"))?;
    eprintln!("Serving http://{}", listener.local_addr()?);
    loop {
        let (stream, peer) = listener.accept().await?;
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(handler.clone(), request, peer));
            let connection = Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection failed: {error}");
            }
        });
    }
}

/// What cannot even be handed on ends the connection, and what fails at the component is an empty 500.
async fn answer(handler: Handler, mut request: Request<Incoming>, peer: SocketAddr) -> Result<Response<WasiBody>> {
    match request.uri().path() {
        "/.well-known/spin/health" => return Ok(Response::new(body("OK"))),
        path if path.starts_with("/.well-known/spin/") => {
            return Ok(Response::builder().status(404).body(body(""))?);
        }
        _ => {}
    }
    request.headers_mut().remove(header::CONNECTION);
    *request.uri_mut() = absolute_uri(&request)?;
    let handled = async {
        add_spin_headers(&mut request, peer)?;
        let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
        Ok(handler.handle((), request).await?)
    };
    handled.await.or_else(|error: wasmtime::Error| {
        eprintln!("a request failed: {error:?}");
        Ok(Response::builder().status(500).body(body(""))?)
    })
}

fn body(text: &'static str) -> WasiBody {
    Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

/// The URI with the one authority that the request names.
fn absolute_uri(request: &Request<Incoming>) -> Result<Uri> {
    let mut parts = request.uri().clone().into_parts();
    let host = request.headers().get(header::HOST);
    let host = host.map(|host| wasmtime::error::Ok(host.to_str()?.parse()?)).transpose().context("the Host header")?;
    parts.authority = match (host, parts.authority) {
        (None, None) => bail!("the request names no host"),
        (Some(host), Some(authority)) if host != authority => bail!("the Host header contradicts the URI"),
        (host, authority) => host.or(authority),
    };
    parts.scheme = Some(Scheme::HTTP);
    Ok(Uri::from_parts(parts)?)
}

/// Spin's own headers come behind those of the same name that the client sent: who looks at the first value believes
/// the client.
fn add_spin_headers(request: &mut Request<Incoming>, peer: SocketAddr) -> Result<()> {
    for value in request.headers().values() {
        std::str::from_utf8(value.as_bytes())?;
    }
    let host = request.headers().get(header::HOST).map_or("localhost", |host| host.to_str().unwrap_or_default());
    let path_and_query = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let added = [
        ("spin-path-info", request.uri().path().to_owned()),
        ("spin-full-url", format!("http://{host}{path_and_query}")),
        ("spin-matched-route", "/...".to_owned()),
        ("spin-base-path", "/".to_owned()),
        ("spin-raw-component-route", "/...".to_owned()),
        ("spin-component-route", String::new()),
        ("spin-client-addr", peer.to_string()),
    ];
    for (name, value) in added {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(&value)?);
    }
    Ok(())
}
