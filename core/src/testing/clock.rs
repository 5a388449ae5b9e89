use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::TimeDelta;

use crate::{model::Timestamp, ports::Clock};

/// A clock that stands still until it is told otherwise. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    /// Microseconds since the Unix epoch, as stores keep time.
    now: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that shows `now`, without the nanoseconds.
    pub fn new(now: Timestamp) -> Self {
        Self { now: Arc::new(AtomicI64::new(now.timestamp_micros())) }
    }

    /// Shows `now` from here on, without the nanoseconds.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.timestamp_micros(), Ordering::SeqCst);
    }

    /// Moves on, or back.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().expect("a test lasts for less than 290,000 years");
        self.now.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_timestamp_micros(self.now.load(Ordering::SeqCst)).expect("it was set from a timestamp")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_show_the_same_time() {
        let start = Timestamp::from_timestamp_micros(1_750_000_000_123_456).expect("in range");
        let clock = ManualClock::new(start);
        let shared = clock.clone();
        clock.advance(TimeDelta::minutes(5));
        assert_eq!(shared.now(), start + TimeDelta::minutes(5));
        shared.set(start);
        assert_eq!(clock.now(), start);
    }
}
