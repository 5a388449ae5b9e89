//! Errors. A peer's mistake is a [`ProtocolError`] and goes on the wire; ours is a [`Fault`]: it is logged with the
//! request's id, and the peer learns that id only.

use std::borrow::Cow;

use http::StatusCode;

use crate::{ports::HashingBusy, store::StoreError};

/// Error codes on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidRequest,
    /// RFC 6749 §5.2.
    InvalidClient,
    /// RFC 6749 §5.2.
    InvalidGrant,
    /// RFC 6749 §4.1.2.1, §5.2.
    UnauthorizedClient,
    /// RFC 6749 §5.2.
    UnsupportedGrantType,
    /// RFC 6749 §4.1.2.1.
    UnsupportedResponseType,
    /// RFC 6749 §4.1.2.1, §5.2.
    InvalidScope,
    /// RFC 8707 §2.
    InvalidTarget,
    /// RFC 6749 §4.1.2.1.
    AccessDenied,
    /// RFC 7009 §2.2.1.
    UnsupportedTokenType,
    /// RFC 6750 §3.1.
    InvalidToken,
    /// RFC 6750 §3.1.
    InsufficientScope,
    /// RFC 6749 §4.1.2.1.
    ServerError,
    /// RFC 6749 §4.1.2.1.
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The code itself.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

/// A peer's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// The status of a direct response.
    pub status: StatusCode,
    /// The code.
    pub code: ErrorCode,
    /// Helps a developer; only characters that RFC 6749 §5.2 allows.
    pub description: String,
    /// `WWW-Authenticate` (RFC 9110 §11.6.1).
    pub challenge: Option<&'static str>,
    /// `Allow` (RFC 9110 §10.2.1).
    pub allow: Option<&'static str>,
    /// `Retry-After`, in seconds (RFC 9110 §10.2.3).
    pub retry_after: Option<u32>,
    /// What is wrong with which member of a JSON body.
    pub members: Vec<InvalidMember>,
}

/// A member of a JSON body that is not acceptable.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct InvalidMember {
    /// Where it is (RFC 6901).
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl ProtocolError {
    /// An error with status 400.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let legal = |c: char| if matches!(c, ' '..='!' | '#'..='[' | ']'..='~') { c } else { '?' };
        Self {
            status: StatusCode::BAD_REQUEST,
            code,
            description: description.into().chars().map(legal).collect(),
            challenge: None,
            allow: None,
            retry_after: None,
            members: Vec::new(),
        }
    }

    /// `invalid_request`.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// `invalid_grant`.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }

    /// `invalid_client`, 401 with a challenge (RFC 6749 §5.2). It does not tell which part was wrong.
    pub fn invalid_client() -> Self {
        Self {
            challenge: Some("Basic realm=\"authly\", charset=\"UTF-8\""),
            ..Self::new(ErrorCode::InvalidClient, "client authentication failed").with_status(StatusCode::UNAUTHORIZED)
        }
    }

    /// `invalid_token`, 401 with a challenge (RFC 6750 §3.1).
    pub fn invalid_token() -> Self {
        Self {
            challenge: Some("Bearer realm=\"authly\", error=\"invalid_token\""),
            ..Self::new(ErrorCode::InvalidToken, "the access token is missing, malformed, expired or revoked")
                .with_status(StatusCode::UNAUTHORIZED)
        }
    }

    /// 429 (RFC 6585 §4), until so many seconds have passed. OAuth has no code of its own for it; this one says what to
    /// do.
    pub fn too_many_requests(seconds: u32) -> Self {
        let description = format!("too many requests; try again in {}", in_words(seconds));
        Self {
            retry_after: Some(seconds),
            ..Self::new(ErrorCode::TemporarilyUnavailable, description).with_status(StatusCode::TOO_MANY_REQUESTS)
        }
    }

    /// `insufficient_scope`, 403 with a challenge (RFC 6750 §3.1).
    pub fn insufficient_scope(scope: &str) -> Self {
        Self {
            challenge: Some("Bearer realm=\"authly\", error=\"insufficient_scope\""),
            ..Self::new(
                ErrorCode::InsufficientScope,
                format!("this takes the scope {scope}, and of a user an administrator"),
            )
            .with_status(StatusCode::FORBIDDEN)
        }
    }

    /// The same error with another status.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

/// A time to wait, for people.
pub fn in_words(seconds: u32) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        ..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// Our own failure.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much work of one kind is under way.
    #[error(transparent)]
    Busy(#[from] HashingBusy),
    /// It took longer than a request may.
    #[error("the request took too long")]
    Timeout,
    /// Something that cannot be.
    #[error("{0}")]
    Internal(&'static str),
}

impl Fault {
    /// Whether the caller should try again.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Store(StoreError::Unavailable(_)) | Self::Busy(_) | Self::Timeout)
    }
}

/// Either.
#[derive(Debug)]
pub enum Error {
    /// The peer's.
    Protocol(ProtocolError),
    /// Ours.
    Fault(Fault),
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl<F: Into<Fault>> From<F> for Error {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_have_only_legal_characters() {
        let error = ProtocolError::invalid_request("a \"quoted\" back\\slash, a\nnewline, é");
        assert_eq!(error.description, "a ?quoted? back?slash, a?newline, ?");
    }
}
