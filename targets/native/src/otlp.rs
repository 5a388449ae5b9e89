//! Traces for a collector, by OTLP over HTTP (OpenTelemetry): a span for each request, and within it one for each
//! statement on Postgres. Spans are recorded after the fact, from what access log and metrics measure anyway, and wait
//! in a bounded queue for a thread of their own: no request waits for the collector, and none fails with it.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use async_trait::async_trait;
use authly_core::{
    config::Reader,
    trace::{Id, TraceContext},
};
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanProcessor as _},
};
use percent_encoding::percent_decode_str;
use ureq::Agent;
use url::Url;

/// A collector that does not answer holds up its own thread for so long, and the end of the process.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where spans go, and which.
#[derive(Clone, PartialEq)]
pub struct OtlpConfig {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, with the path of traces.
    endpoint: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: the collector's credentials, for instance.
    headers: HashMap<String, String>,
    /// `OTEL_SERVICE_NAME`.
    service_name: String,
    /// `OTEL_TRACES_SAMPLER_ARG`: of the traces that begin here, so many are recorded. The others are their callers'
    /// choice.
    ratio: f64,
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtlpConfig({})", self.endpoint)
    }
}

impl OtlpConfig {
    /// Reads the variables of the OpenTelemetry specification. `None` where no collector is named.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let endpoint = reader.text(ENDPOINT);
        reader.parsed("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "http/protobuf, or unset", |text| {
            (text == "http/protobuf").then_some("http/protobuf")
        });
        let headers = reader.secret("OTEL_EXPORTER_OTLP_HEADERS").map_or_else(HashMap::new, |text| {
            parse_headers(&text).unwrap_or_else(|| {
                reader
                    .problem("OTEL_EXPORTER_OTLP_HEADERS", "it must be name=value,name=value, with values as in a URL");
                HashMap::new()
            })
        });
        let service_name = reader.text("OTEL_SERVICE_NAME").unwrap_or_else(|| "authly".to_owned());
        let ratio = reader.parsed("OTEL_TRACES_SAMPLER_ARG", 1.0, "a number from 0 to 1", |text| {
            text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))
        });
        let url = Url::parse(&endpoint?).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let Some(url) = url else {
            reader.problem(ENDPOINT, "it must be a URL such as http://collector:4318");
            return None;
        };
        let endpoint = format!("{}/v1/traces", url.as_str().trim_end_matches('/'));
        Some(Self { endpoint, headers, service_name, ratio })
    }
}

/// Headers as in W3C Baggage, without properties: `name=value`, separated by commas, values percent-encoded.
fn parse_headers(text: &str) -> Option<HashMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        http::HeaderValue::from_str(&value).ok()?;
        Some((name.as_str().to_owned(), value.into_owned()))
    });
    pairs.collect()
}

#[derive(Debug)]
struct Exporter {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    ratio: f64,
}

/// One for the process, as its log is.
static EXPORTER: OnceLock<Exporter> = OnceLock::new();

/// Sends what is left when it is dropped, at the end of the process.
#[derive(Debug)]
#[must_use]
pub struct Exporting(());

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Some(exporter) = EXPORTER.get() {
            let _ = exporter.processor.shutdown_with_timeout(TIMEOUT);
        }
    }
}

/// Starts to export, where that is configured.
///
/// # Errors
/// Where the exporter cannot be made. A collector that is away is none: it is logged, and spans are dropped meanwhile.
pub fn start(config: Option<&OtlpConfig>) -> anyhow::Result<Exporting> {
    if let Some(config) = config {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&config.endpoint)
            .with_headers(config.headers.clone())
            .with_timeout(TIMEOUT)
            .build()
            .context("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let version = env!("CARGO_PKG_VERSION");
        // What OTEL_RESOURCE_ATTRIBUTES says is read by the SDK.
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource);
        let scope = InstrumentationScope::builder("authly").with_version(version).build();
        // A second start, in a test, leaves the first one in place.
        let _ = EXPORTER.set(Exporter { processor, scope, ratio: config.ratio });
    }
    Ok(Exporting(()))
}

/// Sends what waits, and waits for that: for a function, which stands still between invocations.
pub async fn flush() {
    if let Some(exporter) = EXPORTER.get() {
        let _ = tokio::task::spawn_blocking(|| exporter.processor.force_flush()).await;
    }
}

/// A trace that begins here is recorded or not; of others, the caller says so.
pub(crate) fn sample(trace: TraceContext) -> TraceContext {
    let begins = trace.parent_id().is_none();
    let is_chosen = EXPORTER.get().is_some_and(|exporter| begins && fastrand::f64() < exporter.ratio);
    if is_chosen { trace.sampled() } else { trace }
}

/// A piece of work that has ended just now.
pub(crate) struct Work {
    /// What it was, in terms that are few.
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) duration: Duration,
    pub(crate) attributes: Vec<KeyValue>,
    /// Why it failed, where it did, in a word.
    pub(crate) error: Option<&'static str>,
}

/// Whether work in this trace is to be recorded, and by whom.
fn recorder() -> Option<(&'static Exporter, TraceContext)> {
    let exporter = EXPORTER.get()?;
    TraceContext::current().filter(TraceContext::is_sampled).map(|trace| (exporter, trace))
}

/// Records the current request, or what else began its part of the trace. `work` is asked only where that is wanted.
pub(crate) fn request(work: impl FnOnce() -> Work) {
    if let Some((exporter, trace)) = recorder() {
        exporter.record(work(), trace, trace.span_id(), trace.parent_id(), true);
    }
}

/// Does a job in the current trace, and records it.
///
/// # Errors
/// Those of the job.
pub async fn traced_job<T, E>(name: &str, job: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let started = Instant::now();
    let done = job.await;
    request(|| Work {
        name: name.to_owned(),
        kind: SpanKind::Internal,
        duration: started.elapsed(),
        attributes: Vec::new(),
        error: done.is_err().then_some("failed"),
    });
    done
}

/// When a statement begins: measured only where it will be recorded.
pub(crate) fn statement_begins() -> Option<Instant> {
    recorder().map(|_| Instant::now())
}

/// Records a statement of the current request.
pub(crate) fn statement(name: &'static str, started: Option<Instant>, is_ok: bool) {
    let (Some((exporter, trace)), Some(started)) = (recorder(), started) else {
        return;
    };
    let work = Work {
        name: name.to_owned(),
        kind: SpanKind::Client,
        duration: started.elapsed(),
        attributes: vec![KeyValue::new("db.system.name", "postgresql"), KeyValue::new("db.query.summary", name)],
        error: (!is_ok).then_some("failed"),
    };
    // Zero means "none".
    let span_id = Id(fastrand::u64(1..).to_be_bytes());
    exporter.record(work, trace, span_id, Some(trace.span_id()), false);
}

impl Exporter {
    fn record(&self, work: Work, trace: TraceContext, span_id: Id<8>, parent: Option<Id<8>>, is_remote: bool) {
        let end_time = SystemTime::now();
        let span = |Id(bytes)| SpanId::from_bytes(bytes);
        let mut attributes = work.attributes;
        attributes.extend(work.error.map(|error| KeyValue::new("error.type", error)));
        let trace_id = TraceId::from_bytes(trace.trace_id().0);
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace_id, span(span_id), TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent.map_or(SpanId::INVALID, span),
            parent_span_is_remote: is_remote && parent.is_some(),
            span_kind: work.kind,
            name: work.name.into(),
            start_time: end_time - work.duration,
            end_time,
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: work.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }
}

/// HTTP for the exporter's thread, which is its own and may wait.
#[derive(Debug)]
struct Client(Agent);

impl Client {
    fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("authly/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(config.into())
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let (parts, mut body) = self.0.run(Request::from_parts(parts, body.as_ref()))?.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        match &sent {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => tracing::warn!(status = response.status().as_u16(), "the collector refuses the traces"),
            Err(error) => tracing::warn!(%error, "the collector of traces cannot be reached"),
        }
        Ok(sent?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, String> {
        let lookup =
            |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
        let mut reader = Reader::new(&lookup);
        let config = OtlpConfig::read(&mut reader);
        reader.finish(Some(config)).map(|(config, _)| config).map_err(|problems| problems[0].variable.to_owned())
    }

    #[test]
    fn a_collector() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20YTpi, x-scope=1"),
        ]);
        let config = config.expect("valid").expect("a collector");
        assert_eq!(config.endpoint, "http://collector:4318/v1/traces");
        let headers = [("authorization", "Basic YTpi"), ("x-scope", "1")];
        assert_eq!(config.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert!(!format!("{config:?}").contains("YTpi"));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn mistakes_are_named() {
        for (variable, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer abc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x=a%0Ab"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ] {
            assert_eq!(read(&[(variable, value)]), Err(variable.to_owned()), "{value}");
        }
    }
}
