//! Metrics for Prometheus: what is counted while the server runs, and the page that shows it.

use std::{sync::Arc, time::Duration};

use authly_core::{
    Server,
    model::Timestamp,
    ports::{Clock as _, Counters as _, Telemetry},
    store::{Backlog, JobState, Store},
    telemetry::Event,
};
use http::{HeaderValue, Response, header};
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use crate::{
    host::{HashingLoad, NativeHost},
    logging::Observation,
};

/// Seconds: from an answer out of memory to what only a password hash or a database in trouble takes.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A pool of connections at this moment.
#[derive(Clone, Copy, Debug)]
pub struct PoolLoad {
    /// Connections in use.
    pub active: usize,
    /// The most that there may be.
    pub max: usize,
    /// Who waits for one.
    pub waiting: usize,
}

/// A store that can be looked at.
pub trait Observed {
    /// Has statements reported from now on, where the store can.
    fn observe(&self, _metrics: Arc<Metrics>) {}

    /// Its connections.
    fn pool_load(&self) -> PoolLoad;
}

/// What is not counted but looked up when somebody asks.
struct Snapshot {
    pool: PoolLoad,
    hashing: HashingLoad,
    /// In seconds.
    signing_key_age: Option<f64>,
    /// In seconds.
    signing_key_lifetime: f64,
    /// A service that limits are counted in, and whether it answers.
    counters: Option<(&'static str, bool)>,
}

/// Every metric of a server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    events: Vec<(Event, IntCounter)>,
    statements: HistogramVec,
    failed_statements: IntCounterVec,
    connections_active: IntGauge,
    connections_max: IntGauge,
    connections_waiting: IntGauge,
    hashes_running: IntGauge,
    hashes_max: IntGauge,
    hashes_waiting: IntGauge,
    hashes_waiting_max: IntGauge,
    signing_key_age: Gauge,
    signing_key_lifetime: Gauge,
    mail_waiting: Gauge,
    mail_failed: Gauge,
    services: IntGaugeVec,
    jobs_succeeded_at: GaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Names and help texts are constants: that they are legal and used once is seen the first time this runs.
const LEGAL: &str = "the metrics are declared correctly";

impl Metrics {
    /// None counted yet.
    pub fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name, help| register(&registry, IntGauge::new(name, help));
        let float = |name, help| register(&registry, Gauge::new(name, help));
        let metrics = Self {
            requests: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("authly_requests_total", "HTTP requests that were answered."),
                    &["endpoint", "method", "status"],
                ),
            ),
            durations: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("authly_request_duration_seconds", "Time to answer a request.")
                        .buckets(BUCKETS.into()),
                    &["endpoint"],
                ),
            ),
            events: events(&registry),
            statements: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "authly_db_query_duration_seconds",
                        "Time of a statement on Postgres, waiting for a connection included.",
                    )
                    .buckets(BUCKETS.into()),
                    &["statement"],
                ),
            ),
            failed_statements: register(
                &registry,
                IntCounterVec::new(
                    Opts::new("authly_db_query_failures_total", "Statements on Postgres that gave no result."),
                    &["statement"],
                ),
            ),
            connections_active: gauge("authly_db_connections_active", "Connections to the database in use."),
            connections_max: gauge("authly_db_connections_max", "Connections to the database that there may be."),
            connections_waiting: gauge("authly_db_connections_waiting", "Requests that wait for a connection."),
            hashes_running: gauge("authly_password_hashing_running", "Passwords that are being hashed."),
            hashes_max: gauge("authly_password_hashing_max", "Passwords that may be hashed at once."),
            hashes_waiting: gauge("authly_password_hashing_waiting", "Passwords that wait to be hashed."),
            hashes_waiting_max: gauge(
                "authly_password_hashing_waiting_max",
                "Passwords that may wait to be hashed before further ones are refused.",
            ),
            signing_key_age: float(
                "authly_signing_key_age_seconds",
                "Time since the current signing key came into use.",
            ),
            signing_key_lifetime: float("authly_signing_key_lifetime_seconds", "Time for which a signing key is used."),
            mail_waiting: float("authly_mail_waiting", "Mail in the database that is to be sent; NaN: not known."),
            mail_failed: float("authly_mail_failed", "Mail in the database that was given up; NaN: not known."),
            services: register(
                &registry,
                IntGaugeVec::new(
                    Opts::new("authly_service_up", "Whether a service besides the database answers."),
                    &["service"],
                ),
            ),
            jobs_succeeded_at: register(
                &registry,
                GaugeVec::new(
                    Opts::new(
                        "authly_maintenance_last_success_timestamp_seconds",
                        "When the job last left nothing to do, on whichever instance, since the Unix epoch; 0: never.",
                    ),
                    &["job"],
                ),
            ),
            registry,
        };
        metrics.mail(None);
        let build = Opts::new("authly_build_info", "The program that runs; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        register(&metrics.registry, IntGauge::with_opts(build)).set(1);
        // Memory, processor time and open files, which it reads from procfs.
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            metrics.registry.register(Box::new(process)).expect(LEGAL);
        }
        metrics
    }

    /// A request was answered.
    pub fn request(&self, observation: &Observation) {
        let Observation { endpoint, method, status, duration } = observation;
        self.requests.with_label_values(&[endpoint, method, status.as_str()]).inc();
        self.durations.with_label_values(&[endpoint]).observe(duration.as_secs_f64());
    }

    /// A statement was run.
    pub fn statement(&self, name: &str, duration: Duration, is_done: bool) {
        self.statements.with_label_values(&[name]).observe(duration.as_secs_f64());
        if !is_done {
            self.failed_statements.with_label_values(&[name]).inc();
        }
    }

    /// So much mail was in the database; `None`: nobody knows.
    pub fn mail(&self, backlog: Option<Backlog>) {
        let value = |count: fn(Backlog) -> u64| backlog.map_or(f64::NAN, |backlog| count(backlog) as f64);
        self.mail_waiting.set(value(|backlog| backlog.waiting));
        self.mail_failed.set(value(|backlog| backlog.failed));
    }

    /// The states of the jobs were read.
    pub fn jobs(&self, states: &[JobState]) {
        for JobState { job, last_success_at, .. } in states {
            let seconds = last_success_at.map_or(0.0, |at| (at - Timestamp::UNIX_EPOCH).as_seconds_f64());
            self.jobs_succeeded_at.with_label_values(&[job.name()]).set(seconds);
        }
    }

    /// What is told to whoever asks this server.
    pub fn response<S: Store + Observed, B: From<String>>(&self, server: &Server<S, NativeHost>) -> Response<B> {
        let now = server.host().now();
        let snapshot = Snapshot {
            pool: server.store().pool_load(),
            hashing: server.host().hashing_load(),
            signing_key_age: server.signing_key_activated_at().map(|at| (now - at).as_seconds_f64()),
            signing_key_lifetime: server.config().signing_key_lifetime.as_seconds_f64(),
            counters: server.host().counters_health(),
        };
        let mut response = Response::new(self.page(&snapshot).into());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(prometheus::TEXT_FORMAT));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Everything, in Prometheus' text format.
    fn page(&self, snapshot: &Snapshot) -> String {
        let set = |gauge: &IntGauge, value: usize| gauge.set(value.try_into().unwrap_or(i64::MAX));
        set(&self.connections_active, snapshot.pool.active);
        set(&self.connections_max, snapshot.pool.max);
        set(&self.connections_waiting, snapshot.pool.waiting);
        set(&self.hashes_running, snapshot.hashing.running);
        set(&self.hashes_max, snapshot.hashing.limits.concurrency);
        set(&self.hashes_waiting, snapshot.hashing.waiting);
        set(&self.hashes_waiting_max, snapshot.hashing.limits.queue);
        self.signing_key_age.set(snapshot.signing_key_age.unwrap_or(f64::NAN));
        self.signing_key_lifetime.set(snapshot.signing_key_lifetime);
        if let Some((service, is_up)) = snapshot.counters {
            self.services.with_label_values(&[service]).set(is_up.into());
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

impl Telemetry for Metrics {
    fn count(&self, event: Event) {
        if let Some((_, counter)) = self.events.iter().find(|(known, _)| *known == event) {
            counter.inc();
        }
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: prometheus::Result<C>) -> C {
    let metric = metric.expect(LEGAL);
    registry.register(Box::new(metric.clone())).expect(LEGAL);
    metric
}

/// A counter for each event, at zero from the start: a rate over a series that just appeared misses its first event.
fn events(registry: &Registry) -> Vec<(Event, IntCounter)> {
    let mut families: Vec<(&str, IntCounterVec)> = Vec::new();
    let mut counters = Vec::new();
    for event in Event::ALL {
        let counter = event.counter();
        if families.last().is_none_or(|(name, _)| *name != counter.name) {
            let options = Opts::new(format!("authly_{}_total", counter.name), counter.help);
            families.push((counter.name, register(registry, IntCounterVec::new(options, &[counter.label]))));
        }
        if let Some((_, family)) = families.last() {
            counters.push((event, family.with_label_values(&[event.value()])));
        }
    }
    counters
}

#[cfg(test)]
mod tests {
    use authly_core::store::Job;
    use http::StatusCode;

    use super::*;
    use crate::host::HashingLimits;

    #[test]
    fn what_is_counted_is_on_the_page() {
        let metrics = Metrics::new();
        metrics.request(&Observation {
            endpoint: "token",
            method: "POST",
            status: StatusCode::OK,
            duration: Duration::from_millis(2),
        });
        metrics.statement("redeem_code", Duration::from_millis(1), false);
        Event::ALL.into_iter().for_each(|event| metrics.count(event));
        let succeeded = Timestamp::from_timestamp_micros(1_795_000_000_500_000);
        metrics.jobs(&[
            JobState { last_success_at: succeeded, ..JobState::never(Job::AuditLog) },
            JobState::never(Job::SigningKeys),
        ]);
        let snapshot = Snapshot {
            pool: PoolLoad { active: 3, max: 16, waiting: 1 },
            hashing: HashingLoad { running: 1, waiting: 2, limits: HashingLimits { concurrency: 4, queue: 256 } },
            signing_key_age: Some(86_400.0),
            signing_key_lifetime: 7_776_000.0,
            counters: Some(("redis", false)),
        };
        assert!(metrics.page(&snapshot).contains("authly_mail_waiting NaN"));
        metrics.mail(Some(Backlog { waiting: 5, failed: 1 }));
        let page = metrics.page(&snapshot);
        for line in [
            "authly_requests_total{endpoint=\"token\",method=\"POST\",status=\"200\"} 1",
            "authly_request_duration_seconds_bucket{endpoint=\"token\",le=\"0.0025\"} 1",
            "authly_request_duration_seconds_bucket{endpoint=\"token\",le=\"0.001\"} 0",
            "authly_db_query_duration_seconds_count{statement=\"redeem_code\"} 1",
            "authly_db_query_failures_total{statement=\"redeem_code\"} 1",
            "authly_db_connections_active 3",
            "authly_password_hashing_max 4",
            "authly_password_hashing_waiting 2",
            "authly_password_hashing_waiting_max 256",
            "authly_signing_key_age_seconds 86400",
            "authly_signing_key_lifetime_seconds 7776000",
            "authly_mail_waiting 5",
            "authly_mail_failed 1",
            "authly_service_up{service=\"redis\"} 0",
            "authly_maintenance_last_success_timestamp_seconds{job=\"audit_log\"} 1795000000.5",
            "authly_maintenance_last_success_timestamp_seconds{job=\"signing_keys\"} 0",
        ] {
            assert!(page.lines().any(|known| known == line), "{line} is not in\n{page}");
        }
        for event in Event::ALL {
            let counter = event.counter();
            let line = format!("authly_{}_total{{{}=\"{}\"}} 1", counter.name, counter.label, event.value());
            assert!(page.lines().any(|known| known == line), "{line} is not in\n{page}");
        }
    }
}
