//! Jobs over the store that any host runs, from any number of instances: a lease keeps each job to one of them at a time,
//! and what became of it is kept in the store for operators.
//!
//! A job works in bounded batches, each a statement of its own. A run that is stopped has done part of the work, and the
//! next one does the rest.

use std::fmt;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    audit::{Event, EventType},
    error::Fault,
    mail::bounded,
    model::Timestamp,
    ports::Host,
    server::Server,
    store::{Job, JobLease, JobOutcome, JobRun, JobState, Store},
    telemetry,
};

/// The most rows of one kind that one statement removes.
pub const BATCH: u32 = 1000;

/// A run has a job to itself for so long after it last said so. It says so again at half-time, between two batches; when
/// it dies, another instance takes the job over after this.
pub const LEASE: TimeDelta = TimeDelta::minutes(1);

/// Mail that was not delivered in time is kept for so long, to be seen by operators.
const KEEP_MAIL: TimeDelta = TimeDelta::days(7);

/// How a run of one job ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing is left to do.
    Success,
    /// Its time was over; the next run goes on.
    Partial,
    /// An error stopped it.
    Failure(Fault),
    /// Another instance has the job.
    Skipped,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("done"),
            Self::Partial => f.write_str("to be continued by the next run"),
            Self::Failure(fault) => write!(f, "failed: {}", bounded(fault)),
            Self::Skipped => f.write_str("skipped: another instance is at it"),
        }
    }
}

/// What a run of one job did.
#[derive(Debug)]
pub struct JobReport {
    /// The job.
    pub job: Job,
    /// How many rows it removed.
    pub removed: u64,
    /// How it ended.
    pub ended: Ended,
}

/// What happens while the jobs run, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A job has removed so many rows so far.
    Removed(Job, u64),
    /// A job has ended.
    Ended(&'a JobReport),
}

/// What a run of all jobs did.
#[derive(Debug, Default)]
pub struct Report {
    /// Each job.
    pub jobs: Vec<JobReport>,
    /// Whether a new signing key was made.
    pub new_signing_key: bool,
}

impl Report {
    /// All rows that were removed.
    pub fn removed(&self) -> u64 {
        self.jobs.iter().map(|report| report.removed).sum()
    }

    /// Whether this run left nothing to the next one. What another instance is at is left to that one.
    pub fn is_finished(&self) -> bool {
        self.jobs.iter().all(|report| matches!(report.ended, Ended::Success | Ended::Skipped))
    }

    /// The first failure, if there was one.
    pub fn into_result(mut self) -> Result<Self, Fault> {
        let failed = self.jobs.iter().position(|report| matches!(report.ended, Ended::Failure(_)));
        match failed.map(|index| self.jobs.swap_remove(index).ended) {
            Some(Ended::Failure(fault)) => Err(fault),
            _ => Ok(self),
        }
    }
}

/// One run of one job.
struct Run {
    lease: JobLease,
    until: Timestamp,
    is_mine: bool,
    removed: u64,
    new_signing_key: bool,
}

impl<S: Store, H: Host> Server<S, H> {
    /// Runs every job to its end. One that fails does not keep the others from running.
    pub async fn maintain(&self) -> Result<Report, Fault> {
        self.maintain_until(Timestamp::MAX_UTC, |_| {}).await.into_result()
    }

    /// The same, with a batch of each job and then no more than so much time: for a host that ends whatever takes long.
    pub async fn maintain_within(&self, time: TimeDelta) -> Result<Report, Fault> {
        self.maintain_until(self.host.now() + time, |_| {}).await.into_result()
    }

    /// The same, until some time, for somebody who watches. Failures are part of the report.
    pub async fn maintain_until(&self, until: Timestamp, mut watch: impl FnMut(Progress<'_>) + Send) -> Report {
        let holder = self.new_id(self.host.now());
        let mut report = Report::default();
        for job in Job::ALL {
            let (ended, new_signing_key) = self.run_job(job, holder, until, &mut watch).await;
            watch(Progress::Ended(&ended));
            report.jobs.push(ended);
            report.new_signing_key |= new_signing_key;
        }
        let has_failed = report.jobs.iter().any(|report| matches!(report.ended, Ended::Failure(_)));
        self.host.count(telemetry::Event::Maintenance(match has_failed {
            false => telemetry::Maintenance::Success,
            true => telemetry::Maintenance::Failure,
        }));
        report
    }

    /// What is known of every job, in the order in which they run.
    pub async fn job_states(&self) -> Result<Vec<JobState>, Fault> {
        let known = self.store.jobs().await?;
        let state = |job| known.iter().find(|state| state.job == job).cloned().unwrap_or(JobState::never(job));
        Ok(Job::ALL.map(state).into())
    }

    async fn run_job(
        &self,
        job: Job,
        holder: Uuid,
        until: Timestamp,
        watch: &mut (impl FnMut(Progress<'_>) + Send),
    ) -> (JobReport, bool) {
        let now = self.host.now();
        let lease = JobLease { job, holder, now, expires_at: now };
        let mut run = Run { lease, until, is_mine: false, removed: 0, new_signing_key: false };
        let ended = self.run_batches(&mut run, watch).await.unwrap_or_else(Ended::Failure);
        let (name, removed) = (job.name(), run.removed);
        match &ended {
            Ended::Failure(error) => tracing::warn!(job = name, removed, %error, "a maintenance job failed"),
            Ended::Success | Ended::Partial if removed > 0 => {
                tracing::info!(job = name, removed, "maintenance: {ended}");
            }
            _ => tracing::debug!(job = name, removed, "maintenance: {ended}"),
        }
        if run.is_mine {
            self.record_run(&run, &ended).await;
        }
        (JobReport { job, removed, ended }, run.new_signing_key)
    }

    async fn run_batches(&self, run: &mut Run, watch: &mut (impl FnMut(Progress<'_>) + Send)) -> Result<Ended, Fault> {
        loop {
            let now = self.host.now();
            if now >= run.lease.expires_at - LEASE / 2 {
                run.lease = JobLease { now, expires_at: now + LEASE, ..run.lease };
                run.is_mine = self.store.take_job(&run.lease).await?;
                if !run.is_mine {
                    return Ok(Ended::Skipped);
                }
            }
            let removed = self.run_batch(run, now).await?;
            if removed == 0 {
                return Ok(Ended::Success);
            }
            run.removed += removed;
            watch(Progress::Removed(run.lease.job, run.removed));
            if self.host.now() >= run.until {
                return Ok(Ended::Partial);
            }
        }
    }

    /// Does a bounded part of the work. Tells how many rows it removed: none, when all is done.
    async fn run_batch(&self, run: &mut Run, now: Timestamp) -> Result<u64, Fault> {
        Ok(match run.lease.job {
            Job::SigningKeys => {
                run.new_signing_key = self.rotate_signing_keys(now).await?;
                if run.new_signing_key {
                    self.audit_job(now, Event::new(EventType::SigningKeyRotated)).await;
                }
                0
            }
            Job::ExpiredTokens => self.store.sweep(now, BATCH).await?.total(),
            Job::ExpiredMail => {
                let tokens = self.store.sweep_email_tokens(now, BATCH).await?;
                tokens + self.store.sweep_mail(now - KEEP_MAIL, BATCH).await?
            }
            Job::RateLimits => self.store.sweep_limits(now, BATCH).await?,
            Job::AuditLog => self.store.sweep_audit_log(now - self.config.audit_retention, BATCH).await?,
        })
    }

    /// A run that cannot be recorded leaves its lease to end by itself.
    async fn record_run(&self, run: &Run, ended: &Ended) {
        let (outcome, error) = match ended {
            Ended::Success => (JobOutcome::Success, None),
            Ended::Partial => (JobOutcome::Partial, None),
            Ended::Failure(fault) => (JobOutcome::Failure, Some(bounded(fault))),
            Ended::Skipped => return,
        };
        let JobLease { job, holder, .. } = run.lease;
        let finished_at = self.host.now();
        let recorded = JobRun { job, holder, finished_at, outcome, removed: run.removed, error };
        match self.store.finish_job(&recorded).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(job = job.name(), "the job took longer than its lease: another instance has it");
            }
            Err(error) => tracing::warn!(job = job.name(), %error, "a run of a maintenance job was not recorded"),
        }
    }
}
