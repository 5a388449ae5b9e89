//! The same promises, with many callers at the same time.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Case,
    fixture::{
        Family, IDLE, World, account, at, clients, id, named_account, public_client, race, race_two, redemption, scope,
        scopes, session,
    },
    signing_keys::key,
};
use crate::{
    crypto::{Algorithm, SealedKey},
    model::NewClient,
    store::{CodeOutcome, NewGrant, RefreshOutcome, Store, StoreError, Swept},
};

const RACERS: usize = 32;
const ROUNDS: usize = 12;

/// How often each outcome came; an error of the store ends the case.
fn tally<T: std::fmt::Debug>(outcomes: Vec<Result<T, StoreError>>) -> Result<BTreeMap<String, usize>, StoreError> {
    let mut tally = BTreeMap::new();
    for outcome in outcomes {
        let debug = format!("{:?}", outcome?);
        let name = debug.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
        *tally.entry(name).or_default() += 1;
    }
    Ok(tally)
}

fn expected<const N: usize>(outcomes: [(&str, usize); N]) -> BTreeMap<String, usize> {
    outcomes.map(|(name, count)| (name.to_owned(), count)).into()
}

/// RFC 6749 §4.1.2; those who came late have revoked what the first one received.
pub async fn one_code_is_issued_once<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for _ in 0..ROUNDS {
        let grant = world.granted().await?;
        let uses: Vec<_> = (0..RACERS).map(|_| redemption(&grant, at(1))).collect();
        let racers = uses.clone().into_iter().map(|redemption| {
            let store = Arc::clone(store);
            async move { store.redeem_code(&redemption).await }
        });
        assert_eq!(tally(race(racers).await)?, expected([("Issued", 1), ("Replayed", RACERS - 1)]));
        let mut stored = 0;
        for redemption in &uses {
            match world.family_with(grant.clone(), redemption).rotate(0, at(2)).await? {
                RefreshOutcome::Revoked => stored += 1,
                outcome => assert_eq!(outcome, RefreshOutcome::Unknown),
            }
        }
        assert_eq!(stored, 1);
    }
    Ok(())
}

/// Whichever of the two was first.
pub async fn two_redemptions_leave_nothing_alive<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for _ in 0..ROUNDS * 2 {
        let grant = world.granted().await?;
        let uses = [redemption(&grant, at(1)), redemption(&grant, at(1))];
        let [one, other] = uses.clone().map(|redemption| {
            let store = Arc::clone(store);
            async move { store.redeem_code(&redemption).await }
        });
        let (one, other) = race_two(one, other).await;
        let replayed = CodeOutcome::Replayed(grant.id);
        assert!((one? == replayed) != (other? == replayed));
        for redemption in &uses {
            let outcome = world.family_with(grant.clone(), redemption).rotate(0, at(2)).await?;
            assert!(matches!(outcome, RefreshOutcome::Revoked | RefreshOutcome::Unknown), "{outcome:?}");
        }
    }
    Ok(())
}

/// Runs `end`, which must end the grant, against a rotation of its live token, and looks at what is left.
async fn rotation_against<S: Store, F>(store: &Arc<S>, end: impl Fn(Arc<Family<S>>) -> F) -> Case
where
    F: Future<Output = Case> + Send + 'static,
{
    let world = World::new(store).await?;
    for _ in 0..ROUNDS * 2 {
        let family = Arc::new(world.family().await?);
        family.rotated(0, at(1)).await?;
        let rotating = Arc::clone(&family);
        let rotation = async move { rotating.rotate(1, at(100)).await };
        let (rotated, ended) = race_two(rotation, end(Arc::clone(&family))).await;
        ended?;
        let rotated = rotated?;
        assert!(matches!(rotated, RefreshOutcome::Rotated(_) | RefreshOutcome::Revoked), "{rotated:?}");
        family.assert_revoked(2, at(101)).await?;
    }
    Ok(())
}

/// What comes of a stolen code does not outlive the replay that shows the theft.
pub async fn a_replay_catches_up_with_a_rotation<S: Store>(store: &Arc<S>) -> Case {
    rotation_against(store, |family| async move {
        let replay = redemption(&family.grant, at(100));
        assert_eq!(family.store.redeem_code(&replay).await?, CodeOutcome::Replayed(family.grant.id));
        Ok(())
    })
    .await
}

/// Nobody is locked out by asking twice, and there is no fork.
pub async fn one_token_has_one_successor<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = Arc::new(world.family().await?);
    for generation in 0..u32::try_from(ROUNDS).expect("a small number") {
        let racers = (0..RACERS).map(|_| {
            let family = Arc::clone(&family);
            async move { family.rotate(generation, at(1)).await }
        });
        assert_eq!(tally(race(racers).await)?, expected([("Rotated", 1), ("Repeated", RACERS - 1)]));
        family.assert_alive(generation + 1, at(1)).await?;
    }
    Ok(())
}

/// A person who logs out is logged out.
pub async fn a_rotation_cannot_outrun_a_revocation<S: Store>(store: &Arc<S>) -> Case {
    rotation_against(store, |family| async move {
        family.store.revoke_token(&family.refresh_token(1), family.client.id, at(100), None).await.map(drop)
    })
    .await
}

/// Neither does a thief's token outlive the old one that gives it away.
pub async fn a_rotation_cannot_outrun_a_replay<S: Store>(store: &Arc<S>) -> Case {
    rotation_against(store, |family| async move {
        assert_eq!(family.rotate(0, at(100)).await?, RefreshOutcome::Replayed(family.grant.id));
        Ok(())
    })
    .await
}

/// By the address or by the name, whichever is the same.
pub async fn one_account_is_made_once<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..ROUNDS {
        let racers = (0..RACERS).map(|racer| {
            let store = Arc::clone(store);
            async move {
                let account = match racer % 3 {
                    0 => account(&format!("user-{round}")),
                    1 => named_account(&format!("user-{round}@example.com"), &format!("user-{round}-{racer}")),
                    _ => named_account(&format!("USER-{round}@example.com"), &format!("user-{round}")),
                };
                store.create_user(&account, at(0), None).await
            }
        });
        assert_eq!(tally(race(racers).await)?, expected([("Created", 1), ("Conflict", RACERS - 1)]));
    }
    assert_eq!(usize::try_from(store.counts(at(0)).await?.users).ok(), Some(ROUNDS));
    Ok(())
}

/// And with the scopes of the one that was.
pub async fn one_client_is_registered_once<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..ROUNDS {
        let racers = (0..RACERS).map(|racer| {
            let store = Arc::clone(store);
            let scopes = scopes(if racer % 2 == 0 { "read write" } else { "admin profile" });
            let client = NewClient { scopes, ..public_client(&format!("client-{round}")) };
            async move { store.create_client(&client, at(0), None).await }
        });
        assert_eq!(tally(race(racers).await)?, expected([("Created", 1), ("Conflict", RACERS - 1)]));
    }
    let clients = clients(store).await?;
    assert_eq!(clients.len(), ROUNDS);
    assert!(clients.iter().all(|client| client.scope.split(' ').count() == 2));
    Ok(())
}

/// Whatever they describe it as.
pub async fn one_scope_is_registered_once<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..ROUNDS {
        let racers = (0..RACERS).map(|_| {
            let store = Arc::clone(store);
            async move { store.create_scope(id(), &scope(&format!("scope-{round}")), at(0), None).await }
        });
        assert_eq!(tally(race(racers).await)?, expected([("Created", 1), ("Conflict", RACERS - 1)]));
    }
    Ok(())
}

/// All instances rotate at the same time; one key comes of it, and its predecessor retires when that one says.
pub async fn one_signing_key_is_next<S: Store>(store: &Arc<S>) -> Case {
    store.create_signing_key(&key(Algorithm::Es256, 0), at(0)).await?;
    for sequence in 1..=u32::try_from(ROUNDS).expect("a small number") {
        let racers = (0..RACERS).map(|racer| {
            let store = Arc::clone(store);
            let kid = format!("{sequence} by {racer}");
            let seconds = i64::try_from(racer).expect("a small number") + 10_000;
            let key = SealedKey { kid, activates_at: at(seconds), ..key(Algorithm::Es256, sequence) };
            async move { store.create_signing_key(&key, at(seconds)).await }
        });
        assert_eq!(tally(race(racers).await)?, expected([("Created", 1), ("Conflict", RACERS - 1)]));
        let mut keys = store.signing_keys(at(0)).await?;
        keys.sort_by_key(|key| key.sequence);
        let [.., predecessor, key] = keys.as_slice() else { panic!("there are two at least") };
        assert_eq!((key.sequence, predecessor.retires_at), (sequence, Some(key.activates_at)));
    }
    Ok(())
}

/// A person who consents in two windows has consented to both.
pub async fn consent_adds_up<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let cookie = session("cookie", world.user.id, at(0));
    store.create_session(&cookie).await?;
    let names: Vec<_> = (0..RACERS).map(|racer| format!("scope-{racer}")).collect();
    let grants = names.iter().map(|name| NewGrant { scopes: scopes(name), remember_consent: true, ..world.grant() });
    let racers: Vec<_> = grants
        .map(|grant| {
            let store = Arc::clone(store);
            async move { store.create_grant(&grant).await }
        })
        .collect();
    tally(race(racers).await)?;
    let read = store.session_and_consent(&cookie.digest, world.client.id, at(1)).await?.expect("logged in");
    assert_eq!(read.consented, Some(names.into_iter().collect()));
    Ok(())
}

/// A token that was rotated at the last moment is not swept with those that were not, though the sweeper's clock is
/// ahead.
pub async fn a_sweep_loses_no_live_token<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for _ in 0..ROUNDS * 2 {
        let mut families = Vec::new();
        for _ in 0..4 {
            families.push(Arc::new(world.family().await?));
        }
        let rotations = families.clone();
        let rotations = async move {
            let mut outcomes = Vec::new();
            for family in &rotations {
                outcomes.push(family.rotate(0, at(IDLE - 1)).await?);
            }
            Ok::<_, StoreError>(outcomes)
        };
        let sweeper = Arc::clone(store);
        let (outcomes, swept) = race_two(rotations, async move { sweeper.sweep(at(IDLE + 1), 1000).await }).await;
        swept?;
        for (family, outcome) in families.iter().zip(outcomes?) {
            match outcome {
                RefreshOutcome::Rotated(_) => family.rotated(1, at(IDLE + 2)).await?,
                outcome => assert_eq!(outcome, RefreshOutcome::Unknown),
            }
        }
    }
    Ok(())
}

/// Two instances that sweep at the same time neither fail nor count a row twice.
pub async fn sweeps_side_by_side_remove_everything_once<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for cookie in 0..40 {
        store.create_session(&session(&cookie.to_string(), world.user.id, at(0))).await?;
        world.granted().await?;
    }
    let mut all = Swept::default();
    for _ in 0..10 {
        let racers = (0..4).map(|_| {
            let store = Arc::clone(store);
            async move { store.sweep(at(7200), 10).await }
        });
        for swept in race(racers).await {
            let swept = swept?;
            all.authorization_codes += swept.authorization_codes;
            all.sessions += swept.sessions;
        }
    }
    assert_eq!(all, Swept { authorization_codes: 40, sessions: 40, ..Swept::default() });
    Ok(())
}
