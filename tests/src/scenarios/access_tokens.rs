//! Access tokens: their form (RFC 9068), and how they are presented (RFC 6750).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use chrono::Utc;
use http::header;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    http::{Reply, RequestExt as _, encode, names, scope_set},
    target::Target,
};

const ME: &str = "/api/v1/users/me";

async fn me(target: &Target, token: &str) -> Reply {
    target.get(ME).bearer_auth(token).reply().await
}

/// The parts of a JWT, decoded without any verification.
fn parts(token: &str) -> Vec<Vec<u8>> {
    token.split('.').map(|part| Base64UrlUnpadded::decode_vec(part).expect("base64url")).collect()
}

fn join(parts: &[Vec<u8>]) -> String {
    parts.iter().map(|part| Base64UrlUnpadded::encode_string(part)).collect::<Vec<_>>().join(".")
}

/// RFC 9068 §2: header and claims, verified with the published key.
pub async fn an_access_token_has_the_form_of_rfc_9068(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let before = Utc::now().timestamp();
    let tokens = target.tokens(&app, &person).await;
    let token = target.verify(&tokens.access, target.issuer()).await;
    assert_eq!(token.header["typ"], "at+jwt");
    assert_eq!(token.header["alg"], "ES256");
    assert!(token.header["kid"].as_str().is_some_and(|kid| !kid.is_empty()));
    assert!(token.header.get("jku").is_none_or(Value::is_null) && token.header.get("jwk").is_none_or(Value::is_null));
    let claims = token.claims;
    assert_eq!(
        names(&claims),
        ["aud", "auth_time", "client_id", "exp", "grant_id", "iat", "iss", "jti", "scope", "sub"],
        "no personal data"
    );
    assert_eq!(claims["iss"], target.issuer());
    assert_eq!(claims["sub"], person.id.to_string());
    assert_eq!(claims["aud"], target.issuer(), "the default audience");
    assert_eq!(claims["client_id"], *app.client_id);
    assert_eq!(scope_set(claims["scope"].as_str().expect("a text")), scope_set("read write"));
    let second = |name: &str| claims[name].as_i64().expect("whole seconds");
    assert_eq!(second("exp") - second("iat"), 1800);
    assert!((before..=Utc::now().timestamp()).contains(&second("iat")));
    assert!((before..=second("iat")).contains(&second("auth_time")));

    let next = target.refresh(&app, &tokens.refresh).await.expect(200).member("access_token");
    let next = target.verify(&next, target.issuer()).await.claims;
    assert_ne!(next["jti"], claims["jti"]);
    assert_eq!((&next["sub"], &next["auth_time"]), (&claims["sub"], &claims["auth_time"]));
}

/// RFC 6750 §2, OAuth 2.1 §5.1.1: nothing but the Authorization header.
pub async fn bearer_tokens_are_taken_from_the_authorization_header_only(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let token = target.tokens(&app, &person).await.access;
    me(target, &token).await.expect(200).expect_no_store();
    for scheme in ["bearer", "BEARER"] {
        let value = format!("{scheme} {token}");
        target.get(ME).header(header::AUTHORIZATION, value).reply().await.expect(200);
    }
    let pair = encode([("access_token", token.as_str())]);
    let form = "application/x-www-form-urlencoded";
    for request in [
        target.get(ME),
        target.get(&format!("{ME}?{pair}")),
        target.get(ME).typed_body(form, pair.clone()),
        target.get(ME).header(header::COOKIE, &pair),
        target.get(ME).header("x-access-token", &token),
        target.get(ME).header("proxy-authorization", format!("Bearer {token}")),
    ] {
        let reply = request.reply().await.expect_error(401, "invalid_token");
        // RFC 6750 §3.1: without any token, no error code.
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"authly\""));
    }
    target.post(ME).typed_body(form, pair).reply().await.expect_error(405, "invalid_request");
    for value in [token.clone(), "Bearer".to_owned(), format!("Basic {token}"), format!("DPoP {token}")] {
        target.get(ME).header(header::AUTHORIZATION, value).reply().await.expect_error(401, "invalid_token");
    }
}

/// RFC 6750 §3.1: 401 with the reason in the challenge.
pub async fn a_token_that_is_not_good_is_401_with_a_challenge(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let code = target.code(&app, &person).await;
    for wrong in ["x", "a.b.c", "..", tokens.refresh.as_str(), code.code.as_str(), &"x".repeat(10_000)] {
        let reply = me(target, wrong).await.expect_error(401, "invalid_token");
        let challenge = reply.header("www-authenticate").expect("a challenge");
        assert_eq!(challenge, "Bearer realm=\"authly\", error=\"invalid_token\"");
    }
}

/// RFC 8725: nothing about a token can be changed, and no other signature is taken for ours.
pub async fn forged_tokens_are_refused(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let token = target.tokens(&app, &person).await.access;
    let original = parts(&token);
    let header: Value = serde_json::from_slice(&original[0]).expect("JSON");
    let claims: Value = serde_json::from_slice(&original[1]).expect("JSON");
    let mut forged = Vec::new();
    let mut with_header = |change: &dyn Fn(&mut Value), signature: &[u8]| {
        let mut header = header.clone();
        change(&mut header);
        forged.push(join(&[header.to_string().into_bytes(), original[1].clone(), signature.to_vec()]));
    };
    for alg in ["none", "None", "HS256", "RS256", "ES384", "EdDSA"] {
        with_header(&|header| header["alg"] = json!(alg), &original[2]);
        with_header(&|header| header["alg"] = json!(alg), &[]);
    }
    with_header(&|header| header["typ"] = json!("JWT"), &original[2]);
    with_header(&|header| header["kid"] = json!("unknown"), &original[2]);
    with_header(&|header| header["kid"] = json!("../../../../dev/null"), &original[2]);
    with_header(&|_| {}, &[0; 64]);
    with_header(&|_| {}, &[]);
    for (name, value) in [
        ("sub", json!("somebody else")),
        ("scope", json!("admin")),
        ("exp", json!(32_503_680_000_u64)),
        ("iss", json!("https://evil.example")),
    ] {
        let mut claims = claims.clone();
        claims[name] = value;
        forged.push(join(&[original[0].clone(), claims.to_string().into_bytes(), original[2].clone()]));
    }
    // The public key as an HMAC key, the classic.
    let jwks = target.get("/.well-known/jwks.json").reply().await;
    for key in [jwks.body.to_vec(), jwks.json()["keys"][0].to_string().into_bytes()] {
        let mut hs256 = Header::new(jsonwebtoken::Algorithm::HS256);
        hs256.typ = Some("at+jwt".to_owned());
        hs256.kid = header["kid"].as_str().map(str::to_owned);
        let key = EncodingKey::from_secret(&key);
        forged.push(jsonwebtoken::encode(&hs256, &claims, &key).expect("a JWT"));
    }
    forged.push(format!("{token}A"));
    forged.push(token[..token.len() - 1].to_owned());
    for forged in &forged {
        me(target, forged).await.expect_error(401, "invalid_token");
        assert_eq!(target.introspect(&app, forged).await, json!({ "active": false }), "{forged}");
    }
    me(target, &token).await.expect(200);
}

/// What a person's token shows of them depends on the scope.
pub async fn users_me_needs_the_scope_profile_for_name_and_address(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let code = target.code_for(&app.ask().with("scope", "profile"), &person).await;
    let token = target.exchange(&app, &code).await.expect(200).member("access_token");
    assert_eq!(
        me(target, &token).await.expect(200).json(),
        json!({
            "sub": person.id.to_string(),
            "username": person.username,
            "email": person.email,
            "email_verified": true,
        })
    );
    let token = target.tokens(&app, &person).await.access;
    assert_eq!(me(target, &token).await.expect(200).json(), json!({ "sub": person.id.to_string() }));
}

/// This server, as a resource server, asks whether a token still holds.
pub async fn a_revoked_token_is_not_accepted(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let (one, other) = (target.tokens(&app, &person).await, target.tokens(&app, &person).await);
    me(target, &one.access).await.expect(200);
    target.revoke(&app, &one.access).await.expect(200);
    me(target, &one.access).await.expect_error(401, "invalid_token");
    me(target, &other.access).await.expect(200);
    target.deactivate_person(&person).await;
    me(target, &other.access).await.expect_error(401, "invalid_token");
}
