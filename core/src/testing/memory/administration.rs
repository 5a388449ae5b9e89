use std::collections::BTreeMap;

use uuid::Uuid;

use super::{MemoryStore, State};
use crate::{
    audit::Record,
    model::{
        Client, ClientId, ClientSecretHash, NewClient, PasswordHash, PreviousSecret, ScopeDescription, Timestamp,
        UserCredentials,
    },
    store::{
        Administration, ClientFilter, ClientRecord, GrantFilter, GrantRecord, ScopeFilter, ScopeRecord, SessionFilter,
        SessionRecord, StoreError, UserChange, UserFilter, UserRecord, UserUpdate,
    },
};

/// When rows were made and changed last, by their names.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<String, (Timestamp, Timestamp)>);

impl History {
    pub(super) fn created(&mut self, name: &impl ToString, now: Timestamp) {
        self.0.insert(name.to_string(), (now, now));
    }

    fn changed(&mut self, name: &impl ToString, now: Timestamp) {
        self.0.entry(name.to_string()).or_default().1 = now;
    }

    fn of(&self, name: &impl ToString) -> (Timestamp, Timestamp) {
        self.0.get(&name.to_string()).copied().unwrap_or_default()
    }
}

fn is<T: PartialEq>(wanted: &Option<T>, actual: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == actual)
}

fn contains(wanted: &Option<String>, texts: [&str; 2]) -> bool {
    wanted.as_ref().is_none_or(|wanted| texts.iter().any(|text| text.to_lowercase().contains(wanted)))
}

impl State {
    fn client_record(&self, client: &Client) -> ClientRecord {
        let (created_at, updated_at) = self.history.of(&client.client_id);
        ClientRecord {
            client_id: client.client_id.to_string(),
            client_name: client.name.clone(),
            client_type: client.client_type.name().to_owned(),
            redirect_uris: client.redirect_uris.clone(),
            client_uri: client.client_uri.clone(),
            logo_uri: self.logos.get(&client.client_id).cloned(),
            token_endpoint_auth_method: client.auth_method.name().to_owned(),
            grant_types: client.grant_types.iter().map(|grant_type| grant_type.name().to_owned()).collect(),
            scope: client.allowed_scopes().to_string(),
            resources: client.resources.clone(),
            introspect_all: client.introspect_all,
            require_pkce: client.require_pkce,
            active: client.is_active,
            previous_secret_expires_at: client.previous_secret.as_ref().map(|previous| previous.expires_at),
            created_at,
            updated_at,
        }
    }

    fn scope_record(&self, scope: &ScopeDescription) -> ScopeRecord {
        let (created_at, updated_at) = self.history.of(&format!("scope {}", scope.name));
        ScopeRecord {
            name: scope.name.clone(),
            description: scope.description.clone(),
            default: scope.is_default,
            active: scope.is_active,
            created_at,
            updated_at,
        }
    }

    fn user_record(&self, stored: &UserCredentials) -> UserRecord {
        let (created_at, updated_at) = self.history.of(&stored.user.id);
        UserRecord {
            id: stored.user.id,
            email: stored.user.email.clone(),
            username: stored.user.username.clone(),
            verified: stored.user.is_verified,
            admin: stored.user.is_admin,
            active: stored.is_active,
            created_at,
            updated_at,
        }
    }

    fn is_last_administrator(&self, user: Uuid) -> bool {
        let administrators = self.users.values().filter(|stored| stored.user.is_admin && stored.is_active);
        administrators.map(|stored| stored.user.id).eq([user])
    }

    fn username(&self, user: Uuid) -> String {
        self.users.get(&user).map(|stored| stored.user.username.clone()).unwrap_or_default()
    }

    /// Removes what refers to a grant that is gone.
    fn drop_orphans(&mut self) {
        let Self { grants, codes, refresh_tokens, .. } = self;
        codes.retain(|_, code| grants.contains_key(&code.grant.id));
        refresh_tokens.retain(|_, token| grants.contains_key(&token.grant.id));
    }
}

impl Administration for MemoryStore {
    async fn client_records(
        &self,
        filter: &ClientFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ClientRecord>, StoreError> {
        let state = self.state();
        let records = state.clients.values().filter(|client| {
            after.is_none_or(|after| client.client_id.as_str() > after)
                && is(&filter.client_id, &client.client_id.to_string())
                && contains(&filter.text, [client.client_id.as_str(), &client.name])
                && is(&filter.client_type, &client.client_type)
                && is(&filter.is_active, &client.is_active)
        });
        Ok(records.take(limit as usize).map(|client| state.client_record(client)).collect())
    }

    async fn update_client(
        &self,
        client: &NewClient,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let scopes = client.scopes.iter().filter_map(|name| state.scopes.get(name)).cloned().collect();
        if state.history.of(&client.client_id).1 != version {
            return Ok(false);
        }
        let Some(stored) = state.clients.get_mut(&client.client_id) else {
            return Ok(false);
        };
        *stored = Client {
            name: client.name.clone(),
            redirect_uris: client.redirect_uris.iter().map(ToString::to_string).collect(),
            client_uri: client.client_uri.clone(),
            auth_method: client.auth_method,
            require_pkce: client.require_pkce,
            grant_types: client.grant_types.clone(),
            scopes,
            resources: client.resources.clone(),
            introspect_all: client.introspect_all,
            is_active: client.is_active,
            ..stored.clone()
        };
        state.set_logo(&client.client_id, client.logo_uri.as_ref());
        state.history.changed(&client.client_id, now);
        state.record(audit.cloned());
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
        let mut state = self.state();
        let Some(stored) = state.clients.get_mut(client_id).filter(|client| client.is_confidential()) else {
            return Ok(false);
        };
        let previous = stored.secret_hash.replace(secret.clone());
        stored.previous_secret =
            previous.filter(|_| previous_until > now).map(|hash| PreviousSecret { hash, expires_at: previous_until });
        state.history.changed(client_id, now);
        state.record(audit.cloned());
        Ok(true)
    }

    async fn delete_client(&self, client_id: &str, audit: Option<&Record>) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(client) = ClientId::parse(client_id).and_then(|client_id| state.clients.remove(&client_id)) else {
            return Ok(false);
        };
        state.grants.retain(|_, row| row.client_id != client.id);
        state.consents.retain(|(_, owner), _| *owner != client.id);
        state.drop_orphans();
        state.record(audit.cloned());
        Ok(true)
    }

    async fn scope_records(
        &self,
        filter: &ScopeFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScopeRecord>, StoreError> {
        let state = self.state();
        let records = state.scopes.values().filter(|scope| {
            after.is_none_or(|after| scope.name.as_str() > after)
                && is(&filter.name, &scope.name)
                && contains(&filter.text, [&scope.name, &scope.description])
                && is(&filter.is_active, &scope.is_active)
        });
        Ok(records.take(limit as usize).map(|scope| state.scope_record(scope)).collect())
    }

    async fn update_scope(
        &self,
        scope: &ScopeDescription,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let name = format!("scope {}", scope.name);
        if !state.scopes.contains_key(&scope.name) || state.history.of(&name).1 != version {
            return Ok(false);
        }
        state.scopes.insert(scope.name.clone(), scope.clone());
        state.history.changed(&name, now);
        state.record(audit.cloned());
        Ok(true)
    }

    async fn delete_scope(&self, name: &str, audit: Option<&Record>) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.scopes.remove(name).is_none() {
            return Ok(false);
        }
        for client in state.clients.values_mut() {
            client.scopes.retain(|scope| scope.name != name);
        }
        state.record(audit.cloned());
        Ok(true)
    }

    async fn user_records(
        &self,
        filter: &UserFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, StoreError> {
        let state = self.state();
        let records = state.users.values().filter(|stored| {
            after.is_none_or(|after| stored.user.id > after)
                && is(&filter.id, &stored.user.id)
                && contains(&filter.text, [&stored.user.email, &stored.user.username])
                && is(&filter.is_verified, &stored.user.is_verified)
                && is(&filter.is_admin, &stored.user.is_admin)
                && is(&filter.is_active, &stored.is_active)
        });
        Ok(records.take(limit as usize).map(|stored| state.user_record(stored)).collect())
    }

    async fn update_user(
        &self,
        update: &UserUpdate,
        version: Timestamp,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<UserChange, StoreError> {
        let UserUpdate { user, is_active } = update;
        let mut state = self.state();
        if !state.users.contains_key(&user.id) || state.history.of(&user.id).1 != version {
            return Ok(UserChange::Stale);
        }
        if !(user.is_admin && *is_active) && state.is_last_administrator(user.id) {
            return Ok(UserChange::LastAdministrator);
        }
        let is_same = |other: &UserCredentials| {
            other.user.id != user.id
                && (other.user.email.to_lowercase() == user.email || other.user.username == user.username)
        };
        if state.users.values().any(is_same) {
            return Ok(UserChange::Taken);
        }
        if let Some(stored) = state.users.get_mut(&user.id) {
            let is_moved = stored.user.email.to_lowercase() != user.email;
            (stored.user, stored.is_active) = (user.clone(), *is_active);
            if is_moved {
                state.email_tokens.retain(|(owner, _), _| *owner != user.id);
            }
        }
        if !is_active {
            state.end_access(user.id, None, now);
        }
        state.history.changed(&user.id, now);
        state.record(audit.cloned());
        Ok(UserChange::Changed)
    }

    async fn assign_password(
        &self,
        user: Uuid,
        password: &PasswordHash,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(stored) = state.users.get_mut(&user) else {
            return Ok(false);
        };
        stored.password_hash = password.clone();
        state.end_access(user, None, now);
        state.email_tokens.retain(|(owner, _), _| *owner != user);
        state.history.changed(&user, now);
        state.record(audit.cloned());
        Ok(true)
    }

    async fn delete_user(&self, user: Uuid, audit: Option<&Record>) -> Result<UserChange, StoreError> {
        let mut state = self.state();
        if state.is_last_administrator(user) {
            return Ok(UserChange::LastAdministrator);
        }
        if state.users.remove(&user).is_none() {
            return Ok(UserChange::Unknown);
        }
        state.sessions.retain(|_, session| session.user_id != user);
        state.grants.retain(|_, row| row.grant.user_id != user);
        state.consents.retain(|(owner, _), _| *owner != user);
        state.email_tokens.retain(|(owner, _), _| *owner != user);
        state.known_origins.retain(|(owner, _), _| *owner != user);
        state.drop_orphans();
        state.record(audit.cloned());
        Ok(UserChange::Changed)
    }

    async fn session_records(
        &self,
        filter: &SessionFilter,
        after: Option<Uuid>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        let state = self.state();
        let mut sessions: Vec<_> = state
            .sessions
            .values()
            .filter(|session| {
                after.is_none_or(|after| session.id < after)
                    && is(&filter.id, &session.id)
                    && is(&filter.user_id, &session.user_id)
                    && session.expires_at > now
            })
            .collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.id));
        let record = |session: &crate::store::NewSession| SessionRecord {
            id: session.id,
            user_id: session.user_id,
            username: state.username(session.user_id),
            authenticated_at: session.authenticated_at,
            expires_at: session.expires_at,
            address: session.origin.address.clone(),
            device: session.origin.device.clone(),
        };
        Ok(sessions.into_iter().take(limit as usize).map(record).collect())
    }

    async fn end_any_session(&self, session: Uuid, audit: Option<&Record>) -> Result<bool, StoreError> {
        let mut state = self.state();
        let before = state.sessions.len();
        state.sessions.retain(|_, stored| stored.id != session);
        let is_ended = state.sessions.len() < before;
        state.record(audit.filter(|_| is_ended).cloned());
        Ok(is_ended)
    }

    async fn grant_records(
        &self,
        filter: &GrantFilter,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<GrantRecord>, StoreError> {
        let state = self.state();
        let records = state.grants.values().rev().filter_map(|row| {
            let client_id = state.client_by_key(row.client_id)?.client_id.to_string();
            let is_wanted = after.is_none_or(|after| row.grant.id < after)
                && is(&filter.id, &row.grant.id)
                && is(&filter.user_id, &row.grant.user_id)
                && is(&filter.client_id, &client_id)
                && is(&filter.is_revoked, &row.revoked_at.is_some());
            is_wanted.then(|| GrantRecord {
                id: row.grant.id,
                user_id: row.grant.user_id,
                username: state.username(row.grant.user_id),
                client_id,
                scope: row.grant.scopes.to_string(),
                resources: row.grant.resources.clone(),
                created_at: row.created_at,
                expires_at: row.grant.expires_at,
                revoked_at: row.revoked_at,
                address: row.origin.address.clone(),
                device: row.origin.device.clone(),
            })
        });
        Ok(records.take(limit as usize).collect())
    }

    async fn revoke_grant(&self, grant: Uuid, now: Timestamp, audit: Option<&Record>) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_revoked = state.revoke(grant, now);
        state.record(audit.filter(|_| is_revoked).cloned());
        Ok(is_revoked)
    }
}
