//! Counters in this process.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use super::{Attempts, Backoff, Quota, Taken, Window};
use crate::{
    model::{Digest, Timestamp, UserCredentials},
    store::{Admission, AttemptOutcome, LoginAttempt},
};

/// Keys that this process counts for itself. The ones that are used most stay when there are too many.
const LOCAL_KEYS: usize = 50_000;

type Kept<T> = Cache<Digest, Arc<Mutex<Option<T>>>>;

/// Counters in this process, for a store that nobody shares.
#[derive(Debug)]
pub struct LocalCounters {
    windows: Kept<Window>,
    attempts: Kept<Attempts>,
}

impl Default for LocalCounters {
    fn default() -> Self {
        Self { windows: Cache::new(LOCAL_KEYS), attempts: Cache::new(LOCAL_KEYS) }
    }
}

/// Changes what is kept of a key, and nobody comes in between.
fn update<T: Copy, R>(kept: &Kept<T>, key: &Digest, change: impl FnOnce(&mut Option<T>) -> R) -> R {
    let entry = kept.get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
    let entry = entry.unwrap_or_else(|never| match never {});
    let mut state = entry.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut state)
}

impl LocalCounters {
    /// Takes permits.
    pub fn take(&self, key: &Digest, quota: Quota, wanted: u32, now: Timestamp) -> Taken {
        let window = update(&self.windows, key, |window| *window.insert(quota.ask(*window, wanted, now)));
        quota.taken(window, wanted)
    }

    /// Counts an attempt, or says until when there may be none.
    pub fn attempt(&self, key: &Digest, backoff: Backoff, now: Timestamp) -> Result<(), Timestamp> {
        update(&self.attempts, key, |attempts| backoff.attempt(*attempts, now).map(|after| *attempts = Some(after)))
    }

    /// [`Limits::attempt_login`](crate::store::Limits::attempt_login) of an account that was read, of which `knows`
    /// tells whether it knows an origin.
    pub fn attempt_login(
        &self,
        attempt: &LoginAttempt<'_>,
        knows: &dyn Fn(Option<Digest>) -> bool,
        credentials: Option<UserCredentials>,
    ) -> AttemptOutcome {
        let now = attempt.now;
        let taken = attempt.ask.map(|ask| self.take(&ask.key, ask.quota, ask.wanted, now));
        let admission = if taken.is_some_and(|taken| taken.granted == 0) {
            Admission::AddressExhausted
        } else {
            attempt.counters.map_or(Admission::Admitted([None, None]), |counters| {
                let by_origin = counters.by_device.filter(|_| knows(counters.device)).unwrap_or(counters.by_address);
                let is_known = knows(counters.device) || knows(counters.address);
                let by_account = (!is_known).then_some(counters.by_account);
                let count = |key: Option<Digest>, backoff| key.map_or(Ok(()), |key| self.attempt(&key, backoff, now));
                let backoff = if is_known { Backoff::PER_KNOWN_ORIGIN } else { Backoff::PER_ORIGIN };
                match (count(Some(by_origin), backoff), by_account) {
                    (Err(until), _) => Admission::OriginBlocked(until),
                    (Ok(()), key) => match count(key, Backoff::PER_ACCOUNT) {
                        Err(until) => Admission::AccountBlocked(until),
                        Ok(()) => Admission::Admitted([Some(by_origin), key]),
                    },
                }
            })
        };
        let credentials = credentials.filter(|_| matches!(admission, Admission::Admitted(_)));
        AttemptOutcome { taken, admission, credentials }
    }

    /// Forgets the attempts.
    pub fn forget(&self, key: &Digest) {
        self.attempts.remove(key);
    }

    /// Forgets at most `limit` keys whose time is over. Tells how many.
    pub fn sweep(&self, now: Timestamp, limit: u32) -> u64 {
        fn sweep<T: Copy>(kept: &Kept<T>, ends_at: impl Fn(&T) -> Timestamp, now: Timestamp, limit: usize) -> u64 {
            let is_over = |state: &Arc<Mutex<Option<T>>>| {
                state.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(|it| ends_at(it) <= now)
            };
            let over: Vec<_> =
                kept.iter().filter(|(_, state)| is_over(state)).map(|(key, _)| key).take(limit).collect();
            // It may have been used again in between.
            over.iter().filter(|key| kept.remove_if(*key, is_over).is_some()).map(|_| 1).sum()
        }
        let limit = limit as usize;
        sweep(&self.windows, |window| window.ends_at, now, limit)
            + sweep(&self.attempts, |attempts| attempts.ends_at, now, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_timestamp_micros(1_750_000_000_000_000 + micros).expect("in range")
    }

    #[test]
    fn local_counters_forget_what_is_over() {
        let counters = LocalCounters::default();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        for key in [&a, &b] {
            assert_eq!(counters.take(key, Quota::per_minute(2), 3, at(0)).granted, 2);
            assert_eq!(counters.attempt(key, Backoff { free: 1 }, at(0)), Ok(()));
        }
        assert_eq!(counters.attempt(&a, Backoff { free: 1 }, at(0)), Err(at(2_000_000)));
        counters.forget(&a);
        assert_eq!(counters.attempt(&a, Backoff { free: 1 }, at(0)), Ok(()));
        assert_eq!(counters.sweep(at(0), 10), 0);
        assert_eq!(counters.sweep(at(60_000_000), 1), 1);
        assert_eq!(counters.sweep(at(60_000_000), 10), 1);
        assert_eq!(counters.sweep(at(0) + Backoff::MEMORY, 10), 2);
        assert_eq!(counters.sweep(at(0) + Backoff::MEMORY, 10), 0);
    }
}
