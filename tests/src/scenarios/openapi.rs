//! The description of the API, served and true. Every scenario of the admin API holds its answers against it as well.

use http::Method;
use serde_json::{Value, json};

use crate::{
    http::{Reply, RequestExt as _},
    openapi::{Document, SOURCE},
    target::Target,
};

/// Anybody may read it and keep it for a while, and it names this server.
pub async fn the_document_is_served(target: &Target) {
    let request = target.get("/openapi.json").header("origin", "https://any.example");
    let reply = request.reply().await.expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("cache-control").is_some_and(|it| it.starts_with("public, max-age=")), "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let document = reply.json();
    assert_eq!(document["servers"], json!([{ "url": target.issuer() }]));
    let flow = &document["components"]["securitySchemes"]["bearer"]["flows"]["authorizationCode"];
    assert_eq!(flow["tokenUrl"], format!("{}/auth/token", target.issuer()));
    let source: Value = serde_json::from_str(SOURCE).expect("JSON");
    assert_eq!((&document["paths"], &document["info"]), (&source["paths"], &source["info"]));
}

/// What is not under `/admin` answers as described, when all is well and when it is not.
pub async fn answers_are_as_described(target: &Target) {
    let check = |method: Method, path: &str, reply: &Reply| Document::get().check(&method, path, None, reply);
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/jwks.json",
        "/health",
        "/health/live",
        "/health/ready",
        "/openapi.json",
    ] {
        check(Method::GET, path, &target.get(path).reply().await.expect(200));
    }
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let issued = target.exchange(&app, &code).await.expect(200);
    check(Method::POST, "/auth/token", &issued);
    let access = issued.member("access_token");
    let refresh = issued.member("refresh_token");
    let stranger = crate::target::App { secret: Some("wrong".to_owned()), ..app.clone() };
    for (path, parameters) in [
        ("/auth/token", vec![("grant_type", "client_credentials")]),
        ("/auth/token", vec![("grant_type", "password")]),
        ("/auth/refresh", vec![("refresh_token", refresh.as_str())]),
        ("/auth/refresh", vec![]),
        ("/auth/introspect", vec![("token", &access)]),
        ("/auth/introspect", vec![("token", &refresh)]),
        ("/auth/introspect", vec![("token", "x")]),
        ("/auth/introspect", vec![]),
        ("/auth/revoke", vec![("token", app.secret())]),
        ("/auth/revoke", vec![("token", "x")]),
    ] {
        check(Method::POST, path, &target.client_request(&app, path, &parameters).reply().await);
        let refused = target.client_request(&stranger, path, &[("grant_type", "refresh_token"), ("token", "x")]);
        check(Method::POST, path, &refused.reply().await.expect(401));
        check(Method::POST, path, &target.post(path).typed_body("application/json", "{}").reply().await.expect(415));
    }
    let me = "/api/v1/users/me";
    check(Method::GET, me, &target.get(me).bearer_auth(&access).reply().await.expect(200));
    check(Method::GET, me, &target.get(me).bearer_auth("x").reply().await.expect(401));
    check(Method::GET, me, &target.get(me).reply().await.expect(401));
}
