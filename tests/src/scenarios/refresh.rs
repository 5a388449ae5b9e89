//! The refresh token grant: rotation, retries, replays.

use std::collections::BTreeSet;

use crate::{
    http::{RequestExt as _, in_parallel, names, scope_set},
    target::{App, Target, Tokens},
};

async fn expect_dead(target: &Target, app: &App, tokens: &[&Tokens]) {
    for tokens in tokens {
        assert!(!target.is_active(&tokens.refresh).await, "a refresh token lives");
        assert!(!target.is_active(&tokens.access).await, "an access token lives");
        target.refresh(app, &tokens.refresh).await.expect_error(400, "invalid_grant");
    }
}

/// OAuth 2.1 §4.3.1: every use gives a new one, for every kind of client.
pub async fn every_client_gets_a_new_refresh_token_each_time(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let mut tokens = target.tokens(&app, &person).await;
        let mut seen = BTreeSet::from([tokens.refresh.clone()]);
        for _ in 0..4 {
            let reply = target.refresh(&app, &tokens.refresh).await.expect(200).expect_no_store();
            let body = reply.json();
            assert_eq!(names(&body), ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
            assert_eq!(scope_set(&reply.member("scope")), scope_set("read write"));
            let next = Tokens::of(&reply);
            assert!(seen.insert(next.refresh.clone()), "it was there before");
            assert_ne!(next.access, tokens.access);
            assert!(target.is_active(&next.access).await && target.is_active(&next.refresh).await);
            assert!(target.is_active(&tokens.access).await, "an access token lasts as long as it says");
            tokens = next;
        }
    }
}

/// RFC 6749 §6: bound to the client it was issued to; a thief's try does no harm.
pub async fn another_client_can_neither_use_nor_revoke_it(target: &Target) {
    let person = target.person().await;
    let (owner, thief) = (target.public().await, target.confidential().await);
    for (owner, thief) in [(&owner, &thief), (&thief, &owner)] {
        let tokens = target.tokens(owner, &person).await;
        target.refresh(thief, &tokens.refresh).await.expect_error(400, "invalid_grant");
        let next = Tokens::of(&target.refresh(owner, &tokens.refresh).await.expect(200));
        let last = Tokens::of(&target.refresh(owner, &next.refresh).await.expect(200));
        // A replay by another client proves nothing against the owner.
        target.refresh(thief, &tokens.refresh).await.expect_error(400, "invalid_grant");
        assert!(target.is_active(&last.refresh).await);
    }
}

/// RFC 6749 §6: less for this access token; what was granted stays granted.
pub async fn the_scope_can_be_narrowed(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let narrow = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("scope", "read")];
    let reply = target.token(&app, &narrow).await.expect(200);
    assert_eq!(reply.member("scope"), "read");
    let claims = target.verify(&reply.member("access_token"), target.issuer()).await.claims;
    assert_eq!(claims["scope"], "read");
    let reply = target.refresh(&app, &reply.member("refresh_token")).await.expect(200);
    assert_eq!(scope_set(&reply.member("scope")), scope_set("read write"));
}

/// RFC 6749 §6: never more, and the mistake costs nothing.
pub async fn widening_the_scope_is_invalid_scope(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let code = target.code_for(&app.ask().with("scope", "read"), &person).await;
    let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
    // `write` the client may ask for, but the person did not grant it.
    for scope in ["read write", "write", "admin", "no-such-scope", "read  read", "\"", "ü"] {
        let wide = [("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("scope", scope)];
        target.token(&app, &wide).await.expect_error(400, "invalid_scope");
    }
    assert_eq!(target.refresh(&app, &tokens.refresh).await.expect(200).member("scope"), "read");
}

/// A lost response, a double click: the same successor, as long as nobody used it.
pub async fn a_retry_within_the_grace_returns_the_same_successor(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let tokens = target.tokens(&app, &person).await;
        let first = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
        for _ in 0..3 {
            let again = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
            assert_eq!(again.refresh, first.refresh);
            assert!(target.is_active(&again.access).await);
        }
        target.refresh(&app, &first.refresh).await.expect(200);
    }
}

/// 32 uses at once are 32 retries: all succeed with one and the same successor.
pub async fn of_32_concurrent_uses_all_get_the_same_successor(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let tokens = target.tokens(&app, &person).await;
        let request = || {
            let parameters = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
            target.client_request(&app, "/auth/token", &parameters)
        };
        let replies = in_parallel((0..32).map(|_| request())).await;
        let successors: BTreeSet<_> = replies.into_iter().map(|reply| Tokens::of(&reply.expect(200)).refresh).collect();
        assert_eq!(successors.len(), 1, "one live successor");
        let successor = successors.into_iter().next().expect("one");
        assert_ne!(successor, tokens.refresh);
        target.refresh(&app, &successor).await.expect(200);
    }
}

/// RFC 9700 §4.14.2: the old token after its successor was used is a replay, and the grant is dead.
pub async fn an_old_token_after_its_successors_use_kills_the_grant(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let bystander = target.tokens(&app, &person).await;
        let first = target.tokens(&app, &person).await;
        let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
        let third = Tokens::of(&target.refresh(&app, &second.refresh).await.expect(200));
        target.refresh(&app, &first.refresh).await.expect_error(400, "invalid_grant");
        expect_dead(target, &app, &[&first, &second, &third]).await;
        assert!(target.is_active(&bystander.refresh).await, "another grant of the same person and client");
    }
}

/// However old it is.
pub async fn a_token_of_any_older_generation_kills_the_grant(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    for age in [2, 3, 5] {
        let oldest = target.tokens(&app, &person).await;
        let mut last = oldest.clone();
        for _ in 0..age {
            last = Tokens::of(&target.refresh(&app, &last.refresh).await.expect(200));
        }
        target.refresh(&app, &oldest.refresh).await.expect_error(400, "invalid_grant");
        expect_dead(target, &app, &[&last]).await;
    }
}

/// After the grace, a second use is no retry any more.
pub async fn a_retry_after_the_grace_kills_the_grant(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let first = target.tokens(&app, &person).await;
    let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
    target.age_rotations(&person).await;
    target.refresh(&app, &first.refresh).await.expect_error(400, "invalid_grant");
    expect_dead(target, &app, &[&first, &second]).await;
}

/// Old token and successor, used together in any order: never two live successors.
pub async fn concurrent_uses_never_leave_two_live_successors(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    for _ in 0..5 {
        let first = target.tokens(&app, &person).await;
        let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
        let request = |token: &str| {
            let parameters = [("grant_type", "refresh_token"), ("refresh_token", token)];
            target.client_request(&app, "/auth/refresh", &parameters)
        };
        let requests = (0..16).map(|index| request(if index % 2 == 0 { &first.refresh } else { &second.refresh }));
        let replies = in_parallel(requests.collect::<Vec<_>>()).await;
        let mut issued = BTreeSet::from([first.refresh.clone(), second.refresh.clone()]);
        for reply in replies {
            match reply.status {
                200 => _ = issued.insert(reply.member("refresh_token")),
                _ => _ = reply.expect_error(400, "invalid_grant"),
            }
        }
        assert!(issued.len() <= 3, "a fork: {issued:?}");
        let mut live = Vec::new();
        for token in &issued {
            if target.is_active(token).await {
                live.push(token);
            }
        }
        assert!(live.len() <= 1, "two live tokens of one grant");
    }
}

/// OAuth 2.1 §4.3.1: one that nobody used for long ends.
pub async fn an_idle_refresh_token_expires(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    target.expire_idle_refresh_tokens(&person).await;
    target.refresh(&app, &tokens.refresh).await.expect_error(400, "invalid_grant");
    assert!(!target.is_active(&tokens.refresh).await);
}

/// And every grant has an end, however busy it is.
pub async fn a_grant_expires_however_often_it_is_used(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let first = target.tokens(&app, &person).await;
    let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
    target.expire_grants(&person).await;
    target.refresh(&app, &second.refresh).await.expect_error(400, "invalid_grant");
    assert!(!target.is_active(&second.refresh).await && !target.is_active(&second.access).await);
}

/// A deactivated person's tokens are dead, all of them, at once.
pub async fn deactivating_the_person_revokes(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    target.deactivate_person(&person).await;
    expect_dead(target, &app, &[&tokens]).await;
}

/// What a change of the password and "log out everywhere" do: they mark the grants as revoked.
pub async fn revoking_the_grants_revokes_all_their_tokens(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let first = target.tokens(&app, &person).await;
    let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
    target.revoke_grants(&person).await;
    expect_dead(target, &app, &[&first, &second]).await;
}

/// A deactivated client gets nothing any more, and what it has is dead.
pub async fn deactivating_the_client_revokes(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let (tokens, code) = (target.tokens(&app, &person).await, target.code(&app, &person).await);
    target.deactivate_app(&app).await;
    assert!(!target.is_active(&tokens.access).await && !target.is_active(&tokens.refresh).await, "at once");
    // The token endpoint reads a client again after CACHE_TTL at the latest.
    tokio::time::sleep(std::time::Duration::from_millis(5_100)).await;
    target.refresh(&app, &tokens.refresh).await.expect_error(401, "invalid_client");
    target.exchange(&app, &code).await.expect_error(401, "invalid_client");
    target.token(&app, &[("grant_type", "client_credentials")]).await.expect_error(401, "invalid_client");
}

/// The name that clients know from before: the grant type is implied.
pub async fn the_refresh_endpoint_implies_its_grant_type(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let send =
        async |parameters: &[(&str, &str)]| target.client_request(&app, "/auth/refresh", parameters).reply().await;
    let reply = send(&[("refresh_token", &tokens.refresh)]).await.expect(200).expect_no_store();
    let next = Tokens::of(&reply);
    let reply = send(&[("refresh_token", &next.refresh), ("grant_type", "refresh_token")]).await.expect(200);
    let next = Tokens::of(&reply);
    for grant_type in ["client_credentials", "authorization_code", "password"] {
        let parameters = [("refresh_token", next.refresh.as_str()), ("grant_type", grant_type)];
        send(&parameters).await.expect_error(400, "unsupported_grant_type");
    }
    send(&[]).await.expect_error(400, "invalid_request");
    assert!(target.is_active(&next.refresh).await);
}

/// What was never issued here: damaged, truncated, of another kind.
pub async fn what_is_no_refresh_token_is_invalid_grant(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let code = target.code(&app, &person).await;
    let mut damaged = tokens.refresh.clone().into_bytes();
    let middle = damaged.len() / 2;
    damaged[middle] = if damaged[middle] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).expect("ASCII");
    for wrong in [
        &damaged,
        &tokens.refresh[..tokens.refresh.len() - 1],
        &format!("{} ", tokens.refresh),
        &tokens.access,
        &code.code,
        app.secret(),
        "authly_rt_",
        "x",
        "ü",
    ] {
        target.refresh(&app, wrong).await.expect_error(400, "invalid_grant");
    }
    assert!(target.is_active(&tokens.refresh).await);
}
