//! Logs: JSON for machines, or lines for people, on standard error.

use std::{io::IsTerminal as _, net::IpAddr, time::Instant};

use authly_core::server::REQUEST_ID;
use http::{Method, Request, Response};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Starts logging. `level` is a level or a filter such as `info,authly_core=debug`.
pub fn start(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, in a test, leaves the first one in place.
    let _ = match format {
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Pretty => {
            let layer = fmt::layer().compact().with_ansi(std::io::stderr().is_terminal());
            registry.with(layer.with_writer(std::io::stderr)).try_init()
        }
    };
}

/// The log line of one request: what was asked, never the query.
pub struct Access {
    started: Instant,
    method: Method,
    path: String,
}

impl Access {
    /// The request has come in.
    pub fn begin<B>(request: &Request<B>) -> Self {
        Self { started: Instant::now(), method: request.method().clone(), path: request.uri().path().to_owned() }
    }

    /// The response is ready. `aws_request_id` names the invocation of a Lambda function.
    pub fn end<B>(self, response: &Response<B>, client_address: Option<IpAddr>, aws_request_id: Option<&str>) {
        tracing::info!(
            target: "authly::access",
            method = self.method.as_str(),
            path = self.path,
            status = response.status().as_u16(),
            duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            client_address = client_address.map(tracing::field::display),
            request_id = response.headers().get(&REQUEST_ID).and_then(|id| id.to_str().ok()),
            aws_request_id,
            "request"
        );
    }
}
