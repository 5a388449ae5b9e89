//! The ports of a machine with an operating system and threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use authly_core::{
    crypto::{
        InvalidKey, PrivateKey, Signer, Verifier,
        password::{self, PasswordCost},
    },
    limit::Taken,
    model::{Password, PasswordHash, Timestamp},
    ports::{Clock, Counters, Entropy, HashingBusy, PasswordCheck, PasswordHashing, Signatures, Telemetry},
    store::Ask,
    telemetry::Event,
};
use tokio::sync::Semaphore;

use crate::{
    redis::{Redis, RedisUrl},
    signature,
};

/// The operating system's random bytes.
#[derive(Clone, Copy, Debug)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug)]
pub struct OsClock;

impl Clock for OsClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

/// How much password hashing may go on.
#[derive(Clone, Copy, Debug)]
pub struct HashingLimits {
    /// How many hashes are computed at once. Each takes a core and, by default, 19 MiB.
    pub concurrency: usize,
    /// How many wait for their turn before further ones are refused.
    pub queue: usize,
}

impl Default for HashingLimits {
    /// Half of the cores: the other half is for everybody who is logged in already.
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get);
        Self { concurrency: (cores / 2).max(1), queue: 256 }
    }
}

/// All ports of a native host.
pub struct NativeHost {
    cost: PasswordCost,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    hashes: AtomicU64,
    limits: HashingLimits,
    redis: Option<Redis>,
    telemetry: Option<Arc<dyn Telemetry>>,
}

/// How much password hashing goes on at this moment.
#[derive(Clone, Copy, Debug)]
pub struct HashingLoad {
    /// Hashes that are being computed.
    pub running: usize,
    /// Those that wait for their turn.
    pub waiting: usize,
    /// How much there may be of either.
    pub limits: HashingLimits,
}

/// Counts one that waits, also when it is cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl NativeHost {
    /// A host that hashes passwords at this cost.
    pub fn new(cost: PasswordCost, limits: HashingLimits) -> Self {
        Self {
            cost,
            permits: Arc::new(Semaphore::new(limits.concurrency)),
            waiting: AtomicUsize::new(0),
            hashes: AtomicU64::new(0),
            limits,
            redis: None,
            telemetry: None,
        }
    }

    /// With counters in Redis, if it is configured. Must be called where tokio runs: a task keeps the connection.
    #[must_use]
    pub fn with_redis(self, url: Option<&RedisUrl>) -> Self {
        Self { redis: url.map(Redis::start), ..self }
    }

    /// The same host, with somebody who counts.
    #[must_use]
    pub fn with_telemetry(self, telemetry: Arc<dyn Telemetry>) -> Self {
        Self { telemetry: Some(telemetry), ..self }
    }

    /// How much password hashing goes on.
    pub fn hashing_load(&self) -> HashingLoad {
        let running = self.limits.concurrency.saturating_sub(self.permits.available_permits());
        HashingLoad { running, waiting: self.waiting.load(Ordering::Relaxed), limits: self.limits }
    }

    /// How many passwords were hashed since the start.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// Runs `work` on a thread for blocking work, when it is its turn. The permit goes with the work: a caller that
    /// gives up does not let another one start early.
    async fn hashing<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, HashingBusy> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let counted = Waiting(&self.waiting);
        if waiting >= self.limits.queue {
            return Err(HashingBusy);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| HashingBusy)?;
        drop(counted);
        self.hashes.fetch_add(1, Ordering::Relaxed);
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        done.await.map_err(|_| HashingBusy)
    }
}

impl Clock for NativeHost {
    fn now(&self) -> Timestamp {
        OsClock.now()
    }
}

impl Entropy for NativeHost {
    fn fill(&self, bytes: &mut [u8]) {
        OsEntropy.fill(bytes);
    }
}

impl PasswordHashing for NativeHost {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingBusy> {
        let cost = self.cost;
        self.hashing(move || password::hash(&password, cost, &OsEntropy)).await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<PasswordCheck, HashingBusy> {
        let cost = self.cost;
        self.hashing(move || password::verify(&password, hash.as_ref(), cost)).await
    }
}

impl Signatures for NativeHost {
    fn signer(&self, key: &PrivateKey) -> Result<Box<dyn Signer>, InvalidKey> {
        signature::signer(key)
    }

    fn verifier(&self, key: &PrivateKey) -> Result<Box<dyn Verifier>, InvalidKey> {
        signature::verifier(key)
    }
}

impl Counters for NativeHost {
    async fn take(&self, ask: &Ask, now: Timestamp) -> Option<Taken> {
        self.redis.as_ref()?.take(ask, now).await
    }

    fn counters_health(&self) -> Option<(&'static str, bool)> {
        self.redis.as_ref().map(|redis| ("redis", redis.is_connected()))
    }
}

impl Telemetry for NativeHost {
    fn count(&self, event: Event) {
        if let Some(telemetry) = &self.telemetry {
            telemetry.count(event);
        }
    }
}
