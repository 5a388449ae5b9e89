//! Jobs over the store that any host runs, from any number of instances at once.

use chrono::TimeDelta;

use crate::{
    error::Fault,
    ports::Host,
    server::Server,
    store::{Store, Swept},
    telemetry::{self, Event},
};

/// The most rows of one kind that one statement removes.
pub const BATCH: u32 = 1000;

/// Mail that was not delivered in time is kept for so long, to be seen by operators.
const KEEP_MAIL: TimeDelta = TimeDelta::days(7);

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were removed.
    pub swept: Swept,
    /// Tokens of links in mails that had ended.
    pub email_tokens: u64,
    /// Mails that nobody wants any more, sent or not.
    pub mails: u64,
    /// Whether a new signing key was made.
    pub new_signing_key: bool,
    /// Whether nothing is left to do.
    pub is_finished: bool,
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
        self.host.count(Event::Maintenance(match done {
            Ok(_) => telemetry::Maintenance::Success,
            Err(_) => telemetry::Maintenance::Failure,
        }));
        done
    }

    async fn run_jobs(&self, batches: u32) -> Result<Report, Fault> {
        let new_signing_key = self.rotate_signing_keys(self.host.now()).await?;
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
            if ended + unwanted == 0 {
                report.is_finished = true;
                break;
            }
        }
        Ok(report)
    }
}
