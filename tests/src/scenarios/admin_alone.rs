//! The admin API where it has the server for itself: what is done here would disturb other scenarios.

use chrono::Utc;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    admin::{Operator, time},
    http::{RequestExt as _, in_parallel},
    target::{App, Host, Person, Target},
};

async fn keys(operator: &Operator<'_>) -> Vec<Value> {
    operator.list("/keys").await
}

async fn token(target: &Target, app: &App) -> String {
    target.token(app, &[("grant_type", "client_credentials")]).await.expect(200).member("access_token")
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).expect("a JWT").kid.expect("a kid")
}

/// A token for another resource server is none for this one (RFC 8707 §2, RFC 9068 §4).
pub async fn a_token_for_another_audience_is_refused<H: Host>() {
    let target = H::start(&[("RESOURCES", "https://other.example/")]).await;
    let operator = Operator::new(&target).await;
    let grant =
        [("grant_type", "client_credentials"), ("scope", "admin:system:read"), ("resource", "https://other.example/")];
    let token = target.token(&operator.app, &grant).await.expect(200).member("access_token");
    let claims: Value = target.verify(&token, "https://other.example/").await.claims;
    assert_eq!(claims["scope"], "admin:system:read");
    operator.bearing(&token).get("/status").await.expect_problem(401, "unauthorized");
}

/// Somebody must be left who can let others in.
pub async fn the_last_administrator_stays<H: Host>() {
    let target = H::start(&[]).await;
    let operator = Operator::new(&target).await;
    for user in operator.list("/users?admin=true").await {
        let path = format!("/users/{}", user["id"].as_str().expect("an id"));
        operator.patch(&path, &json!({ "admin": false })).await;
    }
    let (first, second) = (target.admin().await, target.admin().await);
    for user in operator.list("/users?admin=true").await {
        let id: Uuid = user["id"].as_str().expect("an id").parse().expect("a UUID");
        if id != first.id && id != second.id {
            operator.delete(&format!("/users/{id}")).await.expect(204);
        }
    }
    let path = format!("/users/{}", first.id);
    operator.patch(&format!("/users/{}", second.id), &json!({ "active": false })).await.expect(200);
    for change in [json!({ "admin": false }), json!({ "active": false }), json!({ "active": false, "admin": false })] {
        operator.patch(&path, &change).await.expect_problem(409, "conflict");
    }
    operator.delete(&path).await.expect_problem(409, "conflict");
    operator.patch(&path, &json!({ "username": "the last" })).await.expect(200);
    let tokens = target.tokens(&target.public().await, &Person { username: "the last".to_owned(), ..first }).await;
    assert!(target.is_active(&tokens.access).await, "nothing of it was done");
    operator.patch(&format!("/users/{}", second.id), &json!({ "active": true })).await.expect(200);
    // Of two that go at the same time, one stays.
    let demote = json!({ "admin": false }).to_string();
    let requests = [&first.id, &second.id].map(|id| {
        let request = operator.request(Method::PATCH, &format!("/users/{id}"));
        request.typed_body("application/merge-patch+json", demote.clone())
    });
    let mut statuses: Vec<_> = in_parallel(requests).await.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(operator.list("/users?admin=true&active=true").await.len(), 1);
}

/// The next key is published a day before it signs.
pub async fn the_next_key_is_published_before_it_signs<H: Host>() {
    let target = H::start(&[]).await;
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(&target).await;
    let before = keys(&operator).await;
    assert_eq!(before.len(), 1);
    assert_eq!((&before[0]["state"], &before[0]["kid"]), (&json!("current"), &json!(kid(&operator.token))));
    let made = operator.post("/keys", &json!({})).await.expect(201).json();
    assert_eq!((&made["state"], &made["algorithm"]), (&json!("next"), &json!("ES256")));
    let wait = time(&made["activates_at"]) - Utc::now();
    assert!((23..=24).contains(&wait.num_hours()), "a day: {made}");
    assert!(made.to_string().find("\"d\"").is_none(), "nothing private: {made}");
    let after = keys(&operator).await;
    assert_eq!(after.len(), 2);
    assert!(after.contains(&made));
    let published = serde_json::to_value(target.jwks().await).expect("JSON");
    assert!(published.to_string().contains(made["kid"].as_str().expect("a kid")), "{published}");
    assert_eq!(kid(&token(&target, &operator.app).await), kid(&operator.token), "the old one signs meanwhile");
    operator.get("/status").await.expect(200);
}

/// A key was stolen: the new one signs at once, and whatever the old one signed is refused.
pub async fn a_stolen_key_is_replaced_at_once<H: Host>() {
    let target = H::start(&[]).await;
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(&target).await;
    let (app, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let made = operator.post("/keys", &json!({ "immediate": true })).await.expect(201).json();
    assert_eq!(made["state"], "current");
    operator.get("/status").await.expect_problem(401, "unauthorized");
    target.get("/api/v1/users/me").bearer_auth(&tokens.access).reply().await.expect_error(401, "invalid_token");
    assert!(!target.is_active(&tokens.access).await);
    let published = target.jwks().await;
    assert!(published.find(&kid(&tokens.access)).is_none(), "other verifiers do not accept it either");
    let refreshed = target.refresh(&app, &tokens.refresh).await.expect(200).member("access_token");
    assert_eq!(kid(&refreshed), made["kid"].as_str().expect("a kid"), "what is no JWT stays good");
    assert!(target.is_active(&refreshed).await);
}

/// HS256 has no keys of its own.
pub async fn under_hs256_there_are_no_keys<H: Host>() {
    let target = H::start(&[("JWT_ALGORITHM", "HS256")]).await;
    let operator = Operator::new(&target).await;
    assert!(keys(&operator).await.is_empty());
    operator.post("/keys", &json!({})).await.expect_problem(409, "conflict");
    assert_eq!(operator.get("/status").await.expect(200).json()["signing_keys"], json!([]));
}

/// How the server is, in numbers that are right.
pub async fn the_status_counts<H: Host>() {
    let target = H::start(&[]).await;
    let operator = Operator::new(&target).await;
    let before = operator.get("/status").await.expect(200).expect_no_store().json();
    assert_eq!((&before["issuer"], &before["healthy"]), (&json!(target.issuer()), &json!(true)));
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert!((Utc::now() - time(&before["now"])).num_seconds().abs() < 60, "{before}");
    assert_eq!(before["signing_keys"][0]["kid"], kid(&operator.token));
    let (app, person) = (target.public().await, target.person().await);
    target.scope().await;
    target.tokens(&app, &person).await;
    let after = operator.get("/status").await.expect(200).json();
    for name in ["users", "clients", "scopes", "sessions", "grants"] {
        let count = |status: &Value| status["counts"][name].as_i64().expect("a number");
        assert_eq!(count(&after), count(&before) + 1, "{name}");
    }
}
