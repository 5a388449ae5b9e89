//! Permits, attempts to log in, and where an account was logged in to before.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{
    Case,
    fixture::{account, at, digest, id, moment, race, session},
};
use crate::{
    limit::{Backoff, Quota, Taken},
    model::{Digest, NewUser, Timestamp},
    store::{
        Admission, Ask, AttemptCounters, AttemptOutcome, LoginAttempt, LoginEffects, NewSession, Store, StoreError,
    },
};

const RACERS: usize = 32;

fn ask(name: &str, wanted: u32) -> Ask {
    Ask { key: digest(name), quota: Quota::per_minute(10), wanted }
}

/// What this login is counted by, from this address, with this browser.
fn counters(login: &str, address: &str, device: Option<&str>) -> AttemptCounters {
    AttemptCounters {
        address: Some(digest(address)),
        device: device.map(digest),
        by_address: digest(&format!("{login} from {address}")),
        by_device: device.map(|device| digest(&format!("{login} by {device}"))),
        by_account: digest(login),
    }
}

async fn attempt<S: Store>(
    store: &Arc<S>,
    login: &str,
    address: &str,
    device: Option<&str>,
    now: Timestamp,
) -> Result<AttemptOutcome, StoreError> {
    let counters = Some(counters(login, address, device));
    store.attempt_login(&LoginAttempt { login, now, ask: None, counters }).await
}

/// The account logs in with this browser at this address, after so many attempts as it takes.
async fn log_in<S: Store>(
    store: &Arc<S>,
    user: &NewUser,
    address: &str,
    device: &str,
    forget: [Option<Digest>; 2],
    now: Timestamp,
) -> Case {
    let effects = LoginEffects {
        forget,
        address: Some(digest(address)),
        device: Some(digest(device)),
        known_until: now + TimeDelta::days(90),
    };
    let cookie = format!("cookie {}", id());
    store.create_session(&NewSession { effects: Some(effects), ..session(&cookie, user.user.id, now) }).await
}

/// Tries until it is refused. Returns how often it was not, and the refusal.
async fn exhaust<S: Store>(
    store: &Arc<S>,
    login: &str,
    address: &str,
    device: Option<&str>,
    now: Timestamp,
) -> Result<(u32, Admission), StoreError> {
    for passed in 0..1000 {
        let admission = attempt(store, login, address, device, now).await?.admission;
        if !matches!(admission, Admission::Admitted(_)) {
            return Ok((passed, admission));
        }
    }
    panic!("it is never refused");
}

/// Uses up what the account has for origins that it does not know, from many of them.
async fn exhaust_account<S: Store>(store: &Arc<S>, login: &str, now: Timestamp) -> Result<u32, StoreError> {
    for passed in 0..1000 {
        match attempt(store, login, &format!("stranger {passed}"), None, now).await?.admission {
            Admission::Admitted(_) => {}
            Admission::AccountBlocked(_) => return Ok(passed),
            other => panic!("{other:?}"),
        }
    }
    panic!("it is never refused");
}

/// One by one, and then none.
pub async fn permits_are_granted_up_to_the_quota<S: Store>(store: &Arc<S>) -> Case {
    let ends_at = at(60);
    for left in (0..10).rev() {
        assert_eq!(store.take(&ask("a", 1), at(0)).await?, Taken { granted: 1, left, ends_at });
    }
    for seconds in [0, 30, 59] {
        assert_eq!(store.take(&ask("a", 1), at(seconds)).await?, Taken { granted: 0, left: 0, ends_at });
    }
    Ok(())
}

/// What is left of it.
pub async fn a_block_is_granted_in_part<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.take(&ask("a", 7), at(0)).await?.granted, 7);
    assert_eq!(store.take(&ask("a", 7), at(1)).await?, Taken { granted: 3, left: 0, ends_at: at(60) });
    assert_eq!(store.take(&ask("a", 7), at(2)).await?.granted, 0);
    Ok(())
}

/// To the moment; the next one begins when somebody asks.
pub async fn a_window_ends<S: Store>(store: &Arc<S>) -> Case {
    store.take(&ask("a", 10), at(0)).await?;
    assert_eq!(store.take(&ask("a", 1), at(60) - moment()).await?.granted, 0);
    assert_eq!(store.take(&ask("a", 1), at(60)).await?, Taken { granted: 1, left: 9, ends_at: at(120) });
    assert_eq!(store.take(&ask("a", 1), at(500)).await?, Taken { granted: 1, left: 9, ends_at: at(560) });
    Ok(())
}

/// Nobody uses up what is another's.
pub async fn keys_are_counted_apart<S: Store>(store: &Arc<S>) -> Case {
    store.take(&ask("a", 10), at(0)).await?;
    assert_eq!(store.take(&ask("b", 10), at(0)).await?.granted, 10);
    Ok(())
}

/// Whoever races, and in whatever blocks.
pub async fn racers_take_the_quota_and_no_more<S: Store>(store: &Arc<S>) -> Case {
    for wanted in [1, 3] {
        for round in 0..8 {
            let racers = (0..RACERS).map(|_| {
                let store = Arc::clone(store);
                async move { store.take(&ask(&format!("{wanted} in {round}"), wanted), at(0)).await }
            });
            let mut granted = 0;
            for taken in race(racers).await {
                granted += taken?.granted;
            }
            assert_eq!(granted, 10, "in blocks of {wanted}");
        }
    }
    Ok(())
}

/// As without any attempt counted.
pub async fn an_attempt_reads_the_account<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    for login in ["ada", "ADA@example.com"] {
        let read = attempt(store, login, "address", Some("device"), at(0)).await?.credentials.expect("it is there");
        assert_eq!(
            (read.user, read.password_hash, read.is_active),
            (ada.user.clone(), ada.password_hash.clone(), true)
        );
    }
    assert!(attempt(store, "nobody", "address", None, at(0)).await?.credentials.is_none());
    Ok(())
}

/// Where limits are off.
pub async fn nothing_is_counted_unasked<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    for _ in 0..50 {
        let attempt = LoginAttempt { login: "ada", now: at(0), ask: None, counters: None };
        let outcome = store.attempt_login(&attempt).await?;
        assert!(outcome.taken.is_none() && outcome.credentials.is_some());
        assert_eq!(outcome.admission, Admission::Admitted([None, None]));
    }
    Ok(())
}

/// Permits are taken along, and without one nothing else is counted.
pub async fn permits_come_first<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    let attempt = LoginAttempt {
        login: "ada",
        now: at(0),
        ask: Some(ask("address", 4)),
        counters: Some(counters("ada", "address", None)),
    };
    for (granted, left) in [(4, 6), (4, 2), (2, 0)] {
        let outcome = store.attempt_login(&attempt).await?;
        assert_eq!(outcome.taken, Some(Taken { granted, left, ends_at: at(60) }));
        assert!(matches!(outcome.admission, Admission::Admitted(_)) && outcome.credentials.is_some());
    }
    for _ in 0..30 {
        let outcome = store.attempt_login(&attempt).await?;
        assert_eq!(outcome.admission, Admission::AddressExhausted);
        assert!(outcome.credentials.is_none() && outcome.taken.is_some_and(|taken| taken.granted == 0));
    }
    let later = LoginAttempt { now: at(60), ..attempt };
    assert!(matches!(store.attempt_login(&later).await?.admission, Admission::Admitted(_)));
    Ok(())
}

/// Some are free; then there is a wait, twice as long each time, and what is tried meanwhile makes it no longer.
pub async fn attempts_from_one_origin_wait_longer_each_time<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    let free = Backoff::PER_ORIGIN.free;
    let first = at(2);
    assert_eq!(exhaust(store, "ada", "address", None, at(0)).await?, (free, Admission::OriginBlocked(first)));
    assert!(attempt(store, "ada", "address", None, at(1)).await?.credentials.is_none());
    let mut now = first;
    for wait in [4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert!(matches!(attempt(store, "ada", "address", None, now).await?.admission, Admission::Admitted(_)));
        let until = now + TimeDelta::seconds(wait);
        for moments in [TimeDelta::zero(), TimeDelta::seconds(wait) - moment()] {
            let refused = attempt(store, "ada", "address", None, now + moments).await?.admission;
            assert_eq!(refused, Admission::OriginBlocked(until));
        }
        now = until;
    }
    let forgotten = now + Backoff::MEMORY;
    assert_eq!(exhaust(store, "ada", "address", None, forgotten).await?.0, free);
    Ok(())
}

/// A thousand addresses have no more attempts than one has twice.
pub async fn attempts_from_everywhere_wait_longer_each_time<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    store.create_user(&account("bob"), at(0), None).await?;
    assert_eq!(exhaust_account(store, "ada", at(0)).await?, Backoff::PER_ACCOUNT.free);
    assert_eq!(exhaust_account(store, "ada", at(2)).await?, 1);
    let refused = attempt(store, "ada", "another", None, at(3)).await?;
    assert_eq!(refused.admission, Admission::AccountBlocked(at(6)));
    assert!(refused.credentials.is_none());
    assert!(matches!(attempt(store, "bob", "another", None, at(3)).await?.admission, Admission::Admitted(_)));
    Ok(())
}

/// Nobody learns from it whether there is one.
pub async fn an_account_that_does_not_exist_is_counted_alike<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    for login in ["ada", "nobody"] {
        let one = exhaust(store, login, "address", None, at(0)).await?;
        assert_eq!(one, (Backoff::PER_ORIGIN.free, Admission::OriginBlocked(at(2))), "{login}");
        let all = exhaust_account(store, login, at(0)).await?;
        assert_eq!(all, Backoff::PER_ACCOUNT.free - Backoff::PER_ORIGIN.free, "{login}");
    }
    Ok(())
}

/// Where the owner was before: whatever strangers try meanwhile.
pub async fn the_owner_gets_in_from_a_known_origin<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), account("bob"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    log_in(store, &ada, "home", "laptop", [None, None], at(0)).await?;
    log_in(store, &bob, "office", "desktop", [None, None], at(0)).await?;
    exhaust_account(store, "ada", at(1)).await?;
    let is_admitted = async |address: &str, device: Option<&str>, seconds| {
        let admission = attempt(store, "ada", address, device, at(seconds)).await?.admission;
        Ok::<_, StoreError>(matches!(admission, Admission::Admitted([Some(_), None])))
    };
    for (address, device, expected) in [
        ("home", None, true),
        ("home", Some("phone"), true),
        ("café", Some("laptop"), true),
        ("café", Some("phone"), false),
        ("café", None, false),
        // Known to somebody else.
        ("office", None, false),
        ("café", Some("desktop"), false),
    ] {
        assert_eq!(is_admitted(address, device, 1).await?, expected, "{address} {device:?}");
    }
    let forgotten = 90 * 86_400;
    exhaust_account(store, "ada", at(forgotten)).await?;
    assert!(!is_admitted("home", Some("laptop"), forgotten).await?);
    Ok(())
}

/// Nor can somebody at the same address lock the owner's browser out, or guess for ever.
pub async fn a_known_browser_is_counted_by_itself<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    log_in(store, &ada, "home", "laptop", [None, None], at(0)).await?;
    let free = Backoff::PER_KNOWN_ORIGIN.free;
    assert_eq!(exhaust(store, "ada", "home", None, at(1)).await?, (free, Admission::OriginBlocked(at(3))));
    assert_eq!(exhaust(store, "ada", "home", Some("phone"), at(1)).await?.0, 0);
    assert_eq!(exhaust(store, "ada", "home", Some("laptop"), at(1)).await?, (free, Admission::OriginBlocked(at(3))));
    assert_eq!(exhaust(store, "ada", "café", Some("laptop"), at(1)).await?.0, 0);
    Ok(())
}

/// Whoever mistyped and then did not begins anew.
pub async fn a_login_forgets_its_attempts<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    for round in 0..4 {
        for _ in 0..Backoff::PER_ORIGIN.free - 1 {
            attempt(store, "ada", "address", None, at(round)).await?;
        }
        let admission = attempt(store, "ada", "address", None, at(round)).await?.admission;
        let Admission::Admitted(forget) = admission else { panic!("round {round}: {admission:?}") };
        let counters = counters("ada", "address", None);
        assert_eq!(forget, [Some(counters.by_address), Some(counters.by_account)]);
        // From elsewhere, so that the address stays unknown.
        log_in(store, &ada, "elsewhere", "laptop", forget, at(round)).await?;
    }
    Ok(())
}

/// A thousand at the same time are a thousand.
pub async fn racing_attempts_are_all_counted<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    let admitted = |outcomes: Vec<Result<AttemptOutcome, StoreError>>| {
        outcomes.into_iter().try_fold(0, |count, outcome| {
            Ok::<u32, StoreError>(count + u32::from(matches!(outcome?.admission, Admission::Admitted(_))))
        })
    };
    for round in 0..6 {
        let racers = (0..RACERS).map(|_| {
            let (store, login) = (Arc::clone(store), format!("one {round}"));
            async move { attempt(&store, &login, "address", None, at(0)).await }
        });
        assert_eq!(admitted(race(racers).await)?, Backoff::PER_ORIGIN.free);
        let racers = (0..RACERS).map(|racer| {
            let (store, login) = (Arc::clone(store), format!("all {round}"));
            async move { attempt(&store, &login, &format!("address {racer}"), None, at(0)).await }
        });
        assert_eq!(admitted(race(racers).await)?, Backoff::PER_ACCOUNT.free);
    }
    Ok(())
}

/// Logins and attempts that touch the same counters do not stop each other.
pub async fn logins_race_with_attempts<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    for round in 0..6 {
        let racers = (0..RACERS).map(|racer| {
            let (store, ada) = (Arc::clone(store), ada.clone());
            async move {
                let now = at(round) + TimeDelta::microseconds(i64::try_from(racer).expect("a small number"));
                let address = if racer % 2 == 0 { "one".to_owned() } else { format!("{racer}") };
                match attempt(&store, "ada", &address, None, now).await?.admission {
                    Admission::Admitted(forget) => log_in(&store, &ada, "elsewhere", "laptop", forget, now).await,
                    _ => Ok(()),
                }
            }
        });
        for outcome in race(racers).await {
            outcome?;
        }
    }
    Ok(())
}

/// And nothing else.
pub async fn ended_counters_and_origins_are_swept<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    assert_eq!(store.sweep_limits(at(0), 100).await?, 0);
    store.take(&ask("a", 10), at(0)).await?;
    store.take(&ask("b", 10), at(30)).await?;
    attempt(store, "ada", "address", None, at(0)).await?;
    log_in(store, &ada, "home", "laptop", [None, None], at(0)).await?;
    assert_eq!(store.sweep_limits(at(59), 100).await?, 0);
    assert_eq!(store.sweep_limits(at(60), 100).await?, 1);
    assert_eq!(store.take(&ask("b", 1), at(60)).await?.granted, 0);
    let a_day = 86_400;
    assert_eq!(store.sweep_limits(at(a_day), 100).await?, 3, "a window and two counters of attempts");
    assert_eq!(store.sweep_limits(at(90 * a_day - 1), 100).await?, 0);
    assert_eq!(store.sweep_limits(at(90 * a_day), 1).await?, 1);
    assert_eq!(store.sweep_limits(at(90 * a_day), 1).await?, 1);
    assert_eq!(store.sweep_limits(at(90 * a_day), 1).await?, 0);
    Ok(())
}
