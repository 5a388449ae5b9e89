//! Maintenance jobs in memory.

use uuid::Uuid;

use super::MemoryStore;
use crate::store::{JobLease, JobOutcome, JobRun, JobState, Jobs, StoreError};

#[derive(Debug)]
pub(super) struct JobRow {
    holder: Option<Uuid>,
    state: JobState,
}

impl Jobs for MemoryStore {
    async fn take_job(&self, lease: &JobLease) -> Result<bool, StoreError> {
        let mut state = self.state();
        let row = state
            .jobs
            .entry(lease.job.name())
            .or_insert_with(|| JobRow { holder: None, state: JobState::never(lease.job) });
        if row.holder != Some(lease.holder) {
            if row.holder.is_some() && row.state.is_running(lease.now) {
                return Ok(false);
            }
            row.holder = Some(lease.holder);
            row.state.last_started_at = Some(lease.now);
        }
        row.state.lease_expires_at = Some(lease.expires_at);
        Ok(true)
    }

    async fn finish_job(&self, run: &JobRun) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(row) = state.jobs.get_mut(run.job.name()).filter(|row| row.holder == Some(run.holder)) else {
            return Ok(false);
        };
        row.holder = None;
        row.state = JobState {
            job: run.job,
            lease_expires_at: None,
            last_started_at: row.state.last_started_at,
            last_finished_at: Some(run.finished_at),
            last_outcome: Some(run.outcome),
            last_removed: Some(run.removed),
            last_error: run.error.clone(),
            last_success_at: match run.outcome {
                JobOutcome::Success => Some(run.finished_at),
                JobOutcome::Partial | JobOutcome::Failure => row.state.last_success_at,
            },
        };
        Ok(true)
    }

    async fn jobs(&self) -> Result<Vec<JobState>, StoreError> {
        Ok(self.state().jobs.values().map(|row| row.state.clone()).collect())
    }
}
