//! HTTP to a server: with TLS over ring, the roots of Mozilla's list, and no redirects.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, header};
use ureq::{
    Agent,
    config::Config,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};
use url::form_urlencoded;

use crate::{credentials::IssuerUrl, failure::Failure};

/// Making a password hash or an RSA key takes its time, on a busy server.
const TIMEOUT: Duration = Duration::from_secs(90);
/// A page of the audit log has ten thousand lines at most.
const MAX_RESPONSE: u64 = 64 * 1024 * 1024;

/// Sends requests, one at a time.
pub(crate) struct HttpClient {
    agent: Agent,
}

impl HttpClient {
    pub(crate) fn new(url: &IssuerUrl, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let roots = match ca_file {
            Some(path) => read_roots(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => RootCerts::WebPki,
        };
        let mut config = Config::builder()
            .http_status_as_error(false)
            // A credential goes to whom it was meant for.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("authly-admin/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        if url.is_loopback() {
            config = config.proxy(None);
        }
        Ok(Self { agent: config.build().into() })
    }

    pub(crate) fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let target = format!("{} {}", request.method(), request.uri());
        let (parts, body) = request.into_parts();
        let sent = if body.is_empty() {
            self.agent.run(Request::from_parts(parts, ()))
        } else {
            self.agent.run(Request::from_parts(parts, body.as_ref()))
        };
        let unreachable = |error: ureq::Error| Failure::Unreachable(anyhow!(error).context(target.clone()));
        let (parts, mut body) = sent.map_err(unreachable)?.into_parts();
        let body = body.with_config().limit(MAX_RESPONSE).read_to_vec().map_err(unreachable)?;
        Ok(Response::from_parts(parts, body.into()))
    }

    /// GET.
    pub(crate) fn get(&self, url: &str) -> Result<Response<Bytes>, Failure> {
        self.send(request(Method::GET, url, &[(header::ACCEPT, "application/json")], Bytes::new())?)
    }

    /// POST of a form.
    pub(crate) fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Result<Response<Bytes>, Failure> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers =
            [(header::ACCEPT, "application/json"), (header::CONTENT_TYPE, "application/x-www-form-urlencoded")];
        self.send(request(Method::POST, url, &headers, body.into())?)
    }
}

fn request(method: Method, url: &str, headers: &[(HeaderName, &str)], body: Bytes) -> anyhow::Result<Request<Bytes>> {
    let builder = Request::builder().method(method).uri(url);
    let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(name, *value));
    builder.body(body).with_context(|| format!("{url} is no valid address"))
}

fn read_roots(path: &Path) -> anyhow::Result<RootCerts> {
    let pem = fs::read(path)?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item? {
            certificates.push(certificate);
        }
    }
    anyhow::ensure!(!certificates.is_empty(), "there is no certificate in it");
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
