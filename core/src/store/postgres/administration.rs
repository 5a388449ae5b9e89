//! What operators see and change. A record comes as one JSON document.

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Executor, Json, PostgresStore, Statement, StoreError, Value, audit::document, statement};
use crate::{
    audit::Record,
    model::{ClientId, ClientSecretHash, ClientType, NewClient, PasswordHash, ScopeDescription, Timestamp},
    store::{
        Administration, ClientFilter, ClientRecord, GrantFilter, GrantRecord, ScopeFilter, ScopeRecord, SessionFilter,
        SessionRecord, UserChange, UserFilter, UserRecord, UserUpdate,
    },
};

impl<E: Executor> PostgresStore<E> {
    async fn documents<T: DeserializeOwned>(
        &self,
        statement: &'static Statement,
        parameters: Vec<Value>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.executor.query(statement, parameters).await?;
        rows.into_iter().map(|mut row| row.take().map(|Json(document)| document)).collect()
    }

    async fn decide(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<bool, StoreError> {
        self.one(statement, parameters).await?.take()
    }

    async fn change_of_user(
        &self,
        statement: &'static Statement,
        parameters: Vec<Value>,
    ) -> Result<UserChange, StoreError> {
        let mut row = self.one(statement, parameters).await?;
        let outcome: String = row.take()?;
        UserChange::parse(&outcome).ok_or_else(|| row.unexpected("the outcome is unknown"))
    }
}

impl<E: Executor> Administration for PostgresStore<E> {
    async fn client_records(
        &self,
        filter: &ClientFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ClientRecord>, StoreError> {
        let ClientFilter { client_id, text, client_type, is_active } = filter;
        let client_type = client_type.map(ClientType::name);
        let parameters = values![client_id.clone(), text.clone(), client_type, *is_active, after, limit];
        self.documents(&statement::CLIENT_RECORDS, parameters).await
    }

    async fn update_client(
        &self,
        client: &NewClient,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let parameters = values![
            client.client_id.as_str(),
            client.name.as_str(),
            client.redirect_uris.iter().map(ToString::to_string).collect::<Vec<_>>(),
            client.client_uri.clone(),
            client.logo_uri.clone(),
            client.auth_method.name(),
            client.require_pkce,
            client.grant_types.iter().map(|grant_type| grant_type.name().to_owned()).collect::<Vec<_>>(),
            client.scopes.to_vec(),
            client.resources.clone(),
            client.introspect_all,
            client.is_active,
            version,
            now,
            document(audit),
        ];
        self.decide(&statement::UPDATE_CLIENT, parameters).await
    }

    async fn rotate_client_secret(
        &self,
        client_id: &ClientId,
        secret: &ClientSecretHash,
        previous_until: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let parameters = values![client_id.as_str(), secret.to_string(), previous_until, now, document(audit)];
        self.decide(&statement::ROTATE_CLIENT_SECRET, parameters).await
    }

    async fn delete_client(&self, client_id: &str, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.decide(&statement::DELETE_CLIENT, values![client_id, document(audit)]).await
    }

    async fn scope_records(
        &self,
        filter: &ScopeFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScopeRecord>, StoreError> {
        let ScopeFilter { name, text, is_active } = filter;
        let parameters = values![name.clone(), text.clone(), *is_active, after, limit];
        self.documents(&statement::SCOPE_RECORDS, parameters).await
    }

    async fn update_scope(
        &self,
        scope: &ScopeDescription,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let ScopeDescription { name, description, is_default, is_active } = scope;
        let parameters =
            values![name.as_str(), description.as_str(), *is_default, *is_active, version, now, document(audit)];
        self.decide(&statement::UPDATE_SCOPE, parameters).await
    }

    async fn delete_scope(&self, name: &str, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.decide(&statement::DELETE_SCOPE, values![name, document(audit)]).await
    }

    async fn user_records(
        &self,
        filter: &UserFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, StoreError> {
        let UserFilter { id, text, is_verified, is_admin, is_active } = filter;
        let parameters = values![*id, text.clone(), *is_verified, *is_admin, *is_active, after, limit];
        self.documents(&statement::USER_RECORDS, parameters).await
    }

    async fn update_user(
        &self,
        update: &UserUpdate,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<UserChange, StoreError> {
        let UserUpdate { user, is_active } = update;
        let parameters = values![
            user.id,
            user.email.as_str(),
            user.username.as_str(),
            user.is_verified,
            user.is_admin,
            *is_active,
            version,
            now,
            document(audit),
        ];
        self.change_of_user(&statement::UPDATE_USER, parameters).await
    }

    async fn assign_password(
        &self,
        user: Uuid,
        password: &PasswordHash,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let parameters = values![user, password.as_str(), now, document(audit)];
        self.decide(&statement::ASSIGN_PASSWORD, parameters).await
    }

    async fn delete_user(&self, user: Uuid, audit: Option<&Record>) -> Result<UserChange, StoreError> {
        self.change_of_user(&statement::DELETE_USER, values![user, document(audit)]).await
    }

    async fn session_records(
        &self,
        filter: &SessionFilter,
        after: Option<Uuid>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let SessionFilter { id, user_id } = filter;
        self.documents(&statement::SESSION_RECORDS, values![*user_id, after, limit, now, *id]).await
    }

    async fn end_any_session(&self, session: Uuid, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.decide(&statement::END_ANY_SESSION, values![session, document(audit)]).await
    }

    async fn grant_records(
        &self,
        filter: &GrantFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let GrantFilter { id, user_id, client_id, is_revoked } = filter;
        let parameters = values![*user_id, client_id.clone(), *is_revoked, after, limit, *id];
        self.documents(&statement::GRANT_RECORDS, parameters).await
    }

    async fn revoke_grant(&self, grant: Uuid, now: Timestamp, audit: Option<&Record>) -> Result<bool, StoreError> {
        self.decide(&statement::REVOKE_GRANT, values![grant, now, document(audit)]).await
    }
}
