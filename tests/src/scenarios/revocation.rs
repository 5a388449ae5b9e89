//! Token revocation (RFC 7009).

use crate::{
    http::RequestExt as _,
    target::{Target, Tokens},
};

/// RFC 7009 §2.1: a refresh token takes its whole grant along, whichever of its generations it is.
pub async fn a_refresh_token_takes_its_grant_along(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        for superseded in [false, true] {
            let bystander = target.tokens(&app, &person).await;
            let first = target.tokens(&app, &person).await;
            let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
            let presented = if superseded { &first.refresh } else { &second.refresh };
            let reply = target.revoke(&app, presented).await.expect(200);
            assert!(reply.body.is_empty(), "{reply:?}");
            for token in [&first.access, &first.refresh, &second.access, &second.refresh] {
                assert!(!target.is_active(token).await);
            }
            target.refresh(&app, &second.refresh).await.expect_error(400, "invalid_grant");
            assert!(target.is_active(&bystander.refresh).await && target.is_active(&bystander.access).await);
        }
    }
}

/// RFC 7009 §2: an access token goes alone.
pub async fn an_access_token_goes_alone(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let tokens = target.tokens(&app, &person).await;
        target.revoke(&app, &tokens.access).await.expect(200);
        assert!(!target.is_active(&tokens.access).await);
        let next = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
        assert!(target.is_active(&next.access).await);
        target.revoke(&app, &tokens.access).await.expect(200);
    }
    let app = target.confidential().await;
    let credentials = [("grant_type", "client_credentials")];
    let token = target.token(&app, &credentials).await.expect(200).member("access_token");
    target.revoke(&app, &token).await.expect(200);
    assert!(!target.is_active(&token).await);
}

/// RFC 7009 §2.2: nobody learns whether a token was one.
pub async fn unknown_and_dead_tokens_are_200(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let damaged = format!("{}x", tokens.refresh);
    target.expire_grants(&person).await;
    for token in [&tokens.refresh, &tokens.access, &damaged, "x", "a.b.c", "authly_rt_x", "ü", &"x".repeat(5000)] {
        for _ in 0..2 {
            let reply = target.revoke(&app, token).await.expect(200);
            assert!(reply.body.is_empty(), "{reply:?}");
        }
    }
}

/// RFC 7009 §2.1: 200 as for any other, but a foreign token stays alive.
pub async fn a_foreign_token_stays_alive(target: &Target) {
    let person = target.person().await;
    let (one, other) = (target.public().await, target.confidential().await);
    for (owner, thief) in [(&one, &other), (&other, &one)] {
        let tokens = target.tokens(owner, &person).await;
        for token in [&tokens.access, &tokens.refresh] {
            let reply = target.revoke(thief, token).await.expect(200);
            assert!(reply.body.is_empty(), "{reply:?}");
            assert!(target.is_active(token).await);
        }
        target.refresh(owner, &tokens.refresh).await.expect(200);
    }
}

/// RFC 7009 §2.1: a wrong hint, or one that nobody knows, changes nothing.
pub async fn token_type_hint_is_only_a_hint(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    for hint in ["access_token", "refresh_token", "id_token", "nonsense", ""] {
        let tokens = target.tokens(&app, &person).await;
        for token in [&tokens.access, &tokens.refresh] {
            let parameters = [("token", token.as_str()), ("token_type_hint", hint)];
            target.client_request(&app, "/auth/revoke", &parameters).reply().await.expect(200);
            assert!(!target.is_active(token).await, "with the hint {hint}");
        }
    }
}

/// RFC 7009 §2.2.1.
pub async fn what_cannot_be_revoked_here_is_unsupported_token_type(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    for token in [&code.code, app.secret()] {
        target.revoke(&app, token).await.expect_error(400, "unsupported_token_type");
    }
    target.exchange(&app, &code).await.expect(200);
}

/// RFC 7009 §2.1: who asks is known first, and a token is there.
pub async fn the_client_authenticates_and_sends_a_token(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let token = target.tokens(&app, &person).await.refresh;
    target.post("/auth/revoke").form_body(&[("token", &token)]).reply().await.expect_error(401, "invalid_client");
    let wrong = target.post("/auth/revoke").client_basic(&app.client_id, "wrong").form_body(&[("token", &token)]);
    wrong.reply().await.expect_error(401, "invalid_client");
    assert!(target.is_active(&token).await);
    for parameters in [&[][..], &[("token", "")]] {
        target.client_request(&app, "/auth/revoke", parameters).reply().await.expect_error(400, "invalid_request");
    }
}
