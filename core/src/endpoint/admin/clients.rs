//! Clients: registered, changed, given other secrets, removed.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use http::StatusCode;
use serde::Deserialize;

use super::{ATTEMPTS, Call, body, body::Problems, changed_meanwhile, conflict, created, no_content, not_found, page};
use crate::{
    audit::{Event, EventType},
    error::{Error, ProtocolError},
    model::{
        AuthMethod, ClientId, ClientSecret, ClientSecretHash, ClientType, GrantType, NewClient, RedirectUri, Resource,
        ScopeDescription, Scopes, Timestamp,
    },
    ports::Host,
    response::Reply,
    router::Endpoint,
    server::Server,
    store::{ClientFilter, ClientRecord, Created, Store},
};

/// The most items of a list.
const MOST: u32 = 200;
/// The most redirect URIs or resources of one client.
const MOST_URIS: usize = 50;
/// An old secret works for so long beside the new one, unless told otherwise.
const OVERLAP: u32 = 24 * 60 * 60;
/// And for so long at most.
const LONGEST_OVERLAP: u32 = 30 * 24 * 60 * 60;

/// What can be changed later.
const WRITABLE: [&str; 11] = [
    "client_name",
    "redirect_uris",
    "client_uri",
    "logo_uri",
    "token_endpoint_auth_method",
    "grant_types",
    "scope",
    "resources",
    "introspect_all",
    "require_pkce",
    "active",
];

/// A client as it comes in; names of RFC 7591 §2 where it has them.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClientBody {
    client_id: Option<String>,
    client_name: Option<String>,
    client_type: Option<String>,
    redirect_uris: Option<Vec<String>>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    scope: Option<String>,
    resources: Option<Vec<String>>,
    introspect_all: Option<bool>,
    require_pkce: Option<bool>,
    active: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RotationBody {
    overlap_seconds: Option<u32>,
}

fn record(client: &NewClient, client_type: ClientType, created_at: Timestamp, now: Timestamp) -> ClientRecord {
    ClientRecord {
        client_id: client.client_id.to_string(),
        client_name: client.name.clone(),
        client_type: client_type.name().to_owned(),
        redirect_uris: client.redirect_uris.iter().map(ToString::to_string).collect(),
        client_uri: client.client_uri.clone(),
        logo_uri: client.logo_uri.clone(),
        token_endpoint_auth_method: client.auth_method.name().to_owned(),
        grant_types: client.grant_types.iter().map(|grant_type| grant_type.name().to_owned()).collect(),
        scope: client.scopes.to_string(),
        resources: client.resources.clone(),
        introspect_all: client.introspect_all,
        require_pkce: client.require_pkce,
        active: client.is_active,
        previous_secret_expires_at: None,
        created_at,
        updated_at: now,
    }
}

fn redirect_uris(problems: &mut Problems, texts: Vec<String>, known: &[String]) -> Vec<RedirectUri> {
    if texts.len() > MOST_URIS {
        problems.add("/redirect_uris", format!("there can be {MOST_URIS} at most"));
    }
    let mut uris = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        // What was registered under older rules stays until somebody takes it out.
        if known.contains(&text) {
            uris.push(RedirectUri::registered(text));
            continue;
        }
        match RedirectUri::parse(&text) {
            Ok(uri) if uris.contains(&uri) => problems.add(format!("/redirect_uris/{index}"), "it is there already"),
            Ok(uri) => uris.push(uri),
            Err(error) => problems.add(format!("/redirect_uris/{index}"), error.to_string()),
        }
    }
    uris
}

fn resources(problems: &mut Problems, texts: Vec<String>) -> Vec<String> {
    if texts.len() > MOST_URIS {
        problems.add("/resources", format!("there can be {MOST_URIS} at most"));
    }
    for (index, text) in texts.iter().enumerate().filter(|(_, text)| Resource::parse(text).is_none()) {
        problems.add(format!("/resources/{index}"), format!("{text:?} is not an absolute URI without a fragment"));
    }
    texts
}

fn grant_types(
    problems: &mut Problems,
    names: Option<Vec<String>>,
    client_type: ClientType,
    has_redirect_uris: bool,
) -> BTreeSet<GrantType> {
    let Some(names) = names else {
        let is_service = client_type == ClientType::Confidential && !has_redirect_uris;
        return if is_service {
            [GrantType::ClientCredentials].into()
        } else {
            [GrantType::AuthorizationCode, GrantType::RefreshToken].into()
        };
    };
    let mut grant_types = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        match GrantType::parse(name) {
            Some(grant_type) => drop(grant_types.insert(grant_type)),
            None => problems.add(
                format!("/grant_types/{index}"),
                "it must be authorization_code, refresh_token or client_credentials",
            ),
        }
    }
    grant_types
}

fn scopes(problems: &mut Problems, text: Option<String>, known: &[ScopeDescription]) -> Scopes {
    let Some(text) = text else {
        return known
            .iter()
            .filter(|scope| scope.is_default && scope.is_active)
            .map(|scope| scope.name.clone())
            .collect();
    };
    match Scopes::parse(&text) {
        Ok(scopes) => {
            for unknown in scopes.iter().filter(|name| known.iter().all(|scope| scope.name != **name)) {
                problems.add("/scope", format!("there is no scope {unknown}"));
            }
            scopes
        }
        Err(error) => {
            problems.add("/scope", error.to_string());
            Scopes::default()
        }
    }
}

fn auth_method(problems: &mut Problems, name: Option<String>, client_type: ClientType) -> AuthMethod {
    let usual = match client_type {
        ClientType::Public => AuthMethod::None,
        ClientType::Confidential => AuthMethod::ClientSecretBasic,
    };
    let Some(name) = name else {
        return usual;
    };
    let method = AuthMethod::parse(&name).filter(|method| (*method == AuthMethod::None) == (usual == AuthMethod::None));
    method.unwrap_or_else(|| {
        let values = match client_type {
            ClientType::Public => "none for a public client",
            ClientType::Confidential => "client_secret_basic or client_secret_post for a confidential client",
        };
        problems.add("/token_endpoint_auth_method", format!("it must be {values}"));
        usual
    })
}

impl<S: Store, H: Host> Server<S, H> {
    pub(super) async fn list_clients(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let filter = ClientFilter {
            client_id: None,
            text: call.search()?,
            client_type: call.filter("client_type", ClientType::parse, "confidential or public")?,
            is_active: call.flag("active")?,
        };
        let (limit, after) = (call.limit(MOST)?, call.cursor::<String>()?);
        let clients = self.store.client_records(&filter, after.as_deref(), limit + 1).await?;
        Ok(page(clients, limit, |client| client.client_id.clone()))
    }

    pub(super) async fn show_client(&self, client_id: &str) -> Result<Reply, Error> {
        Ok(crate::response::json(StatusCode::OK, &self.client_record(client_id).await?))
    }

    async fn client_record(&self, client_id: &str) -> Result<ClientRecord, Error> {
        let filter = ClientFilter { client_id: Some(client_id.to_owned()), ..ClientFilter::default() };
        let found = self.store.client_records(&filter, None, 1).await?.pop();
        found.ok_or_else(|| not_found("client"))
    }

    /// Checks everything that comes in, and tells all that is wrong with it.
    async fn registration(
        &self,
        call: &Call<'_>,
        body: ClientBody,
        client_id: ClientId,
        client_type: ClientType,
        known_uris: &[String],
    ) -> Result<NewClient, Error> {
        let known_scopes = self.store.scopes().await?;
        let mut problems = Problems::default();
        let name = problems.text("/client_name", body.client_name, 255);
        let redirect_uris = redirect_uris(&mut problems, body.redirect_uris.unwrap_or_default(), known_uris);
        let has_redirect_uris = !redirect_uris.is_empty();
        let client = NewClient {
            id: self.new_id(call.exchange.now),
            client_id,
            name,
            secret_hash: None,
            redirect_uris,
            client_uri: problems.web_uri("/client_uri", body.client_uri),
            logo_uri: problems.web_uri("/logo_uri", body.logo_uri),
            auth_method: auth_method(&mut problems, body.token_endpoint_auth_method, client_type),
            require_pkce: body.require_pkce.unwrap_or(true),
            grant_types: grant_types(&mut problems, body.grant_types, client_type, has_redirect_uris),
            scopes: scopes(&mut problems, body.scope, &known_scopes),
            resources: resources(&mut problems, body.resources.unwrap_or_default()),
            introspect_all: body.introspect_all.unwrap_or(false),
            is_active: body.active.unwrap_or(true),
        };
        if client.grant_types.contains(&GrantType::AuthorizationCode) && !has_redirect_uris {
            problems.add("/redirect_uris", "a client that uses authorization_code needs at least one");
        }
        if client_type == ClientType::Public {
            if client.grant_types.contains(&GrantType::ClientCredentials) {
                problems.add("/grant_types", "client_credentials is for confidential clients only");
            }
            if client.introspect_all {
                problems.add("/introspect_all", "a public client cannot introspect: it proves nothing");
            }
            if !client.require_pkce {
                problems.add("/require_pkce", "a public client always needs PKCE");
            }
        }
        problems.finish()?;
        call.require_scopes(client.scopes.iter())?;
        Ok(client)
    }

    pub(super) async fn create_client(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let body: ClientBody = body::json(call.exchange.request)?;
        let mut problems = Problems::default();
        let client_type = body.client_type.as_deref().and_then(ClientType::parse).unwrap_or_else(|| {
            problems.add("/client_type", "it must be confidential or public");
            ClientType::Public
        });
        let now = call.exchange.now;
        let client_id = match &body.client_id {
            None => format!("client-{}", self.new_id(now).simple()),
            Some(client_id) => client_id.clone(),
        };
        let Some(client_id) = ClientId::parse(&client_id) else {
            problems.add("/client_id", "it must be 1 to 255 visible ASCII characters, and not a UUID");
            return Err(problems.finish().err().unwrap_or_else(ProtocolError::invalid_client).into());
        };
        problems.finish()?;
        let mut client = self.registration(call, body, client_id, client_type, &[]).await?;
        let secret = (client_type == ClientType::Confidential).then(|| ClientSecret::generate(&self.host));
        client.secret_hash = secret.as_ref().map(|secret| ClientSecretHash::from(secret.digest()));
        let taken = || conflict("there is a client of this client_id already");
        if call.is_dry_run {
            let filter = ClientFilter { client_id: Some(client.client_id.to_string()), ..ClientFilter::default() };
            if !self.store.client_records(&filter, None, 1).await?.is_empty() {
                return Err(taken());
            }
            return Ok(call.object(StatusCode::CREATED, &record(&client, client_type, now, now), &[]));
        }
        let audit = self.admin_record(call, Event::new(EventType::ClientCreated).client(&client.client_id));
        if self.store.create_client(&client, now, Some(&audit)).await? == Created::Conflict {
            return Err(taken());
        }
        audit.log();
        let secret = secret.map(|secret| ("client_secret", secret.expose().into()));
        let reply = call.object(StatusCode::CREATED, &record(&client, client_type, now, now), secret.as_slice());
        Ok(created(reply, &self.admin_location(Endpoint::AdminClients, client.client_id.as_str())))
    }

    pub(super) async fn change_client(&self, call: &Call<'_>, name: &str) -> Result<Reply, Error> {
        let now = call.exchange.now;
        for _ in 0..ATTEMPTS {
            let known = self.client_record(name).await?;
            let body: ClientBody = body::merged(call.exchange.request, &known, &WRITABLE)?;
            // One that was named under older rules can be removed, and no more.
            let client_id = ClientId::parse(name)
                .ok_or_else(|| conflict("its client_id looks like a user's id: delete it, and register another one"))?;
            let client_type = ClientType::parse(&known.client_type).unwrap_or(ClientType::Confidential);
            call.require_scopes(known.scope.split(' '))?;
            let client = self.registration(call, body, client_id, client_type, &known.redirect_uris).await?;
            let changed = ClientRecord {
                previous_secret_expires_at: known.previous_secret_expires_at,
                ..record(&client, client_type, known.created_at, now)
            };
            if call.is_dry_run {
                return Ok(call.object(StatusCode::OK, &changed, &[]));
            }
            let audit = self.admin_record(call, Event::new(EventType::ClientChanged).client(&client.client_id));
            if self.store.update_client(&client, known.updated_at, now, Some(&audit)).await? {
                audit.log();
                self.forget_client(&client.client_id);
                return Ok(call.object(StatusCode::OK, &changed, &[]));
            }
        }
        Err(changed_meanwhile())
    }

    pub(super) async fn delete_client(&self, call: &Call<'_>, name: &str) -> Result<Reply, Error> {
        self.client_record(name).await?;
        if call.is_dry_run {
            return Ok(no_content());
        }
        let event = Event::new(EventType::ClientDeleted);
        let client_id = ClientId::parse(name);
        let event = match &client_id {
            Some(client_id) => event.client(client_id),
            None => event.detail(name),
        };
        let audit = self.admin_record(call, event);
        if !self.store.delete_client(name, Some(&audit)).await? {
            return Err(not_found("client"));
        }
        audit.log();
        if let Some(client_id) = &client_id {
            self.forget_client(client_id);
        }
        Ok(no_content())
    }

    pub(super) async fn rotate_client_secret(&self, call: &Call<'_>, name: &str) -> Result<Reply, Error> {
        let body: RotationBody = body::optional_json(call.exchange.request)?;
        let overlap = body.overlap_seconds.unwrap_or(OVERLAP);
        if overlap > LONGEST_OVERLAP {
            let mut problems = Problems::default();
            problems.add("/overlap_seconds", format!("it must be a number from 0 to {LONGEST_OVERLAP}"));
            problems.finish()?;
        }
        let known = self.client_record(name).await?;
        call.require_scopes(known.scope.split(' '))?;
        let client_id = ClientId::parse(name).filter(|_| known.client_type != ClientType::Public.name());
        let client_id = client_id.ok_or_else(|| conflict("a public client has no secret"))?;
        let now = call.exchange.now;
        let secret = ClientSecret::generate(&self.host);
        let until = now + TimeDelta::seconds(overlap.into());
        let changed =
            ClientRecord { previous_secret_expires_at: (overlap > 0).then_some(until), updated_at: now, ..known };
        if call.is_dry_run {
            return Ok(call.object(StatusCode::OK, &changed, &[]));
        }
        let hash = ClientSecretHash::from(secret.digest());
        let audit = self.admin_record(call, Event::new(EventType::ClientSecretRotated).client(&client_id));
        if !self.store.rotate_client_secret(&client_id, &hash, until, now, Some(&audit)).await? {
            return Err(not_found("client"));
        }
        audit.log();
        self.forget_client(&client_id);
        Ok(call.object(StatusCode::OK, &changed, &[("client_secret", secret.expose().into())]))
    }
}
