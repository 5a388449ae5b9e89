//! Sweeping and counting.

use std::sync::Arc;

use super::{
    Case,
    fixture::{CODE_ENDS, GRANT_ENDS, IDLE, World, account, at, clients, digest, public_client, redemption, session},
};
use crate::store::{CodeOutcome, Counts, NewGrant, RefreshOutcome, Store, StoreError, Swept, TokenState};

const ALL: u32 = 1000;

/// Sweeps until there is nothing left, and adds up.
async fn sweep_all<S: Store>(store: &Arc<S>, seconds: i64, limit: u32) -> Result<Swept, StoreError> {
    let mut all = Swept::default();
    for _ in 0..100 {
        let swept = store.sweep(at(seconds), limit).await?;
        for removed in [swept.authorization_codes, swept.tokens, swept.grants, swept.sessions] {
            assert!(removed <= u64::from(limit), "{swept:?}");
        }
        if swept.total() == 0 {
            return Ok(all);
        }
        all.authorization_codes += swept.authorization_codes;
        all.tokens += swept.tokens;
        all.grants += swept.grants;
        all.sessions += swept.sessions;
    }
    panic!("there is always something left: {all:?}");
}

/// Of a database that is empty, or in which everything is live.
pub async fn sweeping_nothing_removes_nothing<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.sweep(at(0), ALL).await?, Swept::default());
    let world = World::new(store).await?;
    let family = world.family().await?;
    store.create_session(&session("cookie", world.user.id, at(0))).await?;
    store.revoke_token(&world.family().await?.access_token(), world.client.id, at(0), None).await?;
    assert_eq!(store.sweep(at(1), ALL).await?, Swept::default());
    assert_eq!(store.sweep(at(CODE_ENDS + 1), 0).await?, Swept::default());
    family.assert_alive(0, at(1)).await
}

/// And no others.
pub async fn ended_sessions_are_swept<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for (cookie, seconds) in [("a", 0), ("b", 0), ("c", 0), ("live", 1000)] {
        store.create_session(&session(cookie, world.user.id, at(seconds))).await?;
    }
    assert_eq!(sweep_all(store, 3700, ALL).await?, Swept { sessions: 3, ..Swept::default() });
    assert!(store.session(&digest("live"), at(3700)).await?.is_some());
    assert_eq!(store.session(&digest("a"), at(0)).await?, None);
    Ok(())
}

/// Used or not.
pub async fn ended_codes_are_swept<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let unused = world.granted().await?;
    let family = world.family().await?;
    let live = NewGrant { code_expires_at: at(2 * CODE_ENDS), ..world.grant() };
    store.create_grant(&live).await?;
    let swept = sweep_all(store, CODE_ENDS + 1, ALL).await?;
    assert_eq!(swept, Swept { authorization_codes: 2, ..Swept::default() });
    let now = at(CODE_ENDS + 2);
    for code in [&unused, &family.grant] {
        assert_eq!(store.redeem_code(&redemption(code, now)).await?, CodeOutcome::Unknown);
    }
    family.assert_alive(0, now).await?;
    assert!(matches!(store.redeem_code(&redemption(&live, now)).await?, CodeOutcome::Issued(_)));
    Ok(())
}

/// One that was rotated in time is kept.
pub async fn unused_refresh_tokens_are_swept<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (unused, used) = (world.family().await?, world.family().await?);
    used.rotated(0, at(IDLE - 1)).await?;
    assert_eq!(sweep_all(store, IDLE + 1, ALL).await?.tokens, 1);
    assert_eq!(unused.rotate(0, at(0)).await?, RefreshOutcome::Unknown);
    used.rotated(1, at(IDLE + 2)).await
}

/// The access token has ended of itself, and does not come to life again.
pub async fn ended_revocations_are_swept<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    store.revoke_token(&family.access_token(), world.client.id, at(1), None).await?;
    assert_eq!(sweep_all(store, 1801, ALL).await?.tokens, 1);
    assert_eq!(family.introspect(&family.access_token(), at(1802)).await?, TokenState::Inactive);
    family.rotated(0, at(1802)).await
}

/// Nothing refers to a grant that is gone.
pub async fn ended_grants_are_swept_with_all_they_have<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (ended, revoked) = (world.family().await?, world.family().await?);
    let live = world.family_of(NewGrant { expires_at: at(2 * GRANT_ENDS), ..world.grant() }).await?;
    live.rotated(0, at(IDLE - 1)).await?;
    store.revoke_token(&revoked.refresh_token(0), world.client.id, at(1), None).await?;
    let swept = sweep_all(store, GRANT_ENDS + 1, ALL).await?;
    assert_eq!(swept.grants, 2);
    for family in [&ended, &revoked] {
        assert_eq!(family.rotate(0, at(1)).await?, RefreshOutcome::Unknown);
        assert_eq!(store.redeem_code(&redemption(&family.grant, at(1))).await?, CodeOutcome::Unknown);
        assert_eq!(family.introspect(&family.access_token(), at(1)).await?, TokenState::Inactive);
    }
    let access_token = live.introspect(&live.access_token(), at(1)).await?;
    assert!(matches!(access_token, TokenState::ActiveAccess { .. }));
    Ok(())
}

/// No kind of row is removed more often than that at a time, and in the end all are gone.
pub async fn a_sweep_is_bounded<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for cookie in 0..5 {
        store.create_session(&session(&cookie.to_string(), world.user.id, at(0))).await?;
        let family = world.family().await?;
        store.revoke_token(&family.access_token(), world.client.id, at(1), None).await?;
    }
    // The grants are live, so that nothing goes along with them.
    let first = store.sweep(at(IDLE + 1), 2).await?;
    assert_eq!(first, Swept { authorization_codes: 2, tokens: 2, grants: 0, sessions: 2 });
    let rest = sweep_all(store, IDLE + 1, 2).await?;
    assert_eq!(rest, Swept { authorization_codes: 3, tokens: 8, grants: 0, sessions: 3 });
    assert_eq!(sweep_all(store, GRANT_ENDS + 1, 2).await?, Swept { grants: 5, ..Swept::default() });
    Ok(())
}

/// However often it runs.
pub async fn what_is_live_is_kept<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (family, code) = (world.family().await?, world.granted().await?);
    store.create_session(&session("cookie", world.user.id, at(0))).await?;
    for seconds in [1, 2, CODE_ENDS - 1] {
        store.sweep(at(seconds), ALL).await?;
    }
    assert!(store.session(&digest("cookie"), at(CODE_ENDS)).await?.is_some());
    assert!(matches!(store.redeem_code(&redemption(&code, at(CODE_ENDS - 1))).await?, CodeOutcome::Issued(_)));
    family.rotated(0, at(CODE_ENDS)).await?;
    assert_eq!(clients(store).await?.len(), 2);
    Ok(())
}

/// A code is known for as long as it could have been used.
pub async fn a_replay_is_noticed_after_a_sweep<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    store.sweep(at(CODE_ENDS - 1), ALL).await?;
    let replay = store.redeem_code(&redemption(&family.grant, at(CODE_ENDS - 1))).await?;
    assert_eq!(replay, CodeOutcome::Replayed(family.grant.id));
    family.assert_revoked(0, at(CODE_ENDS)).await
}

/// For as long as there is an access token that they concern.
pub async fn revocations_outlast_a_sweep<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (by_grant, by_token) = (world.family().await?, world.family().await?);
    store.revoke_token(&by_grant.refresh_token(0), world.client.id, at(1), None).await?;
    store.revoke_token(&by_token.access_token(), world.client.id, at(1), None).await?;
    sweep_all(store, 1799, ALL).await?;
    for family in [by_grant, by_token] {
        assert_eq!(family.introspect(&family.access_token(), at(1799)).await?, TokenState::Inactive);
    }
    Ok(())
}

/// Sessions and grants only while they are good.
pub async fn everything_is_counted<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.counts(at(0)).await?, Counts { clients: 1, scopes: 12, ..Counts::default() });
    let world = World::new(store).await?;
    store.create_user(&account("bob"), at(0), None).await?;
    store.create_client(&public_client("third"), at(0), None).await?;
    store.create_session(&session("a", world.user.id, at(0))).await?;
    store.create_session(&session("b", world.user.id, at(60))).await?;
    let (_, revoked) = (world.family().await?, world.family().await?);
    world.family_of(NewGrant { expires_at: at(3600), ..world.grant() }).await?;
    let all = Counts { users: 2, clients: 4, scopes: 12, sessions: 2, grants: 3 };
    assert_eq!(store.counts(at(1)).await?, all);
    store.revoke_token(&revoked.refresh_token(0), world.client.id, at(1), None).await?;
    assert_eq!(store.counts(at(1)).await?, Counts { grants: 2, ..all });
    assert_eq!(store.counts(at(3600)).await?, Counts { sessions: 1, grants: 1, ..all });
    Ok(())
}
