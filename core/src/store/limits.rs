//! What a store counts for limits (`crate::limit`), and where an account was logged in to before.

use std::future::Future;

use crate::{
    limit::{Quota, Taken},
    model::{Digest, Timestamp, UserCredentials},
    store::StoreError,
};

/// A request for permits.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// Who is counted: a keyed digest, so that no address can be read from it.
    pub key: Digest,
    /// Of what.
    pub quota: Quota,
    /// How many.
    pub wanted: u32,
}

/// A password that somebody is about to try.
#[derive(Clone, Debug)]
pub struct LoginAttempt<'a> {
    /// The address or user name that was typed.
    pub login: &'a str,
    /// Now.
    pub now: Timestamp,
    /// Permits for the client's address, where they are to be taken along.
    pub ask: Option<Ask>,
    /// What the attempt is counted by; none where nothing is limited.
    pub counters: Option<AttemptCounters>,
}

/// What an attempt is counted by, and what may show that it is the owner's. All are keyed digests.
#[derive(Clone, Copy, Debug)]
pub struct AttemptCounters {
    /// The client's address as an origin.
    pub address: Option<Digest>,
    /// The browser as an origin, by its long-lived cookie.
    pub device: Option<Digest>,
    /// The counter of this login from this address.
    pub by_address: Digest,
    /// The counter of this login from this browser: in place of the other, if the account knows the browser.
    pub by_device: Option<Digest>,
    /// The counter of this login from all origins that the account does not know.
    pub by_account: Digest,
}

/// Whether a password may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may, and the attempt has been counted by these, in this order.
    Admitted([Option<Digest>; 2]),
    /// The client's address has no permits left.
    AddressExhausted,
    /// Not before this time: there were too many attempts from this origin.
    OriginBlocked(Timestamp),
    /// Not before this time: there were too many attempts from origins that the account does not know.
    AccountBlocked(Timestamp),
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptOutcome {
    /// What was taken of the permits that were asked for.
    pub taken: Option<Taken>,
    /// Whether the password may be tried.
    pub admission: Admission,
    /// The account, if there is one: only where the password may be tried.
    pub credentials: Option<UserCredentials>,
}

/// What a login changes besides starting a session.
#[derive(Clone, Copy, Debug)]
pub struct LoginEffects {
    /// Counters of the attempt, which are forgotten, in this order.
    pub forget: [Option<Digest>; 2],
    /// The client's address, which the account knows from now on.
    pub address: Option<Digest>,
    /// The browser, which the account knows from now on.
    pub device: Option<Digest>,
    /// Until when it knows them.
    pub known_until: Timestamp,
}

/// Counters that all instances share.
pub trait Limits: Send + Sync + 'static {
    /// Takes permits. All instances together never take more than the quota in one window.
    fn take(&self, ask: &Ask, now: Timestamp) -> impl Future<Output = Result<Taken, StoreError>> + Send;

    /// Counts an attempt before the password is tried, and reads the account, as
    /// [`Store::user_by_login`](super::Store::user_by_login) does, in one go. The permits of the address come first, then the origin, then, if
    /// the account knows neither address nor browser, the account: what is refused by one is not counted by the next.
    ///
    /// # Security
    /// An account that does not exist is counted like one that does.
    fn attempt_login(
        &self,
        attempt: &LoginAttempt<'_>,
    ) -> impl Future<Output = Result<AttemptOutcome, StoreError>> + Send;

    /// Removes at most `limit` of each: counters whose time is over, and origins that were not seen for long. Tells
    /// how many.
    fn sweep_limits(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
