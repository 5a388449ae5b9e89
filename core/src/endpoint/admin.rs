//! The admin API: JSON in and out, access tokens of this server that carry `admin:` scopes, errors as problem details
//! (RFC 9457).
//!
//! Each request is authorized before anything of it is read. What it changes is one store call, which takes along the
//! event for the audit log; with `dry_run` all is decided the same way, and the store is not called.

mod audit_log;
mod body;
mod clients;
mod keys;
mod scopes;
mod sessions;
mod system;
mod users;

use std::{fmt, future::Future, pin::Pin, str::FromStr};

use base64ct::{Base64UrlUnpadded, Encoding};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    audit::{Event, EventType, Record},
    error::{Error, ErrorCode, ProtocolError},
    model::Scopes,
    ports::Host,
    request::Parameters,
    response::{self, Reply, WithHeader},
    router::{self, Endpoint},
    server::{Exchange, Server},
    store::Store,
};

/// Whoever holds the process: a host puts it into a request's extensions, and the admin API asks for no token.
///
/// # Security
/// Extensions are no part of HTTP: nothing that arrives over a network can have it. A target that serves a network never
/// inserts it.
#[derive(Clone, Copy, Debug)]
pub struct Operator;

/// Who calls.
enum Actor {
    Operator,
    User(Uuid),
    Client(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Client(client_id) => write!(f, "client:{client_id}"),
        }
    }
}

/// An authorized request.
struct Call<'a> {
    exchange: &'a Exchange<'a>,
    actor: Actor,
    scopes: Scopes,
    query: Parameters,
    is_dry_run: bool,
}

/// The part of the admin API that a request is for: its scopes are `admin:AREA:read` and `admin:AREA:write`.
#[derive(Clone, Copy)]
enum Area {
    Clients,
    Scopes,
    Users,
    System,
}

impl Area {
    const fn scope(self, is_write: bool) -> &'static str {
        match (self, is_write) {
            (Self::Clients, false) => "admin:clients:read",
            (Self::Clients, true) => "admin:clients:write",
            (Self::Scopes, false) => "admin:scopes:read",
            (Self::Scopes, true) => "admin:scopes:write",
            (Self::Users, false) => "admin:users:read",
            (Self::Users, true) => "admin:users:write",
            (Self::System, false) => "admin:system:read",
            (Self::System, true) => "admin:system:write",
        }
    }
}

impl Call<'_> {
    /// So many items are asked for.
    fn limit(&self, most: u32) -> Result<u32, ProtocolError> {
        let Some(text) = self.query.get("limit")? else {
            return Ok(most.min(50));
        };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| ProtocolError::invalid_request(format!("limit must be a number from 1 to {most}")))
    }

    /// The key of the last item of the page before.
    fn cursor<T: FromStr>(&self) -> Result<Option<T>, ProtocolError> {
        let Some(text) = self.query.get("cursor")? else {
            return Ok(None);
        };
        let key = Base64UrlUnpadded::decode_vec(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let key = key.and_then(|key| key.parse().ok());
        key.map(Some).ok_or_else(|| {
            ProtocolError::invalid_request("this is no cursor of this list: take next_cursor of the page before")
        })
    }

    /// A condition of a list.
    fn filter<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        values: &str,
    ) -> Result<Option<T>, ProtocolError> {
        let Some(text) = self.query.get(name)? else {
            return Ok(None);
        };
        parse(text).map(Some).ok_or_else(|| ProtocolError::invalid_request(format!("{name} must be {values}")))
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, ProtocolError> {
        self.filter(name, |text| text.parse().ok(), "true or false")
    }

    fn uuid(&self, name: &'static str) -> Result<Option<Uuid>, ProtocolError> {
        self.filter(name, |text| Uuid::try_parse(text).ok(), "a UUID")
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, ProtocolError> {
        Ok(self.query.get(name)?.map(str::to_owned))
    }

    /// Part of a name, as stores compare it.
    fn search(&self) -> Result<Option<String>, ProtocolError> {
        let short = |text: &str| (text.chars().count() <= 255).then(|| text.to_lowercase());
        self.filter("q", short, "255 characters long at most")
    }

    /// Nobody hands out, or takes over, more than they have.
    fn require_scopes<'s>(&self, scopes: impl IntoIterator<Item = &'s str>) -> Result<(), ProtocolError> {
        if matches!(self.actor, Actor::Operator) {
            return Ok(());
        }
        let missing = scopes.into_iter().find(|scope| scope.starts_with("admin:") && !self.scopes.contains(scope));
        missing.map_or(Ok(()), |scope| Err(ProtocolError::insufficient_scope(scope)))
    }

    /// An answer about one record, which says so if nothing was changed.
    fn object(&self, status: StatusCode, record: &impl Serialize, more: &[(&str, Value)]) -> Reply {
        let mut value = json!(record);
        if let Value::Object(members) = &mut value {
            members.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            if self.is_dry_run {
                members.insert("dry_run".to_owned(), Value::Bool(true));
            }
        }
        response::json(status, &value)
    }
}

/// What a query may say. Whoever misspells a filter, or asks for a dry run where there is none, would get more than they
/// asked for.
const fn parameters(endpoint: Endpoint, is_write: bool) -> &'static [&'static str] {
    match (endpoint, is_write) {
        (Endpoint::AdminMaintenance, _) => &[],
        (_, true) => &["dry_run"],
        (Endpoint::AdminClients, _) => &["q", "client_type", "active", "limit", "cursor"],
        (Endpoint::AdminScopes, _) => &["q", "active", "limit", "cursor"],
        (Endpoint::AdminUsers, _) => &["q", "verified", "admin", "active", "limit", "cursor"],
        (Endpoint::AdminSessions, _) => &["user_id", "limit", "cursor"],
        (Endpoint::AdminGrants, _) => &["user_id", "client_id", "revoked", "limit", "cursor"],
        (Endpoint::AdminAuditLog, _) => {
            &["event", "outcome", "user_id", "client_id", "since", "until", "limit", "cursor"]
        }
        _ => &[],
    }
}

/// One page of a list. It was asked for one item more than fits, which tells whether there is a next page.
fn page<T: Serialize>(mut items: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Reply {
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| has_more).map(|last| cursor_of(&key(last)));
    response::json(StatusCode::OK, &json!({ "items": items, "next_cursor": next_cursor }))
}

fn cursor_of(key: &str) -> String {
    Base64UrlUnpadded::encode_string(key.as_bytes())
}

fn no_content() -> Reply {
    response::empty(StatusCode::NO_CONTENT)
}

fn created(reply: Reply, location: &str) -> Reply {
    reply.with_header(header::LOCATION, location)
}

fn not_found(what: &str) -> Error {
    let description = format!("there is no such {what}");
    ProtocolError::new(ErrorCode::InvalidRequest, description).with_status(StatusCode::NOT_FOUND).into()
}

fn conflict(description: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    ProtocolError::invalid_request(description).with_status(StatusCode::CONFLICT).into()
}

/// A record was changed by somebody else again and again while this request was about to.
fn changed_meanwhile() -> Error {
    conflict("it was changed by somebody else at the same time: read it again, then repeat the change")
}

/// What answers a request of the admin API.
type Handled<'a> = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'a>>;

/// On the heap from the start: in a build without optimisation, a function that chooses among many futures keeps room for each of
/// them on the stack of its thread.
fn on_heap<'a, F: Future<Output = Result<Reply, Error>> + Send + 'a>(make: impl FnOnce() -> F) -> Handled<'a> {
    Box::pin(make())
}

/// How often a change that comes too late is based on the newer state instead.
const ATTEMPTS: u32 = 3;

impl<S: Store, H: Host> Server<S, H> {
    /// Whatever is below `/admin`.
    pub(crate) async fn administer(&self, exchange: &Exchange<'_>, endpoint: Endpoint) -> Result<Reply, Error> {
        let method = exchange.request.method().as_str();
        let area = match endpoint {
            Endpoint::AdminClients | Endpoint::AdminClient | Endpoint::AdminClientSecret => Area::Clients,
            Endpoint::AdminScopes | Endpoint::AdminScope => Area::Scopes,
            Endpoint::AdminUsers
            | Endpoint::AdminUser
            | Endpoint::AdminUserPassword
            | Endpoint::AdminUserLogout
            | Endpoint::AdminSessions
            | Endpoint::AdminSession
            | Endpoint::AdminGrants
            | Endpoint::AdminGrant => Area::Users,
            _ => Area::System,
        };
        let is_write = !exchange.request.method().is_safe();
        let call = self.admin_call(exchange, area.scope(is_write), parameters(endpoint, is_write)).await?;
        let name = router::path_parameter(exchange.request.uri().path(), endpoint, &self.config)?;
        let (call, name) = (&call, name.as_str());
        let handled = match (endpoint, method) {
            (Endpoint::AdminClients, "POST") => on_heap(|| self.create_client(call)),
            (Endpoint::AdminClients, _) => on_heap(|| self.list_clients(call)),
            (Endpoint::AdminClient, "PATCH") => on_heap(|| self.change_client(call, name)),
            (Endpoint::AdminClient, "DELETE") => on_heap(|| self.delete_client(call, name)),
            (Endpoint::AdminClient, _) => on_heap(|| self.show_client(name)),
            (Endpoint::AdminClientSecret, _) => on_heap(|| self.rotate_client_secret(call, name)),
            (Endpoint::AdminScopes, "POST") => on_heap(|| self.create_scope(call)),
            (Endpoint::AdminScopes, _) => on_heap(|| self.list_scopes(call)),
            (Endpoint::AdminScope, "PATCH") => on_heap(|| self.change_scope(call, name)),
            (Endpoint::AdminScope, "DELETE") => on_heap(|| self.delete_scope(call, name)),
            (Endpoint::AdminScope, _) => on_heap(|| self.show_scope(name)),
            (Endpoint::AdminUsers, "POST") => on_heap(|| self.create_user(call)),
            (Endpoint::AdminUsers, _) => on_heap(|| self.list_users(call)),
            (Endpoint::AdminUser, "PATCH") => on_heap(|| self.change_user(call, name)),
            (Endpoint::AdminUser, "DELETE") => on_heap(|| self.delete_user(call, name)),
            (Endpoint::AdminUser, _) => on_heap(|| self.show_user(name)),
            (Endpoint::AdminUserPassword, _) => on_heap(|| self.assign_password(call, name)),
            (Endpoint::AdminUserLogout, _) => on_heap(|| self.log_user_out(call, name)),
            (Endpoint::AdminSessions, _) => on_heap(|| self.list_sessions(call)),
            (Endpoint::AdminSession, _) => on_heap(|| self.end_any_session(call, name)),
            (Endpoint::AdminGrants, _) => on_heap(|| self.list_grants(call)),
            (Endpoint::AdminGrant, _) => on_heap(|| self.revoke_any_grant(call, name)),
            (Endpoint::AdminKeys, "POST") => on_heap(|| self.create_key(call)),
            (Endpoint::AdminKeys, _) => on_heap(|| self.list_keys(call)),
            (Endpoint::AdminAuditLog, _) => on_heap(|| self.show_audit_log(call)),
            (Endpoint::AdminStatus, _) => on_heap(|| self.show_status(call)),
            (_, "POST") => on_heap(|| self.run_maintenance()),
            _ => on_heap(|| self.show_maintenance(call)),
        };
        handled.await
    }

    /// A client that acts for itself needs the scope; a client that acts for a person needs an administrator as well.
    async fn admin_call<'a>(
        &self,
        exchange: &'a Exchange<'a>,
        scope: &'static str,
        parameters: &[&str],
    ) -> Result<Call<'a>, Error> {
        let (actor, scopes) = if exchange.request.extensions().get::<Operator>().is_some() {
            (Actor::Operator, Scopes::default())
        } else {
            let (token, user) = self.authenticate_bearer(exchange).await?;
            let scopes = Scopes::parse(&token.claims.scope).unwrap_or_default();
            if !scopes.contains(scope) || user.as_ref().is_some_and(|user| !user.is_admin) {
                return Err(ProtocolError::insufficient_scope(scope).into());
            }
            let client = || Actor::Client(token.claims.client_id.clone());
            (user.map_or_else(client, |user| Actor::User(user.id)), scopes)
        };
        exchange.counted.trust();
        let query = Parameters::from_query(exchange.request)?;
        if let Some(name) = query.other_than(parameters) {
            let known = if parameters.is_empty() { "none".to_owned() } else { parameters.join(", ") };
            let description = format!("there is no parameter {name} here; those that there are: {known}");
            return Err(ProtocolError::invalid_request(description).into());
        }
        // Whoever narrows a list, or asks for a dry run, and says no more would be taken for somebody who does not.
        if let Some(name) = query.empty() {
            return Err(ProtocolError::invalid_request(format!("the parameter {name} is empty")).into());
        }
        let mut call = Call { exchange, actor, scopes, query, is_dry_run: false };
        call.is_dry_run = call.flag("dry_run")?.unwrap_or(false);
        Ok(call)
    }

    /// What a change of the store takes along.
    fn admin_record(&self, call: &Call<'_>, event: Event) -> Record {
        self.audit_record(call.exchange, event.actor(&call.actor))
    }

    /// Records what is no change of the store.
    async fn admin_audit(&self, call: &Call<'_>, event_type: EventType, detail: &str) {
        self.audit(call.exchange, Event::new(event_type).actor(&call.actor).detail(detail)).await;
    }

    fn admin_location(&self, endpoint: Endpoint, name: &str) -> String {
        let segment: String = percent_encoding::utf8_percent_encode(name, SEGMENT).to_string();
        format!("{}{}/{segment}", self.config.issuer.as_str(), endpoint.path())
    }
}

/// What a path segment cannot hold as it is (RFC 3986 §3.3).
const SEGMENT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The description names exactly the parameters that are taken.
    #[test]
    fn the_description_has_every_parameter() {
        let config = Config::least();
        let document: Value = serde_json::from_str(include_str!("../../assets/openapi.json")).expect("JSON");
        let resolve = |parameter: &'_ Value| match parameter["$ref"].as_str() {
            Some(pointer) => document.pointer(pointer.trim_start_matches('#')).expect("it is there").clone(),
            None => parameter.clone(),
        };
        let paths = document["paths"].as_object().expect("paths");
        for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/admin/")) {
            let concrete = path.replace(['{', '}'], "");
            let endpoint = Endpoint::route(&concrete, &config).expect("an endpoint");
            for (method, operation) in
                item.as_object().expect("operations").iter().filter(|(name, _)| *name != "parameters")
            {
                let all = [&item["parameters"], &operation["parameters"]];
                let all = all.into_iter().filter_map(Value::as_array).flatten().map(resolve);
                let described: Vec<_> = all
                    .filter(|it| it["in"] == "query")
                    .filter_map(|it| it["name"].as_str().map(str::to_owned))
                    .collect();
                assert_eq!(described, parameters(endpoint, method != "get"), "{method} {path}");
            }
        }
    }
}
