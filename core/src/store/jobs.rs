//! Maintenance jobs as a store keeps them: a lease on each, so that one instance runs it at a time, and its last run.

use std::future::Future;

use uuid::Uuid;

use super::StoreError;
use crate::model::Timestamp;

/// A maintenance job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Makes the next signing key in time, and seals keys anew after `JWT_SECRET_KEY` was rotated.
    SigningKeys,
    /// Removes authorization codes, tokens, grants and sessions that have ended.
    ExpiredTokens,
    /// Removes tokens of links that have ended, and mail that nobody wants any more, sent or not.
    ExpiredMail,
    /// Removes counters whose window is over, and addresses and browsers that accounts know no more.
    RateLimits,
    /// Removes records of the audit log whose time of retention is over.
    AuditLog,
}

impl Job {
    /// Every job, in the order in which they run.
    pub const ALL: [Self; 5] =
        [Self::SigningKeys, Self::ExpiredTokens, Self::ExpiredMail, Self::RateLimits, Self::AuditLog];

    /// Its name, in the database and for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SigningKeys => "signing_keys",
            Self::ExpiredTokens => "expired_tokens",
            Self::ExpiredMail => "expired_mail",
            Self::RateLimits => "rate_limits",
            Self::AuditLog => "audit_log",
        }
    }

    /// The job of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }
}

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// Nothing was left to do.
    Success,
    /// The run had no more time; the next one goes on.
    Partial,
    /// An error stopped it; what was done before stays done.
    Failure,
}

impl JobOutcome {
    /// Its name, in the database and for operators.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Partial => "partial",
            Self::Failure => "failure",
        }
    }

    /// The outcome of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Success, Self::Partial, Self::Failure].into_iter().find(|outcome| outcome.name() == name)
    }
}

/// A run's wish to have a job to itself.
#[derive(Clone, Copy, Debug)]
pub struct JobLease {
    /// The job.
    pub job: Job,
    /// The run.
    pub holder: Uuid,
    /// Now.
    pub now: Timestamp,
    /// Until when, unless it is renewed: whoever dies with it keeps the job from others for no longer.
    pub expires_at: Timestamp,
}

/// A run that has ended in order.
#[derive(Clone, Debug)]
pub struct JobRun {
    /// The job.
    pub job: Job,
    /// The run.
    pub holder: Uuid,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How.
    pub outcome: JobOutcome,
    /// How many rows it removed.
    pub removed: u64,
    /// What went wrong, in a line without secrets.
    pub error: Option<String>,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobState {
    /// The job.
    pub job: Job,
    /// Until when the run under way has it to itself. A time that has passed: that run died.
    pub lease_expires_at: Option<Timestamp>,
    /// When the last run began, which may be under way.
    pub last_started_at: Option<Timestamp>,
    /// When the last run that ended in order did so.
    pub last_finished_at: Option<Timestamp>,
    /// How it ended.
    pub last_outcome: Option<JobOutcome>,
    /// How many rows it removed.
    pub last_removed: Option<u64>,
    /// What went wrong in it.
    pub last_error: Option<String>,
    /// When there was last nothing left to do.
    pub last_success_at: Option<Timestamp>,
}

impl JobState {
    /// Of a job that never ran.
    pub const fn never(job: Job) -> Self {
        Self {
            job,
            lease_expires_at: None,
            last_started_at: None,
            last_finished_at: None,
            last_outcome: None,
            last_removed: None,
            last_error: None,
            last_success_at: None,
        }
    }

    /// Whether a run is under way.
    pub fn is_running(&self, now: Timestamp) -> bool {
        self.lease_expires_at.is_some_and(|expires_at| expires_at > now)
    }
}

/// The maintenance jobs.
pub trait Jobs: Send + Sync + 'static {
    /// Takes the job's lease, which begins a run, or renews that of the same holder. `false`, and nothing is changed:
    /// another run has it.
    fn take_job(&self, lease: &JobLease) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Records a run and gives its lease back. `false`, and nothing is changed: another run has taken the job over.
    fn finish_job(&self, run: &JobRun) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// What is known of the jobs that ever ran, in any order. One that this release does not know is left out.
    fn jobs(&self) -> impl Future<Output = Result<Vec<JobState>, StoreError>> + Send;
}
