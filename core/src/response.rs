//! Writing responses. Every status, header and error body of the server comes from here.

use askama::Template;
use bytes::Bytes;
use cookie::{Cookie, SameSite};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::{
    config::Config,
    error::{Error, ErrorCode, Fault, InvalidMember, ProtocolError},
    page::ErrorPage,
    server::Standing,
};

/// What every endpoint returns.
pub type Reply = Response<Bytes>;

/// What a person's pages may do: nothing but show themselves and their style, and send their own forms.
fn content_security_policy(form_action: &str) -> String {
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'{form_action}; \
         base-uri 'none'; frame-ancestors 'none'"
    )
}

/// A body of this type.
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// Adds or replaces a header, for values that this program made.
pub trait WithHeader: Sized {
    /// Sets a header. A value that is no legal header value is left out.
    #[must_use]
    fn with_header(self, name: HeaderName, value: &str) -> Self;

    /// Adds `Set-Cookie`.
    #[must_use]
    fn with_cookie(self, cookie: &Cookie<'_>) -> Self;
}

impl WithHeader for Reply {
    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers_mut().insert(name, value);
        }
        self
    }

    fn with_cookie(mut self, cookie: &Cookie<'_>) -> Self {
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            self.headers_mut().append(header::SET_COOKIE, value);
        }
        self
    }
}

/// JSON that nobody may keep (RFC 6749 §5.1).
pub fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).expect("replies are made of strings, numbers and lists");
    reply(status, "application/json", body)
        .with_header(header::CACHE_CONTROL, "no-store")
        .with_header(header::PRAGMA, "no-cache")
}

/// A document that anybody may keep for `seconds`.
pub fn cacheable(content_type: &'static str, body: impl Into<Bytes>, seconds: u32) -> Reply {
    reply(StatusCode::OK, content_type, body).with_header(header::CACHE_CONTROL, &format!("public, max-age={seconds}"))
}

/// A page. `form_action` is where its forms may lead besides this server, as CSP source expressions.
pub fn page(status: StatusCode, page: &impl Template, form_action: Option<&str>) -> Reply {
    let body = page.render().expect("templates write to memory");
    let form_action = form_action.map(|source| format!(" {source}")).unwrap_or_default();
    reply(status, "text/html; charset=utf-8", body)
        .with_header(header::CACHE_CONTROL, "no-store")
        .with_header(header::CONTENT_SECURITY_POLICY, &content_security_policy(&form_action))
}

/// 303: whatever the method was, the next one is GET (RFC 9110 §15.4.4), so a password is never sent on.
pub fn see_other(location: &str) -> Reply {
    reply(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new())
        .with_header(header::LOCATION, location)
        .with_header(header::CACHE_CONTROL, "no-store")
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Bytes::new());
    *reply.status_mut() = status;
    reply.with_header(header::CACHE_CONTROL, "no-store")
}

/// A cookie that scripts cannot read and other sites' forms do not send.
pub fn http_only_cookie<'a>(config: &Config, name: &'a str, value: &'a str, seconds: Option<i64>) -> Cookie<'a> {
    let mut cookie = Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(config.issuer.is_https())
        .build();
    if let Some(seconds) = seconds {
        cookie.set_max_age(cookie::time::Duration::seconds(seconds));
    }
    cookie
}

/// How the client's address stands (draft-ietf-httpapi-ratelimit-headers): of its quota for a window, so much is left
/// until the window ends.
pub fn rate_limit(reply: Reply, standing: Standing) -> Reply {
    let Standing { quota, remaining, seconds } = standing;
    let policy = format!("\"address\";q={};w={}", quota.permits, quota.period.num_seconds());
    reply
        .with_header(HeaderName::from_static("ratelimit-policy"), &policy)
        .with_header(HeaderName::from_static("ratelimit"), &format!("\"address\";r={remaining};t={seconds}"))
}

/// How an endpoint's errors look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A person with a browser.
    Person,
    /// A program.
    Program,
    /// An operator's program, by the admin API.
    Operator,
}

/// Problem details (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [InvalidMember],
}

/// The name of a type of problem, and what it is called. Names are stable.
fn problem_type(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::UNAUTHORIZED => ("unauthorized", "An access token is needed"),
        StatusCode::FORBIDDEN => ("insufficient-scope", "The access token does not allow this"),
        StatusCode::NOT_FOUND => ("not-found", "There is no such thing"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Another method is needed"),
        StatusCode::CONFLICT => ("conflict", "It contradicts what is there"),
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::URI_TOO_LONG => ("too-large", "The request is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported-media-type", "Another content type is needed"),
        StatusCode::MISDIRECTED_REQUEST => ("misdirected", "This server does not answer for this host"),
        StatusCode::UNPROCESSABLE_ENTITY => ("invalid-value", "Something in the body is not acceptable"),
        StatusCode::TOO_MANY_REQUESTS => ("rate-limited", "Too many requests"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "The server cannot answer at the moment"),
        status if status.is_server_error() => ("server-error", "Something went wrong in the server"),
        _ => ("invalid-request", "The request is not well-formed"),
    }
}

fn problem(error: &ProtocolError, request_id: &str) -> Reply {
    let (name, title) = problem_type(error.status);
    let problem = Problem {
        r#type: format!("urn:authly:problem:{name}"),
        title,
        status: error.status.as_u16(),
        detail: &error.description,
        request_id,
        errors: &error.members,
    };
    json(error.status, &problem).with_header(header::CONTENT_TYPE, "application/problem+json")
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    error_description: &'a str,
    request_id: &'a str,
}

const RETRY_AFTER_SECONDS: &str = "1";

/// The one place where errors become responses. A fault is logged here.
pub fn error(error: &Error, audience: Audience, config: &Config, request_id: &str) -> Reply {
    match error {
        Error::Protocol(error) => protocol_error(error, audience, config, request_id),
        Error::Fault(fault) => fault_reply(fault, audience, config, request_id),
    }
}

fn fault_reply(fault: &Fault, audience: Audience, config: &Config, request_id: &str) -> Reply {
    let temporary = fault.is_temporary();
    let (status, code, description) = if temporary {
        tracing::warn!(request_id, %fault, "temporarily unavailable");
        let description = "the server cannot answer at the moment; try again shortly";
        (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::TemporarilyUnavailable, description.to_owned())
    } else {
        tracing::error!(request_id, %fault, "fault");
        (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::ServerError, "an internal error occurred".to_owned())
    };
    let description = if config.debug { format!("{description}: {fault}") } else { description };
    let error = ProtocolError::new(code, description).with_status(status);
    let reply = protocol_error(&error, audience, config, request_id);
    if temporary { reply.with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS) } else { reply }
}

fn protocol_error(error: &ProtocolError, audience: Audience, config: &Config, request_id: &str) -> Reply {
    let reply = match audience {
        Audience::Program => json(
            error.status,
            &ErrorBody { error: error.code.as_str(), error_description: &error.description, request_id },
        ),
        Audience::Operator => problem(error, request_id),
        Audience::Person => {
            let (title, advice) = for_people(error);
            let template = ErrorPage {
                base: config.issuer.path(),
                status: error.status.as_u16(),
                title,
                message: &error.description,
                advice,
                code: error.code.as_str(),
                request_id,
            };
            page(error.status, &template, None)
        }
    };
    let reply = match error.challenge {
        Some(challenge) => reply.with_header(header::WWW_AUTHENTICATE, challenge),
        None => reply,
    };
    let reply = match error.allow {
        Some(allow) => reply.with_header(header::ALLOW, allow),
        None => reply,
    };
    match error.retry_after {
        Some(seconds) => reply.with_header(header::RETRY_AFTER, &seconds.to_string()),
        None => reply,
    }
}

fn for_people(error: &ProtocolError) -> (&'static str, &'static str) {
    match error.status {
        StatusCode::NOT_FOUND => ("Page not found", "Check the address, or go back to where you came from."),
        StatusCode::SERVICE_UNAVAILABLE => ("We are busy right now", "Wait a moment, then reload this page."),
        StatusCode::INTERNAL_SERVER_ERROR => {
            ("Something went wrong on our side", "Try again. If it happens again, pass on the request id below.")
        }
        StatusCode::TOO_MANY_REQUESTS => (
            "Too many requests",
            "Wait as long as it says above, then reload this page. If others share your connection, it may have been \
             them.",
        ),
        StatusCode::FORBIDDEN => ("This form has expired", "Go back to the application and start again."),
        _ => (
            "This request cannot be completed",
            "Go back to the application you came from and try again. If it happens again, tell its developers what \
             is written below.",
        ),
    }
}
