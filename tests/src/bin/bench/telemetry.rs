//! What telemetry adds to a request, in process: a share of microseconds drowns in the noise of two servers.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use authly_core::{model::GrantType, ports::Telemetry as _, telemetry::Event};
use authly_native::{
    logging::{Observation, trace_of},
    metrics::Metrics,
};
use http::{HeaderMap, StatusCode};

const TIMES: u32 = 1_000_000;

fn time(what: &str, work: impl Fn()) {
    let started = Instant::now();
    for _ in 0..TIMES {
        work();
    }
    println!("| {what} | {:.0?} |", started.elapsed() / TIMES);
}

/// Measures and prints.
pub fn run() {
    let metrics = Metrics::new();
    let observation =
        Observation { endpoint: "token", method: "POST", status: StatusCode::OK, duration: Duration::from_micros(40) };
    println!("| once a request | each |\n|---|---|");
    time("counter and histogram of a request", || metrics.request(black_box(&observation)));
    time("an event", || metrics.count(black_box(Event::TokenIssued(GrantType::ClientCredentials))));
    time("a statement", || metrics.statement(black_box("client"), Duration::from_micros(40), true));
    let headers = HeaderMap::new();
    time("a trace of its own", || {
        black_box(trace_of(black_box(&headers), None));
    });
}
