//! Limits per client address, and what passwords are counted by.
//!
//! An instance takes permits from the shared counter in blocks (`crate::limit`) and hands them out by itself, so that
//! most requests cost nothing more. What it holds of an address it also remembers when there is none left: a flood is
//! refused without asking anybody.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::TimeDelta;
use quick_cache::sync::Cache;

use super::{Exchange, Server};
use crate::{
    audit::{Event, EventType},
    config::Config,
    crypto::Keyed,
    error::{Error, ProtocolError},
    limit::{Quota, Taken},
    model::{DeviceToken, Digest, Timestamp, UserCredentials},
    ports::Host,
    store::{Admission, Ask, AttemptCounters, LoginAttempt, Store, StoreError},
    telemetry::{self, Limit},
};

const LEASES: usize = 20_000;

/// What is counted here, of all that is counted by all instances.
pub(crate) struct Limiter {
    key: Keyed,
    quota: Option<Quota>,
    leases: Cache<Digest, Arc<Mutex<Held>>>,
    /// Counters of attempts that are blocked, and until when: each is reported once.
    blocked: Cache<Digest, Timestamp>,
    said_address_is_unknown: AtomicBool,
}

/// What this instance holds of an address.
#[derive(Default)]
struct Held {
    lease: Option<Lease>,
    /// A request is asking for a block: those beside it ask for one permit each. Otherwise, however few they are, each would take
    /// an eighth of what there is for everybody.
    is_asking: bool,
}

/// Permits of an address that this instance has taken.
#[derive(Clone, Copy)]
struct Lease {
    permits: u32,
    /// What the others had not taken yet, when this instance asked last.
    left: u32,
    ends_at: Timestamp,
    /// How many requests were refused here.
    refused: u32,
}

impl Lease {
    fn new(taken: Taken) -> Self {
        Self { permits: taken.granted, left: taken.left, ends_at: taken.ends_at, refused: 0 }
    }

    fn is_exhausted(&self) -> bool {
        self.permits == 0 && self.left == 0
    }
}

/// How an address stands after a request: for the `RateLimit` headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) quota: Quota,
    pub(crate) remaining: u32,
    pub(crate) seconds: u32,
}

/// What a request did to the limit of its address.
#[derive(Default)]
pub(crate) struct Counted(Mutex<CountedState>);

#[derive(Default)]
struct CountedState {
    standing: Option<Standing>,
    /// The address whose permit it took.
    permit: Option<Digest>,
    is_trusted: bool,
}

impl Counted {
    fn state(&self) -> MutexGuard<'_, CountedState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the address stands, if the request was counted.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.state().standing
    }

    /// Whoever asks has proved who it is: nothing that it does wrong counts.
    pub(crate) fn trust(&self) {
        self.state().is_trusted = true;
    }

    /// Whether a failure is still to be counted.
    pub(super) fn is_open(&self) -> bool {
        let state = self.state();
        !state.is_trusted && state.standing.is_none()
    }
}

/// An attempt to log in whose password may be tried.
pub(crate) struct Admitted {
    /// The counters to forget if it is right.
    pub(crate) forget: [Option<Digest>; 2],
    /// The account, if there is one.
    pub(crate) credentials: Option<UserCredentials>,
}

/// What is known here of an address.
enum Local {
    /// One more request is fine.
    Granted,
    /// There are none left for anybody.
    Exhausted { until: Timestamp, is_news: bool },
    /// The shared counter has to be asked for so many.
    Ask { wanted: u32 },
}

/// Whole seconds until then, one at least.
pub(crate) fn seconds_until(until: Timestamp, now: Timestamp) -> u32 {
    let milliseconds = u32::try_from((until - now).num_milliseconds()).unwrap_or(0);
    milliseconds.div_ceil(1000).max(1)
}

impl Limiter {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            key: config.root.derive("limits").swap_remove(0),
            quota: config.rate_limit,
            leases: Cache::new(LEASES),
            blocked: Cache::new(LEASES),
            said_address_is_unknown: AtomicBool::new(false),
        }
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        Digest::from(self.key.mac(parts))
    }

    /// An address, or of IPv6 the network that a customer is given. Requests whose address is not known share one
    /// limit: a target that knows addresses tells them, and a request that got around it must not get around the limit
    /// as well.
    fn address(&self, address: Option<IpAddr>) -> Digest {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => self.digest(&[b"address", &address.octets()]),
            Some(IpAddr::V6(address)) => self.digest(&[b"address", &address.octets()[..8]]),
            None => {
                if !self.said_address_is_unknown.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "the host does not tell where a request comes from: all such requests share one limit"
                    );
                }
                self.digest(&[b"address"])
            }
        }
    }

    fn held<R>(&self, key: &Digest, change: impl FnOnce(&mut Held) -> R) -> R {
        let held = self.leases.get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let held = held.unwrap_or_else(|never| match never {});
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut held)
    }

    /// Takes a permit that this instance has, if it has one.
    fn take(&self, key: &Digest, quota: Quota, now: Timestamp) -> (Local, Option<Standing>) {
        self.held(key, |Held { lease, is_asking }| {
            let mut ask = |left| {
                let wanted = if *is_asking { 1 } else { Quota::block(left) };
                *is_asking = true;
                (Local::Ask { wanted }, None)
            };
            let Some(lease) = lease.as_mut().filter(|lease| lease.ends_at > now) else {
                return ask(quota.permits);
            };
            let local = if lease.permits > 0 {
                lease.permits -= 1;
                Local::Granted
            } else if lease.left > 0 {
                return ask(lease.left);
            } else {
                lease.refused = lease.refused.saturating_add(1);
                Local::Exhausted { until: lease.ends_at, is_news: lease.refused == 1 }
            };
            let remaining = lease.permits + lease.left;
            (local, Some(Standing { quota, remaining, seconds: seconds_until(lease.ends_at, now) }))
        })
    }

    /// Adds what was received to what is there. Tells how many permits there are then, here and for everybody.
    fn deposit(&self, key: &Digest, taken: Taken, now: Timestamp) -> u32 {
        self.held(key, |Held { lease, is_asking }| {
            *is_asking = false;
            let kept = match lease.filter(|lease| lease.ends_at > now) {
                Some(lease) => Lease {
                    permits: lease.permits.saturating_add(taken.granted),
                    left: taken.left,
                    ends_at: lease.ends_at.min(taken.ends_at),
                    ..lease
                },
                None => Lease::new(taken),
            };
            *lease = Some(kept);
            kept.permits.saturating_add(kept.left)
        })
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// Counts a request against the limit of its address: 429 where that is used up.
    pub(crate) async fn permit(&self, exchange: &Exchange<'_>) -> Result<(), Error> {
        let Some(quota) = self.limiter.quota else {
            return Ok(());
        };
        let key = self.limiter.address(exchange.client_address());
        if let Some(ask) = self.local_permit(exchange, key, quota).await? {
            let taken = match self.host.take(&ask, exchange.now).await {
                Some(taken) => taken,
                None => match self.store.take(&ask, exchange.now).await {
                    Ok(taken) => taken,
                    // Whatever a stranger could gain takes the database as well; a page that does not goes on.
                    Err(StoreError::Unavailable(reason)) => {
                        tracing::warn!(request_id = exchange.request_id, reason, "a request was not counted");
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            self.settle(exchange, &ask, taken).await?;
        }
        Ok(())
    }

    /// Whether a page may be for somebody who is logged in, and its request is better counted when that is known.
    pub(super) fn may_be_known(&self, exchange: &Exchange<'_>) -> bool {
        exchange.request.method().is_safe() && !self.host.may_reserve() && self.session_token(exchange).is_some()
    }

    /// Refuses a request whose address is used up and has been refused often enough not to get the benefit of the doubt
    /// any more: the database is not asked.
    pub(crate) async fn refuse_flood(&self, exchange: &Exchange<'_>) -> Result<(), Error> {
        let Some(quota) = self.limiter.quota else {
            return Ok(());
        };
        let key = self.limiter.address(exchange.client_address());
        let is_flood = self.limiter.leases.get(&key).is_some_and(|held| {
            let held = held.lock().unwrap_or_else(PoisonError::into_inner);
            held.lease.is_some_and(|lease| {
                lease.ends_at > exchange.now && lease.is_exhausted() && lease.refused >= quota.permits
            })
        });
        if is_flood { self.permit(exchange).await } else { Ok(()) }
    }

    /// Takes the permit back: the request turned out to be no stranger's.
    pub(crate) fn give_back(&self, exchange: &Exchange<'_>) {
        let key = {
            let mut state = exchange.counted.state();
            (state.standing, state.is_trusted) = (None, true);
            state.permit.take()
        };
        if let Some(key) = key {
            self.limiter.held(&key, |held| {
                if let Some(lease) = held.lease.as_mut().filter(|lease| lease.ends_at > exchange.now) {
                    lease.permits += 1;
                }
            });
        }
    }

    /// A permit that this instance has; what to ask for where it has none; 429 where nobody has any.
    async fn local_permit(&self, exchange: &Exchange<'_>, key: Digest, quota: Quota) -> Result<Option<Ask>, Error> {
        let (local, standing) = self.limiter.take(&key, quota, exchange.now);
        if standing.is_some() {
            exchange.counted.state().standing = standing;
        }
        match local {
            Local::Granted => {
                exchange.counted.state().permit = Some(key);
                Ok(None)
            }
            Local::Ask { wanted } => {
                let wanted = if self.host.may_reserve() { wanted } else { 1 };
                Ok(Some(Ask { key, quota, wanted }))
            }
            Local::Exhausted { until, is_news } => {
                if is_news {
                    self.audit(exchange, Event::new(EventType::RateLimitExceeded).detail("address")).await;
                }
                Err(self.refuse_address(seconds_until(until, exchange.now)))
            }
        }
    }

    fn refuse_address(&self, retry_after: u32) -> Error {
        self.host.count(telemetry::Event::RateLimited(Limit::Address));
        ProtocolError::too_many_requests(retry_after).into()
    }

    /// Takes one of what was received, and keeps the rest.
    async fn settle(&self, exchange: &Exchange<'_>, ask: &Ask, taken: Taken) -> Result<(), Error> {
        let Ask { key, quota, .. } = *ask;
        let rest = Taken { granted: taken.granted.saturating_sub(1), ..taken };
        let remaining = self.limiter.deposit(&key, rest, exchange.now);
        if taken.granted > 0 {
            let seconds = seconds_until(taken.ends_at, exchange.now);
            let mut state = exchange.counted.state();
            (state.standing, state.permit) = (Some(Standing { quota, remaining, seconds }), Some(key));
            return Ok(());
        }
        match self.local_permit(exchange, key, quota).await? {
            None => Ok(()),
            // The window ended in between: the next request opens another.
            Some(_) => Err(self.refuse_address(1)),
        }
    }

    /// The browser, as an origin.
    pub(crate) fn device(&self, token: &DeviceToken) -> Digest {
        self.limiter.digest(&[b"device", token.expose().as_bytes()])
    }

    /// The client's address, as an origin; `None` where it is not known, and so nobody's.
    pub(crate) fn origin(&self, exchange: &Exchange<'_>) -> Option<Digest> {
        let address = exchange.client_address()?;
        Some(self.limiter.digest(&[b"origin", self.limiter.address(Some(address)).as_bytes()]))
    }

    /// Counts an attempt to log in, by the client's address and by the account, and reads the account; or tells until
    /// when its password may not be tried from here.
    pub(crate) async fn attempt_login(
        &self,
        exchange: &Exchange<'_>,
        login: &str,
        device: Option<&DeviceToken>,
    ) -> Result<Result<Admitted, Timestamp>, Error> {
        let now = exchange.now;
        let mut attempt = LoginAttempt { login, now, ask: None, counters: None };
        let Some(quota) = self.limiter.quota else {
            let outcome = self.store.attempt_login(&attempt).await?;
            return Ok(Ok(Admitted { forget: [None, None], credentials: outcome.credentials }));
        };
        let key = self.limiter.address(exchange.client_address());
        let mut ask = self.local_permit(exchange, key, quota).await?;
        if let Some(asked) = &ask
            && let Some(taken) = self.host.take(asked, now).await
        {
            self.settle(exchange, asked, taken).await?;
            ask = None;
        }
        let device = device.map(|device| self.device(device));
        let name = login.to_lowercase();
        let counter = |origin: &Digest| self.limiter.digest(&[b"attempts", name.as_bytes(), origin.as_bytes()]);
        let counters = AttemptCounters {
            address: self.origin(exchange),
            device,
            by_address: counter(&key),
            by_device: device.as_ref().map(counter),
            by_account: self.limiter.digest(&[b"attempts", name.as_bytes()]),
        };
        (attempt.ask, attempt.counters) = (ask, Some(counters));
        let outcome = self.store.attempt_login(&attempt).await?;
        if let (Some(ask), Some(taken)) = (&ask, outcome.taken) {
            self.settle(exchange, ask, taken).await?;
        }
        let (limit, detail, counter, until) = match outcome.admission {
            Admission::Admitted(forget) => return Ok(Ok(Admitted { forget, credentials: outcome.credentials })),
            Admission::AddressExhausted => {
                let until = outcome.taken.map_or(now, |taken| taken.ends_at);
                return Err(self.refuse_address(seconds_until(until, now)));
            }
            Admission::OriginBlocked(until) => (Limit::Origin, "passwords from one origin", counters.by_address, until),
            Admission::AccountBlocked(until) => {
                (Limit::Account, "passwords of one account", counters.by_account, until)
            }
        };
        self.host.count(telemetry::Event::RateLimited(limit));
        if self.limiter.blocked.get(&counter).is_none_or(|reported| reported <= now) {
            self.limiter.blocked.insert(counter, until.max(now + TimeDelta::seconds(1)));
            self.audit(exchange, Event::new(EventType::RateLimitExceeded).detail(detail)).await;
        }
        Ok(Err(until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_requests_that_begin_together_one_takes_a_block() {
        let (limiter, quota, now) = (Limiter::new(&Config::least()), Quota::per_minute(100), Timestamp::UNIX_EPOCH);
        let key = limiter.address(None);
        let take = || limiter.take(&key, quota, now).0;
        let wanted = || match take() {
            Local::Ask { wanted } => wanted,
            _ => panic!("there is nothing here yet"),
        };
        let (block, ends_at) = (Quota::block(100), now + TimeDelta::minutes(1));
        assert!(block > 1);
        assert_eq!([(); 8].map(|()| wanted()), [block, 1, 1, 1, 1, 1, 1, 1]);
        // Each answer holds the permit of the request that asked.
        limiter.deposit(&key, Taken { granted: block - 1, left: 100 - block, ends_at }, now);
        for others in 1..8 {
            limiter.deposit(&key, Taken { granted: 0, left: 100 - block - others, ends_at }, now);
        }
        for _ in 1..block {
            assert!(matches!(take(), Local::Granted));
        }
        assert_eq!(wanted(), Quota::block(100 - block - 7), "the block is used up: one asks for the next");
        assert_eq!(wanted(), 1, "and whoever comes meanwhile for one");
    }
}
