//! The ports of a WASI component: one thread, WASI's clock and random bytes, and all cryptography in wasm.

use std::time::SystemTime;

use authly_core::{
    crypto::password::{self, PasswordCost},
    model::{Password, PasswordHash, Timestamp},
    ports::{Clock, Counters, Entropy, HashingBusy, PasswordCheck, PasswordHashing, Signatures, Telemetry},
    telemetry::Event,
};

pub(crate) struct SpinHost {
    pub(crate) password_cost: PasswordCost,
}

impl Clock for SpinHost {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

impl Entropy for SpinHost {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("WASI's random bytes never fail");
    }
}

/// An instance has one thread: hashes queue up by themselves, and the host bounds how many instances there are.
impl PasswordHashing for SpinHost {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingBusy> {
        Ok(password::hash(&password, self.password_cost, self))
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<PasswordCheck, HashingBusy> {
        Ok(password::verify(&password, hash.as_ref(), self.password_cost))
    }
}

impl Signatures for SpinHost {}

impl Counters for SpinHost {
    /// An instance may be gone after this request, and what it had taken with it.
    fn may_reserve(&self) -> bool {
        false
    }
}

/// An instance is gone before anybody could ask it: each event is a line of the log, to be counted there.
impl Telemetry for SpinHost {
    fn count(&self, event: Event) {
        let counter = event.counter();
        tracing::info!(target: "authly::telemetry", counter = counter.name, label = counter.label, value = event.value());
    }
}
