//! What operators see and change, on SQLite. A record comes as one JSON document.

use authly_core::{
    audit::Record,
    model::{ClientId, ClientSecretHash, ClientType, NewClient, PasswordHash, ScopeDescription, Timestamp},
    store::{
        Administration, ClientFilter, ClientRecord, GrantFilter, GrantRecord, ScopeFilter, ScopeRecord, SessionFilter,
        SessionRecord, StoreError, UserChange, UserFilter, UserRecord, UserUpdate, sqlite as statements,
    },
};
use serde::de::DeserializeOwned;
use sqlx::{Sqlite, query::Query, sqlite::SqliteArguments, types::Json};
use uuid::Uuid;

use super::{SqliteStore, all, commit, execute, optional};

impl SqliteStore {
    async fn documents<T: DeserializeOwned + Unpin + Send>(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Vec<T>, StoreError> {
        let document = |row: &super::Row| row.get::<Json<T>>("document").map(|Json(document)| document);
        all(&self.readers, query).await?.iter().map(document).collect()
    }

    /// Runs a statement that changes one row or none, and records the event if it did.
    pub(super) async fn change(
        &self,
        query: Query<'_, Sqlite, SqliteArguments>,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        if execute(&mut *transaction, query).await? == 0 {
            return Ok(false);
        }
        self.record_with(&mut transaction, audit).await?;
        commit(transaction).await?;
        Ok(true)
    }
}

impl Administration for SqliteStore {
    async fn client_records(
        &self,
        filter: &ClientFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ClientRecord>, StoreError> {
        let ClientFilter { client_id, text, client_type, is_active } = filter;
        let query = self
            .query(statements::CLIENT_RECORDS)
            .bind(client_id)
            .bind(text)
            .bind(client_type.map(ClientType::name))
            .bind(*is_active)
            .bind(after)
            .bind(limit);
        self.documents(query).await
    }

    async fn update_client(
        &self,
        client: &NewClient,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let redirect_uris: Vec<_> = client.redirect_uris.iter().map(ToString::to_string).collect();
        let grant_types: Vec<_> = client.grant_types.iter().map(|grant_type| grant_type.name()).collect();
        let mut transaction = self.begin().await?;
        let client_id = client.client_id.as_str();
        let query = self
            .query(statements::UPDATE_CLIENT)
            .bind(client_id)
            .bind(&client.name)
            .bind(Json(redirect_uris))
            .bind(&client.client_uri)
            .bind(&client.logo_uri)
            .bind(client.auth_method.name())
            .bind(client.require_pkce)
            .bind(Json(grant_types))
            .bind(Json(&client.resources))
            .bind(client.introspect_all)
            .bind(client.is_active)
            .bind(version.timestamp_micros())
            .bind(now.timestamp_micros());
        if execute(&mut *transaction, query).await? == 0 {
            return Ok(false);
        }
        execute(&mut *transaction, self.query(statements::WITHDRAW_CLIENT_SCOPES).bind(client_id)).await?;
        let query = self.query(statements::CREATE_CLIENT_SCOPES).bind(client_id).bind(Json(client.scopes.to_vec()));
        execute(&mut *transaction, query).await?;
        self.record_with(&mut transaction, audit).await?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn rotate_client_secret(
        &self,
        client_id: &ClientId,
        secret: &ClientSecretHash,
        previous_until: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let query = self
            .query(statements::ROTATE_CLIENT_SECRET)
            .bind(client_id.as_str())
            .bind(secret.to_string())
            .bind(previous_until.timestamp_micros())
            .bind(now.timestamp_micros());
        self.change(query, audit).await
    }

    async fn delete_client(&self, client_id: &str, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.change(self.query(statements::DELETE_CLIENT).bind(client_id), audit).await
    }

    async fn scope_records(
        &self,
        filter: &ScopeFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScopeRecord>, StoreError> {
        let ScopeFilter { name, text, is_active } = filter;
        let query =
            self.query(statements::SCOPE_RECORDS).bind(name).bind(text).bind(*is_active).bind(after).bind(limit);
        self.documents(query).await
    }

    async fn update_scope(
        &self,
        scope: &ScopeDescription,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let query = self
            .query(statements::UPDATE_SCOPE)
            .bind(&scope.name)
            .bind(&scope.description)
            .bind(scope.is_default)
            .bind(scope.is_active)
            .bind(version.timestamp_micros())
            .bind(now.timestamp_micros());
        self.change(query, audit).await
    }

    async fn delete_scope(&self, name: &str, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.change(self.query(statements::DELETE_SCOPE).bind(name), audit).await
    }

    async fn user_records(
        &self,
        filter: &UserFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, StoreError> {
        let UserFilter { id, text, is_verified, is_admin, is_active } = filter;
        let query = self
            .query(statements::USER_RECORDS)
            .bind(*id)
            .bind(text)
            .bind(*is_verified)
            .bind(*is_admin)
            .bind(*is_active)
            .bind(after)
            .bind(limit);
        self.documents(query).await
    }

    async fn update_user(
        &self,
        update: &UserUpdate,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<UserChange, StoreError> {
        let UserUpdate { user, is_active } = update;
        let mut transaction = self.begin().await?;
        let query = self
            .query(statements::JUDGE_USER_CHANGE)
            .bind(user.id)
            .bind(&user.email)
            .bind(&user.username)
            .bind(user.is_admin && *is_active)
            .bind(version.timestamp_micros());
        let change = match optional(&mut *transaction, query).await? {
            Some(row) => row.user_change()?,
            None => UserChange::Stale,
        };
        if change != UserChange::Changed {
            return Ok(change);
        }
        let query = self
            .query(statements::UPDATE_USER)
            .bind(user.id)
            .bind(&user.email)
            .bind(&user.username)
            .bind(user.is_verified)
            .bind(user.is_admin)
            .bind(*is_active)
            .bind(now.timestamp_micros());
        execute(&mut *transaction, query).await?;
        execute(&mut *transaction, self.query(statements::END_FOREIGN_EMAIL_TOKENS).bind(user.id)).await?;
        if !is_active {
            self.end_sessions(&mut transaction, user.id, None).await?;
            self.revoke_grants(&mut transaction, user.id, None, now).await?;
        }
        self.record_with(&mut transaction, audit).await?;
        commit(transaction).await?;
        Ok(change)
    }

    async fn assign_password(
        &self,
        user: Uuid,
        password: &PasswordHash,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let query =
            self.query(statements::ASSIGN_PASSWORD).bind(user).bind(password.as_str()).bind(now.timestamp_micros());
        if execute(&mut *transaction, query).await? == 0 {
            return Ok(false);
        }
        self.end_sessions(&mut transaction, user, None).await?;
        self.revoke_grants(&mut transaction, user, None, now).await?;
        self.end_email_tokens(&mut transaction, user, None).await?;
        self.record_with(&mut transaction, audit).await?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn delete_user(&self, user: Uuid, audit: Option<&Record>) -> Result<UserChange, StoreError> {
        if self.change(self.query(statements::DELETE_USER).bind(user), audit).await? {
            return Ok(UserChange::Changed);
        }
        let account = optional(&self.readers, self.query(statements::CREDENTIALS).bind(user)).await?;
        Ok(if account.is_some() { UserChange::LastAdministrator } else { UserChange::Unknown })
    }

    async fn session_records(
        &self,
        filter: &SessionFilter,
        after: Option<Uuid>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let SessionFilter { id, user_id } = filter;
        let query = self
            .query(statements::SESSION_RECORDS)
            .bind(*user_id)
            .bind(after)
            .bind(limit)
            .bind(now.timestamp_micros())
            .bind(*id);
        self.documents(query).await
    }

    async fn end_any_session(&self, session: Uuid, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.change(self.query(statements::END_ANY_SESSION).bind(session), audit).await
    }

    async fn grant_records(
        &self,
        filter: &GrantFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let GrantFilter { id, user_id, client_id, is_revoked } = filter;
        let query = self
            .query(statements::GRANT_RECORDS)
            .bind(*user_id)
            .bind(client_id)
            .bind(*is_revoked)
            .bind(after)
            .bind(limit)
            .bind(*id);
        self.documents(query).await
    }

    async fn revoke_grant(&self, grant: Uuid, now: Timestamp, audit: Option<&Record>) -> Result<bool, StoreError> {
        let query = self.query(statements::REVOKE_GRANT).bind(grant).bind(now.timestamp_micros());
        self.change(query, audit).await
    }
}
