//! Refresh tokens.

use std::sync::Arc;

use super::{
    Case,
    fixture::{GRACE, GRANT_ENDS, IDLE, World, at, digest, id, moment, resources, scopes},
};
use crate::store::{NewGrant, RefreshOutcome, RefreshRotation, Store};

/// The successor takes its place.
pub async fn a_token_rotates<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(1)).await?;
    family.assert_alive(1, at(2)).await
}

/// Every generation leads to the next.
pub async fn a_chain_of_rotations_stays_one_grant<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for generation in 0..5 {
        family.rotated(generation, at(i64::from(generation) * 100)).await?;
    }
    family.assert_alive(5, at(500)).await
}

/// A response was lost, or a client asked twice: it gets the same successor, as often as it likes.
pub async fn a_retry_in_time_is_repeated<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(100)).await?;
    for seconds in [100, 101, 100 + GRACE] {
        assert_eq!(family.rotate(0, at(seconds)).await?, RefreshOutcome::Repeated(family.issued()));
    }
    family.assert_alive(1, at(131)).await?;
    family.rotated(1, at(131)).await
}

/// To the moment.
pub async fn a_retry_at_the_last_moment_is_repeated<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(100)).await?;
    let last = RefreshRotation { retry_since: at(100), ..family.rotation(0, at(130)) };
    assert_eq!(store.rotate_refresh_token(&last).await?, RefreshOutcome::Repeated(family.issued()));
    let late = RefreshRotation { retry_since: at(100) + moment(), ..last };
    assert_eq!(store.rotate_refresh_token(&late).await?, RefreshOutcome::Replayed(family.grant.id));
    Ok(())
}

/// Neither the successor's own time nor the time for further retries begins anew.
pub async fn a_retry_does_not_prolong<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (family, other) = (world.family().await?, world.family().await?);
    for family in [&family, &other] {
        family.rotated(0, at(100)).await?;
        assert_eq!(family.rotate(0, at(100 + GRACE)).await?, RefreshOutcome::Repeated(family.issued()));
    }
    assert_eq!(family.rotate(1, at(100 + IDLE)).await?, RefreshOutcome::Expired);
    assert_eq!(other.rotate(0, at(101 + GRACE)).await?, RefreshOutcome::Replayed(other.grant.id));
    Ok(())
}

/// RFC 9700 §4.14.2: one of the two who know it is a thief.
pub async fn a_late_retry_revokes_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (family, spared) = (world.family().await?, world.family().await?);
    family.rotated(0, at(100)).await?;
    assert_eq!(family.rotate(0, at(101 + GRACE)).await?, RefreshOutcome::Replayed(family.grant.id));
    family.assert_revoked(1, at(140)).await?;
    spared.assert_alive(0, at(140)).await
}

/// The client has its successor, so this is somebody else, however soon.
pub async fn a_retry_after_the_successor_was_used_revokes_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(100)).await?;
    family.rotated(1, at(101)).await?;
    assert_eq!(family.rotate(0, at(102)).await?, RefreshOutcome::Replayed(family.grant.id));
    family.assert_revoked(2, at(103)).await
}

/// The store does not need to remember every generation.
pub async fn a_very_old_token_revokes_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for generation in 0..5 {
        family.rotated(generation, at(100)).await?;
    }
    assert_eq!(family.rotate(1, at(101)).await?, RefreshOutcome::Replayed(family.grant.id));
    family.assert_revoked(5, at(102)).await
}

/// A token of the previous generation, but not the one that was rotated.
pub async fn a_retry_with_another_secret_is_no_retry<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(100)).await?;
    let other = RefreshRotation { digest: digest("another secret"), ..family.rotation(0, at(101)) };
    assert_eq!(store.rotate_refresh_token(&other).await?, RefreshOutcome::Replayed(family.grant.id));
    family.assert_revoked(1, at(102)).await
}

/// It could not be handed what is stored: a caller whose key is lost must not answer with a token that is worthless.
pub async fn a_retry_with_another_successor_is_no_retry<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(100)).await?;
    let other = RefreshRotation { successor: digest("another successor"), ..family.rotation(0, at(101)) };
    assert_eq!(store.rotate_refresh_token(&other).await?, RefreshOutcome::Replayed(family.grant.id));
    family.assert_revoked(1, at(102)).await
}

/// OAuth 2.1 §4.3.1: a refresh token is bound to its client.
pub async fn a_wrong_client_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let foreign = RefreshRotation { client_id: world.other.id, ..family.rotation(0, at(1)) };
    assert_eq!(store.rotate_refresh_token(&foreign).await?, RefreshOutcome::Mismatched);
    family.rotated(0, at(2)).await
}

/// A token that leaked after its use is no means to log people out.
pub async fn a_wrong_client_with_an_old_token_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    for generation in 0..3 {
        family.rotated(generation, at(100)).await?;
    }
    for generation in 0..=4 {
        let foreign = RefreshRotation { client_id: world.other.id, ..family.rotation(generation, at(101)) };
        assert_eq!(store.rotate_refresh_token(&foreign).await?, RefreshOutcome::Mismatched);
    }
    family.assert_alive(3, at(102)).await
}

/// RFC 6749 §6: the grant itself stays as wide as it was.
pub async fn fewer_scopes_can_be_asked_for<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for (generation, asked) in (0..).zip(["read", "read write", ""]) {
        let narrow = RefreshRotation { scopes: Some(scopes(asked)), ..family.rotation(generation, at(100)) };
        assert_eq!(store.rotate_refresh_token(&narrow).await?, RefreshOutcome::Rotated(family.issued()));
        assert_eq!(store.rotate_refresh_token(&narrow).await?, RefreshOutcome::Repeated(family.issued()));
    }
    Ok(())
}

/// RFC 6749 §6: the token can be used all the same.
pub async fn more_scopes_change_nothing<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for asked in ["admin", "read write admin", "Read"] {
        let wide = RefreshRotation { scopes: Some(scopes(asked)), ..family.rotation(0, at(1)) };
        assert_eq!(store.rotate_refresh_token(&wide).await?, RefreshOutcome::ScopeExceeded);
    }
    family.rotated(0, at(2)).await
}

/// A retry is no way round it.
pub async fn more_scopes_are_refused_in_a_retry_too<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(1)).await?;
    let wide = RefreshRotation { scopes: Some(scopes("read admin")), ..family.rotation(0, at(2)) };
    assert_eq!(store.rotate_refresh_token(&wide).await?, RefreshOutcome::ScopeExceeded);
    family.assert_alive(1, at(3)).await
}

/// RFC 8707 §2.2: for this access token; the grant itself stays as wide as it was.
pub async fn fewer_resources_can_be_asked_for<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let asked = ["https://b.example/", "https://b.example/ https://a.example/", ""];
    for (generation, asked) in (0..).zip(asked) {
        let narrow = RefreshRotation { resources: resources(asked), ..family.rotation(generation, at(100)) };
        assert_eq!(store.rotate_refresh_token(&narrow).await?, RefreshOutcome::Rotated(family.issued()));
        assert_eq!(store.rotate_refresh_token(&narrow).await?, RefreshOutcome::Repeated(family.issued()));
    }
    Ok(())
}

/// RFC 8707 §2.2: the token can be used all the same, and a retry is no way round it.
pub async fn other_resources_change_nothing<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let asked = ["https://c.example/", "https://a.example/ https://c.example/", "https://A.example/"];
    let others = asked.map(|asked| RefreshRotation { resources: resources(asked), ..family.rotation(0, at(1)) });
    for other in &others {
        assert_eq!(store.rotate_refresh_token(other).await?, RefreshOutcome::TargetExceeded);
    }
    family.rotated(0, at(1)).await?;
    for other in &others {
        assert_eq!(store.rotate_refresh_token(other).await?, RefreshOutcome::TargetExceeded);
    }
    family.rotated(1, at(2)).await
}

/// To the moment.
pub async fn an_unused_token_expires<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for _ in 0..2 {
        assert_eq!(family.rotate(0, at(IDLE)).await?, RefreshOutcome::Expired);
    }
    Ok(())
}

/// To the moment.
pub async fn a_token_is_good_until_it_expires<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(IDLE) - moment()).await
}

/// Each successor has a time of its own.
pub async fn a_rotation_prolongs<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(IDLE - 1)).await?;
    family.rotated(1, at(2 * IDLE - 2)).await?;
    assert_eq!(family.rotate(2, at(3 * IDLE - 2)).await?, RefreshOutcome::Expired);
    Ok(())
}

/// To the moment.
pub async fn a_grant_ends_however_often_it_is_refreshed<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let grant = NewGrant { expires_at: at(1000), ..world.grant() };
    let family = world.family_of(grant).await?;
    family.rotated(0, at(900)).await?;
    family.rotated(1, at(1000) - moment()).await?;
    assert_eq!(family.rotate(2, at(1000)).await?, RefreshOutcome::Expired);
    assert_eq!(family.rotate(2, at(GRANT_ENDS)).await?, RefreshOutcome::Expired);
    Ok(())
}

/// An old token is a sign of theft even where nothing is left to protect but the access tokens.
pub async fn an_old_token_of_an_expired_one_revokes_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    family.rotated(0, at(1)).await?;
    assert_eq!(family.rotate(0, at(1 + IDLE)).await?, RefreshOutcome::Replayed(family.grant.id));
    family.assert_revoked(1, at(2 + IDLE)).await
}

/// A row that was swept, or belongs to another database.
pub async fn an_unknown_token_is_unknown<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let unknown = RefreshRotation { id: id(), ..family.rotation(0, at(1)) };
    assert_eq!(store.rotate_refresh_token(&unknown).await?, RefreshOutcome::Unknown);
    family.assert_alive(0, at(2)).await
}

/// The database was restored from before the rotation. Nobody did anything wrong.
pub async fn a_future_generation_is_unknown<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for generation in [1, 2, 100] {
        assert_eq!(family.rotate(generation, at(1)).await?, RefreshOutcome::Unknown);
    }
    family.assert_alive(0, at(2)).await
}

/// The database was restored, and another rotation has happened since.
pub async fn another_secret_of_the_same_generation_is_unknown<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let other = RefreshRotation { digest: digest("another secret"), ..family.rotation(0, at(1)) };
    assert_eq!(store.rotate_refresh_token(&other).await?, RefreshOutcome::Unknown);
    family.assert_alive(0, at(2)).await
}
