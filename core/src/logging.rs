//! Log lines for machines: JSON on standard error, each with the trace of the request that it belongs to. Behind the
//! feature `logging`, since it is for hosts.

use std::{fmt, io::stderr};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, JsonFields, Writer},
        layer,
    },
    registry::LookupSpan,
};

use crate::trace::TraceContext;

/// One JSON object a line.
pub fn json_lines<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let json = Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false);
    layer().fmt_fields(JsonFields::new()).event_format(Traced(json)).with_writer(stderr)
}

/// JSON lines with two more members at the end, where there is a trace.
struct Traced(Format<Json>);

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    Format<Json>: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = TraceContext::current() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let object = line.strip_suffix("}\n").unwrap_or(&line);
        let (trace_id, span_id) = (trace.trace_id(), trace.span_id());
        writeln!(writer, "{object},\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\"}}")
    }
}
