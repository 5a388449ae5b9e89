//! Which endpoint a request is for.

use http::{Method, StatusCode};

use crate::{
    config::Config,
    error::{ErrorCode, ProtocolError},
    response::Audience,
};

/// Every endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/`
    Home,
    /// `/authorize`
    Authorize,
    /// `/consent`
    Consent,
    /// `/login`
    Login,
    /// `/logout`
    Logout,
    /// `/register`
    Register,
    /// `/verify-email`
    VerifyEmail,
    /// `/forgot-password`
    ForgotPassword,
    /// `/reset-password`
    ResetPassword,
    /// `/account`
    Account,
    /// `/account/password`
    AccountPassword,
    /// `/account/email`
    AccountEmail,
    /// `/auth/token`
    Token,
    /// `/auth/refresh`
    Refresh,
    /// `/auth/revoke`
    Revoke,
    /// `/auth/introspect`
    Introspect,
    /// `/api/v1/users/me`
    Me,
    /// `/admin/maintenance`
    Maintenance,
    /// `/.well-known/oauth-authorization-server`
    Metadata,
    /// `/.well-known/jwks.json`
    Jwks,
    /// `/openapi.json`
    OpenApi,
    /// `/health`
    Health,
    /// `/health/live`
    Live,
    /// `/health/ready`
    Ready,
    /// `/assets/authly.css`
    Stylesheet,
    /// `/demo`
    Demo,
    /// `/demo/callback`
    DemoCallback,
}

/// Who may call an endpoint from a script on another origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Nobody.
    No,
    /// Everybody: it is public and knows no credentials.
    Public,
    /// `CORS_ORIGINS`.
    Configured,
}

/// What counts against the limit of the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// Nothing: it is cheap, and others depend on it.
    Nothing,
    /// Every request but those of people who are logged in.
    Strangers,
    /// What those who did not prove who they are do wrong, and whatever else the endpoint says.
    Failures,
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const GET_AND_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];

const METADATA: &str = "/.well-known/oauth-authorization-server";

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 27] = [
        Self::Home,
        Self::Authorize,
        Self::Consent,
        Self::Login,
        Self::Logout,
        Self::Register,
        Self::VerifyEmail,
        Self::ForgotPassword,
        Self::ResetPassword,
        Self::Account,
        Self::AccountPassword,
        Self::AccountEmail,
        Self::Token,
        Self::Refresh,
        Self::Revoke,
        Self::Introspect,
        Self::Me,
        Self::Maintenance,
        Self::Metadata,
        Self::Jwks,
        Self::OpenApi,
        Self::Health,
        Self::Live,
        Self::Ready,
        Self::Stylesheet,
        Self::Demo,
        Self::DemoCallback,
    ];

    /// Its path below the issuer's.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Home => "/",
            Self::Authorize => "/authorize",
            Self::Consent => "/consent",
            Self::Login => "/login",
            Self::Logout => "/logout",
            Self::Register => "/register",
            Self::VerifyEmail => "/verify-email",
            Self::ForgotPassword => "/forgot-password",
            Self::ResetPassword => "/reset-password",
            Self::Account => "/account",
            Self::AccountPassword => "/account/password",
            Self::AccountEmail => "/account/email",
            Self::Token => "/auth/token",
            Self::Refresh => "/auth/refresh",
            Self::Revoke => "/auth/revoke",
            Self::Introspect => "/auth/introspect",
            Self::Me => "/api/v1/users/me",
            Self::Maintenance => "/admin/maintenance",
            Self::Metadata => METADATA,
            Self::Jwks => "/.well-known/jwks.json",
            Self::OpenApi => "/openapi.json",
            Self::Health => "/health",
            Self::Live => "/health/live",
            Self::Ready => "/health/ready",
            Self::Stylesheet => "/assets/authly.css",
            Self::Demo => "/demo",
            Self::DemoCallback => "/demo/callback",
        }
    }

    /// Its name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Authorize => "authorize",
            Self::Consent => "consent",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Token => "token",
            Self::Refresh => "refresh",
            Self::Revoke => "revoke",
            Self::Introspect => "introspect",
            Self::Me => "me",
            Self::Register => "register",
            Self::VerifyEmail => "verify_email",
            Self::ForgotPassword => "forgot_password",
            Self::ResetPassword => "reset_password",
            Self::Account => "account",
            Self::AccountPassword => "account_password",
            Self::AccountEmail => "account_email",
            Self::Maintenance => "maintenance",
            Self::Metadata => "metadata",
            Self::Jwks => "jwks",
            Self::OpenApi => "openapi",
            Self::Health => "health",
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Stylesheet => "stylesheet",
            Self::Demo => "demo",
            Self::DemoCallback => "demo_callback",
        }
    }

    /// The methods it knows.
    pub const fn methods(self) -> &'static [Method] {
        match self {
            Self::Authorize
            | Self::Login
            | Self::Logout
            | Self::Register
            | Self::VerifyEmail
            | Self::ForgotPassword
            | Self::ResetPassword
            | Self::Account
            | Self::AccountPassword
            | Self::AccountEmail => GET_AND_POST,
            Self::Consent | Self::Token | Self::Refresh | Self::Revoke | Self::Introspect | Self::Maintenance => POST,
            Self::Home
            | Self::Me
            | Self::Metadata
            | Self::Jwks
            | Self::OpenApi
            | Self::Health
            | Self::Live
            | Self::Ready
            | Self::Stylesheet
            | Self::Demo
            | Self::DemoCallback => GET,
        }
    }

    /// The same as a header value.
    pub const fn allow(self) -> &'static str {
        match self.methods().len() {
            3 => "GET, HEAD, POST",
            2 => "GET, HEAD",
            _ => "POST",
        }
    }

    /// How its errors look.
    pub const fn audience(self) -> Audience {
        match self {
            Self::Home
            | Self::Authorize
            | Self::Consent
            | Self::Login
            | Self::Logout
            | Self::Register
            | Self::VerifyEmail
            | Self::ForgotPassword
            | Self::ResetPassword
            | Self::Account
            | Self::AccountPassword
            | Self::AccountEmail
            | Self::Demo
            | Self::DemoCallback => Audience::Person,
            _ => Audience::Program,
        }
    }

    /// Who may call it from a script on another origin. Never what a person sees (OAuth 2.1 §3.1).
    pub const fn cors(self) -> Cors {
        match self {
            Self::Metadata | Self::Jwks | Self::OpenApi => Cors::Public,
            Self::Token | Self::Refresh | Self::Revoke | Self::Me => Cors::Configured,
            _ => Cors::No,
        }
    }

    /// What counts against the limit of the client's address.
    pub const fn counting(self) -> Counting {
        match self {
            Self::Home
            | Self::Authorize
            | Self::Consent
            | Self::Logout
            | Self::Register
            | Self::VerifyEmail
            | Self::ForgotPassword
            | Self::ResetPassword
            | Self::Account
            | Self::AccountPassword
            | Self::AccountEmail
            | Self::Demo
            | Self::DemoCallback => Counting::Strangers,
            // An attempt to log in is counted by the statement that reads the account, and a public client's request
            // when it has named itself. Clients and tokens that are good do not count.
            Self::Login
            | Self::Token
            | Self::Refresh
            | Self::Revoke
            | Self::Introspect
            | Self::Me
            | Self::Maintenance => Counting::Failures,
            Self::Metadata
            | Self::Jwks
            | Self::OpenApi
            | Self::Health
            | Self::Live
            | Self::Ready
            | Self::Stylesheet => Counting::Nothing,
        }
    }

    /// Whether it exists under this configuration.
    const fn is_enabled(self, config: &Config) -> bool {
        match self {
            Self::Authorize
            | Self::Consent
            | Self::Token
            | Self::Refresh
            | Self::Revoke
            | Self::Introspect
            | Self::Metadata => config.oauth_enabled,
            Self::Health | Self::Live | Self::Ready => config.health_check_enabled,
            Self::Register => config.registration_enabled,
            Self::Demo | Self::DemoCallback => config.demo,
            _ => true,
        }
    }

    /// The endpoint of this path. Endpoints are below the issuer's path; health checks are at the root as well, and
    /// metadata is where RFC 8414 §3.1 puts it: the well-known path goes *before* the issuer's.
    pub fn route(path: &str, config: &Config) -> Option<Self> {
        let base = config.issuer.path();
        let below = path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let endpoint = if path.strip_prefix(METADATA) == Some(base) {
            Some(Self::Metadata)
        } else {
            let exact = |path: &str| Self::ALL.into_iter().find(|endpoint| endpoint.path() == path);
            let below = below.map(|rest| if rest.is_empty() { "/" } else { rest });
            below
                .and_then(exact)
                .or_else(|| exact(path).filter(|endpoint| matches!(endpoint, Self::Health | Self::Live | Self::Ready)))
        };
        endpoint.filter(|endpoint| endpoint.is_enabled(config))
    }
}

/// 404.
pub fn not_found() -> ProtocolError {
    ProtocolError::new(ErrorCode::InvalidRequest, "there is nothing at this path").with_status(StatusCode::NOT_FOUND)
}

/// 405 with `Allow`.
pub fn method_not_allowed(endpoint: Endpoint) -> ProtocolError {
    ProtocolError {
        allow: Some(endpoint.allow()),
        ..ProtocolError::invalid_request(format!("this endpoint answers {} only", endpoint.allow()))
            .with_status(StatusCode::METHOD_NOT_ALLOWED)
    }
}
