//! Accounts in memory.

use uuid::Uuid;

use super::{MemoryStore, State, keep, outbox::MailRow};
use crate::{
    audit::Record,
    model::{Digest, Timestamp, User, UserCredentials},
    store::{
        Accounts, EmailPurpose, EmailTokenHolder, GrantView, NewEmailToken, NewMail, PasswordChange, PasswordReset,
        Registration, ResetRequest, SessionView, StoreError, Verification, VerificationRequest,
    },
};

#[derive(Debug)]
pub(super) struct EmailTokenRow {
    digest: Digest,
    email: String,
    expires_at: Timestamp,
}

impl State {
    fn by_email(&self, email: &str) -> Option<&UserCredentials> {
        let email = email.to_lowercase();
        self.users.values().find(|stored| stored.user.email.to_lowercase() == email)
    }

    fn name_is_taken(&self, name: &str) -> bool {
        self.users.values().any(|stored| stored.user.username == name)
    }

    fn queue(&mut self, recipient: Option<&str>, mail: &NewMail, now: Timestamp) {
        self.outbox.push(MailRow::new(recipient, mail, now));
    }

    fn put_email_token(&mut self, user: Uuid, purpose: EmailPurpose, email: &str, token: &NewEmailToken) {
        let row = EmailTokenRow { digest: token.digest, email: email.to_owned(), expires_at: token.expires_at };
        self.email_tokens.insert((user, purpose), row);
    }

    fn holder(&self, token: &Digest, purpose: EmailPurpose, now: Timestamp) -> Option<EmailTokenHolder> {
        let is_it = |((_, of), row): &(&(Uuid, EmailPurpose), &EmailTokenRow)| {
            *of == purpose && row.digest == *token && row.expires_at > now
        };
        let ((user, _), row) = self.email_tokens.iter().find(is_it)?;
        let credentials = self.users.get(user).filter(|credentials| credentials.is_active)?.clone();
        Some(EmailTokenHolder { credentials, email: row.email.clone() })
    }

    pub(super) fn end_access(&mut self, user: Uuid, but: Option<Digest>, now: Timestamp) {
        self.sessions.retain(|digest, session| session.user_id != user || Some(*digest) == but);
        for row in self.grants.values_mut().filter(|row| row.grant.user_id == user) {
            row.revoked_at.get_or_insert(now);
        }
    }

    /// Whether a grant has a refresh token that is good.
    fn has_refresh_token(&self, grant: Uuid, now: Timestamp) -> bool {
        self.refresh_tokens.values().any(|token| token.grant.id == grant && token.idle_expires_at > now)
    }
}

impl Accounts for MemoryStore {
    async fn register(&self, registration: &Registration) -> Result<bool, StoreError> {
        let Registration { user, password_hash, token, welcome, known, now } = registration;
        let mut state = self.state();
        if let Some(address) = state.by_email(&user.email).map(|known| known.user.email.clone()) {
            state.queue(Some(&address), known, *now);
            return Ok(false);
        }
        let username = if state.name_is_taken(&user.email) { user.id.to_string() } else { user.email.clone() };
        let user = User { username, is_verified: false, is_admin: false, ..user.clone() };
        state.put_email_token(user.id, EmailPurpose::Verify, &user.email, token);
        state.queue(Some(&user.email), welcome, *now);
        let id = user.id;
        state.users.insert(id, UserCredentials { user, password_hash: password_hash.clone(), is_active: true });
        Ok(true)
    }

    async fn request_verification(&self, request: &VerificationRequest) -> Result<bool, StoreError> {
        let VerificationRequest { user, email, token, mail, taken, now } = request;
        let mut state = self.state();
        let other = state.by_email(email).filter(|other| other.user.id != *user).map(|other| other.user.email.clone());
        if let Some(address) = other {
            state.queue(Some(&address), taken, *now);
            return Ok(false);
        }
        state.put_email_token(*user, EmailPurpose::Verify, email, token);
        state.queue(Some(email), mail, *now);
        Ok(true)
    }

    async fn request_reset(&self, request: &ResetRequest) -> Result<Option<Uuid>, StoreError> {
        let ResetRequest { email, token, mail, now } = request;
        let mut state = self.state();
        let found = state.by_email(email).filter(|found| found.is_active).map(|found| found.user.clone());
        if let Some(user) = &found {
            state.put_email_token(user.id, EmailPurpose::Reset, &user.email, token);
        }
        state.queue(found.as_ref().map(|user| user.email.as_str()), mail, *now);
        Ok(found.map(|user| user.id))
    }

    async fn email_token(
        &self,
        token: &Digest,
        purpose: EmailPurpose,
        now: Timestamp,
    ) -> Result<Option<EmailTokenHolder>, StoreError> {
        Ok(self.state().holder(token, purpose, now))
    }

    async fn verify_email(&self, token: &Digest, notice: &NewMail, now: Timestamp) -> Result<Verification, StoreError> {
        let mut state = self.state();
        let Some(EmailTokenHolder { credentials, email }) = state.holder(token, EmailPurpose::Verify, now) else {
            return Ok(Verification::Unknown);
        };
        let mut user = credentials.user;
        state.email_tokens.remove(&(user.id, EmailPurpose::Verify));
        if state.by_email(&email).is_some_and(|other| other.user.id != user.id) {
            return Ok(Verification::Taken);
        }
        let old = std::mem::replace(&mut user.email, email.clone());
        if user.username == old && !state.name_is_taken(&email) {
            user.username = email;
        }
        user.is_verified = true;
        if let Some(stored) = state.users.get_mut(&user.id) {
            stored.user = user.clone();
        }
        if old == user.email {
            return Ok(Verification::Verified(user));
        }
        state.email_tokens.remove(&(user.id, EmailPurpose::Reset));
        state.queue(Some(&old), notice, now);
        Ok(Verification::Changed(user))
    }

    async fn reset_password(&self, reset: &PasswordReset) -> Result<Option<User>, StoreError> {
        let PasswordReset { token, new, notice, now } = reset;
        let mut state = self.state();
        let Some(EmailTokenHolder { credentials, email }) = state.holder(token, EmailPurpose::Reset, *now) else {
            return Ok(None);
        };
        let mut user = credentials.user;
        user.is_verified |= user.email == email;
        let credentials = UserCredentials { user: user.clone(), password_hash: new.clone(), is_active: true };
        state.users.insert(user.id, credentials);
        state.end_access(user.id, None, *now);
        state.email_tokens.retain(|(owner, _), _| *owner != user.id);
        state.queue(Some(&user.email), notice, *now);
        Ok(Some(user))
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<bool, StoreError> {
        let PasswordChange { user, old, new, keep, notice, now } = change;
        let mut state = self.state();
        let stored = state.users.get_mut(user).filter(|stored| stored.password_hash == *old && stored.is_active);
        let Some(stored) = stored else {
            return Ok(false);
        };
        stored.password_hash = new.clone();
        let address = stored.user.email.clone();
        state.end_access(*user, Some(*keep), *now);
        state.email_tokens.retain(|(owner, _), _| owner != user);
        state.queue(Some(&address), notice, *now);
        Ok(true)
    }

    async fn credentials(&self, user: Uuid) -> Result<Option<UserCredentials>, StoreError> {
        Ok(self.state().users.get(&user).cloned())
    }

    async fn sessions_of(&self, user: Uuid, now: Timestamp) -> Result<Vec<SessionView>, StoreError> {
        let state = self.state();
        let own = state.sessions.values().filter(|session| session.user_id == user && session.expires_at > now);
        let mut sessions: Vec<_> = own
            .map(|session| SessionView {
                id: session.id,
                authenticated_at: session.authenticated_at,
                expires_at: session.expires_at,
                origin: session.origin.clone(),
            })
            .collect();
        sessions.sort_by_key(|session| std::cmp::Reverse((session.authenticated_at, session.id)));
        sessions.truncate(100);
        Ok(sessions)
    }

    async fn grants_of(&self, user: Uuid, recent: Timestamp, now: Timestamp) -> Result<Vec<GrantView>, StoreError> {
        let state = self.state();
        let own = state.grants.values().filter(|row| {
            row.grant.user_id == user
                && row.revoked_at.is_none()
                && row.grant.expires_at > now
                && (row.created_at > recent || state.has_refresh_token(row.grant.id, now))
        });
        let view = |row: &super::GrantRow| {
            let client = state.client_by_key(row.client_id)?;
            let view = GrantView {
                client: client.id,
                client_id: client.client_id.clone(),
                client_name: client.name.clone(),
                scopes: row.grant.scopes.clone(),
                created_at: row.created_at,
                origin: row.origin.clone(),
            };
            Some((std::cmp::Reverse((row.created_at, row.grant.id)), view))
        };
        let mut grants: Vec<_> = own.filter_map(view).collect();
        grants.sort_by_key(|(order, _)| *order);
        grants.truncate(500);
        Ok(grants.into_iter().map(|(_, view)| view).collect())
    }

    async fn end_own_session(&self, user: Uuid, session: Uuid) -> Result<bool, StoreError> {
        let mut state = self.state();
        let before = state.sessions.len();
        state.sessions.retain(|_, stored| stored.user_id != user || stored.id != session);
        Ok(state.sessions.len() < before)
    }

    async fn revoke_application(&self, user: Uuid, client: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.state();
        state.consents.remove(&(user, client));
        let mut any = false;
        let own = state.grants.values_mut().filter(|row| row.grant.user_id == user && row.client_id == client);
        for row in own {
            any |= row.revoked_at.is_none();
            row.revoked_at.get_or_insert(now);
        }
        Ok(any)
    }

    async fn end_access(&self, user: Uuid, now: Timestamp, audit: Option<&Record>) -> Result<(), StoreError> {
        let mut state = self.state();
        state.end_access(user, None, now);
        state.record(audit.cloned());
        Ok(())
    }

    async fn sweep_email_tokens(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut swept = 0;
        self.state().email_tokens.retain(|_, row| keep(row.expires_at <= now, limit, &mut swept));
        Ok(swept)
    }
}
