//! What operators count. Every label is an enum: there are few of them, and none can hold a person's or a client's
//! name. How often is a host's business ([`Telemetry`](crate::ports::Telemetry)), and so is how long: the core has no
//! stopwatch.

use crate::{audit::Outcome, error::Fault, model::GrantType, store::StoreError};

/// Something that operators count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An authorization request was decided.
    Authorization(Authorization),
    /// An access token was issued, and with it perhaps a refresh token.
    TokenIssued(GrantType),
    /// A password was checked.
    Login(Login),
    /// Something that is good for one use was used again, and its grant revoked.
    Replay(Replayed),
    /// A request or a password was refused because there were too many before it.
    RateLimited(Limit),
    /// A record of an event that ended so did not get into the store's audit log.
    AuditRecordLost(Outcome),
    /// A request failed, and it was not the peer's mistake.
    Fault(FaultKind),
    /// The jobs of [`maintenance`](crate::maintenance) ran.
    Maintenance(Maintenance),
}

/// What became of an authorization request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The client was sent a code.
    Granted,
    /// The person said no.
    Denied,
    /// The request was wrong, and the client was told.
    Invalid,
    /// Client or redirect URI were wrong: nobody was sent anywhere.
    Rejected,
}

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// With a session.
    Success,
    /// Account or password were wrong.
    Failure,
}

/// What was used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// An authorization code.
    AuthorizationCode,
    /// A refresh token.
    RefreshToken,
}

/// What there was too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests from one address.
    Address,
    /// Wrong passwords for one account from one address or browser.
    Origin,
    /// Wrong passwords for one account from addresses that it does not know.
    Account,
}

/// What kept a request from being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The store cannot be reached, or has no time.
    StoreUnavailable,
    /// The store answered something that cannot be, or was not migrated.
    StoreUnexpected,
    /// Too many passwords wait to be hashed.
    Busy,
    /// It took longer than a request may.
    Timeout,
    /// Something that cannot be.
    Internal,
}

/// How a run of the jobs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// All was done.
    Success,
    /// Part of it is left to the next run.
    Failure,
}

/// A family of counters with one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its name, without a prefix or suffix of any one system.
    pub name: &'static str,
    /// The name of its label.
    pub label: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
}

const AUTHORIZATIONS: Counter =
    Counter { name: "oauth_authorizations", label: "result", help: "Authorization requests that were decided." };
const TOKENS: Counter = Counter { name: "tokens_issued", label: "grant_type", help: "Access tokens that were issued." };
const LOGINS: Counter = Counter { name: "logins", label: "result", help: "Passwords that were checked." };
const REPLAYS: Counter =
    Counter { name: "replays", label: "replayed", help: "Second uses of single-use secrets; the grant was revoked." };
const RATE_LIMITED: Counter = Counter {
    name: "rate_limit_refusals",
    label: "limit",
    help: "Requests and passwords that were refused because there were too many before them.",
};
const AUDIT_RECORDS_LOST: Counter = Counter {
    name: "audit_records_lost",
    label: "outcome",
    help: "Records that the audit log of the database lacks; they are in the log.",
};
const FAULTS: Counter =
    Counter { name: "faults", label: "kind", help: "Requests that failed by no fault of the peer." };
const MAINTENANCE: Counter = Counter { name: "maintenance_runs", label: "result", help: "Runs of the periodic jobs." };

impl Event {
    /// Every event.
    pub const ALL: [Self; 24] = [
        Self::Authorization(Authorization::Granted),
        Self::Authorization(Authorization::Denied),
        Self::Authorization(Authorization::Invalid),
        Self::Authorization(Authorization::Rejected),
        Self::TokenIssued(GrantType::AuthorizationCode),
        Self::TokenIssued(GrantType::RefreshToken),
        Self::TokenIssued(GrantType::ClientCredentials),
        Self::Login(Login::Success),
        Self::Login(Login::Failure),
        Self::Replay(Replayed::AuthorizationCode),
        Self::Replay(Replayed::RefreshToken),
        Self::RateLimited(Limit::Address),
        Self::RateLimited(Limit::Origin),
        Self::RateLimited(Limit::Account),
        Self::AuditRecordLost(Outcome::Success),
        Self::AuditRecordLost(Outcome::Failure),
        Self::AuditRecordLost(Outcome::Alert),
        Self::Fault(FaultKind::StoreUnavailable),
        Self::Fault(FaultKind::StoreUnexpected),
        Self::Fault(FaultKind::Busy),
        Self::Fault(FaultKind::Timeout),
        Self::Fault(FaultKind::Internal),
        Self::Maintenance(Maintenance::Success),
        Self::Maintenance(Maintenance::Failure),
    ];

    /// The family that it belongs to.
    pub const fn counter(self) -> Counter {
        match self {
            Self::Authorization(_) => AUTHORIZATIONS,
            Self::TokenIssued(_) => TOKENS,
            Self::Login(_) => LOGINS,
            Self::Replay(_) => REPLAYS,
            Self::RateLimited(_) => RATE_LIMITED,
            Self::AuditRecordLost(_) => AUDIT_RECORDS_LOST,
            Self::Fault(_) => FAULTS,
            Self::Maintenance(_) => MAINTENANCE,
        }
    }

    /// The value of the family's label.
    pub const fn value(self) -> &'static str {
        match self {
            Self::Authorization(Authorization::Granted) => "granted",
            Self::Authorization(Authorization::Denied) => "denied",
            Self::Authorization(Authorization::Invalid) => "invalid",
            Self::Authorization(Authorization::Rejected) => "rejected",
            Self::TokenIssued(grant_type) => grant_type.name(),
            Self::Login(Login::Success) | Self::Maintenance(Maintenance::Success) => "success",
            Self::Login(Login::Failure) | Self::Maintenance(Maintenance::Failure) => "failure",
            Self::Replay(Replayed::AuthorizationCode) => "authorization_code",
            Self::Replay(Replayed::RefreshToken) => "refresh_token",
            Self::RateLimited(Limit::Address) => "address",
            Self::RateLimited(Limit::Origin) => "origin",
            Self::RateLimited(Limit::Account) => "account",
            Self::AuditRecordLost(outcome) => outcome.name(),
            Self::Fault(FaultKind::StoreUnavailable) => "store_unavailable",
            Self::Fault(FaultKind::StoreUnexpected) => "store_unexpected",
            Self::Fault(FaultKind::Busy) => "busy",
            Self::Fault(FaultKind::Timeout) => "timeout",
            Self::Fault(FaultKind::Internal) => "internal",
        }
    }
}

impl From<&Fault> for Event {
    fn from(fault: &Fault) -> Self {
        Self::Fault(match fault {
            Fault::Store(StoreError::Unavailable(_)) => FaultKind::StoreUnavailable,
            Fault::Store(StoreError::Unexpected(_)) => FaultKind::StoreUnexpected,
            Fault::Busy(_) => FaultKind::Busy,
            Fault::Timeout => FaultKind::Timeout,
            Fault::Internal(_) => FaultKind::Internal,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_event_is_a_series_of_its_own() {
        let series: BTreeSet<_> = Event::ALL.iter().map(|event| (event.counter().name, event.value())).collect();
        assert_eq!(series.len(), Event::ALL.len());
        let legal = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(series.iter().all(|(name, value)| legal(name) && legal(value)), "{series:?}");
    }
}
