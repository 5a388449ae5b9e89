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
    /// `/admin/clients`
    AdminClients,
    /// `/admin/clients/{client_id}`
    AdminClient,
    /// `/admin/clients/{client_id}/secret`
    AdminClientSecret,
    /// `/admin/scopes`
    AdminScopes,
    /// `/admin/scopes/{name}`
    AdminScope,
    /// `/admin/users`
    AdminUsers,
    /// `/admin/users/{id}`
    AdminUser,
    /// `/admin/users/{id}/password`
    AdminUserPassword,
    /// `/admin/users/{id}/logout`
    AdminUserLogout,
    /// `/admin/sessions`
    AdminSessions,
    /// `/admin/sessions/{id}`
    AdminSession,
    /// `/admin/grants`
    AdminGrants,
    /// `/admin/grants/{id}`
    AdminGrant,
    /// `/admin/keys`
    AdminKeys,
    /// `/admin/audit-log`
    AdminAuditLog,
    /// `/admin/status`
    AdminStatus,
    /// `/admin/maintenance`
    AdminMaintenance,
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
const DELETE: &[Method] = &[Method::DELETE];
const RECORD: &[Method] = &[Method::GET, Method::HEAD, Method::PATCH, Method::DELETE];
const GET_AND_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];

const METADATA: &str = "/.well-known/oauth-authorization-server";

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 43] = [
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
        Self::AdminClients,
        Self::AdminClient,
        Self::AdminClientSecret,
        Self::AdminScopes,
        Self::AdminScope,
        Self::AdminUsers,
        Self::AdminUser,
        Self::AdminUserPassword,
        Self::AdminUserLogout,
        Self::AdminSessions,
        Self::AdminSession,
        Self::AdminGrants,
        Self::AdminGrant,
        Self::AdminKeys,
        Self::AdminAuditLog,
        Self::AdminStatus,
        Self::AdminMaintenance,
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

    /// Its path below the issuer's; a segment in braces is a parameter.
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
            Self::AdminClients => "/admin/clients",
            Self::AdminClient => "/admin/clients/{client_id}",
            Self::AdminClientSecret => "/admin/clients/{client_id}/secret",
            Self::AdminScopes => "/admin/scopes",
            Self::AdminScope => "/admin/scopes/{name}",
            Self::AdminUsers => "/admin/users",
            Self::AdminUser => "/admin/users/{id}",
            Self::AdminUserPassword => "/admin/users/{id}/password",
            Self::AdminUserLogout => "/admin/users/{id}/logout",
            Self::AdminSessions => "/admin/sessions",
            Self::AdminSession => "/admin/sessions/{id}",
            Self::AdminGrants => "/admin/grants",
            Self::AdminGrant => "/admin/grants/{id}",
            Self::AdminKeys => "/admin/keys",
            Self::AdminAuditLog => "/admin/audit-log",
            Self::AdminStatus => "/admin/status",
            Self::AdminMaintenance => "/admin/maintenance",
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
            Self::AdminClients => "admin_clients",
            Self::AdminClient => "admin_client",
            Self::AdminClientSecret => "admin_client_secret",
            Self::AdminScopes => "admin_scopes",
            Self::AdminScope => "admin_scope",
            Self::AdminUsers => "admin_users",
            Self::AdminUser => "admin_user",
            Self::AdminUserPassword => "admin_user_password",
            Self::AdminUserLogout => "admin_user_logout",
            Self::AdminSessions => "admin_sessions",
            Self::AdminSession => "admin_session",
            Self::AdminGrants => "admin_grants",
            Self::AdminGrant => "admin_grant",
            Self::AdminKeys => "admin_keys",
            Self::AdminAuditLog => "admin_audit_log",
            Self::AdminStatus => "admin_status",
            Self::AdminMaintenance => "admin_maintenance",
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
            Self::AdminClients | Self::AdminScopes | Self::AdminUsers | Self::AdminKeys | Self::AdminMaintenance => {
                GET_AND_POST
            }
            Self::AdminClient | Self::AdminScope | Self::AdminUser => RECORD,
            Self::AdminSession | Self::AdminGrant => DELETE,
            Self::Consent
            | Self::Token
            | Self::Refresh
            | Self::Revoke
            | Self::Introspect
            | Self::AdminClientSecret
            | Self::AdminUserPassword
            | Self::AdminUserLogout => POST,
            Self::Home
            | Self::Me
            | Self::AdminSessions
            | Self::AdminGrants
            | Self::AdminAuditLog
            | Self::AdminStatus
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
        match self.methods() {
            [_, _, Method::POST] => "GET, HEAD, POST",
            [_, _, Method::PATCH, _] => "GET, HEAD, PATCH, DELETE",
            [_, _] => "GET, HEAD",
            [Method::DELETE] => "DELETE",
            _ => "POST",
        }
    }

    /// Whether it is part of the admin API.
    pub const fn is_admin(self) -> bool {
        matches!(
            self,
            Self::AdminClients
                | Self::AdminClient
                | Self::AdminClientSecret
                | Self::AdminScopes
                | Self::AdminScope
                | Self::AdminUsers
                | Self::AdminUser
                | Self::AdminUserPassword
                | Self::AdminUserLogout
                | Self::AdminSessions
                | Self::AdminSession
                | Self::AdminGrants
                | Self::AdminGrant
                | Self::AdminKeys
                | Self::AdminAuditLog
                | Self::AdminStatus
                | Self::AdminMaintenance
        )
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
            _ if self.is_admin() => Audience::Operator,
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
            Self::Metadata
            | Self::Jwks
            | Self::OpenApi
            | Self::Health
            | Self::Live
            | Self::Ready
            | Self::Stylesheet => Counting::Nothing,
            _ => Counting::Failures,
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
            let exact = |path: &str| Self::ALL.into_iter().find(|endpoint| fits(endpoint.path(), path));
            let below = below.map(|rest| if rest.is_empty() { "/" } else { rest });
            below
                .and_then(exact)
                .or_else(|| exact(path).filter(|endpoint| matches!(endpoint, Self::Health | Self::Live | Self::Ready)))
        };
        endpoint.filter(|endpoint| endpoint.is_enabled(config))
    }
}

/// Whether a path is of this form. A parameter is one segment, and not empty.
fn fits(form: &str, path: &str) -> bool {
    if !form.contains('{') {
        return form == path;
    }
    let fits = |(form, segment): (&str, &str)| form == segment || (form.starts_with('{') && !segment.is_empty());
    form.split('/').count() == path.split('/').count() && form.split('/').zip(path.split('/')).all(fits)
}

/// The parameter in the path of a request that reached this endpoint, decoded.
pub fn path_parameter(path: &str, endpoint: Endpoint, config: &Config) -> Result<String, ProtocolError> {
    let below = path.strip_prefix(config.issuer.path()).unwrap_or(path);
    let mut pairs = endpoint.path().split('/').zip(below.split('/'));
    let segment = pairs.find(|(form, _)| form.starts_with('{')).map(|(_, segment)| segment).unwrap_or_default();
    let text = percent_encoding::percent_decode_str(segment).decode_utf8();
    let text = text.ok().filter(|text| !text.contains('\0'));
    text.map(String::from).ok_or_else(|| ProtocolError::invalid_request("the path is not valid UTF-8 without NUL"))
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
