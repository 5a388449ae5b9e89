//! Outgoing mail in memory.

use uuid::Uuid;

use super::{MemoryStore, keep};
use crate::{
    model::Timestamp,
    store::{Backlog, ClaimedMail, NewMail, Outbox, StoreError},
};

#[derive(Debug)]
pub(super) struct MailRow {
    mail: ClaimedMail,
    due_at: Option<Timestamp>,
}

impl MailRow {
    pub(super) fn new(recipient: Option<&str>, mail: &NewMail, now: Timestamp) -> Self {
        let mail = ClaimedMail {
            id: mail.id,
            recipient: recipient.map(str::to_owned),
            subject: mail.subject.clone(),
            sealed: mail.sealed.clone(),
            created_at: now,
            expires_at: mail.expires_at,
            attempts: 0,
        };
        Self { mail, due_at: Some(now) }
    }
}

impl Outbox for MemoryStore {
    async fn claim_mail(
        &self,
        now: Timestamp,
        leased_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<ClaimedMail>, StoreError> {
        let mut state = self.state();
        let is_due = |row: &&mut MailRow| row.due_at.is_some_and(|due| due <= now) && row.mail.expires_at > now;
        let mut due: Vec<_> = state.outbox.iter_mut().filter(is_due).collect();
        due.sort_by_key(|row| row.due_at);
        let claim = |row: &mut MailRow| {
            row.due_at = Some(leased_until);
            row.mail.attempts += 1;
            row.mail.clone()
        };
        Ok(due.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(claim).collect())
    }

    async fn remove_mail(&self, id: Uuid, attempts: u32) -> Result<(), StoreError> {
        self.state().outbox.retain(|row| row.mail.id != id || row.mail.attempts != attempts);
        Ok(())
    }

    async fn defer_mail(
        &self,
        id: Uuid,
        attempts: u32,
        _error: &str,
        due_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(row) = state.outbox.iter_mut().find(|row| row.mail.id == id && row.mail.attempts == attempts) {
            row.due_at = due_at;
        }
        Ok(())
    }

    async fn mail_backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        let state = self.state();
        let mut backlog = Backlog::default();
        for row in state.outbox.iter().filter(|row| row.mail.recipient.is_some()) {
            let waits = row.due_at.is_some() && row.mail.expires_at > now;
            *(if waits { &mut backlog.waiting } else { &mut backlog.failed }) += 1;
        }
        Ok(backlog)
    }

    async fn sweep_mail(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut swept = 0;
        self.state().outbox.retain(|row| keep(row.mail.expires_at <= before, limit, &mut swept));
        Ok(swept)
    }
}
