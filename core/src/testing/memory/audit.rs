use uuid::Uuid;

use super::{MemoryStore, State};
use crate::{
    audit::Record,
    model::Timestamp,
    store::{AuditLog, StoreError},
};

impl State {
    pub(super) fn record(&mut self, record: Option<Record>) {
        if let Some(record) = record {
            self.audit_log.entry(record.id).or_insert(record);
        }
    }
}

impl AuditLog for MemoryStore {
    async fn record(&self, record: &Record) -> Result<(), StoreError> {
        self.state().record(Some(record.clone()));
        Ok(())
    }

    async fn audit_log(&self, before: Option<Uuid>, limit: u32) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        let earlier = state.audit_log.range(..before.unwrap_or(Uuid::max())).rev();
        Ok(earlier.take(limit as usize).map(|(_, record)| record.clone()).collect())
    }

    async fn sweep_audit_log(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.state().audit_log.retain(|_, record| super::keep(record.occurred_at < before, limit, &mut removed));
        Ok(removed)
    }
}
