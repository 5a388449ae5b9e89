//! Jobs over the store that any host runs, from any number of instances at once.

use chrono::TimeDelta;

use crate::{
    audit::{Event, EventType},
    error::Fault,
    ports::Host,
    server::Server,
    store::{Store, Swept},
    telemetry,
};

/// The most rows of one kind that one statement removes.
pub const BATCH: u32 = 1000;

/// Mail that was not delivered in time is kept for so long, to be seen by operators.
const KEEP_MAIL: TimeDelta = TimeDelta::days(7);

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Codes, tokens, grants and sessions that were removed.
    pub swept: Swept,
    /// Tokens of links in mails that had ended.
    pub email_tokens: u64,
    /// Mails that nobody wants any more, sent or not.
    pub mails: u64,
    /// Counters of limits, and addresses and browsers that accounts know no more.
    pub limits: u64,
    /// Records of the audit log.
    pub audit_records: u64,
    /// Whether a new signing key was made.
    pub new_signing_key: bool,
    /// Whether nothing is left to do.
    pub is_finished: bool,
}

impl Report {
    /// All rows that were removed.
    pub fn removed(&self) -> u64 {
        self.swept.total() + self.email_tokens + self.mails + self.limits + self.audit_records
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// Rotates signing keys and removes what has ended, in bounded batches: a run that is stopped has done part of
    /// the work, and the next one does the rest.
    pub async fn maintain(&self) -> Result<Report, Fault> {
        self.maintain_within(u32::MAX).await
    }

    /// The same, with so many batches at most: for a host that ends whatever takes long.
    pub async fn maintain_within(&self, batches: u32) -> Result<Report, Fault> {
        let done = self.run_jobs(batches).await;
        self.host.count(telemetry::Event::Maintenance(match done {
            Ok(_) => telemetry::Maintenance::Success,
            Err(_) => telemetry::Maintenance::Failure,
        }));
        done
    }

    async fn run_jobs(&self, batches: u32) -> Result<Report, Fault> {
        let now = self.host.now();
        let new_signing_key = self.rotate_signing_keys(now).await?;
        if new_signing_key {
            self.audit_job(now, Event::new(EventType::SigningKeyRotated)).await;
        }
        let mut report = Report { new_signing_key, ..Report::default() };
        for _ in 0..batches {
            let batch = self.store.sweep(self.host.now(), BATCH).await?;
            report.swept.authorization_codes += batch.authorization_codes;
            report.swept.tokens += batch.tokens;
            report.swept.grants += batch.grants;
            report.swept.sessions += batch.sessions;
            if batch.total() == 0 {
                break;
            }
        }
        for _ in 0..batches {
            let now = self.host.now();
            let ended = self.store.sweep_email_tokens(now, BATCH).await?;
            let unwanted = self.store.sweep_mail(now - KEEP_MAIL, BATCH).await?;
            report.email_tokens += ended;
            report.mails += unwanted;
            let limits = self.store.sweep_limits(now, BATCH).await?;
            let audit_records = self.store.sweep_audit_log(now - self.config.audit_retention, BATCH).await?;
            report.limits += limits;
            report.audit_records += audit_records;
            if ended + unwanted + limits + audit_records == 0 {
                report.is_finished = true;
                break;
            }
        }
        Ok(report)
    }
}
