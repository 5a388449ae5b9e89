//! Maintenance jobs on Postgres.

use super::{Executor, PostgresStore, Row, Value, statement};
use crate::store::{Job, JobLease, JobOutcome, JobRun, JobState, Jobs, StoreError};

/// `None` where a newer release has a job that this one does not know.
fn state(mut row: Row) -> Result<Option<JobState>, StoreError> {
    let Some(job) = Job::parse(&row.take::<String>()?) else {
        return Ok(None);
    };
    Ok(Some(JobState {
        job,
        lease_expires_at: row.take()?,
        last_started_at: row.take()?,
        last_finished_at: row.take()?,
        last_outcome: row.take::<Option<String>>()?.and_then(|name| JobOutcome::parse(&name)),
        last_removed: row.take()?,
        last_error: row.take()?,
        last_success_at: row.take()?,
    }))
}

impl<E: Executor> Jobs for PostgresStore<E> {
    async fn take_job(&self, lease: &JobLease) -> Result<bool, StoreError> {
        let parameters = values![lease.job.name(), lease.holder, lease.now, lease.expires_at];
        Ok(self.optional(&statement::TAKE_JOB, parameters).await?.is_some())
    }

    async fn finish_job(&self, run: &JobRun) -> Result<bool, StoreError> {
        let removed = i64::try_from(run.removed).unwrap_or(i64::MAX);
        let parameters =
            values![run.job.name(), run.holder, run.finished_at, run.outcome.name(), removed, run.error.clone()];
        Ok(self.optional(&statement::FINISH_JOB, parameters).await?.is_some())
    }

    async fn jobs(&self) -> Result<Vec<JobState>, StoreError> {
        let rows = self.executor.query(&statement::JOBS, values![]).await?;
        rows.into_iter().filter_map(|row| state(row).transpose()).collect()
    }
}
