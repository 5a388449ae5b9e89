//! Jobs over the store that any host runs, from any number of instances at once.

use chrono::TimeDelta;

use crate::{
    error::Fault,
    ports::Host,
    server::Server,
    store::{Store, Swept},
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
}

impl<S: Store, H: Host> Server<S, H> {
    /// Rotates signing keys and removes what has ended, in bounded batches: a run that is stopped has done part of
    /// the work, and the next one does the rest.
    pub async fn maintain(&self) -> Result<Report, Fault> {
        let new_signing_key = self.rotate_signing_keys(self.host.now()).await?;
        let mut swept = Swept::default();
        loop {
            let batch = self.store.sweep(self.host.now(), BATCH).await?;
            swept.authorization_codes += batch.authorization_codes;
            swept.tokens += batch.tokens;
            swept.grants += batch.grants;
            swept.sessions += batch.sessions;
            if batch.total() == 0 {
                break;
            }
        }
        let (mut email_tokens, mut mails) = (0, 0);
        loop {
            let now = self.host.now();
            let ended = self.store.sweep_email_tokens(now, BATCH).await?;
            let unwanted = self.store.sweep_mail(now - KEEP_MAIL, BATCH).await?;
            email_tokens += ended;
            mails += unwanted;
            if ended + unwanted == 0 {
                return Ok(Report { swept, email_tokens, mails, new_signing_key });
            }
        }
    }
}
