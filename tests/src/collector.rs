//! A collector of traces: what an OpenTelemetry collector is to a server, by the messages that OpenTelemetry publishes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, routing::post};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};

/// For how long spans may be on their way, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A span, and the service that recorded it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `service.name` of the resource.
    pub service: String,
    /// The span.
    pub span: Span,
    /// The headers of the request that it came with.
    pub headers: HeaderMap,
}

impl Recorded {
    /// Its attributes, as text.
    pub fn attributes(&self) -> BTreeMap<&str, String> {
        self.span.attributes.iter().map(|attribute| (attribute.key.as_str(), text(attribute.value.as_ref()))).collect()
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(value)) => value.clone(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        other => panic!("nothing that is expected here: {other:?}"),
    }
}

fn service(attributes: &[KeyValue]) -> String {
    let name = attributes.iter().find(|attribute| attribute.key == "service.name");
    text(name.expect("a service's name").value.as_ref())
}

type Spans = Arc<Mutex<Vec<Recorded>>>;

/// It listens on a loopback port of its own.
pub struct Collector {
    port: u16,
    spans: Spans,
    task: JoinHandle<()>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let spans = Spans::default();
        let router = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&spans));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { port, spans, task }
    }

    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What has arrived.
    pub fn spans(&self) -> Vec<Recorded> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What has arrived once there is such a span.
    ///
    /// # Panics
    /// Where none comes.
    pub async fn spans_with(&self, name: &str) -> Vec<Recorded> {
        let tries = PATIENCE.as_millis() / 50;
        for _ in 0..tries {
            let spans = self.spans();
            if spans.iter().any(|recorded| recorded.span.name == name) {
                return spans;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("no span {name:?} arrives: {:#?}", self.spans());
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut known = spans.lock().unwrap_or_else(PoisonError::into_inner);
    for resource in request.resource_spans {
        let service = service(&resource.resource.expect("a resource").attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            known.push(Recorded { service: service.clone(), span, headers: headers.clone() });
        }
    }
    StatusCode::OK
}
