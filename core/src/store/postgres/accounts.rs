//! Accounts on Postgres.

use uuid::Uuid;

use super::{Executor, FromValue, PostgresStore, Row, Value, audit, statement, user};
use crate::{
    audit::Record,
    model::{ClientId, Digest, Origin, PasswordHash, Timestamp, User, UserCredentials},
    store::{
        Accounts, EmailPurpose, EmailTokenHolder, GrantView, NewMail, PasswordChange, PasswordReset, Registration,
        ResetRequest, SessionView, StoreError, Verification, VerificationRequest,
    },
};

fn origin(row: &mut Row) -> Result<Origin, StoreError> {
    Ok(Origin { address: row.take()?, device: row.take()? })
}

fn credentials(row: &mut Row) -> Result<UserCredentials, StoreError> {
    let (user, password_hash) = (user(row)?, PasswordHash::new(row.take()?));
    Ok(UserCredentials { user, password_hash, is_active: row.take()? })
}

fn take<T: FromValue>(mut row: Row) -> Result<T, StoreError> {
    row.take()
}

impl<E: Executor> Accounts for PostgresStore<E> {
    async fn register(&self, registration: &Registration) -> Result<bool, StoreError> {
        let Registration { user, password_hash, token, welcome, known, now } = registration;
        let parameters = values![
            user.id,
            user.email.as_str(),
            password_hash.as_str(),
            token.digest,
            token.expires_at,
            welcome.id,
            welcome.expires_at,
            welcome.subject.as_str(),
            welcome.sealed.as_slice(),
            known.subject.as_str(),
            known.sealed.as_slice(),
            *now,
        ];
        self.one(&statement::REGISTER, parameters).await.and_then(take)
    }

    async fn request_verification(&self, request: &VerificationRequest) -> Result<bool, StoreError> {
        let VerificationRequest { user, email, token, mail, taken, now } = request;
        let parameters = values![
            *user,
            email.as_str(),
            token.digest,
            token.expires_at,
            mail.id,
            mail.expires_at,
            mail.subject.as_str(),
            mail.sealed.as_slice(),
            taken.subject.as_str(),
            taken.sealed.as_slice(),
            *now,
        ];
        self.one(&statement::REQUEST_VERIFICATION, parameters).await.and_then(take)
    }

    async fn request_reset(&self, request: &ResetRequest) -> Result<Option<Uuid>, StoreError> {
        let ResetRequest { email, token, mail, now } = request;
        let parameters = values![
            email.as_str(),
            token.digest,
            token.expires_at,
            mail.id,
            mail.expires_at,
            mail.subject.as_str(),
            mail.sealed.as_slice(),
            *now,
        ];
        self.optional(&statement::REQUEST_RESET, parameters).await?.map(take).transpose()
    }

    async fn email_token(
        &self,
        token: &Digest,
        purpose: EmailPurpose,
        now: Timestamp,
    ) -> Result<Option<EmailTokenHolder>, StoreError> {
        let row = self.optional(&statement::EMAIL_TOKEN, values![*token, purpose.name(), now]).await?;
        let holder = |mut row: Row| Ok(EmailTokenHolder { credentials: credentials(&mut row)?, email: row.take()? });
        row.map(holder).transpose()
    }

    async fn verify_email(&self, token: &Digest, notice: &NewMail, now: Timestamp) -> Result<Verification, StoreError> {
        let parameters =
            values![*token, notice.id, notice.expires_at, notice.subject.as_str(), notice.sealed.as_slice(), now];
        let Some(mut row) = self.optional(&statement::VERIFY_EMAIL, parameters).await? else {
            return Ok(Verification::Unknown);
        };
        match row.take::<String>()?.as_str() {
            "changed" => Ok(Verification::Changed(user(&mut row)?)),
            "verified" => Ok(Verification::Verified(user(&mut row)?)),
            "taken" => Ok(Verification::Taken),
            _ => Err(row.unexpected("the outcome is unknown")),
        }
    }

    async fn reset_password(&self, reset: &PasswordReset) -> Result<Option<User>, StoreError> {
        let PasswordReset { token, new, notice, now } = reset;
        let parameters = values![
            *token,
            new.as_str(),
            notice.id,
            notice.expires_at,
            notice.subject.as_str(),
            notice.sealed.as_slice(),
            *now,
        ];
        let row = self.optional(&statement::RESET_PASSWORD, parameters).await?;
        row.map(|mut row| user(&mut row)).transpose()
    }

    async fn change_password(&self, change: &PasswordChange) -> Result<bool, StoreError> {
        let PasswordChange { user, old, new, keep, notice, now } = change;
        let parameters = values![
            *user,
            old.as_str(),
            new.as_str(),
            *keep,
            notice.id,
            notice.expires_at,
            notice.subject.as_str(),
            notice.sealed.as_slice(),
            *now,
        ];
        self.one(&statement::CHANGE_PASSWORD, parameters).await.and_then(take)
    }

    async fn credentials(&self, id: Uuid) -> Result<Option<UserCredentials>, StoreError> {
        let row = self.optional(&statement::CREDENTIALS, values![id]).await?;
        row.map(|mut row| credentials(&mut row)).transpose()
    }

    async fn sessions_of(&self, user: Uuid, now: Timestamp) -> Result<Vec<SessionView>, StoreError> {
        let rows = self.executor.query(&statement::SESSIONS_OF_USER, values![user, now]).await?;
        let session = |mut row: Row| {
            Ok(SessionView {
                id: row.take()?,
                authenticated_at: row.take()?,
                expires_at: row.take()?,
                origin: origin(&mut row)?,
            })
        };
        rows.into_iter().map(session).collect()
    }

    async fn grants_of(&self, user: Uuid, recent: Timestamp, now: Timestamp) -> Result<Vec<GrantView>, StoreError> {
        let rows = self.executor.query(&statement::GRANTS_OF_USER, values![user, recent, now]).await?;
        let grant = |mut row: Row| {
            let client = row.take()?;
            // A client whose name cannot be one any more has no access either.
            let Some(client_id) = ClientId::parse(&row.take::<String>()?) else {
                return Ok(None);
            };
            Ok(Some(GrantView {
                client,
                client_id,
                client_name: row.take()?,
                scopes: row.take()?,
                created_at: row.take()?,
                origin: origin(&mut row)?,
            }))
        };
        rows.into_iter().filter_map(|row| grant(row).transpose()).collect()
    }

    async fn end_own_session(&self, user: Uuid, session: Uuid) -> Result<bool, StoreError> {
        self.one(&statement::END_OWN_SESSION, values![user, session]).await.and_then(take)
    }

    async fn revoke_application(&self, user: Uuid, client: Uuid, now: Timestamp) -> Result<bool, StoreError> {
        self.one(&statement::REVOKE_APPLICATION, values![user, client, now]).await.and_then(take)
    }

    async fn end_access(&self, user: Uuid, now: Timestamp, audit: Option<&Record>) -> Result<(), StoreError> {
        self.execute(&statement::END_ACCESS, values![user, now, audit::document(audit)]).await
    }

    async fn sweep_email_tokens(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.one(&statement::SWEEP_EMAIL_TOKENS, values![now, limit]).await.and_then(take)
    }
}
