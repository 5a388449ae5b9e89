//! The server: an HTTP request in, an HTTP response out.

use std::{
    future::Future,
    sync::{Arc, OnceLock, RwLock},
};

use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::{
    config::Config,
    crypto::{
        Algorithm, KeyRing, Keyed, SealedKey,
        jwt::{self, AccessToken, Rejected},
        refresh::RefreshTokens,
    },
    endpoint,
    error::{Error, Fault, ProtocolError},
    model::{Client, ClientId, Digest, Timestamp},
    ports::{Entropy, Host},
    request::{self, ClientAddress, MAX_BODY, MAX_URI},
    response::{self, Audience, Reply, WithHeader},
    router::{self, Cors, Endpoint},
    store::{Created, Store},
};

/// The header that carries a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A key ring is read again after so long. A new key is published a day before it signs.
const KEY_RING_TTL: TimeDelta = TimeDelta::seconds(60);
/// An unknown `kid` has the ring read again, at most once in so long.
const KEY_RING_MIN_AGE: TimeDelta = TimeDelta::seconds(1);
/// A key is published for so long before it signs, so that every cached JWK Set has it by then.
const KEY_LEAD: TimeDelta = TimeDelta::days(1);
/// Clocks and caches of resource servers may lag by so much.
const KEY_MARGIN: TimeDelta = TimeDelta::minutes(10);

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
}

impl Exchange<'_> {
    /// Where it came from, for the audit log.
    pub fn client_address(&self) -> Option<std::net::IpAddr> {
        self.request.extensions().get::<ClientAddress>().map(|address| address.0)
    }
}

/// A client that was read lately.
pub(crate) struct CachedClient {
    pub(crate) client: Client,
    loaded_at: Timestamp,
    /// The digest of the secret that a slow hash was found to belong to, for as long as this entry lives.
    pub(crate) verified_secret: OnceLock<Digest>,
}

struct CachedKeyRing {
    ring: Arc<KeyRing>,
    loaded_at: Timestamp,
}

/// An authorization server over a store and a host's ports.
pub struct Server<S, H> {
    pub(crate) config: Config,
    pub(crate) store: S,
    pub(crate) host: H,
    pub(crate) refresh_tokens: RefreshTokens,
    pub(crate) form_keys: Vec<Keyed>,
    pub(crate) metadata: Bytes,
    clients: Cache<ClientId, Arc<CachedClient>>,
    verified_tokens: Cache<Digest, Arc<AccessToken>>,
    key_ring: RwLock<Option<CachedKeyRing>>,
}

impl<S: Store, H: Host> Server<S, H> {
    /// Puts a server together. It reads nothing yet: it starts although its database is down.
    pub fn new(config: Config, store: S, host: H) -> Self {
        Self {
            refresh_tokens: RefreshTokens::new(&config.refresh),
            form_keys: config.root.derive("form token"),
            metadata: endpoint::metadata::document(&config).into(),
            clients: Cache::new(CACHED_CLIENTS),
            verified_tokens: Cache::new(CACHED_TOKENS),
            key_ring: RwLock::new(None),
            config,
            store,
            host,
        }
    }

    /// The store, for what a target does besides serving.
    pub fn store(&self) -> &S {
        &self.store
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
        let now = self.host.now();
        let request_id = self.request_id(&request, now);
        let exchange = Exchange { request: &request, now, request_id: &request_id };
        let endpoint = Endpoint::route(request.uri().path(), &self.config);
        let audience = endpoint.map_or_else(|| audience_of_unknown(&request), Endpoint::audience);
        let reply = match self.answer(&exchange, endpoint).await {
            Ok(reply) => reply,
            Err(error) => response::error(&error, audience, &self.config, &request_id),
        };
        self.finish(reply, &exchange, endpoint)
    }

    /// Answers a request that a target cannot hand over: its body is too large, say, or it took too long.
    pub fn refuse(&self, error: impl Into<Error>) -> Response<Bytes> {
        let now = self.host.now();
        let request = Request::new(Bytes::new());
        let request_id = self.request_id(&request, now);
        let reply = response::error(&error.into(), Audience::Program, &self.config, &request_id);
        self.finish(reply, &Exchange { request: &request, now, request_id: &request_id }, None)
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
        self.dispatch(exchange, endpoint).await
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
            Endpoint::Token => self.token(exchange).await,
            Endpoint::Refresh => self.refresh(exchange).await,
            Endpoint::Revoke => self.revoke(exchange).await,
            Endpoint::Introspect => self.introspect(exchange).await,
            Endpoint::Me => self.me(exchange).await,
            Endpoint::Metadata => Ok(self.metadata()),
            Endpoint::Jwks => self.jwks(exchange).await,
            Endpoint::Health | Endpoint::Ready => Ok(self.ready(exchange).await),
            Endpoint::Live => Ok(endpoint::health::live()),
            Endpoint::Stylesheet => Ok(endpoint::assets::stylesheet(&self.config)),
            Endpoint::Demo => self.demo(exchange).await,
            Endpoint::DemoCallback => self.demo_callback(exchange).await,
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
        let reply = reply
            .with_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
            .with_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, "www-authenticate, retry-after, x-request-id");
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

    /// A client, possibly as it was up to `CACHE_TTL` ago.
    pub(crate) async fn cached_client(
        &self,
        client_id: &ClientId,
        now: Timestamp,
    ) -> Result<Option<Arc<CachedClient>>, Fault> {
        match self.recent_client(client_id, now) {
            Some(cached) => Ok(Some(cached)),
            None => self.fresh_client(client_id, now).await,
        }
    }

    /// A client that was read less than `CACHE_TTL` ago.
    pub(crate) fn recent_client(&self, client_id: &ClientId, now: Timestamp) -> Option<Arc<CachedClient>> {
        self.clients.get(client_id).filter(|cached| now - cached.loaded_at < self.config.cache_ttl)
    }

    /// Keeps a client that was just read.
    pub(crate) fn remember_client(&self, client: Client, now: Timestamp) -> Arc<CachedClient> {
        let client_id = client.client_id.clone();
        let cached = Arc::new(CachedClient { client, loaded_at: now, verified_secret: OnceLock::new() });
        if self.config.cache_ttl > TimeDelta::zero() {
            self.clients.insert(client_id, Arc::clone(&cached));
        }
        cached
    }

    /// A client as it is now.
    pub(crate) async fn fresh_client(
        &self,
        client_id: &ClientId,
        now: Timestamp,
    ) -> Result<Option<Arc<CachedClient>>, Fault> {
        let Some(client) = self.store.client(client_id).await? else {
            self.clients.remove(client_id);
            return Ok(None);
        };
        Ok(Some(self.remember_client(client, now)))
    }

    /// The published keys, made if there are none yet.
    pub(crate) async fn key_ring(&self, now: Timestamp) -> Result<Arc<KeyRing>, Fault> {
        if let Some(ring) = self.cached_key_ring(now, KEY_RING_TTL) {
            return Ok(ring);
        }
        self.load_key_ring(now).await
    }

    fn cached_key_ring(&self, now: Timestamp, max_age: TimeDelta) -> Option<Arc<KeyRing>> {
        let cached = self.key_ring.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        cached.as_ref().filter(|cached| now - cached.loaded_at < max_age).map(|cached| Arc::clone(&cached.ring))
    }

    async fn load_key_ring(&self, now: Timestamp) -> Result<Arc<KeyRing>, Fault> {
        const UNUSABLE: Fault = Fault::Internal(
            "a signing key cannot be opened: JWT_SECRET_KEY is not the secret it was sealed under; set \
             JWT_SECRET_KEY_PREVIOUS to that one",
        );
        let root = &self.config.root;
        let ring = if self.config.algorithm == Algorithm::Hs256 {
            KeyRing::symmetric(root, &self.host).map_err(|_| UNUSABLE)?
        } else {
            let open = |keys: &[SealedKey]| {
                KeyRing::open(keys, self.config.algorithm, now, root, &self.host).map_err(|_| UNUSABLE)
            };
            let keys = self.store.signing_keys(now).await?;
            match open(&keys)? {
                Some(ring) => ring,
                None => {
                    self.create_signing_key(&keys, now, now).await?;
                    open(&self.store.signing_keys(now).await?)?.ok_or(UNUSABLE)?
                }
            }
        };
        let ring = Arc::new(ring);
        let cached = CachedKeyRing { ring: Arc::clone(&ring), loaded_at: now };
        *self.key_ring.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(cached);
        Ok(ring)
    }

    async fn create_signing_key(
        &self,
        keys: &[SealedKey],
        activates_at: Timestamp,
        now: Timestamp,
    ) -> Result<Created, Fault> {
        let sequence = keys.iter().map(|key| key.sequence).max().map_or(1, |last| last + 1);
        let root = &self.config.root;
        let key = SealedKey::generate(self.config.algorithm, sequence, activates_at, root, &self.host)
            .map_err(|_| Fault::Internal("a fresh key is not valid"))?;
        let retires_at = activates_at.max(now) + self.config.access_token_lifetime + KEY_MARGIN;
        let created = self.store.create_signing_key(&key, retires_at).await?;
        if created == Created::Created {
            tracing::info!(kid = key.kid, algorithm = key.algorithm.name(), %activates_at, "made a signing key");
        }
        Ok(created)
    }

    /// Makes the next key when the present one nears its end, and seals keys anew after `JWT_SECRET_KEY` was
    /// rotated. Safe to run on every instance at once. Tells whether there is a new key.
    pub async fn rotate_signing_keys(&self, now: Timestamp) -> Result<bool, Fault> {
        if self.config.algorithm == Algorithm::Hs256 {
            return Ok(false);
        }
        let keys = self.store.signing_keys(now).await?;
        for key in &keys {
            if let Some(sealed) = key.reseal(&self.config.root, &self.host) {
                self.store.reseal_signing_key(&key.kid, &key.sealed, &sealed).await?;
                tracing::info!(kid = key.kid, "sealed a signing key anew");
            }
        }
        let newest = keys.iter().filter(|key| key.algorithm == self.config.algorithm).max_by_key(|key| key.sequence);
        let activates_at = match newest {
            None => now,
            Some(newest) => newest.activates_at + self.config.signing_key_lifetime,
        };
        if now < activates_at - KEY_LEAD && newest.is_some() {
            return Ok(false);
        }
        // A job that did not run for long must not skip the lead.
        let activates_at = if newest.is_some() { activates_at.max(now + KEY_LEAD) } else { now };
        Ok(self.create_signing_key(&keys, activates_at, now).await? == Created::Created)
    }

    /// Verifies an access token; `None` where it is none of ours or not good any more. A token that was verified
    /// before is not verified again: the signature is the slowest part of an introspection.
    pub(crate) async fn verify_access_token(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<AccessToken>>, Fault> {
        let digest = Digest::of(text.as_bytes());
        if let Some(token) = self.verified_tokens.get(&digest) {
            if token.expires_at > now {
                return Ok(Some(token));
            }
            self.verified_tokens.remove(&digest);
            return Ok(None);
        }
        let ring = self.key_ring(now).await?;
        let issuer = self.config.issuer.as_str();
        let mut verified = jwt::verify(&ring, text, issuer, now);
        if verified == Err(Rejected::UnknownKey) && self.cached_key_ring(now, KEY_RING_MIN_AGE).is_none() {
            verified = jwt::verify(&*self.load_key_ring(now).await?, text, issuer, now);
        }
        let Ok(token) = verified else {
            return Ok(None);
        };
        let token = Arc::new(token);
        self.verified_tokens.insert(digest, Arc::clone(&token));
        Ok(Some(token))
    }
}

/// A new id that sorts by time (UUID version 7, RFC 9562 §5.7).
pub fn new_id(entropy: &impl Entropy, now: Timestamp) -> Uuid {
    let mut random = [0; 10];
    entropy.fill(&mut random);
    let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

fn check_size(request: &Request<Bytes>) -> Result<(), ProtocolError> {
    if request.body().len() > MAX_BODY {
        let error = ProtocolError::invalid_request(format!("the body is larger than {MAX_BODY} bytes"));
        return Err(error.with_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI) {
        let error = ProtocolError::invalid_request(format!("the request target is longer than {MAX_URI} bytes"));
        return Err(error.with_status(StatusCode::URI_TOO_LONG));
    }
    Ok(())
}

/// Whoever asks for HTML by name is a person.
fn audience_of_unknown(request: &Request<Bytes>) -> Audience {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) { Audience::Person } else { Audience::Program }
}

pub(crate) use request::cookie;

/// The future of a request moves between threads, whatever the store and the host are.
#[expect(dead_code, reason = "it is checked by being compiled")]
fn handle_is_send<S: Store, H: Host>(
    server: &Server<S, H>,
    request: Request<Bytes>,
) -> impl Future<Output = Reply> + Send {
    server.handle(request)
}
