//! What people do with their own accounts.

use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Case,
    fixture::{World, account, at, digest, id, moment, named_account, race, race_two, session},
    outbox::{claim, mail},
};
use crate::{
    model::{NewUser, Origin, PasswordHash, User},
    store::{
        EmailPurpose, NewEmailToken, NewGrant, NewMail, NewSession, PasswordChange, PasswordReset, Registration,
        ResetRequest, Store, StoreError, Verification, VerificationRequest,
    },
};

const RACERS: usize = 16;

fn token(secret: &str) -> NewEmailToken {
    NewEmailToken { digest: digest(secret), expires_at: at(3600) }
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.to_owned())
}

/// Somebody who wants an account, with a link of this secret.
fn registration(email: &str, secret: &str) -> Registration {
    let (welcome, known) = (mail("welcome", at(0)), mail("known", at(0)));
    Registration {
        user: User::new(id(), email, None, false, false).expect("an account"),
        password_hash: hash("first"),
        token: token(secret),
        known: NewMail { id: welcome.id, ..known },
        welcome,
        now: at(0),
    }
}

fn verification(user: Uuid, email: &str, secret: &str) -> VerificationRequest {
    let (mail, taken) = (mail("verify", at(0)), mail("taken", at(0)));
    VerificationRequest {
        user,
        email: email.to_owned(),
        token: token(secret),
        taken: NewMail { id: mail.id, ..taken },
        mail,
        now: at(0),
    }
}

fn reset_request(email: &str, secret: &str) -> ResetRequest {
    ResetRequest { email: email.to_owned(), token: token(secret), mail: mail("reset", at(0)), now: at(0) }
}

fn reset(secret: &str, new: &str) -> PasswordReset {
    PasswordReset { token: digest(secret), new: hash(new), notice: mail("changed", at(1)), now: at(1) }
}

fn change(world_user: &NewUser, keep: &str) -> PasswordChange {
    PasswordChange {
        user: world_user.user.id,
        old: world_user.password_hash.clone(),
        new: hash("new"),
        keep: digest(keep),
        notice: mail("changed", at(1)),
        now: at(1),
    }
}

/// Subject and recipient of all mail since the last look.
async fn sent<S: Store>(store: &Arc<S>) -> Result<Vec<(String, Option<String>)>, StoreError> {
    let mut sent = Vec::new();
    for mail in claim(store, 2).await? {
        store.remove_mail(mail.id, mail.attempts).await?;
        assert_eq!(mail.sealed, format!("sealed {}", mail.subject).into_bytes());
        sent.push((mail.subject, mail.recipient));
    }
    sent.sort();
    Ok(sent)
}

fn to(subject: &str, recipient: &str) -> (String, Option<String>) {
    (subject.to_owned(), Some(recipient.to_owned()))
}

async fn user<S: Store>(store: &Arc<S>, login: &str) -> Result<Option<User>, StoreError> {
    Ok(store.user_by_login(login).await?.map(|credentials| credentials.user))
}

async fn holder<S: Store>(store: &Arc<S>, secret: &str, purpose: EmailPurpose) -> Result<Option<String>, StoreError> {
    Ok(store.email_token(&digest(secret), purpose, at(1)).await?.map(|holder| holder.email))
}

/// Not verified, no administrator, whatever was asked for; with the mail that verifies it.
pub async fn a_registration_makes_an_account<S: Store>(store: &Arc<S>) -> Case {
    let mut registration = registration("ada@example.com", "link");
    registration.user.is_admin = true;
    registration.user.is_verified = true;
    assert!(store.register(&registration).await?);
    let expected = User { is_admin: false, is_verified: false, ..registration.user.clone() };
    let credentials = store.user_by_login("ada@example.com").await?.expect("it is there");
    assert_eq!(credentials.user, expected);
    assert_eq!(credentials.password_hash, registration.password_hash);
    assert!(credentials.is_active);
    assert_eq!(sent(store).await?, [to("welcome", "ada@example.com")]);
    let holder = store.email_token(&digest("link"), EmailPurpose::Verify, at(1)).await?.expect("the link is good");
    assert_eq!((holder.credentials.user, holder.email.as_str()), (expected, "ada@example.com"));
    assert_eq!(holder.credentials.password_hash, registration.password_hash);
    Ok(())
}

/// Nothing changes but that mail goes to the address as the account has it.
pub async fn a_registration_of_a_taken_address_sends_the_other_mail<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    for email in ["ada@example.com", "ADA@example.com"] {
        assert!(!store.register(&registration(email, "link")).await?);
        assert_eq!(sent(store).await?, [to("known", "ada@example.com")]);
    }
    let credentials = store.user_by_login("ada@example.com").await?.expect("it is there");
    assert_eq!((credentials.user, credentials.password_hash), (ada.user, ada.password_hash));
    assert_eq!(holder(store, "link", EmailPurpose::Verify).await?, None);
    Ok(())
}

/// Somebody else's name stays theirs, and nobody learns of it.
pub async fn a_registration_gets_another_name_where_it_is_taken<S: Store>(store: &Arc<S>) -> Case {
    let mallory = named_account("mallory@example.com", "ada@example.com");
    store.create_user(&mallory, at(0), None).await?;
    let registration = registration("ada@example.com", "link");
    assert!(store.register(&registration).await?);
    let ada = user(store, "ada@example.com").await?.expect("the address goes first");
    assert_eq!((ada.id, ada.username), (registration.user.id, registration.user.id.to_string()));
    Ok(())
}

/// The link is used once.
pub async fn an_address_is_verified<S: Store>(store: &Arc<S>) -> Case {
    let registration = registration("ada@example.com", "link");
    store.register(&registration).await?;
    sent(store).await?;
    let expected = User { is_verified: true, ..registration.user };
    let notice = mail("notice", at(1));
    assert_eq!(store.verify_email(&digest("link"), &notice, at(1)).await?, Verification::Verified(expected.clone()));
    assert_eq!(user(store, "ada@example.com").await?, Some(expected));
    assert_eq!(store.verify_email(&digest("link"), &notice, at(1)).await?, Verification::Unknown);
    assert_eq!(holder(store, "link", EmailPurpose::Verify).await?, None);
    assert_eq!(sent(store).await?, [], "the address is the same");
    Ok(())
}

/// To the moment.
pub async fn a_link_ends<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    store.request_verification(&verification(ada.user.id, "ada@example.com", "verify")).await?;
    store.request_reset(&reset_request("ada@example.com", "reset")).await?;
    for (secret, purpose) in [("verify", EmailPurpose::Verify), ("reset", EmailPurpose::Reset)] {
        assert!(store.email_token(&digest(secret), purpose, at(3600) - moment()).await?.is_some());
        assert!(store.email_token(&digest(secret), purpose, at(3600)).await?.is_none());
    }
    let late = PasswordReset { now: at(3600), ..reset("reset", "new") };
    assert_eq!(store.reset_password(&late).await?, None);
    let notice = mail("notice", at(1));
    assert_eq!(store.verify_email(&digest("verify"), &notice, at(3600)).await?, Verification::Unknown);
    Ok(())
}

/// For the other thing it is no link at all.
pub async fn a_link_is_for_one_purpose<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    store.request_verification(&verification(ada.user.id, "ada@example.com", "verify")).await?;
    store.request_reset(&reset_request("ada@example.com", "reset")).await?;
    assert_eq!(holder(store, "verify", EmailPurpose::Reset).await?, None);
    assert_eq!(holder(store, "reset", EmailPurpose::Verify).await?, None);
    assert_eq!(store.reset_password(&reset("verify", "new")).await?, None);
    let notice = mail("notice", at(1));
    assert_eq!(store.verify_email(&digest("reset"), &notice, at(1)).await?, Verification::Unknown);
    assert!(holder(store, "verify", EmailPurpose::Verify).await?.is_some());
    assert!(holder(store, "reset", EmailPurpose::Reset).await?.is_some());
    Ok(())
}

/// The newest link of a kind is the only one.
pub async fn a_newer_link_takes_the_place_of_an_older_one<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), account("bob"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    store.request_reset(&reset_request("bob@example.com", "bob's")).await?;
    for secret in ["first", "second"] {
        assert_eq!(store.request_reset(&reset_request("ada@example.com", secret)).await?, Some(ada.user.id));
    }
    assert_eq!(store.reset_password(&reset("first", "new")).await?, None);
    assert_eq!(store.reset_password(&reset("second", "new")).await?, Some(ada.user));
    assert_eq!(holder(store, "bob's", EmailPurpose::Reset).await?.as_deref(), Some("bob@example.com"));
    Ok(())
}

/// The name follows it if it was the address; the old address is told; links to the old address end.
pub async fn an_address_changes<S: Store>(store: &Arc<S>) -> Case {
    let named = account("ada");
    let unnamed = NewUser {
        user: User::new(id(), "bob@example.com", None, false, false).expect("an account"),
        password_hash: hash("bob's"),
    };
    for (account, old, new, name) in [
        (&named, "ada@example.com", "lovelace@example.com", "ada"),
        (&unnamed, "bob@example.com", "robert@example.com", "robert@example.com"),
    ] {
        store.create_user(account, at(0), None).await?;
        store.request_reset(&reset_request(old, "reset")).await?;
        assert!(store.request_verification(&verification(account.user.id, new, "verify")).await?);
        assert_eq!(sent(store).await?, [to("reset", old), to("verify", new)]);
        assert_eq!(user(store, old).await?.expect("still there").email, old);
        let expected =
            User { email: new.to_owned(), username: name.to_owned(), is_verified: true, ..account.user.clone() };
        let outcome = store.verify_email(&digest("verify"), &mail("notice", at(1)), at(1)).await?;
        assert_eq!(outcome, Verification::Changed(expected.clone()));
        assert_eq!(user(store, new).await?, Some(expected));
        assert_eq!(user(store, old).await?, None);
        assert_eq!(sent(store).await?, [to("notice", old)]);
        assert_eq!(holder(store, "reset", EmailPurpose::Reset).await?, None);
    }
    Ok(())
}

/// Whoever has the address is told, and whoever asked is not.
pub async fn a_taken_address_cannot_be_had<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), account("bob"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    assert!(!store.request_verification(&verification(bob.user.id, "ada@example.com", "verify")).await?);
    assert_eq!(sent(store).await?, [to("taken", "ada@example.com")]);
    assert_eq!(holder(store, "verify", EmailPurpose::Verify).await?, None);
    // Free when it was asked for, and taken when the link was used.
    assert!(store.request_verification(&verification(bob.user.id, "new@example.com", "verify")).await?);
    store.create_user(&named_account("new@example.com", "carol"), at(0), None).await?;
    let notice = mail("notice", at(1));
    assert_eq!(store.verify_email(&digest("verify"), &notice, at(1)).await?, Verification::Taken);
    assert_eq!(store.verify_email(&digest("verify"), &notice, at(1)).await?, Verification::Unknown);
    assert_eq!(user(store, "bob").await?, Some(bob.user));
    Ok(())
}

/// In any case, to the address as the account has it: what was typed receives nothing.
pub async fn a_forgotten_password_sends_a_link<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    assert_eq!(store.request_reset(&reset_request("ADA@Example.com", "link")).await?, Some(ada.user.id));
    assert_eq!(sent(store).await?, [to("reset", "ada@example.com")]);
    let holder = store.email_token(&digest("link"), EmailPurpose::Reset, at(1)).await?.expect("the link is good");
    assert_eq!((holder.credentials.user, holder.email.as_str()), (ada.user, "ada@example.com"));
    Ok(())
}

/// The mail is to nobody; a name is no address.
pub async fn a_forgotten_password_of_nobody_sends_nothing<S: Store>(store: &Arc<S>) -> Case {
    store.create_user(&account("ada"), at(0), None).await?;
    for login in ["nobody@example.com", "ada", "", "%", "ada@example.com\0"] {
        assert_eq!(store.request_reset(&reset_request(login, "link")).await?, None, "{login:?}");
        assert_eq!(sent(store).await?, [("reset".to_owned(), None)]);
        assert_eq!(holder(store, "link", EmailPurpose::Reset).await?, None);
    }
    Ok(())
}

/// Sessions, grants and links all end; the address is verified, since the link went there.
pub async fn a_reset_ends_everything<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let registered = registration("bob@example.com", "verify");
    store.register(&registered).await?;
    let family = world.family().await?;
    let bobs = World { user: registered.user.clone(), ..World { store: Arc::clone(store), ..world } };
    let his = bobs.family().await?;
    for (cookie, owner) in [("ada's", family.grant.user_id), ("bob's", bobs.user.id), ("bob's too", bobs.user.id)] {
        store.create_session(&session(cookie, owner, at(0))).await?;
    }
    store.request_reset(&reset_request("bob@example.com", "reset")).await?;
    sent(store).await?;
    let expected = User { is_verified: true, ..registered.user };
    assert_eq!(store.reset_password(&reset("reset", "new")).await?, Some(expected.clone()));
    let credentials = store.user_by_login("bob@example.com").await?.expect("it is there");
    assert_eq!((credentials.user, credentials.password_hash), (expected, hash("new")));
    assert_eq!(store.session(&digest("bob's"), at(2)).await?, None);
    assert_eq!(store.session(&digest("bob's too"), at(2)).await?, None);
    his.assert_revoked(0, at(2)).await?;
    assert_eq!(holder(store, "verify", EmailPurpose::Verify).await?, None);
    assert_eq!(store.reset_password(&reset("reset", "again")).await?, None);
    assert_eq!(sent(store).await?, [to("changed", "bob@example.com")]);
    assert!(store.session(&digest("ada's"), at(2)).await?.is_some(), "nobody else's");
    family.assert_alive(0, at(2)).await
}

/// Only the session that it was done in goes on.
pub async fn a_changed_password_ends_everything_else<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let ada = NewUser { user: world.user.clone(), password_hash: account("ada").password_hash };
    for cookie in ["this", "other"] {
        store.create_session(&session(cookie, world.user.id, at(0))).await?;
    }
    store.request_reset(&reset_request("ada@example.com", "reset")).await?;
    sent(store).await?;
    assert!(store.change_password(&change(&ada, "this")).await?);
    assert_eq!(store.credentials(ada.user.id).await?.expect("it is there").password_hash, hash("new"));
    assert!(store.session(&digest("this"), at(2)).await?.is_some());
    assert_eq!(store.session(&digest("other"), at(2)).await?, None);
    assert_eq!(holder(store, "reset", EmailPurpose::Reset).await?, None);
    assert_eq!(sent(store).await?, [to("changed", "ada@example.com")]);
    family.assert_revoked(0, at(2)).await
}

/// What was compared is not what is there any more: nothing changes.
pub async fn a_password_that_was_changed_since_stays<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let stale = NewUser { user: world.user.clone(), password_hash: hash("stale") };
    store.create_session(&session("other", world.user.id, at(0))).await?;
    assert!(!store.change_password(&change(&stale, "this")).await?);
    assert!(store.session(&digest("other"), at(2)).await?.is_some());
    assert_eq!(sent(store).await?, []);
    family.assert_alive(0, at(2)).await
}

/// By key, whatever it is called now.
pub async fn credentials_are_read_by_key<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    let credentials = store.credentials(ada.user.id).await?.expect("it is there");
    assert_eq!((credentials.user, credentials.password_hash), (ada.user, ada.password_hash));
    assert!(credentials.is_active);
    assert!(store.credentials(id()).await?.is_none());
    Ok(())
}

fn origin(device: &str) -> Origin {
    Origin { address: Some("203.0.113.7".to_owned()), device: Some(device.to_owned()) }
}

/// One's own, while they last, newest first, with where they are from.
pub async fn sessions_are_listed_and_ended<S: Store>(store: &Arc<S>) -> Case {
    let (ada, bob) = (account("ada"), account("bob"));
    store.create_user(&ada, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    let (ada, bob) = (ada.user.id, bob.user.id);
    let first = NewSession { origin: origin("Firefox on Linux"), ..session("first", ada, at(0)) };
    let second = NewSession { origin: Origin::default(), ..session("second", ada, at(10)) };
    for session in [&first, &second, &session("bob's", bob, at(5)), &session("over", ada, at(-4000))] {
        store.create_session(session).await?;
    }
    let sessions = store.sessions_of(ada, at(20)).await?;
    let told: Vec<_> = sessions.iter().map(|it| (it.id, it.authenticated_at, it.expires_at, &it.origin)).collect();
    let expected = [&second, &first].map(|it| (it.id, it.authenticated_at, it.expires_at, &it.origin));
    assert_eq!(told, expected);
    assert!(!store.end_own_session(bob, first.id).await?, "somebody else's");
    assert!(store.session(&digest("first"), at(20)).await?.is_some());
    assert!(store.end_own_session(ada, first.id).await?);
    assert!(!store.end_own_session(ada, first.id).await?);
    assert_eq!(store.session(&digest("first"), at(20)).await?, None);
    assert_eq!(store.sessions_of(ada, at(20)).await?.len(), 1);
    Ok(())
}

/// Those that something can still be done with.
pub async fn grants_are_listed_and_revoked<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let user = world.user.id;
    let grant = NewGrant { origin: origin("Safari on iPhone"), remember_consent: true, ..world.grant() };
    let family = world.family_of(grant).await?;
    let young = NewGrant { created_at: at(50), ..world.grant() };
    store.create_grant(&young).await?;
    let other = NewGrant { client_id: world.other.id, created_at: at(60), ..world.grant() };
    store.create_grant(&other).await?;
    let told = |recent, now| {
        let store = Arc::clone(store);
        async move {
            let grants = store.grants_of(user, at(recent), at(now)).await?;
            let told = |it: crate::store::GrantView| (it.client_id, it.client_name, it.created_at, it.origin);
            Ok::<_, StoreError>(grants.into_iter().map(told).collect::<Vec<_>>())
        }
    };
    let view = |client: &crate::model::NewClient, grant: &NewGrant| {
        (client.client_id.clone(), client.name.clone(), grant.created_at, grant.origin.clone())
    };
    let oldest = view(&world.client, &family.grant);
    assert_eq!(told(0, 100).await?, [view(&world.other, &other), view(&world.client, &young), oldest.clone()]);
    // Without a refresh token, an access token is all that there was.
    assert_eq!(told(60, 100).await?, [oldest]);
    assert_eq!(store.grants_of(user, at(0), at(100)).await?[2].scopes, family.grant.scopes);
    assert_eq!(store.grants_of(id(), at(0), at(100)).await?, []);
    // An unused refresh token ends.
    assert_eq!(told(60, super::fixture::IDLE + 10).await?, []);

    store.create_session(&session("cookie", user, at(0))).await?;
    let consented = || async {
        let known = store.session_and_consent(&digest("cookie"), world.client.id, at(1)).await?;
        Ok::<_, StoreError>(known.expect("logged in").consented.is_some())
    };
    assert!(consented().await?);
    assert!(!store.revoke_application(id(), world.client.id, at(100)).await?, "somebody else");
    family.assert_alive(0, at(100)).await?;
    assert!(store.revoke_application(user, world.client.id, at(100)).await?);
    assert!(!store.revoke_application(user, world.client.id, at(100)).await?);
    assert!(!consented().await?, "it is asked for again");
    assert_eq!(told(0, 100).await?, [view(&world.other, &other)]);
    family.assert_revoked(0, at(100)).await
}

/// And nobody else's.
pub async fn access_ends_everywhere<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let bob = account("bob");
    store.create_user(&bob, at(0), None).await?;
    store.create_session(&session("one", world.user.id, at(0))).await?;
    store.create_session(&session("two", world.user.id, at(0))).await?;
    store.create_session(&session("bob's", bob.user.id, at(0))).await?;
    store.end_access(world.user.id, at(1), None).await?;
    for (cookie, expected) in [("one", false), ("two", false), ("bob's", true)] {
        assert_eq!(store.session(&digest(cookie), at(2)).await?.is_some(), expected, "{cookie}");
    }
    family.assert_revoked(0, at(2)).await
}

/// And no others; in bounded batches.
pub async fn ended_links_are_swept<S: Store>(store: &Arc<S>) -> Case {
    for name in ["ada", "bob", "carol"] {
        store.create_user(&account(name), at(0), None).await?;
        let mut request = reset_request(&format!("{name}@example.com"), name);
        request.token.expires_at += TimeDelta::seconds(if name == "carol" { 100 } else { 0 });
        store.request_reset(&request).await?;
    }
    assert_eq!(store.sweep_email_tokens(at(3600) - moment(), 10).await?, 0);
    assert_eq!(store.sweep_email_tokens(at(3600), 1).await?, 1);
    assert_eq!(store.sweep_email_tokens(at(3600), 10).await?, 1);
    assert!(store.email_token(&digest("carol"), EmailPurpose::Reset, at(3600)).await?.is_some());
    Ok(())
}

/// One of them sets the password.
pub async fn one_link_is_used_once<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    for round in 0..8 {
        let secret = format!("link {round}");
        store.request_reset(&reset_request("ada@example.com", &secret)).await?;
        let racers = (0..RACERS).map(|number| {
            let (store, reset) = (Arc::clone(store), reset(&secret, &format!("{round} {number}")));
            async move { Ok::<_, StoreError>(store.reset_password(&reset).await?.map(|_| reset.new)) }
        });
        let mut winners = Vec::new();
        for outcome in race(racers).await {
            winners.extend(outcome?);
        }
        let [winner] = winners.as_slice() else { panic!("{} of {RACERS} were first", winners.len()) };
        assert_eq!(store.credentials(ada.user.id).await?.expect("it is there").password_hash, *winner);
        let changed: Vec<_> = sent(store).await?.into_iter().filter(|(subject, _)| subject == "changed").collect();
        assert_eq!(changed.len(), 1, "and one mail says so");
    }
    Ok(())
}

/// One account, one link, and a mail for each.
pub async fn one_address_is_registered_once<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..8 {
        let email = format!("racer{round}@example.com");
        let racers = (0..RACERS).map(|number| {
            let (store, registration) = (Arc::clone(store), registration(&email, &format!("{round} {number}")));
            async move { store.register(&registration).await }
        });
        let mut made = 0;
        for outcome in race(racers).await {
            made += usize::from(outcome?);
        }
        assert_eq!(made, 1);
        let sent = sent(store).await?;
        assert_eq!(sent.iter().filter(|mail| **mail == to("welcome", &email)).count(), 1);
        assert_eq!(sent.iter().filter(|mail| **mail == to("known", &email)).count(), RACERS - 1);
    }
    Ok(())
}

/// Whichever came first: a token of before is dead.
pub async fn a_rotation_cannot_outrun_a_reset<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    for round in 0..12 {
        let family = world.family().await?;
        let secret = format!("link {round}");
        store.request_reset(&reset_request("ada@example.com", &secret)).await?;
        let (resetting, rotation) = (Arc::clone(store), family.rotation(0, at(1)));
        let rotating = Arc::clone(store);
        let (reset, rotated) =
            race_two(async move { resetting.reset_password(&reset(&secret, "new")).await }, async move {
                rotating.rotate_refresh_token(&rotation).await
            })
            .await;
        assert!(reset?.is_some());
        rotated?;
        family.assert_revoked(1, at(2)).await?;
    }
    Ok(())
}
