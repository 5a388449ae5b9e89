//! Where a request stands in a distributed trace (W3C Trace Context). Parsed here, since every host is sent it; hosts log
//! and record it. It is not handed on: Authly asks nothing of others by HTTP while it handles a request.

use std::{
    cell::Cell,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
};

use http::{HeaderMap, HeaderName};

use crate::ports::Entropy;

/// The header that carries it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace, and this request's span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent_id: Option<[u8; 8]>,
    is_sampled: bool,
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// Puts back what was current before.
struct Restore(Option<TraceContext>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

impl TraceContext {
    /// The trace of the request that is being handled here, where a host said so by [`scope`](Self::scope).
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Handles a request: meanwhile this trace is the current one, on whichever thread. Not a span of `tracing`, which
    /// would cost every request the formatting of what most of them never log.
    pub async fn scope<T>(self, handling: impl Future<Output = T>) -> T {
        let mut handling = pin!(handling);
        poll_fn(|context| {
            let _restore = Restore(CURRENT.replace(Some(self)));
            handling.as_mut().poll(context)
        })
        .await
    }

    /// Goes on with the caller's trace, in a new span. A header that is not valid, or was sent twice, is as if absent
    /// (§4.3): a new trace begins, by the name of `otherwise` where the host knows a better one than a random one.
    pub fn of(headers: &HeaderMap, otherwise: Option<[u8; 16]>, entropy: &impl Entropy) -> Self {
        let mut sent = headers.get_all(&TRACEPARENT).iter();
        let parent = sent.next().filter(|_| sent.next().is_none()).and_then(|value| parse(value.as_bytes()));
        let mut random = [0; 24];
        entropy.fill(&mut random);
        let (mut new_trace, mut span_id) = ([0; 16], [0; 8]);
        new_trace.copy_from_slice(&random[..16]);
        span_id.copy_from_slice(&random[16..]);
        // Zero means "none".
        new_trace[0] |= 1;
        span_id[0] |= 1;
        match parent {
            Some(Parent { trace_id, span_id: parent_id, is_sampled }) => {
                Self { trace_id, span_id, parent_id: Some(parent_id), is_sampled }
            }
            None => {
                let trace_id = otherwise.unwrap_or(new_trace);
                Self { trace_id, span_id, parent_id: None, is_sampled: false }
            }
        }
    }

    /// The same trace, to be recorded from here on.
    #[must_use]
    pub fn sampled(self) -> Self {
        Self { is_sampled: true, ..self }
    }

    /// Whether it is recorded: by the caller, or from here on.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }

    /// The trace's id.
    pub fn trace_id(&self) -> Id<16> {
        Id(self.trace_id)
    }

    /// The id of this request's span.
    pub fn span_id(&self) -> Id<8> {
        Id(self.span_id)
    }

    /// The id of the caller's span; none where the trace begins here.
    pub fn parent_id(&self) -> Option<Id<8>> {
        self.parent_id.map(Id)
    }
}

/// An id, which is shown in two digits a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<const N: usize>(pub [u8; N]);

impl<const N: usize> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes from lower-case hexadecimal digits.
pub fn from_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// What a caller says of itself.
struct Parent {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    /// Whether it records the trace.
    is_sampled: bool,
}

/// The value of the header (§3.2.2). Of a version to come, what this one knows is read, and more may follow.
fn parse(value: &[u8]) -> Option<Parent> {
    let (known, rest) = value.split_at_checked(55)?;
    let [version] = from_hex(&known[..2])?;
    let is_complete = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    if !is_complete || [2, 35, 52].into_iter().any(|dash| known[dash] != b'-') {
        return None;
    }
    let trace_id = from_hex(&known[3..35]).filter(|id| *id != [0; 16])?;
    let span_id = from_hex(&known[36..52]).filter(|id| *id != [0; 8])?;
    let [flags] = from_hex(&known[53..])?;
    Some(Parent { trace_id, span_id, is_sampled: flags & 1 == 1 })
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    struct Constant(u8);

    impl Entropy for Constant {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn of(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().expect("a header value"));
        }
        shown(TraceContext::of(&headers, None, &Constant(0x23)))
    }

    /// As the header would be for what this request asks of others, if there were anything (§3.2).
    fn shown(trace: TraceContext) -> String {
        format!("00-{}-{}-{:02x}", trace.trace_id(), trace.span_id(), u8::from(trace.is_sampled()))
    }

    const NEW: &str = "00-23232323232323232323232323232323-2323232323232323-00";

    #[test]
    fn a_valid_one_goes_on_in_a_new_span() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&[&format!("00-{id}-00f067aa0ba902b7-01")]), format!("00-{id}-2323232323232323-01"));
        assert_eq!(of(&[&format!("00-{id}-00f067aa0ba902b7-02")]), format!("00-{id}-2323232323232323-00"));
        assert_eq!(of(&[&format!("01-{id}-00f067aa0ba902b7-01")]), format!("00-{id}-2323232323232323-01"));
        assert_eq!(of(&[&format!("cc-{id}-00f067aa0ba902b7-01-more")]), format!("00-{id}-2323232323232323-01"));
    }

    #[test]
    fn an_invalid_one_is_as_if_absent() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(&[]), NEW);
        assert_eq!(of(&[valid, valid]), NEW);
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(&[bad]), NEW, "{bad}");
        }
    }

    #[test]
    fn the_caller_is_the_parent() {
        let mut headers = HeaderMap::new();
        headers.insert(
            TRACEPARENT,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().expect("a header value"),
        );
        let trace = TraceContext::of(&headers, None, &Constant(0x23));
        assert_eq!(trace.parent_id().map(|id| id.to_string()).as_deref(), Some("00f067aa0ba902b7"));
        assert!(!trace.is_sampled() && trace.sampled().is_sampled());
        assert_eq!(TraceContext::of(&HeaderMap::new(), None, &Constant(1)).parent_id(), None);
    }

    #[test]
    fn one_trace_is_current_while_its_request_is_handled() {
        let trace = |byte| TraceContext::of(&HeaderMap::new(), None, &Constant(byte));
        let (mut context, mut polled) = (Context::from_waker(Waker::noop()), 0);
        let mut handling = pin!(trace(1).scope(poll_fn(|_| {
            polled += 1;
            assert_eq!(TraceContext::current(), Some(trace(1)));
            if polled == 2 { Poll::Ready(()) } else { Poll::Pending }
        })));
        assert!(handling.as_mut().poll(&mut context).is_pending());
        assert_eq!(TraceContext::current(), None, "another request may be handled meanwhile");
        let mut outer = pin!(trace(2).scope(async {
            handling.await;
            assert_eq!(TraceContext::current(), Some(trace(2)));
        }));
        assert!(outer.as_mut().poll(&mut context).is_ready());
        assert_eq!(TraceContext::current(), None);
    }

    #[test]
    fn ids_are_never_zero() {
        let of_zeros = shown(TraceContext::of(&HeaderMap::new(), None, &Constant(0)));
        assert_eq!(of_zeros, "00-01000000000000000000000000000000-0100000000000000-00");
    }
}
