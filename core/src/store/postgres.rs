//! The store on Postgres, 13 and newer: one statement per operation, whatever host runs it.
//!
//! An operation that changes something is one data-modifying statement. It locks the row that it is about, decides by
//! what the locked row says, and does what it decided: two uses of one code or token go one after the other, and
//! there is no transaction that a host could leave open. The statements are in `postgres/*.sql`, each with what it
//! decides, and decide what `grant/*.rs` decides.
//!
//! A host supplies an [`Executor`]. Only types that every host's interface carries unchanged cross it ([`Value`]):
//! times are microseconds since the Unix epoch.

use std::{collections::BTreeSet, future::Future};

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    CodeOutcome, CodeRedemption, Counts, Created, Found, Grant, Lookup, NewGrant, NewSession, RefreshOutcome,
    RefreshRotation, Revoked, Session, SessionAndConsent, Store, StoreError, Swept, TokenReference, TokenState,
};
use crate::{
    audit::Record,
    crypto::{Algorithm, SealedKey},
    model::{
        AuthMethod, Client, ClientId, ClientSecretHash, ClientType, Digest, GrantType, NewClient, NewUser,
        PasswordHash, PreviousSecret, ScopeDescription, Scopes, Timestamp, User, UserCredentials,
    },
};

/// Parameters in the order of the statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(Value::from($value)),*] };
}

mod accounts;
mod administration;
mod audit;
mod jobs;
mod limits;
mod outbox;
pub mod sqlstate;
mod statement;
mod value;

pub use statement::{STATEMENTS, Statement};
pub use value::{FromValue, Json, Row, Value};

/// The newest migration of `migrations/postgres`, which [`Store::ready`] wants to be applied.
pub const SCHEMA_VERSION: i64 = 7;

/// Runs statements: what a host supplies.
pub trait Executor: Send + Sync + 'static {
    /// Runs one statement and returns its rows, every column in the order of the statement.
    ///
    /// A database that cannot be reached, does not answer in time, or gives up on a statement for reasons that may
    /// pass (a lock, a deadlock, a shutdown) is [`StoreError::Unavailable`]; all else is
    /// [`StoreError::Unexpected`].
    fn query(
        &self,
        statement: &'static Statement,
        parameters: Vec<Value>,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;
}

/// The [`Store`] on Postgres.
#[derive(Debug)]
pub struct PostgresStore<E> {
    executor: E,
}

impl<E> PostgresStore<E> {
    /// A store that has its statements run by `executor`.
    pub fn new(executor: E) -> Self {
        Self { executor }
    }

    /// What runs the statements.
    pub fn executor(&self) -> &E {
        &self.executor
    }
}

impl<E: Executor> PostgresStore<E> {
    async fn optional(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Option<Row>, StoreError> {
        Ok(self.executor.query(statement, parameters).await?.pop())
    }

    async fn one(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Row, StoreError> {
        let row = self.optional(statement, parameters).await?;
        row.ok_or_else(|| StoreError::Unexpected(format!("{} returned no row", statement.name)))
    }

    async fn execute(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<(), StoreError> {
        self.executor.query(statement, parameters).await.map(drop)
    }

    async fn create(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Created, StoreError> {
        let is_created: bool = self.one(statement, parameters).await?.take()?;
        Ok(if is_created { Created::Created } else { Created::Conflict })
    }
}

#[derive(Deserialize)]
struct ScopeColumn {
    name: String,
    description: String,
    is_default: bool,
}

/// `None` where there is no client in the row, or one of a release that allowed names which can be taken for users'
/// ids: such a client cannot be asked for.
///
/// Whatever else is not known (any more) is read as what can do least: a type as confidential, a hash of a secret as
/// none, so that the client cannot authenticate, a method of authentication as the usual one of the type.
fn client(row: &mut Row) -> Result<Option<Client>, StoreError> {
    let Some(id) = row.take()? else {
        return Ok(None);
    };
    let client_id: String = row.take()?;
    let name = row.take()?;
    let client_type: String = row.take()?;
    let secret_hash: Option<String> = row.take()?;
    let redirect_uris = row.take()?;
    let client_uri = row.take()?;
    let auth_method: Option<String> = row.take()?;
    let require_pkce = row.take()?;
    let grant_types: Vec<String> = row.take()?;
    let resources = row.take()?;
    let introspect_all = row.take()?;
    let is_active = row.take()?;
    let Json::<Vec<ScopeColumn>>(scopes) = row.take()?;
    let (previous_hash, previous_expires_at): (Option<String>, Option<Timestamp>) = (row.take()?, row.take()?);

    let Some(client_id) = ClientId::parse(&client_id) else {
        tracing::warn!(%id, "a client's client_id looks like a user's id or is not ASCII: it cannot be used");
        return Ok(None);
    };
    let client_type = ClientType::parse(&client_type).unwrap_or(ClientType::Confidential);
    let (secret_hash, auth_method) = match client_type {
        ClientType::Public => (None, AuthMethod::None),
        ClientType::Confidential => {
            let hash = secret_hash.as_deref().and_then(ClientSecretHash::parse);
            if hash.is_none() {
                tracing::warn!(%client_id, "the hash of a client's secret is missing or of no known form");
            }
            let method = auth_method.as_deref().and_then(AuthMethod::parse);
            (hash, method.filter(|method| *method != AuthMethod::None).unwrap_or(AuthMethod::ClientSecretBasic))
        }
    };
    let mut scopes: Vec<_> = scopes
        .into_iter()
        .map(|ScopeColumn { name, description, is_default }| ScopeDescription {
            name,
            description,
            is_default,
            is_active: true,
        })
        .collect();
    scopes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let previous_hash = previous_hash.as_deref().and_then(ClientSecretHash::parse);
    let previous_secret =
        previous_hash.zip(previous_expires_at).map(|(hash, expires_at)| PreviousSecret { hash, expires_at });
    Ok(Some(Client {
        id,
        client_id,
        name,
        client_type,
        secret_hash,
        previous_secret,
        redirect_uris,
        client_uri,
        auth_method,
        require_pkce,
        grant_types: grant_types.iter().filter_map(|name| GrantType::parse(name)).collect::<BTreeSet<_>>(),
        scopes,
        resources,
        introspect_all,
        is_active,
    }))
}

fn user(row: &mut Row) -> Result<User, StoreError> {
    optional_user(row)?.ok_or_else(|| row.unexpected("the user is missing"))
}

fn optional_user(row: &mut Row) -> Result<Option<User>, StoreError> {
    let id: Option<Uuid> = row.take()?;
    let (username, email): (Option<String>, Option<String>) = (row.take()?, row.take()?);
    let (is_verified, is_admin): (bool, bool) = (row.take()?, row.take()?);
    Ok(match (id, username, email) {
        (Some(id), Some(username), Some(email)) => Some(User { id, username, email, is_verified, is_admin }),
        _ => None,
    })
}

fn session(row: &mut Row) -> Result<Session, StoreError> {
    Ok(Session { id: row.take()?, user: user(row)?, authenticated_at: row.take()? })
}

fn grant(row: &mut Row) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: row.take()?,
        user_id: row.take()?,
        scopes: row.take()?,
        resources: row.take()?,
        authenticated_at: row.take()?,
        expires_at: row.take()?,
    })
}

/// An element of what the function `published_signing_keys` returns.
#[derive(Deserialize)]
struct KeyColumn {
    kid: String,
    algorithm: String,
    sequence: u32,
    public_jwk: String,
    sealed: String,
    activates_at: i64,
    retires_at: Option<i64>,
}

impl KeyColumn {
    fn sealed_key(self) -> Option<SealedKey> {
        Some(SealedKey {
            kid: self.kid,
            algorithm: Algorithm::parse(&self.algorithm)?,
            sequence: self.sequence,
            public_jwk: self.public_jwk,
            sealed: Base64::decode_vec(&self.sealed).ok()?,
            activates_at: Timestamp::from_timestamp_micros(self.activates_at)?,
            retires_at: match self.retires_at {
                Some(time) => Some(Timestamp::from_timestamp_micros(time)?),
                None => None,
            },
        })
    }
}

fn published_keys(row: &mut Row) -> Result<Option<Vec<SealedKey>>, StoreError> {
    let Some(Json::<Vec<KeyColumn>>(keys)) = row.take()? else {
        return Ok(None);
    };
    let keys: Option<Vec<_>> = keys.into_iter().map(KeyColumn::sealed_key).collect();
    keys.map(Some).ok_or_else(|| row.unexpected("a signing key is not what this release can read"))
}

/// The columns of `introspect_refresh_token` that tell its state. All are read, whatever they say.
fn refresh_token_state(row: &mut Row) -> Result<TokenState, StoreError> {
    let client_id: Option<String> = row.take()?;
    let user = optional_user(row)?;
    let scopes: Option<Scopes> = row.take()?;
    let resources: Option<Vec<String>> = row.take()?;
    let issued_at: Option<Timestamp> = row.take()?;
    let expires_at: Option<Timestamp> = row.take()?;
    let state = || {
        Some(TokenState::ActiveRefresh {
            client_id: ClientId::parse(&client_id?)?,
            user: user?,
            scopes: scopes?,
            resources: resources?,
            issued_at: issued_at?,
            expires_at: expires_at?,
        })
    };
    Ok(state().unwrap_or(TokenState::Inactive))
}

/// The columns of `introspect_access_token` that tell its state.
fn access_token_state(row: &mut Row) -> Result<TokenState, StoreError> {
    let is_active: bool = row.take()?;
    let user = optional_user(row)?;
    Ok(if is_active { TokenState::ActiveAccess { user } } else { TokenState::Inactive })
}

impl<E: Executor> Store for PostgresStore<E> {
    async fn ready(&self) -> Result<(), StoreError> {
        let version: i64 = self.one(&statement::READY, values![]).await?.take()?;
        if version < SCHEMA_VERSION {
            return Err(StoreError::Unexpected(format!(
                "the database's schema is at version {version}, this release needs {SCHEMA_VERSION}: migrate it"
            )));
        }
        Ok(())
    }

    async fn look_up(&self, lookup: Lookup<'_>, now: Timestamp) -> Result<Found, StoreError> {
        let Lookup { client: client_id, token, signing_keys } = lookup;
        let client_id = client_id.map(ClientId::as_str);
        let keys_at = signing_keys.then_some(now);
        match token {
            Some(TokenReference::Refresh { id, generation, digest }) => {
                let parameters = values![client_id, *id, *generation, *digest, now, keys_at];
                let mut row = self.one(&statement::INTROSPECT_REFRESH_TOKEN, parameters).await?;
                let signing_keys = published_keys(&mut row)?;
                let token = refresh_token_state(&mut row)?;
                Ok(Found { client: client(&mut row)?, token, signing_keys })
            }
            Some(TokenReference::Access { jti, client_id: owner, grant_id, expires_at }) => {
                let parameters = values![jti.as_str(), owner.as_str(), *grant_id, *expires_at, now, client_id, keys_at];
                let mut row = self.one(&statement::INTROSPECT_ACCESS_TOKEN, parameters).await?;
                let signing_keys = published_keys(&mut row)?;
                let token = access_token_state(&mut row)?;
                Ok(Found { client: client(&mut row)?, token, signing_keys })
            }
            None if client_id.is_some() || signing_keys => {
                let mut row = self.one(&statement::CLIENT, values![client_id, keys_at]).await?;
                let signing_keys = published_keys(&mut row)?;
                Ok(Found { client: client(&mut row)?, token: TokenState::Inactive, signing_keys })
            }
            None => Ok(Found { client: None, token: TokenState::Inactive, signing_keys: None }),
        }
    }

    async fn create_client(
        &self,
        client: &NewClient,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Created, StoreError> {
        let redirect_uris: Vec<_> = client.redirect_uris.iter().map(ToString::to_string).collect();
        let grant_types: Vec<_> = client.grant_types.iter().map(|grant_type| grant_type.name().to_owned()).collect();
        let parameters = values![
            client.id,
            client.client_id.as_str(),
            client.name.as_str(),
            client.client_type().name(),
            client.secret_hash.as_ref().map(ToString::to_string),
            redirect_uris,
            client.client_uri.clone(),
            client.auth_method.name(),
            client.require_pkce,
            grant_types,
            client.scopes.to_vec(),
            client.resources.clone(),
            client.introspect_all,
            now,
            client.logo_uri.clone(),
            client.is_active,
            audit::document(audit),
        ];
        self.create(&statement::CREATE_CLIENT, parameters).await
    }

    async fn scopes(&self) -> Result<Vec<ScopeDescription>, StoreError> {
        let rows = self.executor.query(&statement::SCOPES, values![]).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(ScopeDescription {
                    name: row.take()?,
                    description: row.take()?,
                    is_default: row.take()?,
                    is_active: row.take()?,
                })
            })
            .collect()
    }

    async fn create_scope(
        &self,
        id: Uuid,
        scope: &ScopeDescription,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Created, StoreError> {
        let parameters = values![
            id,
            scope.name.as_str(),
            scope.description.as_str(),
            scope.is_default,
            scope.is_active,
            now,
            audit::document(audit),
        ];
        self.create(&statement::CREATE_SCOPE, parameters).await
    }

    async fn user_by_login(&self, login: &str) -> Result<Option<UserCredentials>, StoreError> {
        let parameters = values![login, login.to_lowercase()];
        let Some(mut row) = self.optional(&statement::USER_BY_LOGIN, parameters).await? else {
            return Ok(None);
        };
        Ok(Some(UserCredentials {
            user: user(&mut row)?,
            password_hash: PasswordHash::new(row.take()?),
            is_active: row.take()?,
        }))
    }

    async fn create_user(&self, user: &NewUser, now: Timestamp, audit: Option<&Record>) -> Result<Created, StoreError> {
        let parameters = values![
            user.user.id,
            user.user.email.as_str(),
            user.user.username.as_str(),
            user.password_hash.as_str(),
            user.user.is_verified,
            user.user.is_admin,
            now,
            audit::document(audit),
        ];
        self.create(&statement::CREATE_USER, parameters).await
    }

    async fn replace_password_hash(
        &self,
        user: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let parameters = values![user, old.as_str(), new.as_str(), now];
        self.execute(&statement::REPLACE_PASSWORD_HASH, parameters).await
    }

    async fn create_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let effects = session.effects.as_ref();
        let parameters = values![
            session.id,
            session.digest,
            session.user_id,
            session.authenticated_at,
            session.expires_at,
            session.replaces,
            effects.and_then(|effects| effects.forget[0]),
            effects.and_then(|effects| effects.forget[1]),
            effects.and_then(|effects| effects.address),
            effects.and_then(|effects| effects.device),
            effects.map(|effects| effects.known_until),
            audit::document(session.audit.as_ref()),
            session.origin.address.clone(),
            session.origin.device.clone(),
        ];
        self.execute(&statement::CREATE_SESSION, parameters).await
    }

    async fn session(&self, digest: &Digest, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let row = self.optional(&statement::SESSION, values![*digest, now]).await?;
        row.map(|mut row| session(&mut row)).transpose()
    }

    async fn end_session(&self, digest: &Digest, audit: Option<&Record>) -> Result<Option<Uuid>, StoreError> {
        self.one(&statement::END_SESSION, values![*digest, audit::document(audit)]).await?.take()
    }

    async fn session_and_consent(
        &self,
        digest: &Digest,
        client: Uuid,
        now: Timestamp,
    ) -> Result<Option<SessionAndConsent>, StoreError> {
        let row = self.optional(&statement::SESSION_AND_CONSENT, values![*digest, client, now]).await?;
        row.map(|mut row| Ok(SessionAndConsent { session: session(&mut row)?, consented: row.take()? })).transpose()
    }

    async fn create_grant(&self, grant: &NewGrant) -> Result<(), StoreError> {
        let parameters = values![
            grant.id,
            grant.user_id,
            grant.client_id,
            grant.scopes.to_vec(),
            grant.resources.clone(),
            grant.authenticated_at,
            grant.created_at,
            grant.expires_at,
            grant.code.to_base64url(),
            grant.code_expires_at,
            grant.redirect_uri.as_str(),
            grant.code_challenge.as_ref().map(ToString::to_string),
            grant.remember_consent,
            audit::document(grant.audit.as_ref()),
            grant.origin.address.clone(),
            grant.origin.device.clone(),
        ];
        self.execute(&statement::CREATE_GRANT, parameters).await
    }

    async fn redeem_code(&self, redemption: &CodeRedemption) -> Result<CodeOutcome, StoreError> {
        let refresh_token = redemption.refresh_token.as_ref();
        let parameters = values![
            redemption.code.to_base64url(),
            redemption.client_id,
            redemption.redirect_uri.clone(),
            redemption.code_challenge.as_ref().map(ToString::to_string),
            redemption.now,
            refresh_token.map(|token| token.id),
            refresh_token.map(|token| token.digest),
            refresh_token.map(|token| token.idle_expires_at),
            redemption.resources.clone(),
        ];
        let Some(mut row) = self.optional(&statement::REDEEM_CODE, parameters).await? else {
            return Ok(CodeOutcome::Unknown);
        };
        match row.take::<String>()?.as_str() {
            "issued" => Ok(CodeOutcome::Issued(grant(&mut row)?)),
            "replayed" => Ok(CodeOutcome::Replayed(row.take()?)),
            "expired" => Ok(CodeOutcome::Expired),
            "mismatched" => Ok(CodeOutcome::Mismatched),
            "revoked" => Ok(CodeOutcome::Revoked),
            "target_exceeded" => Ok(CodeOutcome::TargetExceeded),
            _ => Err(row.unexpected("the outcome is unknown")),
        }
    }

    async fn rotate_refresh_token(&self, rotation: &RefreshRotation) -> Result<RefreshOutcome, StoreError> {
        let parameters = values![
            rotation.id,
            rotation.generation,
            rotation.digest,
            rotation.successor,
            rotation.client_id,
            rotation.now,
            rotation.retry_since,
            rotation.idle_expires_at,
            rotation.scopes.as_ref().map(Scopes::to_vec),
            rotation.resources.clone(),
        ];
        let Some(mut row) = self.optional(&statement::ROTATE_REFRESH_TOKEN, parameters).await? else {
            return Ok(RefreshOutcome::Unknown);
        };
        match row.take::<String>()?.as_str() {
            "rotated" => Ok(RefreshOutcome::Rotated(grant(&mut row)?)),
            "repeated" => Ok(RefreshOutcome::Repeated(grant(&mut row)?)),
            "replayed" => Ok(RefreshOutcome::Replayed(row.take()?)),
            "scope_exceeded" => Ok(RefreshOutcome::ScopeExceeded),
            "target_exceeded" => Ok(RefreshOutcome::TargetExceeded),
            "expired" => Ok(RefreshOutcome::Expired),
            "mismatched" => Ok(RefreshOutcome::Mismatched),
            "revoked" => Ok(RefreshOutcome::Revoked),
            "unknown" => Ok(RefreshOutcome::Unknown),
            _ => Err(row.unexpected("the outcome is unknown")),
        }
    }

    async fn revoke_token(
        &self,
        token: &TokenReference,
        client: Uuid,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Revoked, StoreError> {
        let audit = audit::document(audit);
        match token {
            TokenReference::Refresh { id, generation, digest } => {
                let parameters = values![*id, *generation, *digest, client, now, audit];
                let mut row = self.one(&statement::REVOKE_REFRESH_TOKEN, parameters).await?;
                let (id, user_id): (Option<Uuid>, Option<Uuid>) = (row.take()?, row.take()?);
                Ok(id.zip(user_id).map_or(Revoked::Nothing, |(id, user_id)| Revoked::Grant { id, user_id }))
            }
            TokenReference::Access { jti, client_id, expires_at, .. } => {
                let parameters = values![jti.as_str(), client_id.as_str(), *expires_at, client, now, audit];
                let is_revoked: bool = self.one(&statement::REVOKE_ACCESS_TOKEN, parameters).await?.take()?;
                Ok(if is_revoked { Revoked::Token } else { Revoked::Nothing })
            }
        }
    }

    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedKey>, StoreError> {
        let keys = published_keys(&mut self.one(&statement::SIGNING_KEYS, values![now]).await?)?;
        Ok(keys.unwrap_or_default())
    }

    async fn create_signing_key(
        &self,
        key: &SealedKey,
        predecessors_retire_at: Timestamp,
    ) -> Result<Created, StoreError> {
        let parameters = values![
            key.kid.as_str(),
            key.algorithm.name(),
            key.sequence,
            key.public_jwk.as_str(),
            key.sealed.as_slice(),
            key.activates_at,
            key.retires_at,
            predecessors_retire_at,
        ];
        self.create(&statement::CREATE_SIGNING_KEY, parameters).await
    }

    async fn reseal_signing_key(&self, kid: &str, old: &[u8], new: &[u8]) -> Result<(), StoreError> {
        self.execute(&statement::RESEAL_SIGNING_KEY, values![kid, old, new]).await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<Swept, StoreError> {
        let mut row = self.one(&statement::SWEEP, values![now, limit]).await?;
        Ok(Swept { authorization_codes: row.take()?, tokens: row.take()?, grants: row.take()?, sessions: row.take()? })
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        let mut row = self.one(&statement::COUNTS, values![now]).await?;
        Ok(Counts {
            users: row.take()?,
            clients: row.take()?,
            scopes: row.take()?,
            sessions: row.take()?,
            grants: row.take()?,
        })
    }
}
