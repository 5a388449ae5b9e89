//! Server metadata (RFC 8414), the JWK Set (RFC 7517), and health checks.

use http::Method;
use serde_json::{Value, json};

use crate::{
    http::{RequestExt as _, names},
    target::Target,
};

/// Where RFC 8414 §3.1 puts the metadata of this issuer.
pub fn well_known(target: &Target) -> String {
    format!("{}/.well-known/oauth-authorization-server{}", target.base(), target.issuer_path())
}

async fn document(target: &Target) -> Value {
    target.request_url(Method::GET, &well_known(target)).reply().await.expect(200).json()
}

/// RFC 8414 §2, in full: what is advertised, and that the issuer is byte for byte the configured one.
pub async fn the_document_says_what_this_server_does(target: &Target) {
    let issuer = target.issuer();
    assert_eq!(
        document(target).await,
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/auth/token"),
            "revocation_endpoint": format!("{issuer}/auth/revoke"),
            "introspection_endpoint": format!("{issuer}/auth/introspect"),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        })
    );
}

/// Every advertised endpoint answers at the address that is advertised, by every method and authentication method.
pub async fn everything_advertised_works(target: &Target) {
    let document = document(target).await;
    let (app, public, person) = (target.confidential().await, target.public().await, target.person().await);
    let at = |name: &str| document[name].as_str().expect("a URL").replacen(target.issuer(), &target.url(""), 1);
    let path = |name: &str| {
        let url = at(name);
        url.strip_prefix(&target.url("")).expect("below the issuer").to_owned()
    };
    target.request_url(Method::GET, &at("jwks_uri")).reply().await.expect(200);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let ask = app.ask();
    assert_eq!(browser.get(&format!("{}?{}", at("authorization_endpoint"), ask.query())).await.status, 200);
    let code = browser.code(&ask.with("response_mode", "query")).await;
    assert!(!code.is_empty());
    let basic = target.post(&path("token_endpoint")).client_basic(&app.client_id, app.secret());
    let reply = basic.form_body(&[("grant_type", "client_credentials")]).reply().await.expect(200);
    let token = reply.member("access_token");
    let credentials = [("client_id", app.client_id.as_str()), ("client_secret", app.secret())];
    let post = [credentials.as_slice(), &[("grant_type", "client_credentials"), ("token", &token)]].concat();
    for endpoint in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        target.post(&path(endpoint)).form_body(&post).reply().await.expect(200);
    }
    for endpoint in ["introspection_endpoint", "revocation_endpoint"] {
        let basic = target.post(&path(endpoint)).client_basic(&app.client_id, app.secret());
        basic.form_body(&[("token", &token)]).reply().await.expect(200);
    }
    let none = [("client_id", public.client_id.as_str()), ("token", "x")];
    target.post(&path("revocation_endpoint")).form_body(&none).reply().await.expect(200);
    let tokens = target.tokens(&public, &person).await;
    target.refresh(&public, &tokens.refresh).await.expect(200);
}

/// What is not advertised is not there: endpoints of other profiles, and neighbours of ours.
pub async fn nothing_works_that_is_not_advertised(target: &Target) {
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/oauth-authorization-server/other",
        "/.well-known/jwks",
        "/auth/authorize",
        "/auth/introspection",
        "/auth/token/",
        "/auth",
        "/token",
        "/authorize/",
        "//authorize",
        "/AUTHORIZE",
        "/userinfo",
        "/par",
        "/register-client",
    ] {
        for method in [Method::GET, Method::POST] {
            let reply = target.request(method, path).reply().await;
            assert_eq!(reply.status, 404, "{path}");
        }
    }
}

/// RFC 8414 §3.2: JSON that anybody may read and keep for a while.
pub async fn the_document_is_cacheable_json(target: &Target) {
    for url in [well_known(target), target.url("/.well-known/jwks.json")] {
        let reply = target.request_url(Method::GET, &url).header("origin", "https://any.example").reply().await;
        let reply = reply.expect(200);
        assert!(reply.header("content-type").is_some_and(|it| it.starts_with("application/")), "{reply:?}");
        assert!(reply.header("cache-control").is_some_and(|it| it.starts_with("public, max-age=")), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        let head = target.request_url(Method::HEAD, &url).reply().await.expect(200);
        assert_eq!(head.header("content-length"), Some(reply.body.len().to_string().as_str()));
        assert!(head.body.is_empty());
    }
    let reply = target.get("/.well-known/jwks.json").reply().await;
    assert_eq!(reply.header("content-type"), Some("application/jwk-set+json"));
}

/// RFC 7517: public keys, named, for signatures, and nothing private.
pub async fn the_jwk_set_has_public_keys_only(target: &Target) {
    let reply = target.get("/.well-known/jwks.json").reply().await.expect(200);
    let jwks: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let keys = jwks["keys"].as_array().expect("a list");
    assert!(!keys.is_empty());
    for key in keys {
        assert_eq!(names(key), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!(
            (&key["alg"], &key["kty"], &key["crv"], &key["use"]),
            (&json!("ES256"), &json!("EC"), &json!("P-256"), &json!("sig"))
        );
    }
    let (app, person) = (target.public().await, target.person().await);
    let token = target.tokens(&app, &person).await.access;
    target.verify(&token, target.issuer()).await;
    let again: Value = serde_json::from_slice(&target.get("/.well-known/jwks.json").reply().await.body).expect("JSON");
    assert_eq!(jwks, again, "keys are not made for each request");
}

/// Probes of orchestrators.
pub async fn health_checks_answer(target: &Target) {
    for path in ["/health", "/health/live", "/health/ready"] {
        let reply = target.get(path).reply().await.expect(200).expect_no_store();
        assert_eq!(reply.json()["status"], "ok");
        // A load balancer asks by address, whatever the issuer's name is.
        target.get(path).header("host", "10.1.2.3:8000").reply().await.expect(200);
    }
}
