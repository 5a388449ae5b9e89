//! The client credentials grant.

use authly_core::model::{ClientId, GrantType};

use crate::{
    http::{names, scope_set},
    target::{Target, unique},
};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// RFC 6749 §4.4.3: no refresh token; RFC 9068 §2.2: `sub` is the client.
pub async fn a_confidential_client_gets_a_token_for_itself(target: &Target) {
    let app = target.confidential().await;
    let reply = target.token(&app, &[GRANT]).await.expect(200).expect_no_store();
    let body = reply.json();
    assert_eq!(names(&body), ["access_token", "expires_in", "scope", "token_type"]);
    assert_eq!(scope_set(&reply.member("scope")), scope_set("profile read"), "its default scopes");
    let token = reply.member("access_token");
    let claims = target.verify(&token, target.issuer()).await.claims;
    assert_eq!((&claims["sub"], &claims["client_id"]), (&app.client_id.clone().into(), &app.client_id.clone().into()));
    assert!(claims.get("auth_time").is_none(), "nobody logged in");
    let seen = target.introspect(&app, &token).await;
    assert_eq!(seen["active"], true);
    assert_eq!(seen["sub"], *app.client_id);
    assert!(seen.get("username").is_none(), "{seen}");
}

/// RFC 6749 §4.4.2: only what it is registered for.
pub async fn scopes_are_those_of_the_client(target: &Target) {
    let app = target.confidential().await;
    let reply = target.token(&app, &[GRANT, ("scope", "write")]).await.expect(200);
    assert_eq!(reply.member("scope"), "write");
    for scope in ["admin", "read admin", "no-such-scope", "read\twrite"] {
        target.token(&app, &[GRANT, ("scope", scope)]).await.expect_error(400, "invalid_scope");
    }
}

/// RFC 6749 §4.4: confidential clients only, whatever is registered.
pub async fn a_public_client_gets_none(target: &Target) {
    let app = target.public().await;
    target.token(&app, &[GRANT]).await.expect_error(400, "unauthorized_client");
    // As if somebody had written it into the database.
    let app = target.public_with(|client| client.grant_types = GrantType::ALL.iter().copied().collect()).await;
    target.token(&app, &[GRANT]).await.expect_error(400, "unauthorized_client");
}

/// RFC 9068 §5: nobody can take a client's token for a person's.
pub async fn client_ids_cannot_collide_with_user_ids(target: &Target) {
    let person = target.person().await;
    let simple = person.id.simple().to_string();
    for id in [person.id.to_string(), person.id.to_string().to_uppercase(), simple, person.id.urn().to_string()] {
        assert!(ClientId::parse(&id).is_none(), "{id} can be registered");
    }
    let app =
        target.confidential_with(|client| client.client_id = ClientId::parse(&unique()).expect("not a UUID")).await;
    let token = target.token(&app, &[GRANT]).await.expect(200).member("access_token");
    let sub = target.verify(&token, target.issuer()).await.claims["sub"].as_str().expect("a text").to_owned();
    assert!(uuid::Uuid::try_parse(&sub).is_err(), "{sub}");
}

/// Its token speaks for nobody.
pub async fn the_token_is_no_persons(target: &Target) {
    use crate::http::RequestExt as _;
    let app = target.confidential().await;
    let token = target.token(&app, &[GRANT]).await.expect(200).member("access_token");
    let reply = target.get("/api/v1/users/me").bearer_auth(token).reply().await;
    reply.expect_error(401, "invalid_token");
}
