//! The server: an HTTP request in, an HTTP response out.

mod clients;
mod keys;
mod limits;

use std::{
    future::Future,
    sync::{
        Arc, OnceLock, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use chrono::SubsecRound as _;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use quick_cache::sync::Cache;
use uuid::Uuid;

pub(crate) use self::clients::CachedClient;
pub(crate) use self::limits::{Admitted, Standing, seconds_until};
use self::{
    keys::CachedKeyRing,
    limits::{Counted, Limiter},
};
use crate::{
    config::Config,
    crypto::{Keyed, jwt::AccessToken, refresh::RefreshTokens},
    endpoint,
    error::{Error, ProtocolError},
    model::{ClientId, Digest, Origin, Timestamp},
    ports::{Entropy, Host},
    request::{ClientAddress, MAX_BODY, MAX_URI, body_too_large},
    response::{self, Audience, Reply, WithHeader},
    router::{self, Cors, Counting, Endpoint},
    store::Store,
    telemetry::Event,
};

/// The header that carries a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const CACHED_CLIENTS: usize = 10_000;
const CACHED_TOKENS: usize = 20_000;

/// One request, with what the endpoints need to know around it.
pub struct Exchange<'a> {
    /// The request.
    pub request: &'a Request<Bytes>,
    /// The time at which it is answered: the clock is read once.
    pub now: Timestamp,
    /// Names it in logs and in error responses.
    pub request_id: &'a str,
    /// What it does to the limit of its address.
    pub(crate) counted: &'a Counted,
}

impl Exchange<'_> {
    /// Where it came from, if the target knows.
    pub fn client_address(&self) -> Option<std::net::IpAddr> {
        self.request.extensions().get::<ClientAddress>().map(|address| address.0)
    }

    /// The same, for the person who will look at it.
    pub(crate) fn origin(&self) -> Origin {
        let user_agent = self.request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Origin::new(self.client_address(), user_agent)
    }
}

/// An authorization server over a store and a host's ports.
pub struct Server<S, H> {
    pub(crate) config: Config,
    pub(crate) store: S,
    pub(crate) host: H,
    pub(crate) refresh_tokens: RefreshTokens,
    pub(crate) form_keys: Vec<Keyed>,
    pub(crate) metadata: Bytes,
    pub(crate) openapi: OnceLock<Bytes>,
    mail_was_queued: AtomicBool,
    clients: Cache<ClientId, Arc<CachedClient>>,
    verified_tokens: Cache<Digest, Arc<AccessToken>>,
    key_ring: RwLock<Option<CachedKeyRing>>,
    limiter: Limiter,
}

impl<S: Store, H: Host> Server<S, H> {
    /// Puts a server together. It reads nothing yet: it starts although its database is down.
    pub fn new(config: Config, store: S, host: H) -> Self {
        Self {
            refresh_tokens: RefreshTokens::new(&config.refresh),
            form_keys: config.root.derive("form token"),
            metadata: endpoint::metadata::document(&config).into(),
            openapi: OnceLock::new(),
            mail_was_queued: AtomicBool::new(false),
            clients: Cache::new(CACHED_CLIENTS),
            verified_tokens: Cache::new(CACHED_TOKENS),
            key_ring: RwLock::new(None),
            limiter: Limiter::new(&config),
            config,
            store,
            host,
        }
    }

    /// The store, for what a target does besides serving.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Takes it apart again: the store, without anything that was kept between requests.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The host's ports.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Answers a request. It never fails: every failure is a response.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        // As exact as stores keep it: what is told now is what is read later.
        let now = self.host.now().trunc_subsecs(6);
        let request_id = self.request_id(&request, now);
        let counted = Counted::default();
        let exchange = Exchange { request: &request, now, request_id: &request_id, counted: &counted };
        let endpoint = Endpoint::route(request.uri().path(), &self.config);
        let audience = endpoint.map_or_else(|| audience_of_unknown(&request), Endpoint::audience);
        let reply = match self.answer(&exchange, endpoint).await {
            Ok(reply) => reply,
            Err(error) => self.error(&error, audience, &request_id),
        };
        self.finish(reply, &exchange, endpoint)
    }

    /// The endpoint that a request for this path reaches, for a host's metrics: whatever is none has no name.
    pub fn endpoint(&self, path: &str) -> Option<Endpoint> {
        Endpoint::route(path, &self.config)
    }

    /// Answers a request that a target cannot hand over: its body is too large, say, or it took too long.
    pub fn refuse(&self, error: impl Into<Error>) -> Response<Bytes> {
        let now = self.host.now();
        let request = Request::new(Bytes::new());
        let request_id = self.request_id(&request, now);
        let reply = self.error(&error.into(), Audience::Program, &request_id);
        let counted = Counted::default();
        self.finish(reply, &Exchange { request: &request, now, request_id: &request_id, counted: &counted }, None)
    }

    fn error(&self, error: &Error, audience: Audience, request_id: &str) -> Reply {
        if let Error::Fault(fault) = error {
            self.host.count(Event::from(fault));
        }
        response::error(error, audience, &self.config, request_id)
    }

    /// Whether mail was queued since this was asked last, so that a host which sends mail need not wait for its timer.
    pub fn take_queued_mail(&self) -> bool {
        self.mail_was_queued.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn note_queued_mail(&self) {
        self.mail_was_queued.store(true, Ordering::Relaxed);
    }

    fn request_id(&self, request: &Request<Bytes>, now: Timestamp) -> String {
        let legal = |id: &&str| {
            (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let sent = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(legal);
        sent.map_or_else(|| self.new_id(now).simple().to_string(), str::to_owned)
    }

    async fn answer(&self, exchange: &Exchange<'_>, endpoint: Option<Endpoint>) -> Result<Reply, Error> {
        let request = exchange.request;
        check_size(request)?;
        let is_health = matches!(endpoint, Some(Endpoint::Health | Endpoint::Live | Endpoint::Ready));
        if !is_health {
            self.check_host(request)?;
        }
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE, header::HOST, header::CONTENT_LENGTH] {
            if request.headers().get_all(&name).iter().nth(1).is_some() {
                let description = format!("the header {name} was sent more than once");
                return Err(ProtocolError::invalid_request(description).into());
            }
        }
        let endpoint = endpoint.ok_or_else(router::not_found)?;
        let method = request.method();
        if method == Method::OPTIONS && endpoint.cors() != Cors::No {
            return Ok(response::empty(StatusCode::NO_CONTENT).with_header(header::ALLOW, endpoint.allow()));
        }
        if !endpoint.methods().contains(method) {
            return Err(router::method_not_allowed(endpoint).into());
        }
        let counting = endpoint.counting();
        // A permit that is taken beforehand can only be given back by an instance that lives on.
        let after = counting == Counting::Strangers && self.may_be_known(exchange);
        if after {
            self.refuse_flood(exchange).await?;
        } else if counting == Counting::Strangers {
            self.permit(exchange).await?;
        }
        let result = self.dispatch(exchange, endpoint).await;
        if (after || counting == Counting::Failures && is_mistake(&result)) && exchange.counted.is_open() {
            self.permit(exchange).await?;
        }
        result
    }

    async fn dispatch(&self, exchange: &Exchange<'_>, endpoint: Endpoint) -> Result<Reply, Error> {
        let is_post = exchange.request.method() == Method::POST;
        match endpoint {
            Endpoint::Home => self.home(exchange).await,
            Endpoint::Authorize => self.authorize(exchange).await,
            Endpoint::Consent => self.consent(exchange).await,
            Endpoint::Login if is_post => self.log_in(exchange).await,
            Endpoint::Login => self.login_page(exchange).await,
            Endpoint::Logout if is_post => self.log_out(exchange).await,
            Endpoint::Logout => self.logout_page(exchange).await,
            Endpoint::Register if is_post => self.register(exchange).await,
            Endpoint::Register => self.registration_page(exchange),
            Endpoint::VerifyEmail if is_post => self.verify_email(exchange).await,
            Endpoint::VerifyEmail => self.verification_page(exchange).await,
            Endpoint::ForgotPassword if is_post => self.request_reset(exchange).await,
            Endpoint::ForgotPassword => self.forgotten_password_page(exchange),
            Endpoint::ResetPassword if is_post => self.reset_password(exchange).await,
            Endpoint::ResetPassword => self.reset_page(exchange).await,
            Endpoint::Account if is_post => self.change_account(exchange).await,
            Endpoint::Account => self.account_page(exchange).await,
            Endpoint::AccountPassword if is_post => self.change_password(exchange).await,
            Endpoint::AccountPassword => self.password_page(exchange).await,
            Endpoint::AccountEmail if is_post => self.change_email(exchange).await,
            Endpoint::AccountEmail => self.email_page(exchange).await,
            Endpoint::Token => self.token(exchange).await,
            Endpoint::Refresh => self.refresh(exchange).await,
            Endpoint::Revoke => self.revoke(exchange).await,
            Endpoint::Introspect => self.introspect(exchange).await,
            Endpoint::Me => self.me(exchange).await,
            // In a box: few requests need so much room.
            endpoint if endpoint.is_admin() => Box::pin(self.administer(exchange, endpoint)).await,
            Endpoint::Metadata => Ok(self.metadata()),
            Endpoint::Jwks => self.jwks(exchange).await,
            Endpoint::OpenApi => Ok(self.openapi()),
            Endpoint::Health | Endpoint::Ready => Ok(self.ready(exchange).await),
            Endpoint::Live => Ok(endpoint::health::live()),
            Endpoint::Stylesheet => Ok(endpoint::assets::stylesheet(&self.config)),
            Endpoint::Demo => self.demo(exchange).await,
            _ => self.demo_callback(exchange).await,
        }
    }

    fn check_host(&self, request: &Request<Bytes>) -> Result<(), ProtocolError> {
        let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
        // In HTTP/2 it is part of the target (RFC 9113 §8.3.1).
        let host = header.or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
        if host.is_some_and(|host| self.config.is_allowed_host(host)) {
            return Ok(());
        }
        let error = ProtocolError::invalid_request("this server does not answer for this host; see ALLOWED_HOSTS");
        Err(error.with_status(StatusCode::MISDIRECTED_REQUEST))
    }

    /// What every response has in common.
    fn finish(&self, reply: Reply, exchange: &Exchange<'_>, endpoint: Option<Endpoint>) -> Reply {
        let mut reply = reply
            .with_header(REQUEST_ID, exchange.request_id)
            .with_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with_header(header::X_FRAME_OPTIONS, "DENY")
            .with_header(header::REFERRER_POLICY, "no-referrer");
        if self.config.issuer.is_https() {
            reply = reply.with_header(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
        }
        if !reply.headers().contains_key(header::CONTENT_SECURITY_POLICY) {
            reply = reply.with_header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
        }
        if let Some(standing) = exchange.counted.standing() {
            reply = response::rate_limit(reply, standing);
        }
        if let Some(endpoint) = endpoint {
            reply = self.cors(reply, exchange.request, endpoint);
        }
        let length = reply.body().len();
        if reply.status() != StatusCode::NO_CONTENT {
            reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        if exchange.request.method() == Method::HEAD {
            *reply.body_mut() = Bytes::new();
        }
        reply
    }

    fn cors(&self, reply: Reply, request: &Request<Bytes>, endpoint: Endpoint) -> Reply {
        let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
        let allowed = match endpoint.cors() {
            Cors::No => return reply,
            Cors::Public => "*",
            Cors::Configured => {
                let reply = reply.with_header(header::VARY, "origin");
                match origin.filter(|origin| self.config.cors_origins.iter().any(|allowed| allowed == origin)) {
                    Some(origin) => return Self::allow_origin(reply, request, endpoint, origin),
                    None => return reply,
                }
            }
        };
        Self::allow_origin(reply, request, endpoint, allowed)
    }

    fn allow_origin(reply: Reply, request: &Request<Bytes>, endpoint: Endpoint, origin: &str) -> Reply {
        let reply = reply.with_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin).with_header(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "www-authenticate, retry-after, ratelimit, ratelimit-policy, x-request-id",
        );
        if request.method() != Method::OPTIONS {
            return reply;
        }
        reply
            .with_header(header::ACCESS_CONTROL_ALLOW_METHODS, endpoint.allow())
            .with_header(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type")
            .with_header(header::ACCESS_CONTROL_MAX_AGE, "86400")
    }

    /// A new id that sorts by time (UUID version 7), so that indexes grow at one end.
    pub fn new_id(&self, now: Timestamp) -> Uuid {
        new_id(&self.host, now)
    }
}

/// A new id that sorts by time (UUID version 7, RFC 9562 §5.7).
pub fn new_id(entropy: &impl Entropy, now: Timestamp) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

/// Whether the peer did something wrong.
fn is_mistake(result: &Result<Reply, Error>) -> bool {
    matches!(result, Err(Error::Protocol(_)))
}

fn check_size(request: &Request<Bytes>) -> Result<(), ProtocolError> {
    if request.body().len() > MAX_BODY {
        return Err(body_too_large());
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI) {
        let error = ProtocolError::invalid_request(format!("the request target is longer than {MAX_URI} bytes"));
        return Err(error.with_status(StatusCode::URI_TOO_LONG));
    }
    Ok(())
}

/// Whoever asks for HTML by name is a person.
fn audience_of_unknown(request: &Request<Bytes>) -> Audience {
    if request.uri().path().contains("/admin/") {
        return Audience::Operator;
    }
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) { Audience::Person } else { Audience::Program }
}

/// The future of a request moves between threads, whatever the store and the host are.
#[expect(dead_code, reason = "it is checked by being compiled")]
fn handle_is_send<S: Store, H: Host>(
    server: &Server<S, H>,
    request: Request<Bytes>,
) -> impl Future<Output = Reply> + Send {
    server.handle(request)
}
