//! Outgoing mail: written together with what causes it, delivered by whichever instance can.

use std::future::Future;

use uuid::Uuid;

use super::StoreError;
use crate::model::Timestamp;

/// A mail to be stored by the transition that causes it, which also knows whom it is for.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// The key of its row.
    pub id: Uuid,
    /// What it is about. It holds no secret.
    pub subject: String,
    /// The body, sealed for this id: it may hold a link that lets somebody in.
    pub sealed: Vec<u8>,
    /// When it is of no use any more.
    pub expires_at: Timestamp,
}

/// A mail that was taken up to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMail {
    /// The key of its row.
    pub id: Uuid,
    /// Whom it is for; none: it is there to have taken the same time, and is dropped.
    pub recipient: Option<String>,
    /// What it is about.
    pub subject: String,
    /// The sealed body.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is of no use any more.
    pub expires_at: Timestamp,
    /// How often it was taken up, this time included. Names the claim.
    pub attempts: u32,
}

/// How much mail there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Mail that waits for its delivery.
    pub waiting: u64,
    /// Mail that was given up, or not delivered in time, and is kept for a while to be seen.
    pub failed: u64,
}

/// The outgoing mail.
pub trait Outbox: Send + Sync + 'static {
    /// Takes up at most `limit` mails that are due, for this caller alone until `leased_until`: nobody else is given
    /// them before. Whoever dies with them leaves them to the next.
    fn claim_mail(
        &self,
        now: Timestamp,
        leased_until: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ClaimedMail>, StoreError>> + Send;

    /// A mail has gone, and so does its row, unless somebody else has taken it up since.
    fn remove_mail(&self, id: Uuid, attempts: u32) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// A mail could not be sent: it is due again, or given up where there is no such time. Nothing happens where
    /// somebody else has taken it up since.
    fn defer_mail(
        &self,
        id: Uuid,
        attempts: u32,
        error: &str,
        due_at: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How much mail waits, and how much was given up.
    fn mail_backlog(&self, now: Timestamp) -> impl Future<Output = Result<Backlog, StoreError>> + Send;

    /// Removes at most `limit` mails that were of no use any more at `before`.
    fn sweep_mail(&self, before: Timestamp, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
