//! Token introspection (RFC 7662).

use serde_json::json;

use crate::{
    http::{RequestExt as _, scope_set},
    target::{Target, Tokens},
};

/// RFC 7662 §2.2: what is told of a live token.
pub async fn an_active_token_is_described(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let claims = target.verify(&tokens.access, target.issuer()).await.claims;
    let request = target.client_request(&app, "/auth/introspect", &[("token", &tokens.access)]);
    let reply = request.reply().await.expect(200).expect_no_store();
    let mut seen = reply.json();
    assert_eq!(scope_set(seen["scope"].as_str().expect("a text")), scope_set("read write"));
    seen["scope"] = claims["scope"].clone();
    assert_eq!(
        seen,
        json!({
            "active": true,
            "scope": claims["scope"],
            "client_id": app.client_id,
            "username": person.username,
            "token_type": "Bearer",
            "exp": claims["exp"],
            "iat": claims["iat"],
            "sub": person.id.to_string(),
            "aud": target.issuer(),
            "iss": target.issuer(),
            "jti": claims["jti"],
        })
    );
    let seen = target.introspect(&app, &tokens.refresh).await;
    assert_eq!(seen["active"], true);
    assert_eq!(seen["client_id"], *app.client_id);
    assert_eq!(seen["sub"], person.id.to_string());
    assert_eq!(seen["iss"], target.issuer());
    assert!(seen.get("token_type").is_none(), "a refresh token is no bearer token: {seen}");
    let second = |name: &str| seen[name].as_i64().expect("whole seconds");
    assert_eq!(second("exp") - second("iat"), 7 * 24 * 3600, "while it is not used");
}

/// RFC 7662 §2.2: exactly `{"active":false}`, whatever the reason.
pub async fn an_inactive_token_is_exactly_active_false(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let used = target.tokens(&app, &person).await;
    let successor = Tokens::of(&target.refresh(&app, &used.refresh).await.expect(200));
    target.refresh(&app, &successor.refresh).await.expect(200);
    let revoked = target.tokens(&app, &person).await;
    target.revoke(&app, &revoked.access).await.expect(200);
    target.revoke(&app, &revoked.refresh).await.expect(200);
    let elder = target.person().await;
    let expired = target.tokens(&app, &elder).await;
    target.expire_grants(&elder).await;
    let other = target.confidential().await;
    let foreign = target.tokens(&other, &person).await;
    let code = target.code(&app, &person).await;
    for (what, token) in [
        ("superseded", used.refresh.as_str()),
        ("superseded", &successor.refresh),
        ("revoked", &revoked.access),
        ("revoked", &revoked.refresh),
        ("of an expired grant", &expired.access),
        ("expired", &expired.refresh),
        ("foreign", &foreign.access),
        ("foreign", &foreign.refresh),
        ("a code", &code.code),
        ("a secret", app.secret()),
        ("garbage", "x"),
        ("garbage", "a.b.c"),
        ("garbage", "ü"),
        ("long", &"x".repeat(20_000)),
    ] {
        let reply = target.client_request(&app, "/auth/introspect", &[("token", token)]).reply().await.expect(200);
        assert_eq!(reply.text(), r#"{"active":false}"#, "{what}");
        reply.expect_no_store();
    }
    target.exchange(&app, &code).await.expect(200);
    assert!(target.is_active(&foreign.refresh).await, "to look is not to touch");
}

/// RFC 7662 §2.1: nobody fishes for tokens without credentials, and a public client has none.
pub async fn the_caller_authenticates_and_is_confidential(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let token = target.tokens(&app, &person).await.access;
    let confidential = target.confidential().await;
    for parameters in [
        vec![("token", token.as_str())],
        vec![("token", &token), ("client_id", &app.client_id)],
        vec![("token", &token), ("client_id", &confidential.client_id)],
        vec![("token", &token), ("client_id", &confidential.client_id), ("client_secret", "wrong")],
        vec![("token", &token), ("client_id", "nobody"), ("client_secret", confidential.secret())],
    ] {
        let reply = target.post("/auth/introspect").form_body(&parameters).reply().await;
        let reply = reply.expect_error(401, "invalid_client");
        assert!(reply.header("www-authenticate").is_some());
    }
    let bearer = target.post("/auth/introspect").bearer_auth(&token).form_body(&[("token", &token)]);
    bearer.reply().await.expect_error(401, "invalid_client");
    for parameters in [&[][..], &[("token", "")]] {
        let request = target.client_request(&confidential, "/auth/introspect", parameters);
        request.reply().await.expect_error(400, "invalid_request");
    }
    let inactive = target.confidential().await;
    target.deactivate_app(&inactive).await;
    let request = target.client_request(&inactive, "/auth/introspect", &[("token", &token)]);
    request.reply().await.expect_error(401, "invalid_client");
}

/// RFC 7662 §2.2, §4: its own tokens and those that are meant for it; all, if the operator said so.
pub async fn a_client_sees_only_tokens_meant_for_it(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let resource_server = target.confidential_with(|client| client.resources = vec![target.issuer().to_owned()]).await;
    let other_resource =
        target.confidential_with(|client| client.resources = vec!["https://other.example/".to_owned()]).await;
    let stranger = target.confidential().await;
    let inspector = target.confidential_with(|client| client.introspect_all = true).await;
    for (caller, access, refresh) in [
        (&resource_server, true, false),
        (&other_resource, false, false),
        (&stranger, false, false),
        (&inspector, true, true),
    ] {
        assert_eq!(target.introspect(caller, &tokens.access).await["active"], access, "{}", caller.name);
        assert_eq!(target.introspect(caller, &tokens.refresh).await["active"], refresh, "{}", caller.name);
    }
    let own = target.tokens(&stranger, &person).await;
    assert_eq!(target.introspect(&stranger, &own.access).await["active"], true);
    assert_eq!(target.introspect(&stranger, &own.refresh).await["active"], true);
}

/// RFC 7662 §2.1: a hint is a hint here, too.
pub async fn token_type_hint_is_only_a_hint(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    for hint in ["access_token", "refresh_token", "nonsense", ""] {
        for token in [&tokens.access, &tokens.refresh] {
            let parameters = [("token", token.as_str()), ("token_type_hint", hint)];
            let reply = target.client_request(&app, "/auth/introspect", &parameters).reply().await.expect(200);
            assert_eq!(reply.json()["active"], true, "with the hint {hint}");
        }
    }
}
