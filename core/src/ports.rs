//! What a host supplies to the core. A new target needs nothing but these and a [`Store`](crate::store::Store).

use std::future::Future;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    crypto::{InvalidKey, PrivateKey, Signer, Verifier, software},
    limit::Taken,
    model::{Password, PasswordHash, Secret, Timestamp},
    store::Ask,
    telemetry::Event,
};

/// The wall clock. The core reads it once per request.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// A source of cryptographically secure random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`. A host that cannot do so must not return.
    fn fill(&self, bytes: &mut [u8]);
}

/// What a comparison of a password with a hash found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is the password, and the hash is as strong as this server makes them.
    Correct,
    /// It is the password, and the hash should be made anew: bcrypt, or weaker parameters.
    CorrectButOutdated,
    /// It is not the password.
    Wrong,
}

/// Too much hashing is under way. Nothing was decided: the caller answers 503 with `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being hashed")]
pub struct HashingBusy;

/// Password hashing takes tens of milliseconds and megabytes: a host bounds how many run at once, and keeps them off
/// the threads that serve other requests. The work itself is [`crate::crypto::password`].
pub trait PasswordHashing: Send + Sync + 'static {
    /// Hashes a new password.
    fn hash(&self, password: Password) -> impl Future<Output = Result<PasswordHash, HashingBusy>> + Send;

    /// Compares. With `None` for the hash, it takes as long as a comparison and answers
    /// [`PasswordCheck::Wrong`]: nobody learns from the time whether an account exists.
    fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> impl Future<Output = Result<PasswordCheck, HashingBusy>> + Send;
}

/// Signatures. The default is pure Rust and runs everywhere; a host with a faster library overrides it.
pub trait Signatures: Send + Sync + 'static {
    /// Prepares a private key for signing many times.
    fn signer(&self, key: &PrivateKey) -> Result<Box<dyn Signer>, InvalidKey> {
        software::signer(key)
    }

    /// Prepares the public half of a key for verifying many times.
    fn verifier(&self, key: &PrivateKey) -> Result<Box<dyn Verifier>, InvalidKey> {
        software::verifier(key)
    }
}

/// Counters that instances share, where a host has something faster for them than the store.
pub trait Counters: Send + Sync + 'static {
    /// Takes permits. `None`: there is nothing of the kind, or it does not answer; then the store counts.
    fn take(&self, ask: &Ask, now: Timestamp) -> impl Future<Output = Option<Taken>> + Send {
        let _ = (ask, now);
        std::future::ready(None)
    }

    /// Whether an instance lives long enough to use up permits that it takes in advance.
    fn may_reserve(&self) -> bool {
        true
    }

    /// Its name, and whether it answers, for health checks; `None` where there is nothing of the kind.
    fn counters_health(&self) -> Option<(&'static str, bool)> {
        None
    }
}

/// Where what operators count goes. By default nowhere.
pub trait Telemetry: Send + Sync + 'static {
    /// Counts one. It neither waits nor fails.
    fn count(&self, _event: Event) {}
}

/// A mail to a person, in plain text.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The same for every attempt at this mail, so that a receiver can tell that it has it already.
    pub id: Uuid,
    /// Whom it is for.
    pub recipient: String,
    /// What it is about.
    pub subject: String,
    /// What it says. It may hold a link that lets somebody in.
    pub body: Secret,
    /// When it was written.
    pub written_at: Timestamp,
}

/// Why a mail was not sent. The text is kept for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The mail server cannot be reached, or lets nobody in: no other mail can be sent either.
    #[error("{0}")]
    Unavailable(String),
    /// This mail cannot be sent at the moment.
    #[error("{0}")]
    Deferred(String),
    /// This mail can never be sent.
    #[error("{0}")]
    Refused(String),
}

/// Sends mail. A host that cannot do so leaves the mail to one that can: they share the store's outbox.
pub trait Mailer: Send + Sync + 'static {
    /// The longest that one attempt takes, after which it has failed.
    const TIMEOUT: TimeDelta;

    /// Hands a mail over to the mail system.
    fn send(&self, mail: &Mail) -> impl Future<Output = Result<(), MailError>> + Send;
}

/// All ports together, in one value that a target builds.
pub trait Host: Clock + Entropy + PasswordHashing + Signatures + Counters + Telemetry {}

impl<T: Clock + Entropy + PasswordHashing + Signatures + Counters + Telemetry> Host for T {}
