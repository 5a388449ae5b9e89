//! Maintenance jobs on SQLite.

use authly_core::store::{Job, JobLease, JobOutcome, JobRun, JobState, Jobs, StoreError, sqlite as statements};

use super::{Row, SqliteStore, all, execute, unexpected};

/// `None` where a newer release has a job that this one does not know.
fn state(row: &Row) -> Result<Option<JobState>, StoreError> {
    let Some(job) = Job::parse(row.get("job")?) else {
        return Ok(None);
    };
    let last_removed: Option<i64> = row.get("last_removed")?;
    Ok(Some(JobState {
        job,
        lease_expires_at: row.optional_time("lease_expires_at")?,
        last_started_at: row.optional_time("last_started_at")?,
        last_finished_at: row.optional_time("last_finished_at")?,
        last_outcome: row.get::<Option<&str>>("last_outcome")?.and_then(JobOutcome::parse),
        last_removed: last_removed.map(u64::try_from).transpose().map_err(|_| unexpected("last_removed"))?,
        last_error: row.get("last_error")?,
        last_success_at: row.optional_time("last_success_at")?,
    }))
}

impl Jobs for SqliteStore {
    async fn take_job(&self, lease: &JobLease) -> Result<bool, StoreError> {
        let query = self
            .query(statements::TAKE_JOB)
            .bind(lease.job.name())
            .bind(lease.holder)
            .bind(lease.now.timestamp_micros())
            .bind(lease.expires_at.timestamp_micros());
        Ok(execute(&self.writer, query).await? > 0)
    }

    async fn finish_job(&self, run: &JobRun) -> Result<bool, StoreError> {
        let query = self
            .query(statements::FINISH_JOB)
            .bind(run.job.name())
            .bind(run.holder)
            .bind(run.finished_at.timestamp_micros())
            .bind(run.outcome.name())
            .bind(i64::try_from(run.removed).unwrap_or(i64::MAX))
            .bind(&run.error);
        Ok(execute(&self.writer, query).await? > 0)
    }

    async fn jobs(&self) -> Result<Vec<JobState>, StoreError> {
        let rows = all(&self.readers, self.query(statements::JOBS)).await?;
        rows.iter().filter_map(|row| state(row).transpose()).collect()
    }
}
