//! The audit log in the file.

use authly_core::{
    audit::{Outcome, Record},
    model::Timestamp,
    store::{AuditFilter, AuditLog, StoreError, sqlite as statements},
};
use sqlx::{Sqlite, Transaction, query::Query, sqlite::SqliteArguments};
use uuid::Uuid;

use super::{Row, SqliteStore, all, execute};

fn record(row: &Row) -> Result<Record, StoreError> {
    Ok(Record {
        id: row.get("id")?,
        occurred_at: row.time("occurred_at")?,
        event: row.get::<String>("event")?.into(),
        outcome: row.get::<String>("outcome")?.into(),
        actor: row.get("actor")?,
        user_id: row.get("user_id")?,
        client_id: row.get("client_id")?,
        grant_id: row.get("grant_id")?,
        client_address: row.get("client_address")?,
        user_agent: row.get("user_agent")?,
        request_id: row.get("request_id")?,
        detail: row.get("detail")?,
    })
}

impl SqliteStore {
    fn record_event<'q>(&self, record: &'q Record) -> Query<'q, Sqlite, SqliteArguments> {
        self.query(statements::RECORD_EVENT)
            .bind(record.id)
            .bind(record.occurred_at.timestamp_micros())
            .bind(&*record.event)
            .bind(&*record.outcome)
            .bind(record.user_id)
            .bind(record.client_id.as_deref())
            .bind(record.grant_id)
            .bind(record.client_address.as_deref())
            .bind(record.user_agent.as_deref())
            .bind(record.request_id.as_deref())
            .bind(record.detail.as_deref())
            .bind(record.actor.as_deref())
    }

    /// Appends a record, if there is one, along with a change of state.
    pub(super) async fn record_with(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        record: Option<&Record>,
    ) -> Result<(), StoreError> {
        match record {
            Some(record) => execute(&mut **transaction, self.record_event(record)).await.map(drop),
            None => Ok(()),
        }
    }
}

impl AuditLog for SqliteStore {
    async fn record(&self, record: &Record) -> Result<(), StoreError> {
        execute(&self.writer, self.record_event(record)).await.map(drop)
    }

    async fn audit_log(
        &self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let AuditFilter { event, outcome, user_id, client_id, since, until } = filter;
        let query = self
            .query(statements::AUDIT_LOG)
            .bind(before.unwrap_or(Uuid::max()))
            .bind(limit)
            .bind(event)
            .bind(outcome.map(Outcome::name))
            .bind(*user_id)
            .bind(client_id)
            .bind(since.map(|time| time.timestamp_micros()))
            .bind(until.map(|time| time.timestamp_micros()));
        all(&self.readers, query).await?.iter().map(record).collect()
    }

    async fn sweep_audit_log(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = self.query(statements::SWEEP_AUDIT_LOG).bind(before.timestamp_micros()).bind(limit);
        execute(&self.writer, query).await
    }
}
