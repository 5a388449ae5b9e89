//! What a host supplies to the core. A new target needs nothing but these and a [`Store`](crate::store::Store).

use std::future::Future;

use crate::{
    crypto::{InvalidKey, PrivateKey, Signer, Verifier, software},
    limit::Taken,
    model::{Password, PasswordHash, Timestamp},
    store::Ask,
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

    /// Its name, and whether it answers, for health checks; `None` where there is nothing of the kind.
    fn counters_health(&self) -> Option<(&'static str, bool)> {
        None
    }
}

/// All ports together, in one value that a target builds.
pub trait Host: Clock + Entropy + PasswordHashing + Signatures + Counters {}

impl<T: Clock + Entropy + PasswordHashing + Signatures + Counters> Host for T {}
