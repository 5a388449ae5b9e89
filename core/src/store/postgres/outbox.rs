//! Outgoing mail on Postgres.

use uuid::Uuid;

use super::{Executor, PostgresStore, Row, Value, statement};
use crate::{
    model::Timestamp,
    store::{Backlog, ClaimedMail, Outbox, StoreError},
};

impl<E: Executor> Outbox for PostgresStore<E> {
    async fn claim_mail(
        &self,
        now: Timestamp,
        leased_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedMail>, StoreError> {
        let rows = self.executor.query(&statement::CLAIM_MAIL, values![now, leased_until, limit]).await?;
        let mail = |mut row: Row| {
            Ok(ClaimedMail {
                id: row.take()?,
                recipient: row.take()?,
                subject: row.take()?,
                sealed: row.take()?,
                created_at: row.take()?,
                expires_at: row.take()?,
                attempts: row.take()?,
            })
        };
        rows.into_iter().map(mail).collect()
    }

    async fn remove_mail(&self, id: Uuid, attempts: u32) -> Result<(), StoreError> {
        self.execute(&statement::REMOVE_MAIL, values![id, attempts]).await
    }

    async fn defer_mail(
        &self,
        id: Uuid,
        attempts: u32,
        error: &str,
        due_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.execute(&statement::DEFER_MAIL, values![id, attempts, error, due_at]).await
    }

    async fn mail_backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        let mut row = self.one(&statement::MAIL_BACKLOG, values![now]).await?;
        Ok(Backlog { waiting: row.take()?, failed: row.take()? })
    }

    async fn sweep_mail(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.one(&statement::SWEEP_MAIL, values![before, limit]).await?.take()
    }
}
