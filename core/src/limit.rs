//! How limits count: pure decisions, no I/O. Whatever keeps the numbers (Postgres, Redis, this process) comes to what
//! is decided here.
//!
//! Requests are counted in windows: a key has so many permits, the first request opens the window, and when it is over
//! the next one opens another. One row, one number, exact: an instance may take permits in blocks, and all instances
//! together never have more than the quota. (At the edge of two windows a burst can be twice as large, once; a sliding
//! window would need two numbers, and blocks could not be reserved from it.)
//!
//! Passwords are counted in attempts: some are free, and after each further one the key has to wait, longer each time.

mod local;

use chrono::TimeDelta;

pub use local::LocalCounters;

use crate::model::Timestamp;

/// So many permits in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many permits a window has.
    pub permits: u32,
    /// How long a window is.
    pub period: TimeDelta,
}

/// What is kept of a key whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How many permits were asked for so far, granted or not.
    pub asked: u64,
    /// When the window is over.
    pub ends_at: Timestamp,
}

/// What an instance received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many of the permits that it asked for.
    pub granted: u32,
    /// How many there are left for everybody.
    pub left: u32,
    /// When there are new ones.
    pub ends_at: Timestamp,
}

impl Quota {
    /// So many permits a minute.
    pub fn per_minute(permits: u32) -> Self {
        Self { permits, period: TimeDelta::minutes(1) }
    }

    /// The window after somebody asked for so many permits.
    pub fn ask(self, window: Option<Window>, wanted: u32, now: Timestamp) -> Window {
        match window.filter(|window| window.ends_at > now) {
            Some(window) => Window { asked: window.asked.saturating_add(wanted.into()), ..window },
            None => Window { asked: wanted.into(), ends_at: now + self.period },
        }
    }

    /// What the one who asked last received: what was left before, and no more.
    pub fn taken(self, window: Window, wanted: u32) -> Taken {
        let permits = u64::from(self.permits);
        let available = permits.saturating_sub(window.asked.saturating_sub(wanted.into()));
        Taken {
            granted: u32::try_from(available).unwrap_or(u32::MAX).min(wanted),
            left: u32::try_from(permits.saturating_sub(window.asked)).unwrap_or(u32::MAX),
            ends_at: window.ends_at,
        }
    }

    /// How many permits to reserve at once when so many are left: fewer and fewer, one by one at the end, so that no
    /// instance sits on the last ones.
    pub fn block(left: u32) -> u32 {
        (left / 8).max(1)
    }
}

/// What is kept of a key whose attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// How many there were.
    pub count: u32,
    /// Until when there may be no other.
    pub blocked_until: Option<Timestamp>,
    /// When all is forgotten, unless there is another.
    pub ends_at: Timestamp,
}

/// So many attempts are free; after each further one there is a wait, twice as long each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How many attempts are followed by no wait.
    pub free: u32,
}

impl Backoff {
    /// For one account from an address that it does not know: a person who mistypes does not notice it.
    pub const PER_ORIGIN: Self = Self { free: 10 };
    /// For one account from an address or browser that it knows. Attempts are counted before their passwords are
    /// compared, so this is also how many logins of one account may be under way at once.
    pub const PER_KNOWN_ORIGIN: Self = Self { free: 20 };
    /// For one account from all addresses that it does not know: whoever has a thousand of them has no more.
    pub const PER_ACCOUNT: Self = Self { free: 20 };
    /// The first wait.
    pub const FIRST: TimeDelta = TimeDelta::seconds(2);
    /// The longest one: a hundred guesses a day.
    pub const LONGEST: TimeDelta = TimeDelta::minutes(15);
    /// Attempts are forgotten after so long without another.
    pub const MEMORY: TimeDelta = TimeDelta::days(1);
    /// Doubled so often, the wait is the longest by far.
    const MOST_DOUBLINGS: u32 = 20;

    /// The wait after this many attempts.
    pub fn wait_after(self, count: u32) -> Option<TimeDelta> {
        let doublings = count.checked_sub(self.free)?.min(Self::MOST_DOUBLINGS);
        Some((Self::FIRST * (1 << doublings)).min(Self::LONGEST))
    }

    /// Counts an attempt before it is made, so that a thousand at the same time are a thousand; or says until when
    /// there may be none.
    pub fn attempt(self, attempts: Option<Attempts>, now: Timestamp) -> Result<Attempts, Timestamp> {
        let before = attempts.filter(|attempts| attempts.ends_at > now);
        if let Some(blocked_until) = before.and_then(|attempts| attempts.blocked_until).filter(|until| *until > now) {
            return Err(blocked_until);
        }
        let count = before.map_or(0, |attempts| attempts.count).saturating_add(1);
        let blocked_until = self.wait_after(count).map(|wait| now + wait);
        Ok(Attempts { count, blocked_until, ends_at: now + Self::MEMORY })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_timestamp_micros(1_750_000_000_000_000 + micros).expect("in range")
    }

    /// Numbers that look random and are the same each time (SplitMix64).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) % limit
        }
    }

    /// However it is asked for, a window never grants more than its quota, and all of it to those who keep asking.
    #[test]
    fn a_window_grants_its_quota_and_no_more() {
        let mut numbers = Numbers(1);
        for _ in 0..2_000 {
            let quota = Quota { permits: numbers.below(200) as u32 + 1, period: TimeDelta::seconds(60) };
            let (mut window, mut granted, mut now, mut ends_at) = (None, 0_u64, at(0), None);
            for _ in 0..300 {
                now += TimeDelta::microseconds(numbers.below(400_000) as i64);
                let wanted = if numbers.below(2) == 0 { 1 } else { numbers.below(40) as u32 + 1 };
                let after = quota.ask(window, wanted, now);
                let taken = quota.taken(after, wanted);
                if ends_at != Some(after.ends_at) {
                    assert!(ends_at.is_none_or(|ended| ended <= now), "a window was cut short");
                    assert_eq!(after.ends_at, now + quota.period);
                    (granted, ends_at) = (0, Some(after.ends_at));
                }
                granted += u64::from(taken.granted);
                assert!(taken.granted <= wanted && granted <= u64::from(quota.permits), "{quota:?} {taken:?}");
                assert!(taken.granted == wanted || granted == u64::from(quota.permits), "it was refused too early");
                assert_eq!(u64::from(taken.left), u64::from(quota.permits) - granted);
                window = Some(after);
            }
        }
    }

    /// Reserving in blocks: each instance uses up what it has, and together they have the quota.
    #[test]
    fn instances_with_blocks_use_all_of_it() {
        let mut numbers = Numbers(2);
        for _ in 0..500 {
            let quota = Quota::per_minute(numbers.below(500) as u32 + 1);
            let (mut window, mut admitted) = (None, 0);
            let mut instances = [(0, quota.permits); 4];
            while instances.iter().any(|(permits, left)| permits + left > 0) {
                let (permits, left) = &mut instances[numbers.below(4) as usize];
                if *permits == 0 && *left > 0 {
                    let wanted = Quota::block(*left);
                    let after = quota.ask(window, wanted, at(0));
                    let taken = quota.taken(after, wanted);
                    (window, *permits, *left) = (Some(after), taken.granted, taken.left);
                }
                if *permits > 0 {
                    *permits -= 1;
                    admitted += 1;
                }
            }
            assert_eq!(admitted, quota.permits);
        }
    }

    #[test]
    fn waits_grow_up_to_the_longest() {
        for backoff in [Backoff::PER_ORIGIN, Backoff::PER_ACCOUNT] {
            assert_eq!(backoff.wait_after(backoff.free - 1), None);
            assert_eq!(backoff.wait_after(backoff.free), Some(Backoff::FIRST));
            let waits: Vec<_> = (backoff.free..backoff.free + 100).map(|count| backoff.wait_after(count)).collect();
            assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]));
            assert_eq!(backoff.wait_after(u32::MAX), Some(Backoff::LONGEST));
        }
    }

    /// Whenever somebody tries, the number of attempts in a day is bounded, and no wait is ever cut short.
    #[test]
    fn attempts_in_a_day_are_bounded() {
        let mut numbers = Numbers(3);
        for _ in 0..50 {
            let (mut attempts, mut now, mut admitted, mut blocked_until) = (None, at(0), 0, at(0));
            let gap = numbers.below(100_000_000) + 1;
            while now < at(86_400_000_000) {
                match Backoff::PER_ACCOUNT.attempt(attempts, now) {
                    Ok(after) => {
                        assert!(now >= blocked_until);
                        admitted += 1;
                        blocked_until = after.blocked_until.unwrap_or(now);
                        attempts = Some(after);
                    }
                    Err(until) => assert!(until == blocked_until && now < until),
                }
                now += TimeDelta::microseconds(numbers.below(gap) as i64 + 100_000);
            }
            assert!(admitted <= 20 + 9 + 96, "{admitted}");
        }
    }

    #[test]
    fn attempts_are_forgotten() {
        let mut attempts = None;
        for _ in 0..Backoff::PER_ORIGIN.free {
            attempts = Backoff::PER_ORIGIN.attempt(attempts, at(0)).ok();
        }
        assert_eq!(Backoff::PER_ORIGIN.attempt(attempts, at(0)), Err(at(2_000_000)));
        let later = at(0) + Backoff::MEMORY;
        assert_eq!(Backoff::PER_ORIGIN.attempt(attempts, later).map(|attempts| attempts.count), Ok(1));
    }
}
