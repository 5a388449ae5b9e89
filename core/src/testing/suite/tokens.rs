//! Introspection and revocation.

use std::sync::Arc;

use chrono::TimeDelta;

use super::{
    Case,
    fixture::{Family, GRANT_ENDS, IDLE, World, at, client_id, confidential_client, digest, id, moment, scopes},
    signing_keys,
};
use crate::{
    crypto::Algorithm,
    model::{ClientId, Timestamp, User},
    store::{Found, Lookup, NewGrant, Store, StoreError, TokenReference, TokenState},
};

/// An access token of a client that acts for itself.
fn own_access_token(client_id: &ClientId) -> TokenReference {
    TokenReference::Access { jti: "jti".to_owned(), client_id: client_id.clone(), grant_id: None, expires_at: at(1800) }
}

async fn state<S: Store>(store: &Arc<S>, token: &TokenReference, now: Timestamp) -> Result<TokenState, StoreError> {
    Ok(store.look_up(Lookup { token: Some(token), ..Lookup::default() }, now).await?.token)
}

fn described<S>(family: &Family<S>, user: &User, issued_at: Timestamp, expires_at: Timestamp) -> TokenState {
    TokenState::ActiveRefresh {
        client_id: family.client.client_id.clone(),
        user: user.clone(),
        scopes: family.grant.scopes.clone(),
        resources: family.grant.resources.clone(),
        issued_at,
        expires_at,
    }
}

async fn look_up<S: Store>(
    store: &Arc<S>,
    client: Option<&ClientId>,
    token: Option<&TokenReference>,
) -> Result<Found, StoreError> {
    store.look_up(Lookup { client, token, signing_keys: false }, at(1)).await
}

/// With everything that authenticates it and says what it may see.
pub async fn a_caller_is_read<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let api = confidential_client("api");
    store.create_client(&api, at(0), None).await?;
    let found = look_up(store, Some(&api.client_id), Some(&family.access_token())).await?;
    assert_eq!(found.client, store.client(&api.client_id).await?);
    assert!(found.client.is_some_and(|caller| caller.allowed_scopes() == scopes("read write")));
    assert!(matches!(found.token, TokenState::ActiveAccess { .. }));
    Ok(())
}

/// The token's state is told all the same.
pub async fn a_caller_may_be_unknown<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for token in [family.access_token(), family.refresh_token(0)] {
        let found = look_up(store, Some(&client_id("nobody")), Some(&token)).await?;
        assert_eq!(found.client, None);
        assert_ne!(found.token, TokenState::Inactive);
    }
    Ok(())
}

/// Who is known already is not read again; the token's state is the same.
pub async fn a_caller_need_not_be_read<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for token in [Some(family.access_token()), Some(family.refresh_token(0)), None] {
        let found = look_up(store, None, token.as_ref()).await?;
        let expected = look_up(store, Some(&client_id("client")), token.as_ref()).await?;
        assert_eq!(found, Found { client: None, ..expected });
        assert_eq!(found.token == TokenState::Inactive, token.is_none());
    }
    Ok(())
}

/// It turned out to be none of ours.
pub async fn no_token_is_inactive<S: Store>(store: &Arc<S>) -> Case {
    World::new(store).await?;
    for (caller, expected) in [("client", true), ("nobody", false)] {
        let found = look_up(store, Some(&client_id(caller)), None).await?;
        assert_eq!(found.client.is_some(), expected);
        assert_eq!(found.token, TokenState::Inactive);
    }
    Ok(())
}

/// With whatever is looked up, and not unless they are asked for.
pub async fn signing_keys_come_along<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for keys in [vec![], vec![signing_keys::key(Algorithm::Es256, 1)]] {
        for key in &keys {
            store.create_signing_key(key, at(9000)).await?;
        }
        for client in [None, Some(client_id("client")), Some(client_id("nobody"))] {
            for token in [None, Some(family.access_token()), Some(family.refresh_token(0))] {
                let lookup = Lookup { client: client.as_ref(), token: token.as_ref(), signing_keys: true };
                let found = store.look_up(lookup, at(1)).await?;
                assert_eq!(found.signing_keys.as_ref(), Some(&keys));
                let without = look_up(store, client.as_ref(), token.as_ref()).await?;
                assert_eq!(without, Found { signing_keys: None, ..found });
            }
        }
    }
    Ok(())
}

/// RFC 7662 §2.2.
pub async fn a_refresh_token_is_described<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let resources = vec!["https://api.example/".to_owned()];
    let family = world.family_of(NewGrant { resources, scopes: scopes("read"), ..world.grant() }).await?;
    let expected = described(&family, &world.user, at(0), at(IDLE));
    assert_eq!(state(store, &family.refresh_token(0), at(1)).await?, expected);
    Ok(())
}

/// Only one generation is active at a time.
pub async fn a_rotated_token_is_described_in_its_place<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    assert_eq!(state(store, &family.refresh_token(1), at(50)).await?, TokenState::Inactive);
    family.rotated(0, at(100)).await?;
    let expected = described(&family, &world.user, at(100), at(100 + IDLE));
    assert_eq!(state(store, &family.refresh_token(1), at(101)).await?, expected);
    assert_eq!(state(store, &family.refresh_token(0), at(101)).await?, TokenState::Inactive);
    Ok(())
}

/// To the moment.
pub async fn a_refresh_token_expires<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    assert_ne!(state(store, &family.refresh_token(0), at(IDLE) - moment()).await?, TokenState::Inactive);
    assert_eq!(state(store, &family.refresh_token(0), at(IDLE)).await?, TokenState::Inactive);
    Ok(())
}

/// To the moment, though it could lie unused for longer.
pub async fn a_refresh_token_ends_with_its_grant<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family_of(NewGrant { expires_at: at(1000), ..world.grant() }).await?;
    let expected = described(&family, &world.user, at(0), at(1000));
    assert_eq!(state(store, &family.refresh_token(0), at(1000) - moment()).await?, expected);
    assert_eq!(state(store, &family.refresh_token(0), at(1000)).await?, TokenState::Inactive);
    Ok(())
}

/// Another row, or another secret.
pub async fn an_unknown_refresh_token_is_inactive<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let TokenReference::Refresh { id: row, digest: right, .. } = family.refresh_token(0) else { unreachable!() };
    for (id, digest) in [(id(), right), (row, digest("another secret"))] {
        let unknown = TokenReference::Refresh { id, generation: 0, digest };
        assert_eq!(state(store, &unknown, at(1)).await?, TokenState::Inactive);
    }
    Ok(())
}

/// A client that acts for itself has neither a grant nor a person; its token was never written down.
pub async fn an_access_token_of_a_client_is_active<S: Store>(store: &Arc<S>) -> Case {
    let client = World::new(store).await?.client;
    let active = state(store, &own_access_token(&client.client_id), at(1)).await?;
    assert_eq!(active, TokenState::ActiveAccess { user: None });
    Ok(())
}

/// RFC 7662 §2.2, `username`.
pub async fn an_access_token_of_a_grant_names_the_user<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let active = state(store, &family.access_token(), at(1)).await?;
    assert_eq!(active, TokenState::ActiveAccess { user: Some(world.user) });
    Ok(())
}

/// The client was deleted.
pub async fn an_access_token_of_an_unknown_client_is_inactive<S: Store>(store: &Arc<S>) -> Case {
    World::new(store).await?;
    assert_eq!(state(store, &own_access_token(&client_id("gone")), at(1)).await?, TokenState::Inactive);
    Ok(())
}

/// The grant was deleted.
pub async fn an_access_token_of_an_unknown_grant_is_inactive<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    let client_id = family.client.client_id.clone();
    let orphan =
        TokenReference::Access { jti: "jti".to_owned(), client_id, grant_id: Some(id()), expires_at: at(1800) };
    assert_eq!(state(store, &orphan, at(1)).await?, TokenState::Inactive);
    Ok(())
}

/// To the moment, whatever it says itself.
pub async fn an_access_token_ends_with_its_grant<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family_of(NewGrant { expires_at: at(1000), ..world.grant() }).await?;
    assert_ne!(state(store, &family.access_token(), at(1000) - moment()).await?, TokenState::Inactive);
    assert_eq!(state(store, &family.access_token(), at(1000)).await?, TokenState::Inactive);
    Ok(())
}

/// RFC 7009 §2.1: with the access tokens.
pub async fn revoking_a_refresh_token_ends_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    store.revoke_token(&family.refresh_token(0), family.client.id, at(1), None).await?;
    family.assert_revoked(0, at(2)).await
}

/// A client that logs out does not always know its latest token, nor does it do so in time.
pub async fn revoking_an_old_refresh_token_ends_the_grant<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for (generation, seconds) in [(0, 2), (1, 2), (2, 2), (0, IDLE + 2)] {
        let family = world.family().await?;
        family.rotated(0, at(1)).await?;
        family.rotated(1, at(1)).await?;
        store.revoke_token(&family.refresh_token(generation), family.client.id, at(seconds), None).await?;
        family.assert_revoked(2, at(3)).await?;
    }
    Ok(())
}

/// Though the same person gave it to the same client.
pub async fn revoking_one_grant_spares_another<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (family, spared) = (world.family().await?, world.family().await?);
    store.revoke_token(&family.refresh_token(0), family.client.id, at(1), None).await?;
    spared.assert_alive(0, at(2)).await
}

/// RFC 7009 §2.1: the token must have been issued to the client that revokes it.
pub async fn a_foreign_refresh_token_is_not_revoked<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    family.rotated(0, at(1)).await?;
    for generation in [0, 1] {
        store.revoke_token(&family.refresh_token(generation), world.other.id, at(2), None).await?;
    }
    family.assert_alive(1, at(3)).await
}

/// The refresh token can be used for another.
pub async fn an_access_token_is_revoked_alone<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (family, other) = (world.family().await?, world.family().await?);
    for token in [family.access_token(), own_access_token(&world.client.client_id)] {
        store.revoke_token(&token, world.client.id, at(1), None).await?;
        assert_eq!(state(store, &token, at(2)).await?, TokenState::Inactive);
    }
    other.assert_alive(0, at(2)).await?;
    family.rotated(0, at(2)).await
}

/// RFC 7009 §2.1: the token must have been issued to the client that revokes it.
pub async fn a_foreign_access_token_is_not_revoked<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    for token in [family.access_token(), own_access_token(&world.client.client_id)] {
        store.revoke_token(&token, world.other.id, at(1), None).await?;
        assert_ne!(state(store, &token, at(2)).await?, TokenState::Inactive);
    }
    Ok(())
}

/// RFC 7009 §2.2: it is what the client wanted.
pub async fn revoking_twice_is_fine<S: Store>(store: &Arc<S>) -> Case {
    let family = World::new(store).await?.family().await?;
    for seconds in [1, 2] {
        for token in [family.access_token(), family.refresh_token(0)] {
            store.revoke_token(&token, family.client.id, at(seconds), None).await?;
        }
        family.assert_revoked(0, at(seconds)).await?;
    }
    Ok(())
}

/// RFC 7009 §2.2: there is nothing to do, also where client or grant are gone.
pub async fn revoking_what_is_unknown_is_fine<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let unknown = TokenReference::Refresh { id: id(), generation: 3, digest: digest("unknown") };
    let orphan = TokenReference::Access {
        jti: "jti".to_owned(),
        client_id: world.client.client_id.clone(),
        grant_id: Some(id()),
        expires_at: at(GRANT_ENDS) + TimeDelta::days(1),
    };
    for token in [unknown, orphan, own_access_token(&client_id("gone"))] {
        store.revoke_token(&token, world.client.id, at(1), None).await?;
        assert_eq!(state(store, &token, at(2)).await?, TokenState::Inactive);
    }
    Ok(())
}
