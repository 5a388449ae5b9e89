//! Accounts on SQLite.

use authly_core::{
    audit::Record,
    model::{Digest, Timestamp, User, UserCredentials},
    store::{
        Accounts, EmailPurpose, EmailTokenHolder, GrantView, NewEmailToken, NewMail, PasswordChange, PasswordReset,
        Registration, ResetRequest, SessionView, StoreError, Verification, VerificationRequest, sqlite as statements,
    },
};
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::{Row, SqliteStore, all, commit, execute, optional};

type Writing = Transaction<'static, Sqlite>;

impl SqliteStore {
    async fn put_email_token(
        &self,
        transaction: &mut Writing,
        user: Uuid,
        purpose: EmailPurpose,
        email: &str,
        token: &NewEmailToken,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = self
            .query(statements::PUT_EMAIL_TOKEN)
            .bind(user)
            .bind(purpose.name())
            .bind(token.digest.as_bytes().as_slice())
            .bind(email)
            .bind(now.timestamp_micros())
            .bind(token.expires_at.timestamp_micros());
        execute(&mut **transaction, query).await.map(drop)
    }

    async fn queue_mail(
        &self,
        transaction: &mut Writing,
        recipient: Option<&str>,
        mail: &NewMail,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = self
            .query(statements::QUEUE_MAIL)
            .bind(mail.id)
            .bind(recipient)
            .bind(&mail.subject)
            .bind(&mail.sealed)
            .bind(now.timestamp_micros())
            .bind(mail.expires_at.timestamp_micros());
        execute(&mut **transaction, query).await.map(drop)
    }

    /// Whose account an address is, and how it is written there.
    async fn address_owner(
        &self,
        transaction: &mut Writing,
        email: &str,
    ) -> Result<Option<(Uuid, String)>, StoreError> {
        let query = self.query(statements::ADDRESS_OWNER).bind(email.to_lowercase());
        let row = optional(&mut **transaction, query).await?;
        row.map(|row| Ok((row.get("user_id")?, row.get("email")?))).transpose()
    }

    async fn name_is_taken(&self, transaction: &mut Writing, name: &str) -> Result<bool, StoreError> {
        let query = self.query(statements::NAME_IS_TAKEN).bind(name);
        Ok(optional(&mut **transaction, query).await?.is_some())
    }

    async fn holder(
        &self,
        transaction: &mut Writing,
        token: &Digest,
        purpose: EmailPurpose,
        now: Timestamp,
    ) -> Result<Option<EmailTokenHolder>, StoreError> {
        let query = self
            .query(statements::EMAIL_TOKEN)
            .bind(token.as_bytes().as_slice())
            .bind(purpose.name())
            .bind(now.timestamp_micros());
        optional(&mut **transaction, query).await?.map(|row| holder(&row)).transpose()
    }

    pub(super) async fn end_sessions(
        &self,
        transaction: &mut Writing,
        user: Uuid,
        keep: Option<&Digest>,
    ) -> Result<(), StoreError> {
        let query = self.query(statements::END_SESSIONS).bind(user).bind(keep.map(|keep| keep.as_bytes().as_slice()));
        execute(&mut **transaction, query).await.map(drop)
    }

    pub(super) async fn revoke_grants(
        &self,
        transaction: &mut Writing,
        user: Uuid,
        client: Option<Uuid>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let query = self.query(statements::REVOKE_GRANTS).bind(user).bind(client).bind(now.timestamp_micros());
        execute(&mut **transaction, query).await
    }

    pub(super) async fn end_email_tokens(
        &self,
        transaction: &mut Writing,
        user: Uuid,
        purpose: Option<EmailPurpose>,
    ) -> Result<(), StoreError> {
        let query = self.query(statements::END_EMAIL_TOKENS).bind(user).bind(purpose.map(EmailPurpose::name));
        execute(&mut **transaction, query).await.map(drop)
    }
}

/// As named in `email_token.sql`.
fn holder(row: &Row) -> Result<EmailTokenHolder, StoreError> {
    Ok(EmailTokenHolder { credentials: row.credentials()?, email: row.get("token_email")? })
}

impl Accounts for SqliteStore {
    async fn register(&self, registration: &Registration) -> Result<bool, StoreError> {
        let Registration { user, password_hash, token, welcome, known, now } = registration;
        let mut transaction = self.begin().await?;
        let owner = self.address_owner(&mut transaction, &user.email).await?;
        if let Some((_, address)) = &owner {
            self.queue_mail(&mut transaction, Some(address), known, *now).await?;
        } else {
            let name_is_taken = self.name_is_taken(&mut transaction, &user.email).await?;
            let username = if name_is_taken { user.id.to_string() } else { user.email.clone() };
            let query = self
                .query(statements::CREATE_USER)
                .bind(user.id)
                .bind(&user.email)
                .bind(username)
                .bind(password_hash.as_str())
                .bind(false)
                .bind(false)
                .bind(now.timestamp_micros());
            execute(&mut *transaction, query).await?;
            self.put_email_token(&mut transaction, user.id, EmailPurpose::Verify, &user.email, token, *now).await?;
            self.queue_mail(&mut transaction, Some(&user.email), welcome, *now).await?;
        }
        commit(transaction).await?;
        Ok(owner.is_none())
    }

    async fn request_verification(&self, request: &VerificationRequest) -> Result<bool, StoreError> {
        let VerificationRequest { user, email, token, mail, taken, now } = request;
        let mut transaction = self.begin().await?;
        let owner = self.address_owner(&mut transaction, email).await?;
        let other = owner.filter(|(owner, _)| owner != user);
        match &other {
            Some((_, address)) => self.queue_mail(&mut transaction, Some(address), taken, *now).await?,
            None => {
                self.put_email_token(&mut transaction, *user, EmailPurpose::Verify, email, token, *now).await?;
                self.queue_mail(&mut transaction, Some(email), mail, *now).await?;
            }
        }
        commit(transaction).await?;
        Ok(other.is_none())
    }

    async fn request_reset(&self, request: &ResetRequest) -> Result<Option<Uuid>, StoreError> {
        let ResetRequest { email, token, mail, now } = request;
        let mut transaction = self.begin().await?;
        let mut found = None;
        if let Some((user, address)) = self.address_owner(&mut transaction, email).await? {
            let query = self.query(statements::CREDENTIALS).bind(user);
            let row = optional(&mut *transaction, query).await?;
            let credentials = row.map(|row| row.credentials()).transpose()?;
            found = credentials.filter(|credentials| credentials.is_active).map(|_| (user, address));
        }
        if let Some((user, address)) = &found {
            self.put_email_token(&mut transaction, *user, EmailPurpose::Reset, address, token, *now).await?;
        }
        let recipient = found.as_ref().map(|(_, address)| address.as_str());
        self.queue_mail(&mut transaction, recipient, mail, *now).await?;
        commit(transaction).await?;
        Ok(found.map(|(user, _)| user))
    }

    async fn email_token(
        &self,
        token: &Digest,
        purpose: EmailPurpose,
        now: Timestamp,
    ) -> Result<Option<EmailTokenHolder>, StoreError> {
        let query = self
            .query(statements::EMAIL_TOKEN)
            .bind(token.as_bytes().as_slice())
            .bind(purpose.name())
            .bind(now.timestamp_micros());
        optional(&self.readers, query).await?.map(|row| holder(&row)).transpose()
    }

    async fn verify_email(&self, token: &Digest, notice: &NewMail, now: Timestamp) -> Result<Verification, StoreError> {
        let mut transaction = self.begin().await?;
        let Some(holder) = self.holder(&mut transaction, token, EmailPurpose::Verify, now).await? else {
            return Ok(Verification::Unknown);
        };
        let (user, new) = (holder.credentials.user, holder.email);
        let query = self.query(statements::END_EMAIL_TOKEN).bind(token.as_bytes().as_slice());
        execute(&mut *transaction, query).await?;
        let owner = self.address_owner(&mut transaction, &new).await?;
        if owner.is_some_and(|(owner, _)| owner != user.id) {
            commit(transaction).await?;
            return Ok(Verification::Taken);
        }
        let is_changed = user.email != new;
        let renames = is_changed && user.username == user.email && !self.name_is_taken(&mut transaction, &new).await?;
        let username = if renames { new.clone() } else { user.username };
        let query =
            self.query(statements::VERIFY_EMAIL).bind(user.id).bind(&new).bind(&username).bind(now.timestamp_micros());
        execute(&mut *transaction, query).await?;
        if is_changed {
            self.end_email_tokens(&mut transaction, user.id, Some(EmailPurpose::Reset)).await?;
            self.queue_mail(&mut transaction, Some(&user.email), notice, now).await?;
        }
        commit(transaction).await?;
        let verified = User { email: new, username, is_verified: true, ..user };
        Ok(if is_changed { Verification::Changed(verified) } else { Verification::Verified(verified) })
    }

    async fn reset_password(&self, reset: &PasswordReset) -> Result<Option<User>, StoreError> {
        let PasswordReset { token, new, notice, now } = reset;
        let mut transaction = self.begin().await?;
        let Some(holder) = self.holder(&mut transaction, token, EmailPurpose::Reset, *now).await? else {
            return Ok(None);
        };
        let user = holder.credentials.user;
        let query = self
            .query(statements::SET_PASSWORD)
            .bind(user.id)
            .bind(None::<String>)
            .bind(new.as_str())
            .bind(&holder.email)
            .bind(now.timestamp_micros());
        execute(&mut *transaction, query).await?;
        self.end_sessions(&mut transaction, user.id, None).await?;
        self.revoke_grants(&mut transaction, user.id, None, *now).await?;
        self.end_email_tokens(&mut transaction, user.id, None).await?;
        self.queue_mail(&mut transaction, Some(&user.email), notice, *now).await?;
        commit(transaction).await?;
        let is_verified = user.is_verified || user.email == holder.email;
        Ok(Some(User { is_verified, ..user }))
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<bool, StoreError> {
        let PasswordChange { user, old, new, keep, notice, now } = change;
        let mut transaction = self.begin().await?;
        let query = self
            .query(statements::SET_PASSWORD)
            .bind(user)
            .bind(old.as_str())
            .bind(new.as_str())
            .bind(None::<String>)
            .bind(now.timestamp_micros());
        if execute(&mut *transaction, query).await? == 0 {
            return Ok(false);
        }
        self.end_sessions(&mut transaction, *user, Some(keep)).await?;
        self.revoke_grants(&mut transaction, *user, None, *now).await?;
        self.end_email_tokens(&mut transaction, *user, None).await?;
        let row = optional(&mut *transaction, self.query(statements::CREDENTIALS).bind(user)).await?;
        let address = row.map(|row| row.get::<String>("email")).transpose()?;
        self.queue_mail(&mut transaction, address.as_deref(), notice, *now).await?;
        commit(transaction).await?;
        Ok(true)
    }

    async fn credentials(&self, user: Uuid) -> Result<Option<UserCredentials>, StoreError> {
        let row = optional(&self.readers, self.query(statements::CREDENTIALS).bind(user)).await?;
        row.map(|row| row.credentials()).transpose()
    }

    async fn sessions_of(&self, user: Uuid, now: Timestamp) -> Result<Vec<SessionView>, StoreError> {
        let query = self.query(statements::SESSIONS_OF_USER).bind(user).bind(now.timestamp_micros());
        let session = |row: &Row| {
            Ok(SessionView {
                id: row.get("id")?,
                authenticated_at: row.time("authenticated_at")?,
                expires_at: row.time("expires_at")?,
                origin: row.origin()?,
            })
        };
        all(&self.readers, query).await?.iter().map(session).collect()
    }

    async fn grants_of(&self, user: Uuid, recent: Timestamp, now: Timestamp) -> Result<Vec<GrantView>, StoreError> {
        let query = self
            .query(statements::GRANTS_OF_USER)
            .bind(user)
            .bind(recent.timestamp_micros())
            .bind(now.timestamp_micros());
        let grant = |row: &Row| {
            Ok(GrantView {
                client: row.get("id")?,
                client_id: row.client_id("client_id")?,
                client_name: row.get("client_name")?,
                scopes: row.scopes("scopes")?,
                created_at: row.time("created_at")?,
                origin: row.origin()?,
            })
        };
        all(&self.readers, query).await?.iter().map(grant).collect()
    }

    async fn end_own_session(&self, user: Uuid, session: Uuid) -> Result<bool, StoreError> {
        let query = self.query(statements::END_OWN_SESSION).bind(user).bind(session);
        Ok(execute(&self.writer, query).await? > 0)
    }

    async fn revoke_application(&self, user: Uuid, client: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let revoked = self.revoke_grants(&mut transaction, user, Some(client), now).await?;
        let query = self.query(statements::FORGET_CONSENT).bind(user).bind(client);
        execute(&mut *transaction, query).await?;
        commit(transaction).await?;
        Ok(revoked > 0)
    }

    async fn end_access(&self, user: Uuid, now: Timestamp, audit: Option<&Record>) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        self.end_sessions(&mut transaction, user, None).await?;
        self.revoke_grants(&mut transaction, user, None, now).await?;
        self.record_with(&mut transaction, audit).await?;
        commit(transaction).await
    }

    async fn sweep_email_tokens(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = self.query(statements::SWEEP_EMAIL_TOKENS).bind(now.timestamp_micros()).bind(limit);
        execute(&self.writer, query).await
    }
}
