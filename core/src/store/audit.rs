//! The audit log as a store keeps it.

use std::future::Future;

use uuid::Uuid;

use crate::{
    audit::{Outcome, Record},
    model::Timestamp,
    store::StoreError,
};

/// Which records; each condition that is there must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this type, by its name.
    pub event: Option<String>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// About this person.
    pub user_id: Option<Uuid>,
    /// About this client, by its name in the protocol.
    pub client_id: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// An append-only log: there is no way to change what is in it, and none to remove it before its time.
pub trait AuditLog: Send + Sync + 'static {
    /// Appends a record. One that is there already (by its id) stays as it is.
    fn record(&self, record: &Record) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records, the newest first, from before `before` on.
    fn audit_log(
        &self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// Removes at most `limit` records from before `before`, which must be a day ago at least. Tells how many.
    fn sweep_audit_log(&self, before: Timestamp, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
