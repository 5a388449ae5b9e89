use uuid::Uuid;

use super::{MemoryStore, State};
use crate::{
    audit::Record,
    model::Timestamp,
    store::{AuditFilter, AuditLog, StoreError},
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

    async fn audit_log(
        &self,
        filter: &AuditFilter,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        let is_wanted = |record: &&Record| {
            filter.event.as_ref().is_none_or(|event| *event == record.event)
                && filter.outcome.is_none_or(|outcome| outcome.name() == record.outcome)
                && filter.user_id.is_none_or(|user_id| Some(user_id) == record.user_id)
                && filter.client_id.as_ref().is_none_or(|client_id| Some(client_id) == record.client_id.as_ref())
                && filter.since.is_none_or(|since| record.occurred_at >= since)
                && filter.until.is_none_or(|until| record.occurred_at < until)
        };
        let earlier = state.audit_log.range(..before.unwrap_or(Uuid::max())).rev();
        Ok(earlier.map(|(_, record)| record).filter(is_wanted).take(limit as usize).cloned().collect())
    }

    async fn sweep_audit_log(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.state().audit_log.retain(|_, record| super::keep(record.occurred_at < before, limit, &mut removed));
        Ok(removed)
    }
}
