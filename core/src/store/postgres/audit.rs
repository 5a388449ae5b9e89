//! The audit log in the database.

use chrono::SecondsFormat;
use serde_json::json;
use uuid::Uuid;

use super::{Executor, PostgresStore, Row, Value, statement};
use crate::{
    audit::{Outcome, Record},
    model::Timestamp,
    store::{AuditFilter, AuditLog, StoreError},
};

/// A record as a JSON document with the names of the table's columns, which is how statements take one along.
pub(super) fn document(record: Option<&Record>) -> Value {
    let document = |record: &Record| {
        json!({
            "id": record.id,
            "occurred_at": record.occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "event": record.event,
            "outcome": record.outcome,
            "actor": record.actor,
            "user_id": record.user_id,
            "client_id": record.client_id,
            "grant_id": record.grant_id,
            "client_address": record.client_address,
            "user_agent": record.user_agent,
            "request_id": record.request_id,
            "detail": record.detail,
        })
        .to_string()
    };
    Value::Jsonb(record.map(document))
}

fn record(row: &mut Row) -> Result<Record, StoreError> {
    Ok(Record {
        id: row.take()?,
        occurred_at: row.take()?,
        event: row.take::<String>()?.into(),
        outcome: row.take::<String>()?.into(),
        actor: row.take()?,
        user_id: row.take()?,
        client_id: row.take()?,
        grant_id: row.take()?,
        client_address: row.take()?,
        user_agent: row.take()?,
        request_id: row.take()?,
        detail: row.take()?,
    })
}

impl<E: Executor> AuditLog for PostgresStore<E> {
    async fn record(&self, record: &Record) -> Result<(), StoreError> {
        self.execute(&statement::RECORD_EVENT, vec![document(Some(record))]).await
    }

    async fn audit_log(
        &self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let AuditFilter { event, outcome, user_id, client_id, since, until } = filter;
        let outcome = outcome.map(Outcome::name);
        let parameters = values![before, limit, event.clone(), outcome, *user_id, client_id.clone(), *since, *until];
        let rows = self.executor.query(&statement::AUDIT_LOG, parameters).await?;
        rows.into_iter().map(|mut row| record(&mut row)).collect()
    }

    async fn sweep_audit_log(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.one(&statement::SWEEP_AUDIT_LOG, values![before, limit]).await?.take()
    }
}
