//! Jobs over the store that any host runs, from any number of instances at once.

use crate::{
    audit::{Event, EventType},
    error::Fault,
    ports::Host,
    server::Server,
    store::{Store, Swept},
};

/// The most rows of one kind that one statement removes.
pub const BATCH: u32 = 1000;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Codes, tokens, grants and sessions that were removed.
    pub swept: Swept,
    /// Counters of limits, and addresses and browsers that accounts know no more.
    pub limits: u64,
    /// Records of the audit log.
    pub audit_records: u64,
    /// Whether a new signing key was made.
    pub new_signing_key: bool,
}

impl Report {
    /// All rows that were removed.
    pub fn removed(&self) -> u64 {
        self.swept.total() + self.limits + self.audit_records
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// Rotates signing keys and removes what has ended, in bounded batches: a run that is stopped has done part of
    /// the work, and the next one does the rest.
    pub async fn maintain(&self) -> Result<Report, Fault> {
        let now = self.host.now();
        let new_signing_key = self.rotate_signing_keys(now).await?;
        if new_signing_key {
            self.audit_job(now, Event::new(EventType::SigningKeyRotated)).await;
        }
        let mut report = Report { new_signing_key, ..Report::default() };
        loop {
            let now = self.host.now();
            let batch = self.store.sweep(now, BATCH).await?;
            let limits = self.store.sweep_limits(now, BATCH).await?;
            let audit_records = self.store.sweep_audit_log(now - self.config.audit_retention, BATCH).await?;
            let swept = &mut report.swept;
            swept.authorization_codes += batch.authorization_codes;
            swept.tokens += batch.tokens;
            swept.grants += batch.grants;
            swept.sessions += batch.sessions;
            report.limits += limits;
            report.audit_records += audit_records;
            if batch.total() + limits + audit_records == 0 {
                return Ok(report);
            }
        }
    }
}
