//! Logs: JSON for machines, or lines for people, on standard error; and the log line and span of each request.

use std::{
    io::IsTerminal as _,
    net::IpAddr,
    time::{Duration, Instant},
};

use authly_core::{
    logging::json_lines,
    ports::Entropy,
    router::Endpoint,
    server::REQUEST_ID,
    trace::{TraceContext, from_hex},
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use opentelemetry::{KeyValue, trace::SpanKind};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{config::LogFormat, otlp};

/// Starts logging. `level` is a level or a filter such as `info,authly_core=debug`.
pub fn start(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, in a test, leaves the first one in place.
    let _ = match format {
        LogFormat::Json => registry.with(json_lines()).try_init(),
        LogFormat::Pretty => {
            let layer = tracing_subscriber::fmt::layer().compact().with_ansi(std::io::stderr().is_terminal());
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    };
}

/// The trace that a request goes on with. A function's invocation has one without the header: X-Ray's
/// (`_X_AMZN_TRACE_ID`), whose root is a time and a random part, together as long as an id of W3C's.
pub fn trace_of(headers: &HeaderMap, xray_trace_id: Option<&str>) -> TraceContext {
    let root = xray_trace_id.and_then(|text| text.split(';').find_map(|part| part.trim().strip_prefix("Root=1-")));
    let otherwise = root.and_then(|root| from_hex(root.replacen('-', "", 1).as_bytes()));
    otlp::sample(TraceContext::of(headers, otherwise, &Unique))
}

/// Ids of traces must be unlikely to meet, not hard to guess: they cost no system call.
struct Unique;

impl Entropy for Unique {
    fn fill(&self, bytes: &mut [u8]) {
        fastrand::fill(bytes);
    }
}

/// The log line of one request: what was asked, never the query.
pub struct Access {
    started: Instant,
    method: Method,
    path: String,
    endpoint: Option<Endpoint>,
}

/// What a request was, in terms that are few enough to count by.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// The endpoint's name.
    pub endpoint: &'static str,
    /// The method, of those that exist here.
    pub method: &'static str,
    /// The status of the response.
    pub status: StatusCode,
    /// How long it took.
    pub duration: Duration,
}

/// The names under which Lambda knows an invocation.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The invocation's id.
    pub aws_request_id: &'a str,
    /// `_X_AMZN_TRACE_ID`.
    pub xray_trace_id: Option<&'a str>,
}

impl Access {
    /// The request has come in.
    pub fn begin<B>(request: &Request<B>, endpoint: Option<Endpoint>) -> Self {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        Self { started: Instant::now(), method, path, endpoint }
    }

    /// The response is ready.
    pub fn end<B>(
        self,
        response: &Response<B>,
        client_address: Option<IpAddr>,
        invocation: Option<Invocation<'_>>,
    ) -> Observation {
        let observation = Observation {
            endpoint: self.endpoint.map_or("none", Endpoint::name),
            method: known_method(&self.method),
            status: response.status(),
            duration: self.started.elapsed(),
        };
        let request_id = response.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok());
        tracing::info!(
            target: "authly::access",
            method = self.method.as_str(),
            path = self.path,
            endpoint = observation.endpoint,
            status = observation.status.as_u16(),
            duration_us = u64::try_from(observation.duration.as_micros()).unwrap_or(u64::MAX),
            client_address = client_address.map(tracing::field::display),
            request_id,
            aws_request_id = invocation.map(|invocation| invocation.aws_request_id),
            xray_trace_id = invocation.and_then(|invocation| invocation.xray_trace_id),
            "request"
        );
        otlp::request(|| self.span(&observation, client_address, request_id));
        observation
    }

    /// Attributes as in OpenTelemetry's conventions for HTTP servers.
    fn span(self, observation: &Observation, client_address: Option<IpAddr>, request_id: Option<&str>) -> otlp::Work {
        let mut attributes = vec![
            KeyValue::new("http.request.method", observation.method),
            KeyValue::new("url.path", self.path),
            KeyValue::new("http.response.status_code", i64::from(observation.status.as_u16())),
            KeyValue::new("authly.endpoint", observation.endpoint),
        ];
        attributes.extend(client_address.map(|address| KeyValue::new("client.address", address.to_string())));
        attributes.extend(request_id.map(|id| KeyValue::new("authly.request_id", id.to_owned())));
        otlp::Work {
            name: format!("{} {}", observation.method, observation.endpoint),
            kind: SpanKind::Server,
            duration: observation.duration,
            attributes,
            error: observation.status.is_server_error().then(|| observation.status.canonical_reason().unwrap_or("5xx")),
        }
    }
}

/// A client may make up methods; a label must not take them over.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
