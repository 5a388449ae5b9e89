//! What operators see and change.
//!
//! A list is read page by page: `after` is the key of the last item of the page before, and no more than `limit` items come.
//! A change says when the record had been changed last, as it was read: where that is not so any more, nothing is changed and
//! the caller reads again. It takes along the event to record.

use std::future::Future;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StoreError;
use crate::{
    audit::Record,
    model::{ClientId, ClientSecretHash, ClientType, NewClient, PasswordHash, ScopeDescription, Timestamp, User},
};

/// Times in what a store returns are microseconds since the Unix epoch; serialized, they are RFC 3339.
mod time {
    pub(super) use chrono::serde::{
        ts_microseconds::deserialize as required, ts_microseconds_option::deserialize as optional,
    };
}

/// A client with everything that was registered, as it was: also what this release would not accept any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its name in the protocol.
    pub client_id: String,
    /// Its name for people.
    pub client_name: String,
    /// [`ClientType::name`].
    pub client_type: String,
    /// Redirection endpoints.
    pub redirect_uris: Vec<String>,
    /// Its home page.
    pub client_uri: Option<String>,
    /// Its logo.
    pub logo_uri: Option<String>,
    /// How it authenticates.
    pub token_endpoint_auth_method: String,
    /// What it may use at the token endpoint.
    pub grant_types: Vec<String>,
    /// Every scope that it may ask for, active or not, by name, with spaces between.
    pub scope: String,
    /// Resources that it serves.
    pub resources: Vec<String>,
    /// Whether it may introspect every token.
    pub introspect_all: bool,
    /// Whether PKCE is demanded of it in any case.
    pub require_pkce: bool,
    /// Whether it may do anything at all.
    pub active: bool,
    /// Until when the secret before this one works.
    #[serde(deserialize_with = "time::optional")]
    pub previous_secret_expires_at: Option<Timestamp>,
    /// When it was registered.
    #[serde(deserialize_with = "time::required")]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[serde(deserialize_with = "time::required")]
    pub updated_at: Timestamp,
}

/// A scope with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeRecord {
    /// The scope token.
    pub name: String,
    /// What it allows, in words for the consent page.
    pub description: String,
    /// Whether a request without `scope` receives it.
    pub default: bool,
    /// Whether it can be granted at all.
    pub active: bool,
    /// When it was registered.
    #[serde(deserialize_with = "time::required")]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[serde(deserialize_with = "time::required")]
    pub updated_at: Timestamp,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Its key, and the `sub` of the person's tokens.
    pub id: Uuid,
    /// The address.
    pub email: String,
    /// The name to log in with.
    pub username: String,
    /// Whether the address was shown to be theirs.
    pub verified: bool,
    /// Whether they can grant `admin:` scopes.
    pub admin: bool,
    /// Whether they can log in.
    pub active: bool,
    /// When it was made.
    #[serde(deserialize_with = "time::required")]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[serde(deserialize_with = "time::required")]
    pub updated_at: Timestamp,
}

/// A browser's login that lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its key.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The same in words.
    pub username: String,
    /// When the password was entered.
    #[serde(deserialize_with = "time::required")]
    pub authenticated_at: Timestamp,
    /// When it ends.
    #[serde(deserialize_with = "time::required")]
    pub expires_at: Timestamp,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub device: Option<String>,
}

/// What a person allowed a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// Its key, and the `grant_id` of its tokens.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// The same in words.
    pub username: String,
    /// Whom.
    pub client_id: String,
    /// What for.
    pub scope: String,
    /// Whom its tokens may be meant for.
    pub resources: Vec<String>,
    /// When it was made.
    #[serde(deserialize_with = "time::required")]
    pub created_at: Timestamp,
    /// When it ends.
    #[serde(deserialize_with = "time::required")]
    pub expires_at: Timestamp,
    /// When it was revoked.
    #[serde(deserialize_with = "time::optional")]
    pub revoked_at: Option<Timestamp>,
    /// From where.
    pub address: Option<String>,
    /// With what.
    pub device: Option<String>,
}

/// Which clients; each condition that is there must hold.
#[derive(Clone, Debug, Default)]
pub struct ClientFilter {
    /// The one of this name.
    pub client_id: Option<String>,
    /// Part of its names, in lower case.
    pub text: Option<String>,
    /// Of this type.
    pub client_type: Option<ClientType>,
    /// Whether it is active.
    pub is_active: Option<bool>,
}

/// Which scopes.
#[derive(Clone, Debug, Default)]
pub struct ScopeFilter {
    /// The one of this name.
    pub name: Option<String>,
    /// Part of its name or description, in lower case.
    pub text: Option<String>,
    /// Whether it is active.
    pub is_active: Option<bool>,
}

/// Which accounts.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// The one of this id.
    pub id: Option<Uuid>,
    /// Part of its address or name, in lower case.
    pub text: Option<String>,
    /// Whether its address is verified.
    pub is_verified: Option<bool>,
    /// Whether it is an administrator's.
    pub is_admin: Option<bool>,
    /// Whether it is active.
    pub is_active: Option<bool>,
}

/// Which sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// The one of this id.
    pub id: Option<Uuid>,
    /// Whose.
    pub user_id: Option<Uuid>,
}

/// Which grants.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// The one of this id.
    pub id: Option<Uuid>,
    /// Whose.
    pub user_id: Option<Uuid>,
    /// To whom.
    pub client_id: Option<String>,
    /// Whether it was revoked.
    pub is_revoked: Option<bool>,
}

/// An account as it is to be.
#[derive(Clone, Debug)]
pub struct UserUpdate {
    /// The account; its address is in lower case.
    pub user: User,
    /// Whether it may log in.
    pub is_active: bool,
}

/// What became of a change of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserChange {
    /// It was made.
    Changed,
    /// The record is not what it was when it was read, or is gone.
    Stale,
    /// Another account has the address or the name.
    Taken,
    /// There would be no administrator any more who can log in.
    LastAdministrator,
    /// There is no such account.
    Unknown,
}

impl UserChange {
    /// The outcome of this name, as statements tell it.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "changed" => Self::Changed,
            "stale" => Self::Stale,
            "taken" => Self::Taken,
            "last_administrator" => Self::LastAdministrator,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// What an operator does.
pub trait Administration: Send + Sync + 'static {
    /// Clients, by `client_id`.
    fn client_records(
        &self,
        filter: &ClientFilter,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ClientRecord>, StoreError>> + Send;

    /// Changes a client as a whole, but for its type and secret. False where it was changed since it was read at `version`,
    /// or is gone.
    fn update_client(
        &self,
        client: &NewClient,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Gives a confidential client another secret; the one before works until `previous_until`. False where there is none of
    /// this name.
    fn rotate_client_secret(
        &self,
        client_id: &ClientId,
        secret: &ClientSecretHash,
        previous_until: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes a client with its grants, codes, tokens and consents. False where there is none of this name.
    fn delete_client(
        &self,
        client_id: &str,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Scopes, by name.
    fn scope_records(
        &self,
        filter: &ScopeFilter,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ScopeRecord>, StoreError>> + Send;

    /// Changes a scope as a whole. False where it was changed since it was read at `version`, or is gone.
    fn update_scope(
        &self,
        scope: &ScopeDescription,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes a scope; no client can ask for it any more. False where there is none of this name.
    fn delete_scope(&self, name: &str, audit: Option<&Record>)
    -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Accounts, by id.
    fn user_records(
        &self,
        filter: &UserFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<UserRecord>, StoreError>> + Send;

    /// Changes an account as a whole, but for its password. One that is locked by this loses sessions and grants; a link that
    /// was sent to another address ends. Of any number of administrators that are demoted at once, one stays.
    fn update_user(
        &self,
        user: &UserUpdate,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<UserChange, StoreError>> + Send;

    /// Sets a password whatever it was; ends every session, grant and link of the person. False where there is no such account.
    fn assign_password(
        &self,
        user: Uuid,
        password: &PasswordHash,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes an account with all that is its own, unless it is the last administrator.
    fn delete_user(
        &self,
        user: Uuid,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<UserChange, StoreError>> + Send;

    /// Sessions that last, newest first.
    fn session_records(
        &self,
        filter: &SessionFilter,
        after: Option<Uuid>,
        limit: u32,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<SessionRecord>, StoreError>> + Send;

    /// Ends a session, whosever it is. False where there is none.
    fn end_any_session(
        &self,
        session: Uuid,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Grants, newest first.
    fn grant_records(
        &self,
        filter: &GrantFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<GrantRecord>, StoreError>> + Send;

    /// Revokes a grant, whosever it is, with all tokens that came of it. False where there is none, or it was revoked.
    fn revoke_grant(
        &self,
        grant: Uuid,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
