//! What can go wrong, in words for people, and as an exit code for scripts.

use std::{fmt, process::ExitCode};

use http::{Response, StatusCode, header};
use serde::Deserialize;

use crate::output::printable;

/// With `client apply --exit-code`: something was changed.
pub(crate) const CHANGED: u8 = 10;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line is wrong in a way that its grammar does not show.
    #[error("{0}")]
    Usage(String),
    /// The server says no.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Nobody is logged in.
    #[error("{0}")]
    Unauthorized(String),
    /// Nobody answers.
    #[error("{0:#}")]
    Unreachable(anyhow::Error),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Unauthorized(_) => 5,
            Self::Unreachable(_) => 6,
            Self::Refused(problem) => match problem.status {
                StatusCode::NOT_FOUND => 3,
                StatusCode::CONFLICT => 4,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => 5,
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => 6,
                _ => 1,
            },
        })
    }

    /// Whether the server is there, but cannot serve.
    pub(crate) fn is_unhealthy(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(problem) => problem.status.is_server_error(),
            _ => false,
        }
    }
}

/// An answer that is none of the 2xx.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Which of several things it is about.
    subject: Option<String>,
    pub(crate) status: StatusCode,
    title: Option<String>,
    detail: Option<String>,
    errors: Vec<FieldError>,
    request_id: Option<String>,
    retry_after: Option<String>,
}

/// What is wrong about one member of the request's body.
#[derive(Debug, Deserialize)]
struct FieldError {
    pointer: String,
    detail: String,
}

/// Problem details (RFC 9457), or an OAuth error (RFC 6749 §5.2).
#[derive(Default, Deserialize)]
struct Body {
    title: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
    request_id: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Problem {
    pub(crate) fn of(response: &Response<impl AsRef<[u8]>>) -> Box<Self> {
        let body: Body = serde_json::from_slice(response.body().as_ref()).unwrap_or_default();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Box::new(Self {
            subject: None,
            status: response.status(),
            title: body.title.or(body.error),
            detail: body.detail.or(body.error_description),
            errors: body.errors,
            request_id: body.request_id,
            retry_after: retry_after.map(str::to_owned),
        })
    }

    /// The same, about this one.
    pub(crate) fn about(mut self: Box<Self>, subject: &str) -> Box<Self> {
        self.subject = Some(subject.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{}: ", printable(subject))?;
        }
        match (&self.title, &self.detail) {
            (Some(title), Some(detail)) => write!(f, "{}: {}", printable(title), printable(detail))?,
            (Some(text), None) | (None, Some(text)) => write!(f, "{}", printable(text))?,
            (None, None) => write!(f, "the server answers {}", self.status)?,
        }
        for error in &self.errors {
            write!(f, "\n  {}: {}", printable(&error.pointer), printable(&error.detail))?;
        }
        if let Some(seconds) = &self.retry_after {
            write!(f, "\n  Try again in {} seconds.", printable(seconds))?;
        }
        match &self.request_id {
            Some(id) if self.status.is_server_error() => {
                write!(f, "\n  The server's log has more, under {}.", printable(id))
            }
            _ => Ok(()),
        }
    }
}

/// A failure that leaves no choice of words.
macro_rules! fail {
    ($($text:tt)*) => {
        return Err($crate::failure::Failure::Other(anyhow::anyhow!($($text)*)))
    };
}
pub(crate) use fail;
