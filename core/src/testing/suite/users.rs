//! Accounts and sessions.

use std::sync::Arc;

use super::{
    Case,
    fixture::{World, account, at, digest, id, moment, named_account, scopes, session},
};
use crate::{
    model::{NewUser, PasswordHash, User},
    store::{Created, NewGrant, NewSession, Session, SessionAndConsent, Store, StoreError},
};

async fn found<S: Store>(store: &Arc<S>, login: &str) -> Result<Option<User>, StoreError> {
    Ok(store.user_by_login(login).await?.map(|credentials| credentials.user))
}

/// The address that was typed is not always in the case that it is kept in.
pub async fn an_account_is_found_by_email_in_any_case<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    assert_eq!(store.create_user(&ada, at(0), None).await?, Created::Created);
    for login in ["ada@example.com", "ADA@example.com", "Ada@Example.Com"] {
        let credentials = store.user_by_login(login).await?.expect("found");
        assert_eq!(credentials.user, ada.user);
        assert_eq!(credentials.password_hash, ada.password_hash);
        assert!(credentials.is_active);
    }
    Ok(())
}

/// Every field of it is read back.
pub async fn an_account_is_found_by_name<S: Store>(store: &Arc<S>) -> Case {
    let root = User::new(id(), "root@example.com", Some("Root Ünïcode"), false, true).expect("an account");
    let root = NewUser { user: root, ..account("root") };
    store.create_user(&account("ada"), at(0), None).await?;
    store.create_user(&root, at(0), None).await?;
    assert_eq!(found(store, "Root Ünïcode").await?, Some(root.user));
    Ok(())
}

/// Patterns are no patterns, and no text is too strange to be asked for.
pub async fn an_unknown_login_is_none<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    for login in ["", "ad", "ada@example", "ada@example.comm", "%", "ad_", "*", "ada'--", "ada\0", "\0", "\u{10FFFF}"] {
        assert_eq!(found(store, login).await?, None, "{login:?}");
    }
    Ok(())
}

/// Nobody is locked out by a user name that is somebody else's address.
pub async fn an_address_goes_before_a_name<S: Store>(store: &Arc<S>) -> Case {
    let mallory = named_account("mallory@example.com", "ada@example.com");
    let ada = account("ada");
    store.create_user(&mallory, at(0), None).await?;
    store.create_user(&ada, at(0), None).await?;
    assert_eq!(found(store, "ada@example.com").await?, Some(ada.user));
    Ok(())
}

/// What was typed exactly goes before what was not.
pub async fn a_name_goes_before_an_address_in_another_case<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), named_account("bob@example.com", "ADA@example.com"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    assert_eq!(found(store, "ADA@example.com").await?, Some(bob.user));
    assert_eq!(found(store, "Ada@example.com").await?, Some(ada.user));
    Ok(())
}

/// A taken address changes nothing.
pub async fn an_address_is_unique_in_any_case<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    let second = named_account("ADA@example.com", "second");
    assert_eq!(store.create_user(&second, at(1), None).await?, Created::Conflict);
    assert_eq!(found(store, "second").await?, None);
    assert_eq!(found(store, "ada@example.com").await?, Some(ada.user));
    Ok(())
}

/// A taken name changes nothing.
pub async fn a_name_is_unique<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    let second = named_account("second@example.com", "ada");
    assert_eq!(store.create_user(&second, at(1), None).await?, Created::Conflict);
    assert_eq!(found(store, "second@example.com").await?, None);
    assert_eq!(found(store, "ada").await?, Some(ada.user));
    Ok(())
}

/// As a login does with a hash that is out of date.
pub async fn a_password_hash_is_replaced<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), account("bob"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    let new = PasswordHash::new("better".to_owned());
    store.replace_password_hash(ada.user.id, &ada.password_hash, &new, at(1)).await?;
    for (login, expected) in [("ada", new), ("bob", bob.password_hash)] {
        assert_eq!(store.user_by_login(login).await?.expect("found").password_hash, expected);
    }
    Ok(())
}

/// A login that took long cannot bring an old password back.
pub async fn a_password_that_changed_since_stays<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    let (stale, new) = (PasswordHash::new("stale".to_owned()), PasswordHash::new("new".to_owned()));
    store.replace_password_hash(ada.user.id, &stale, &new, at(1)).await?;
    assert_eq!(store.user_by_login("ada").await?.expect("found").password_hash, ada.password_hash);
    store.replace_password_hash(id(), &stale, &new, at(1)).await
}

/// The session tells who logged in, and when.
pub async fn a_session_starts<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    let new = NewSession { authenticated_at: at(-5), ..session("cookie", ada.user.id, at(0)) };
    store.create_session(&new).await?;
    let expected = Session { id: new.id, user: ada.user, authenticated_at: at(-5) };
    assert_eq!(store.session(&digest("cookie"), at(1)).await?, Some(expected));
    Ok(())
}

/// A cookie that was never given out, or is out of use.
pub async fn an_unknown_session_is_none<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.session(&digest("cookie"), at(0)).await?, None);
    assert_eq!(store.session_and_consent(&digest("cookie"), id(), at(0)).await?, None);
    Ok(())
}

/// A login gives the browser a new cookie: the old one, whoever knows it, is worth nothing from then on.
pub async fn a_session_replaces_another<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), account("bob"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    store.create_session(&session("first", ada.user.id, at(0))).await?;
    store.create_session(&session("elsewhere", ada.user.id, at(0))).await?;
    for (cookie, replaced, user) in [("second", "first", &ada), ("third", "second", &bob), ("fourth", "none", &bob)] {
        let new = NewSession { replaces: Some(digest(replaced)), ..session(cookie, user.user.id, at(1)) };
        store.create_session(&new).await?;
        assert_eq!(store.session(&digest(replaced), at(2)).await?, None);
        let started = store.session(&digest(cookie), at(2)).await?.expect("started");
        assert_eq!(started.user, user.user);
    }
    assert!(store.session(&digest("elsewhere"), at(2)).await?.is_some());
    Ok(())
}

/// Once and for all, and only this one.
pub async fn a_session_ends<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    store.create_session(&session("cookie", ada.user.id, at(0))).await?;
    store.create_session(&session("elsewhere", ada.user.id, at(0))).await?;
    for _ in 0..2 {
        store.end_session(&digest("cookie"), None).await?;
        assert_eq!(store.session(&digest("cookie"), at(1)).await?, None);
    }
    assert!(store.session(&digest("elsewhere"), at(1)).await?.is_some());
    Ok(())
}

/// To the moment.
pub async fn a_session_expires<S: Store>(store: &Arc<S>) -> Case {
    let World { user, client, .. } = World::new(store).await?;
    let new = session("cookie", user.id, at(0));
    store.create_session(&new).await?;
    for (now, expected) in [(new.expires_at - moment(), true), (new.expires_at, false)] {
        assert_eq!(store.session(&new.digest, now).await?.is_some(), expected);
        assert_eq!(store.session_and_consent(&new.digest, client.id, now).await?.is_some(), expected);
    }
    Ok(())
}

/// An authorization request reads both at once.
pub async fn a_session_is_read_with_the_consent<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let new = session("cookie", world.user.id, at(0));
    store.create_session(&new).await?;
    let session = Session { id: new.id, user: world.user.clone(), authenticated_at: new.authenticated_at };
    for consented in [None, Some(scopes("read write"))] {
        let expected = SessionAndConsent { session: session.clone(), consented };
        assert_eq!(store.session_and_consent(&new.digest, world.client.id, at(1)).await?, Some(expected));
        store.create_grant(&NewGrant { remember_consent: true, ..world.grant() }).await?;
    }
    Ok(())
}
