//! Where a request stands in a distributed trace (W3C Trace Context). Parsed here, since every host is sent it; logged
//! and handed on by hosts.

use std::fmt;

use http::{HeaderMap, HeaderName};

use crate::ports::Entropy;

/// The header that carries it.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A trace, and this request's span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    is_sampled: bool,
}

impl TraceContext {
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
            Some((trace_id, is_sampled)) => Self { trace_id, span_id, is_sampled },
            None => Self { trace_id: otherwise.unwrap_or(new_trace), span_id, is_sampled: false },
        }
    }

    /// The trace's id, in 32 digits.
    pub fn trace_id(&self) -> impl fmt::Display {
        Hex(self.trace_id)
    }

    /// The id of this request's span, in 16 digits.
    pub fn span_id(&self) -> impl fmt::Display {
        Hex(self.span_id)
    }
}

/// The header for what this request asks of others (§3.2).
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), u8::from(self.is_sampled))
    }
}

struct Hex<const N: usize>([u8; N]);

impl<const N: usize> fmt::Display for Hex<N> {
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

/// The trace's id and whether the caller records it (§3.2.2). Of a version to come, what this one knows is read, and
/// more may follow.
fn parse(value: &[u8]) -> Option<([u8; 16], bool)> {
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
    let _parent: [u8; 8] = from_hex(&known[36..52]).filter(|id| *id != [0; 8])?;
    let [flags] = from_hex(&known[53..])?;
    Some((trace_id, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
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
        TraceContext::of(&headers, None, &Constant(0x23)).to_string()
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
    fn ids_are_never_zero() {
        let of_zeros = TraceContext::of(&HeaderMap::new(), None, &Constant(0)).to_string();
        assert_eq!(of_zeros, "00-01000000000000000000000000000000-0100000000000000-00");
    }
}
