mod accounts;
mod administration;
mod audit;
mod jobs;
mod limits;
mod outbox;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use self::{accounts::EmailTokenRow, administration::History, jobs::JobRow, outbox::MailRow};
use crate::{
    audit::Record,
    crypto::SealedKey,
    grant::{
        code::{self, StoredCode},
        refresh::{self, StoredRefreshToken},
    },
    limit::LocalCounters,
    model::{
        AuthMethod, Client, ClientId, ClientType, Digest, GrantType, NewClient, NewUser, Origin, PasswordHash,
        ScopeDescription, Scopes, Timestamp, User, UserCredentials,
    },
    store::{
        CodeOutcome, CodeRedemption, Counts, Created, EmailPurpose, Found, Grant, Lookup, NewGrant, NewSession,
        RefreshOutcome, RefreshRotation, Revoked, Session, SessionAndConsent, Store, StoreError, Swept, TokenReference,
        TokenState,
    },
};

/// The contract in its plainest form: one lock around plain maps, gone with the process.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    counters: LocalCounters,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<Uuid, UserCredentials>,
    clients: BTreeMap<ClientId, Client>,
    scopes: BTreeMap<String, ScopeDescription>,
    logos: BTreeMap<ClientId, String>,
    history: History,
    sessions: HashMap<Digest, NewSession>,
    /// By user and client.
    consents: BTreeMap<(Uuid, Uuid), Scopes>,
    grants: BTreeMap<Uuid, GrantRow>,
    codes: HashMap<Digest, StoredCode>,
    refresh_tokens: BTreeMap<Uuid, StoredRefreshToken>,
    /// Revoked access tokens by `jti`, and when each ends.
    revocations: BTreeMap<String, Timestamp>,
    signing_keys: Vec<SealedKey>,
    /// Where an account was logged in to before, and until when it is known.
    known_origins: HashMap<(Uuid, Digest), Timestamp>,
    audit_log: BTreeMap<Uuid, Record>,
    /// By user and purpose.
    email_tokens: BTreeMap<(Uuid, EmailPurpose), EmailTokenRow>,
    outbox: Vec<MailRow>,
    /// By name.
    jobs: BTreeMap<&'static str, JobRow>,
}

#[derive(Debug)]
struct GrantRow {
    grant: Grant,
    client_id: Uuid,
    created_at: Timestamp,
    origin: Origin,
    revoked_at: Option<Timestamp>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// What a migrated database holds: the first scopes and the command line's client, and nothing else.
    pub fn new() -> Self {
        let scopes = [
            ("read", "Read access to user data", true),
            ("write", "Write access to user data", false),
            ("profile", "Access to user profile information", true),
            ("admin", "Administrative access", false),
            ("admin:clients:read", "See applications that are registered here", false),
            ("admin:clients:write", "Register, change and remove applications", false),
            ("admin:scopes:read", "See scopes", false),
            ("admin:scopes:write", "Create, change and remove scopes", false),
            ("admin:users:read", "See accounts of people, where they are logged in and what they allowed", false),
            ("admin:users:write", "Create, change, lock and remove accounts of people, and log them out", false),
            ("admin:system:read", "See signing keys, the audit log and the state of this server", false),
            ("admin:system:write", "Rotate signing keys and run the maintenance", false),
        ];
        let scopes = scopes.map(|(name, description, is_default)| {
            let scope = ScopeDescription {
                name: name.to_owned(),
                description: description.to_owned(),
                is_default,
                is_active: true,
            };
            (name.to_owned(), scope)
        });
        let mut state = State { scopes: scopes.into(), ..State::default() };
        let client = command_line(state.scopes.values().filter(|scope| scope.name.contains(':')).cloned().collect());
        state.clients.insert(client.client_id.clone(), client);
        Self { state: Mutex::new(state), counters: LocalCounters::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A case that panicked has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `authly-admin`, as the migrations make it.
fn command_line(scopes: Vec<ScopeDescription>) -> Client {
    Client {
        id: Uuid::from_u128(1),
        client_id: ClientId::parse("authly-admin").expect("a client_id"),
        name: "Authly command line".to_owned(),
        client_type: ClientType::Public,
        secret_hash: None,
        previous_secret: None,
        redirect_uris: vec!["http://127.0.0.1/callback".to_owned()],
        client_uri: None,
        auth_method: AuthMethod::None,
        require_pkce: true,
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        scopes,
        resources: Vec::new(),
        introspect_all: false,
        is_active: true,
    }
}

impl State {
    /// A stored client keeps every scope that it was registered with: some of them are not active at times.
    fn client(&self, stored: &Client) -> Client {
        let scopes = stored.scopes.iter().filter_map(|scope| self.scopes.get(&scope.name));
        Client { scopes: scopes.filter(|scope| scope.is_active).cloned().collect(), ..stored.clone() }
    }

    fn client_by_key(&self, id: Uuid) -> Option<&Client> {
        self.clients.values().find(|client| client.id == id)
    }

    fn active_user(&self, id: Uuid) -> Option<&User> {
        self.users.get(&id).filter(|credentials| credentials.is_active).map(|credentials| &credentials.user)
    }

    fn session(&self, digest: &Digest, now: Timestamp) -> Option<Session> {
        let session = self.sessions.get(digest).filter(|session| session.expires_at > now)?;
        let user = self.active_user(session.user_id)?.clone();
        Some(Session { id: session.id, user, authenticated_at: session.authenticated_at })
    }

    /// Whether there was anything to revoke.
    fn revoke(&mut self, grant: Uuid, now: Timestamp) -> bool {
        let row = self.grants.get_mut(&grant).filter(|row| row.revoked_at.is_none());
        row.map(|row| row.revoked_at = Some(now)).is_some()
    }

    fn set_logo(&mut self, client_id: &ClientId, logo_uri: Option<&String>) {
        match logo_uri {
            Some(logo_uri) => self.logos.insert(client_id.clone(), logo_uri.clone()),
            None => self.logos.remove(client_id),
        };
    }

    /// The grant, unless it was revoked or its user cannot log in any more.
    fn live_grant(&self, id: Uuid) -> Option<&Grant> {
        let row = self.grants.get(&id).filter(|row| row.revoked_at.is_none())?;
        self.active_user(row.grant.user_id).map(|_| &row.grant)
    }

    fn refresh_token_state(&self, id: Uuid, generation: u32, digest: &Digest, now: Timestamp) -> Option<TokenState> {
        let token = self.refresh_tokens.get(&id)?;
        let grant = self.live_grant(token.grant.id)?;
        let client = self.client_by_key(token.client_id).filter(|client| client.is_active)?;
        let expires_at = token.idle_expires_at.min(grant.expires_at);
        (token.generation == generation && token.digest == *digest && expires_at > now).then_some(())?;
        Some(TokenState::ActiveRefresh {
            client_id: client.client_id.clone(),
            user: self.active_user(grant.user_id)?.clone(),
            scopes: grant.scopes.clone(),
            resources: grant.resources.clone(),
            issued_at: token.rotated_at,
            expires_at,
        })
    }

    fn access_token_state(
        &self,
        jti: &str,
        client_id: &ClientId,
        grant_id: Option<Uuid>,
        now: Timestamp,
    ) -> Option<TokenState> {
        self.clients.get(client_id).filter(|client| client.is_active)?;
        if self.revocations.contains_key(jti) {
            return None;
        }
        let user = match grant_id {
            None => None,
            Some(id) => {
                let grant = self.live_grant(id).filter(|grant| grant.expires_at > now)?;
                Some(self.active_user(grant.user_id)?.clone())
            }
        };
        Some(TokenState::ActiveAccess { user })
    }

    fn token_state(&self, token: &TokenReference, now: Timestamp) -> Option<TokenState> {
        match token {
            TokenReference::Refresh { id, generation, digest } => {
                self.refresh_token_state(*id, *generation, digest, now)
            }
            // Its revocation may have been swept.
            TokenReference::Access { expires_at, .. } if *expires_at <= now => None,
            TokenReference::Access { jti, client_id, grant_id, .. } => {
                self.access_token_state(jti, client_id, *grant_id, now)
            }
        }
    }
}

/// Says whether to keep a row: no more than `limit` of those that ended are let go, and counted in `removed`.
fn keep(has_ended: bool, limit: u32, removed: &mut u64) -> bool {
    let remove = has_ended && *removed < u64::from(limit);
    *removed += u64::from(remove);
    !remove
}

impl Store for MemoryStore {
    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn look_up(&self, lookup: Lookup<'_>, now: Timestamp) -> Result<Found, StoreError> {
        let signing_keys = if lookup.signing_keys { Some(self.signing_keys(now).await?) } else { None };
        let state = self.state();
        Ok(Found {
            client: lookup.client.and_then(|client_id| state.clients.get(client_id)).map(|client| state.client(client)),
            token: lookup.token.and_then(|token| state.token_state(token, now)).unwrap_or(TokenState::Inactive),
            signing_keys,
        })
    }

    async fn create_client(
        &self,
        client: &NewClient,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Created, StoreError> {
        let mut state = self.state();
        if state.clients.contains_key(&client.client_id) {
            return Ok(Created::Conflict);
        }
        let scopes = client.scopes.iter().filter_map(|name| state.scopes.get(name)).cloned().collect();
        let stored = Client {
            id: client.id,
            client_id: client.client_id.clone(),
            name: client.name.clone(),
            client_type: client.client_type(),
            secret_hash: client.secret_hash.clone(),
            previous_secret: None,
            redirect_uris: client.redirect_uris.iter().map(ToString::to_string).collect(),
            client_uri: client.client_uri.clone(),
            auth_method: client.auth_method,
            require_pkce: client.require_pkce,
            grant_types: client.grant_types.clone(),
            scopes,
            resources: client.resources.clone(),
            introspect_all: client.introspect_all,
            is_active: client.is_active,
        };
        state.clients.insert(client.client_id.clone(), stored);
        state.set_logo(&client.client_id, client.logo_uri.as_ref());
        state.history.created(&client.client_id, now);
        state.record(audit.cloned());
        Ok(Created::Created)
    }

    async fn scopes(&self) -> Result<Vec<ScopeDescription>, StoreError> {
        Ok(self.state().scopes.values().cloned().collect())
    }

    async fn create_scope(
        &self,
        _id: Uuid,
        scope: &ScopeDescription,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Created, StoreError> {
        let mut state = self.state();
        if state.scopes.contains_key(&scope.name) {
            return Ok(Created::Conflict);
        }
        state.scopes.insert(scope.name.clone(), scope.clone());
        state.history.created(&format!("scope {}", scope.name), now);
        state.record(audit.cloned());
        Ok(Created::Created)
    }

    async fn user_by_login(&self, login: &str) -> Result<Option<UserCredentials>, StoreError> {
        let state = self.state();
        let by = |matches: &dyn Fn(&User) -> bool| state.users.values().find(|stored| matches(&stored.user)).cloned();
        let email = login.to_lowercase();
        Ok(by(&|user| user.email == login)
            .or_else(|| by(&|user| user.username == login))
            .or_else(|| by(&|user| user.email.to_lowercase() == email)))
    }

    async fn create_user(&self, new: &NewUser, now: Timestamp, audit: Option<&Record>) -> Result<Created, StoreError> {
        let mut state = self.state();
        let email = new.user.email.to_lowercase();
        let is_same = |user: &User| user.email.to_lowercase() == email || user.username == new.user.username;
        if state.users.values().any(|stored| is_same(&stored.user)) {
            return Ok(Created::Conflict);
        }
        let credentials =
            UserCredentials { user: new.user.clone(), password_hash: new.password_hash.clone(), is_active: true };
        state.users.insert(new.user.id, credentials);
        state.history.created(&new.user.id, now);
        state.record(audit.cloned());
        Ok(Created::Created)
    }

    async fn replace_password_hash(
        &self,
        user: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(stored) = state.users.get_mut(&user).filter(|stored| stored.password_hash == *old) {
            stored.password_hash = new.clone();
        }
        Ok(())
    }

    async fn create_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(replaced) = &session.replaces {
            state.sessions.remove(replaced);
        }
        state.sessions.insert(session.digest, session.clone());
        state.record(session.audit.clone());
        if let Some(effects) = &session.effects {
            for origin in [effects.address, effects.device].into_iter().flatten() {
                state.known_origins.insert((session.user_id, origin), effects.known_until);
            }
            effects.forget.iter().flatten().for_each(|key| self.counters.forget(key));
        }
        Ok(())
    }

    async fn session(&self, digest: &Digest, now: Timestamp) -> Result<Option<Session>, StoreError> {
        Ok(self.state().session(digest, now))
    }

    async fn end_session(&self, digest: &Digest, audit: Option<&Record>) -> Result<Option<Uuid>, StoreError> {
        let mut state = self.state();
        let user_id = state.sessions.remove(digest).map(|session| session.user_id);
        if user_id.is_some() {
            state.record(audit.map(|record| Record { user_id, ..record.clone() }));
        }
        Ok(user_id)
    }

    async fn session_and_consent(
        &self,
        digest: &Digest,
        client: Uuid,
        now: Timestamp,
    ) -> Result<Option<SessionAndConsent>, StoreError> {
        let state = self.state();
        Ok(state.session(digest, now).map(|session| {
            let consented = state.consents.get(&(session.user.id, client)).cloned();
            SessionAndConsent { session, consented }
        }))
    }

    async fn create_grant(&self, new: &NewGrant) -> Result<(), StoreError> {
        let mut state = self.state();
        let grant = Grant {
            id: new.id,
            user_id: new.user_id,
            scopes: new.scopes.clone(),
            resources: new.resources.clone(),
            authenticated_at: new.authenticated_at,
            expires_at: new.expires_at,
        };
        let code = StoredCode {
            client_id: new.client_id,
            redirect_uri: new.redirect_uri.to_string(),
            code_challenge: new.code_challenge.as_ref().map(ToString::to_string),
            expires_at: new.code_expires_at,
            is_redeemed: false,
            grant: grant.clone(),
            is_revoked: false,
        };
        state.codes.insert(new.code, code);
        let row = GrantRow {
            grant,
            client_id: new.client_id,
            created_at: new.created_at,
            origin: new.origin.clone(),
            revoked_at: None,
        };
        state.grants.insert(new.id, row);
        if new.remember_consent {
            let consented = state.consents.entry((new.user_id, new.client_id)).or_default();
            *consented = consented.iter().chain(new.scopes.iter()).map(str::to_owned).collect();
        }
        state.record(new.audit.clone());
        Ok(())
    }

    async fn redeem_code(&self, redemption: &CodeRedemption) -> Result<CodeOutcome, StoreError> {
        let mut state = self.state();
        let Some(mut stored) = state.codes.get(&redemption.code).cloned() else {
            return Ok(CodeOutcome::Unknown);
        };
        stored.is_revoked = state.live_grant(stored.grant.id).is_none();
        Ok(match code::decide(&stored, redemption) {
            code::Decision::Issue => {
                let grant = stored.grant.clone();
                if let Some(new) = &redemption.refresh_token {
                    let token = StoredRefreshToken {
                        client_id: stored.client_id,
                        generation: 0,
                        digest: new.digest,
                        previous_digest: None,
                        rotated_at: redemption.now,
                        idle_expires_at: new.idle_expires_at,
                        grant: grant.clone(),
                        is_revoked: false,
                    };
                    state.refresh_tokens.insert(new.id, token);
                }
                state.codes.insert(redemption.code, StoredCode { is_redeemed: true, ..stored });
                CodeOutcome::Issued(grant)
            }
            code::Decision::RevokeGrant => {
                state.revoke(stored.grant.id, redemption.now);
                CodeOutcome::Replayed(stored.grant.id)
            }
            code::Decision::Expired => CodeOutcome::Expired,
            code::Decision::Mismatched => CodeOutcome::Mismatched,
            code::Decision::Revoked => CodeOutcome::Revoked,
            code::Decision::TargetExceeded => CodeOutcome::TargetExceeded,
        })
    }

    async fn rotate_refresh_token(&self, rotation: &RefreshRotation) -> Result<RefreshOutcome, StoreError> {
        let mut state = self.state();
        let Some(mut stored) = state.refresh_tokens.get(&rotation.id).cloned() else {
            return Ok(RefreshOutcome::Unknown);
        };
        stored.is_revoked = state.live_grant(stored.grant.id).is_none();
        Ok(match refresh::decide(&stored, rotation) {
            refresh::Decision::Rotate => {
                let grant = stored.grant.clone();
                let successor = StoredRefreshToken {
                    generation: stored.generation + 1,
                    digest: rotation.successor,
                    previous_digest: Some(stored.digest),
                    rotated_at: rotation.now,
                    idle_expires_at: rotation.idle_expires_at,
                    ..stored
                };
                state.refresh_tokens.insert(rotation.id, successor);
                RefreshOutcome::Rotated(grant)
            }
            refresh::Decision::Repeat => RefreshOutcome::Repeated(stored.grant),
            refresh::Decision::RevokeGrant => {
                state.revoke(stored.grant.id, rotation.now);
                RefreshOutcome::Replayed(stored.grant.id)
            }
            refresh::Decision::ScopeExceeded => RefreshOutcome::ScopeExceeded,
            refresh::Decision::TargetExceeded => RefreshOutcome::TargetExceeded,
            refresh::Decision::Expired => RefreshOutcome::Expired,
            refresh::Decision::Mismatched => RefreshOutcome::Mismatched,
            refresh::Decision::Revoked => RefreshOutcome::Revoked,
            refresh::Decision::Unknown => RefreshOutcome::Unknown,
        })
    }

    async fn revoke_token(
        &self,
        token: &TokenReference,
        client: Uuid,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Revoked, StoreError> {
        let mut state = self.state();
        match token {
            TokenReference::Refresh { id, .. } => {
                let own = state.refresh_tokens.get(id).filter(|token| token.client_id == client);
                let grant =
                    own.and_then(|token| state.grants.get(&token.grant.id)).filter(|row| row.revoked_at.is_none());
                let Some((id, user_id)) = grant.map(|row| (row.grant.id, row.grant.user_id)) else {
                    return Ok(Revoked::Nothing);
                };
                state.revoke(id, now);
                let about = |record: &Record| Record { grant_id: Some(id), user_id: Some(user_id), ..record.clone() };
                state.record(audit.map(about));
                Ok(Revoked::Grant { id, user_id })
            }
            TokenReference::Access { jti, client_id, expires_at, .. } => {
                let is_own = state.clients.get(client_id).is_some_and(|owner| owner.id == client);
                if !is_own || *expires_at <= now || state.revocations.contains_key(jti) {
                    return Ok(Revoked::Nothing);
                }
                state.revocations.insert(jti.clone(), *expires_at);
                state.record(audit.cloned());
                Ok(Revoked::Token)
            }
        }
    }

    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedKey>, StoreError> {
        let is_published = |key: &&SealedKey| key.retires_at.is_none_or(|retires_at| retires_at > now);
        let mut keys: Vec<_> = self.state().signing_keys.iter().filter(is_published).cloned().collect();
        keys.sort_by_key(|key| (key.activates_at, key.sequence));
        Ok(keys)
    }

    async fn create_signing_key(
        &self,
        key: &SealedKey,
        predecessors_retire_at: Timestamp,
    ) -> Result<Created, StoreError> {
        let mut state = self.state();
        if state.signing_keys.iter().any(|other| other.sequence == key.sequence) {
            return Ok(Created::Conflict);
        }
        let earlier = state.signing_keys.iter_mut().filter(|other| other.sequence < key.sequence);
        for key in earlier.filter(|other| other.retires_at.is_none_or(|at| at > predecessors_retire_at)) {
            key.retires_at = Some(predecessors_retire_at);
        }
        state.signing_keys.push(key.clone());
        Ok(Created::Created)
    }

    async fn reseal_signing_key(&self, kid: &str, old: &[u8], new: &[u8]) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(key) = state.signing_keys.iter_mut().find(|key| key.kid == kid && key.sealed == old) {
            key.sealed = new.to_vec();
        }
        Ok(())
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<Swept, StoreError> {
        let mut state = self.state();
        let state = &mut *state;
        let mut swept = Swept::default();
        state.codes.retain(|_, code| keep(code.expires_at <= now, limit, &mut swept.authorization_codes));
        state.refresh_tokens.retain(|_, token| {
            keep(token.idle_expires_at.min(token.grant.expires_at) <= now, limit, &mut swept.tokens)
        });
        state.revocations.retain(|_, expires_at| keep(*expires_at <= now, limit, &mut swept.tokens));
        state.sessions.retain(|_, session| keep(session.expires_at <= now, limit, &mut swept.sessions));
        let State { grants, codes, refresh_tokens, .. } = state;
        grants.retain(|id, row| {
            let is_needed = codes.values().any(|code| code.grant.id == *id)
                || refresh_tokens.values().any(|token| token.grant.id == *id);
            keep(row.grant.expires_at <= now && !is_needed, limit, &mut swept.grants)
        });
        Ok(swept)
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        let state = self.state();
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Ok(Counts {
            users: count(state.users.len()),
            clients: count(state.clients.len()),
            scopes: count(state.scopes.len()),
            sessions: count(state.sessions.values().filter(|session| session.expires_at > now).count()),
            grants: count(
                state.grants.values().filter(|row| row.revoked_at.is_none() && row.grant.expires_at > now).count(),
            ),
        })
    }
}
