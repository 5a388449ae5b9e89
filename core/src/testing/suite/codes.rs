//! Grants and authorization codes.

use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Case,
    fixture::{
        CODE_ENDS, Family, World, account, at, digest, id, issued, moment, redemption, scopes, session, verifier,
    },
};
use crate::{
    model::Scopes,
    store::{CodeOutcome, CodeRedemption, NewGrant, RefreshOutcome, Store, StoreError, TokenState},
};

/// Uses a code wrongly: it must be refused, and a right use must succeed afterwards.
async fn mismatch<S: Store>(
    store: &Arc<S>,
    change_grant: impl FnOnce(NewGrant) -> NewGrant,
    spoil: impl FnOnce(CodeRedemption, &World<S>) -> CodeRedemption,
) -> Case {
    let world = World::new(store).await?;
    let grant = change_grant(world.grant());
    store.create_grant(&grant).await?;
    let wrong = spoil(redemption(&grant, at(1)), &world);
    for _ in 0..2 {
        assert_eq!(store.redeem_code(&wrong).await?, CodeOutcome::Mismatched);
    }
    let right = redemption(&grant, at(2));
    assert_eq!(store.redeem_code(&right).await?, CodeOutcome::Issued(issued(&grant)));
    world.family_with(grant, &right).assert_alive(0, at(3)).await
}

async fn consented<S: Store>(world: &World<S>, client: Uuid) -> Result<Option<Scopes>, StoreError> {
    let cookie = session("cookie", world.user.id, at(0));
    world.store.create_session(&cookie).await?;
    let read = world.store.session_and_consent(&cookie.digest, client, at(1)).await?;
    world.store.end_session(&cookie.digest, None).await?;
    Ok(read.expect("logged in").consented)
}

/// The one use of a code stores a refresh token and tells what was granted.
pub async fn a_code_is_issued<S: Store>(store: &Arc<S>) -> Case {
    World::new(store).await?.family().await?.assert_alive(0, at(1)).await
}

/// The request had no challenge, so its use needs no verifier.
pub async fn a_code_is_issued_without_pkce<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    world.family_of(NewGrant { code_challenge: None, ..world.grant() }).await?.assert_alive(0, at(1)).await
}

/// As every other detail of the grant, in order.
pub async fn resources_are_kept<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let resources = vec!["https://b.example/{\"x\",y}".to_owned(), "https://a.example/".to_owned()];
    // The helper compares the whole grant.
    let grant = NewGrant { resources, scopes: scopes("read"), authenticated_at: at(-3600), ..world.grant() };
    world.family_of(grant).await?.rotated(0, at(1)).await
}

/// RFC 8707 §2.2: some of them, never others; whoever asks for others can try again.
pub async fn a_resource_that_was_not_granted_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let grant = NewGrant { resources: vec!["https://a.example".to_owned(), "urn:b".to_owned()], ..world.grant() };
    store.create_grant(&grant).await?;
    let ask = |resources: &[&str]| CodeRedemption {
        resources: resources.iter().map(|resource| (*resource).to_owned()).collect(),
        ..redemption(&grant, at(1))
    };
    for wrong in [&["urn:c"][..], &["urn:b", "urn:c"], &["https://a.example/"]] {
        assert_eq!(store.redeem_code(&ask(wrong)).await?, CodeOutcome::TargetExceeded, "{wrong:?}");
    }
    assert_eq!(store.redeem_code(&ask(&["urn:b"])).await?, CodeOutcome::Issued(issued(&grant)));
    Ok(())
}

/// OAuth 2.1 §4.1.3 has dropped the parameter.
pub async fn a_redirect_uri_may_be_absent<S: Store>(store: &Arc<S>) -> Case {
    let grant = World::new(store).await?.granted().await?;
    let redemption = CodeRedemption { redirect_uri: None, ..redemption(&grant, at(1)) };
    assert_eq!(store.redeem_code(&redemption).await?, CodeOutcome::Issued(issued(&grant)));
    Ok(())
}

/// A code that was never given out.
pub async fn an_unknown_code_is_unknown<S: Store>(store: &Arc<S>) -> Case {
    let grant = World::new(store).await?.granted().await?;
    let redemption = CodeRedemption { code: digest("made up"), ..redemption(&grant, at(1)) };
    assert_eq!(store.redeem_code(&redemption).await?, CodeOutcome::Unknown);
    Ok(())
}

/// Whoever stole a code cannot use it up.
pub async fn a_wrong_client_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    mismatch(store, |grant| grant, |use_, world| CodeRedemption { client_id: world.other.id, ..use_ }).await
}

/// Compared byte for byte, whatever the bytes.
pub async fn a_wrong_redirect_uri_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let grant = world.granted().await?;
    for wrong in ["", "https://app.example/callback/", "HTTPS://app.example/callback", "https://app.example/callback\0"]
    {
        let wrong = CodeRedemption { redirect_uri: Some(wrong.to_owned()), ..redemption(&grant, at(1)) };
        assert_eq!(store.redeem_code(&wrong).await?, CodeOutcome::Mismatched, "{wrong:?}");
    }
    assert_eq!(store.redeem_code(&redemption(&grant, at(2))).await?, CodeOutcome::Issued(issued(&grant)));
    Ok(())
}

/// RFC 7636 §4.6.
pub async fn a_missing_verifier_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    mismatch(store, |grant| grant, |use_, _| CodeRedemption { code_challenge: None, ..use_ }).await
}

/// RFC 7636 §4.6.
pub async fn a_wrong_verifier_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let wrong = Some(verifier('w').challenge());
    mismatch(store, |grant| grant, |use_, _| CodeRedemption { code_challenge: wrong, ..use_ }).await
}

/// A verifier without a challenge is a downgrade (OAuth 2.1 §7.5.2, RFC 9700 §4.8.2).
pub async fn a_superfluous_verifier_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let superfluous = Some(verifier('v').challenge());
    let without = |grant| NewGrant { code_challenge: None, ..grant };
    mismatch(store, without, |use_, _| CodeRedemption { code_challenge: superfluous, ..use_ }).await
}

async fn replay<S: Store>(family: &Family<S>, seconds: i64) -> Result<CodeOutcome, StoreError> {
    family.store.redeem_code(&redemption(&family.grant, at(seconds))).await
}

/// RFC 6749 §4.1.2: with everything that was issued.
pub async fn a_replay_revokes_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (family, spared) = (world.family().await?, world.family().await?);
    family.rotated(0, at(1)).await?;
    for _ in 0..2 {
        assert_eq!(replay(&family, 2).await?, CodeOutcome::Replayed(family.grant.id));
        family.assert_revoked(1, at(3)).await?;
    }
    spared.assert_alive(0, at(3)).await
}

/// For as long as the code is known.
pub async fn a_replay_after_expiry_revokes_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    assert_eq!(replay(&family, CODE_ENDS + 60).await?, CodeOutcome::Replayed(family.grant.id));
    family.assert_revoked(0, at(CODE_ENDS + 61)).await
}

/// A code that leaked after its use is no means to log people out.
pub async fn a_replay_by_a_wrong_client_revokes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let replay = CodeRedemption { client_id: world.other.id, ..redemption(&family.grant, at(1)) };
    assert_eq!(store.redeem_code(&replay).await?, CodeOutcome::Mismatched);
    family.assert_alive(0, at(2)).await
}

/// Nothing of a refused request is kept.
pub async fn a_replay_stores_no_second_refresh_token<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let first = world.family().await?;
    let replay = redemption(&first.grant, at(1));
    assert_eq!(store.redeem_code(&replay).await?, CodeOutcome::Replayed(first.grant.id));
    let second = world.family_with(first.grant, &replay);
    assert_eq!(second.rotate(0, at(2)).await?, RefreshOutcome::Unknown);
    Ok(())
}

/// To the moment; and it stays so.
pub async fn a_code_expires<S: Store>(store: &Arc<S>) -> Case {
    let grant = World::new(store).await?.granted().await?;
    for now in [at(CODE_ENDS), at(CODE_ENDS + 1)] {
        assert_eq!(store.redeem_code(&redemption(&grant, now)).await?, CodeOutcome::Expired);
    }
    Ok(())
}

/// To the moment.
pub async fn a_code_is_good_until_it_expires<S: Store>(store: &Arc<S>) -> Case {
    let grant = World::new(store).await?.granted().await?;
    let last = redemption(&grant, at(CODE_ENDS) - moment());
    assert_eq!(store.redeem_code(&last).await?, CodeOutcome::Issued(issued(&grant)));
    Ok(())
}

/// For clients that may not refresh. A replay of the code still ends the access token.
pub async fn a_grant_may_have_no_refresh_token<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let grant = world.granted().await?;
    let single = CodeRedemption { refresh_token: None, ..redemption(&grant, at(0)) };
    assert_eq!(store.redeem_code(&single).await?, CodeOutcome::Issued(issued(&grant)));
    let family = Family { store: Arc::clone(store), client: world.client.clone(), grant, token: id() };
    let active = family.introspect(&family.access_token(), at(1)).await?;
    assert_eq!(active, TokenState::ActiveAccess { user: Some(world.user) });
    assert_eq!(store.redeem_code(&single).await?, CodeOutcome::Replayed(family.grant.id));
    let revoked = family.introspect(&family.access_token(), at(1)).await?;
    assert_eq!(revoked, TokenState::Inactive);
    Ok(())
}

/// What was allowed once stays allowed when something else is asked for.
pub async fn consent_is_remembered_and_added_up<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    assert_eq!(consented(&world, world.client.id).await?, None);
    for (asked, expected) in [("read", "read"), ("write read", "read write"), ("profile", "profile read write")] {
        let grant = NewGrant { scopes: scopes(asked), remember_consent: true, ..world.grant() };
        store.create_grant(&grant).await?;
        assert_eq!(consented(&world, world.client.id).await?, Some(scopes(expected)));
    }
    Ok(())
}

/// Nor is it forgotten.
pub async fn consent_is_not_remembered_unasked<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    world.granted().await?;
    assert_eq!(consented(&world, world.client.id).await?, None);
    store.create_grant(&NewGrant { scopes: scopes("read"), remember_consent: true, ..world.grant() }).await?;
    world.granted().await?;
    assert_eq!(consented(&world, world.client.id).await?, Some(scopes("read")));
    Ok(())
}

/// Nobody consents for anybody else.
pub async fn consent_is_for_one_client_and_one_person<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let bob = account("bob");
    store.create_user(&bob, at(0), None).await?;
    store.create_grant(&NewGrant { remember_consent: true, ..world.grant() }).await?;
    assert_eq!(consented(&world, world.other.id).await?, None);
    let bob = World { user: bob.user, ..world };
    assert_eq!(consented(&bob, bob.client.id).await?, None);
    let later = NewGrant { scopes: scopes("profile"), remember_consent: true, ..bob.grant() };
    store.create_grant(&NewGrant { created_at: at(0) + TimeDelta::hours(1), ..later }).await?;
    assert_eq!(consented(&bob, bob.client.id).await?, Some(scopes("profile")));
    Ok(())
}
