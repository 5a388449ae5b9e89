//! Outgoing mail on SQLite.

use authly_core::{
    model::Timestamp,
    store::{Backlog, ClaimedMail, Outbox, StoreError, sqlite as statements},
};
use uuid::Uuid;

use super::{Row, SqliteStore, all, commit, execute, one};

impl Outbox for SqliteStore {
    async fn claim_mail(
        &self,
        now: Timestamp,
        leased_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedMail>, StoreError> {
        let due = |row: &Row| {
            Ok(ClaimedMail {
                id: row.get("id")?,
                recipient: row.get("recipient")?,
                subject: row.get("subject")?,
                sealed: row.get("sealed")?,
                created_at: row.time("created_at")?,
                expires_at: row.time("expires_at")?,
                attempts: row.number("attempts")? + 1,
            })
        };
        let mut transaction = self.begin().await?;
        let query = self.query(statements::DUE_MAIL).bind(now.timestamp_micros()).bind(limit);
        let mails: Vec<_> = all(&mut *transaction, query).await?.iter().map(due).collect::<Result<_, StoreError>>()?;
        for mail in &mails {
            let query = self.query(statements::CLAIM_MAIL).bind(mail.id).bind(leased_until.timestamp_micros());
            execute(&mut *transaction, query).await?;
        }
        commit(transaction).await?;
        Ok(mails)
    }

    async fn remove_mail(&self, id: Uuid, attempts: u32) -> Result<(), StoreError> {
        let query = self.query(statements::REMOVE_MAIL).bind(id).bind(attempts);
        execute(&self.writer, query).await.map(drop)
    }

    async fn defer_mail(
        &self,
        id: Uuid,
        attempts: u32,
        error: &str,
        due_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let query = self
            .query(statements::DEFER_MAIL)
            .bind(id)
            .bind(attempts)
            .bind(error)
            .bind(due_at.map(|time| time.timestamp_micros()));
        execute(&self.writer, query).await.map(drop)
    }

    async fn mail_backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        let query = self.query(statements::MAIL_BACKLOG).bind(now.timestamp_micros());
        let row = one(&self.readers, query).await?;
        Ok(Backlog { waiting: row.count("waiting")?, failed: row.count("failed")? })
    }

    async fn sweep_mail(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = self.query(statements::SWEEP_MAIL).bind(before.timestamp_micros()).bind(limit);
        execute(&self.writer, query).await
    }
}
