//! Who may call the admin API.

use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{
    admin::{Operator, SCOPES, client},
    http::{Reply, RequestExt as _},
    openapi::{Document, Operation},
    target::{App, Person, Target},
};

fn operations() -> impl Iterator<Item = Operation> {
    Document::get().operations().into_iter().filter(|operation| operation.path.starts_with("/admin/"))
}

/// A path that is nobody's, so that nothing happens to anybody.
fn nowhere(operation: &Operation) -> String {
    operation.path_with(&Uuid::from_bytes([0x77; 16]).to_string()).trim_start_matches("/admin").to_owned()
}

/// A call with nothing in it that could be done.
async fn call(operator: &Operator<'_>, operation: &Operation) -> Reply {
    let makes_key = (operation.path.as_str(), operation.method().as_str()) == ("/admin/keys", "POST");
    let path = if makes_key { "/keys?dry_run=true".to_owned() } else { nowhere(operation) };
    let body = matches!(operation.method().as_str(), "POST" | "PATCH").then(|| json!({}));
    operator.call(operation.method(), &path, body.as_ref()).await
}

#[track_caller]
fn expect_challenge(reply: &Reply, error: Option<&str>) {
    let challenge = reply.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer "), "{reply:?}");
    assert_eq!(challenge.split_once("error=\"").map(|(_, rest)| rest.split('"').next()), error.map(Some), "{reply:?}");
}

/// The access token that a person allows a client.
async fn token_of(target: &Target, app: &App, person: &Person, scope: &str) -> String {
    let code = target.code_for(&app.ask().with("scope", scope), person).await;
    target.exchange(app, &code).await.expect(200).member("access_token")
}

/// RFC 6750 §3: 401 with a challenge, which has an error only where a token was sent.
pub async fn every_operation_takes_a_token(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let altered = format!("{}x", operator.token);
    for operation in operations() {
        let path = format!("/admin{}", nowhere(&operation));
        let request = target.request(operation.method(), &path).typed_body("application/json", "{}");
        let reply = request.reply().await;
        Document::get().check(&operation.method(), &path, None, &reply);
        expect_challenge(&reply.expect_problem(401, "unauthorized"), None);
        for token in ["nonsense", &altered, &tokens.refresh, app.secret()] {
            let reply = call(&operator.bearing(token), &operation).await;
            expect_challenge(&reply.expect_problem(401, "unauthorized"), Some("invalid_token"));
        }
    }
    let basic = target.get("/admin/status").client_basic(&operator.app.client_id, operator.app.secret());
    expect_challenge(&basic.reply().await.expect_problem(401, "unauthorized"), None);
    let in_query = target.get(&format!("/admin/status?access_token={}", operator.token));
    expect_challenge(&in_query.reply().await.expect_problem(401, "unauthorized"), None);
}

/// Its own scope and no other: to write is not to read, and one area is not another.
pub async fn every_operation_takes_its_own_scope(target: &Target) {
    let all = Operator::new(target).await;
    for scope in SCOPES {
        let others: Vec<_> = SCOPES.into_iter().filter(|other| *other != scope).collect();
        let grant = [("grant_type", "client_credentials"), ("scope", &others.join(" "))];
        let token = target.token(&all.app, &grant).await.expect(200).member("access_token");
        let without = all.bearing(&token);
        let with = Operator::with(target, &[scope]).await;
        for operation in operations().filter(|operation| operation.scope.as_deref() == Some(scope)) {
            let reply = call(&without, &operation).await.expect_problem(403, "insufficient-scope");
            expect_challenge(&reply, Some("insufficient_scope"));
            assert!(reply.text().contains(scope), "it says which: {reply:?}");
            let reply = call(&with, &operation).await;
            assert!(![401, 403].contains(&reply.status), "{operation:?}: {reply:?}");
        }
    }
}

/// A person's token takes an administrator; a client's own takes the scope.
pub async fn a_persons_token_takes_an_administrator(target: &Target) {
    let app = client(target, &[SCOPES.as_slice(), &["read"]].concat()).await;
    let (person, admin) = (target.person().await, target.admin().await);
    let operator = Operator::new(target).await;
    operator.get("/status").await.expect(200);
    let token = token_of(target, &app, &admin, "read admin:system:read").await;
    operator.bearing(&token).get("/status").await.expect(200);
    let token = token_of(target, &app, &person, "read admin:system:read").await;
    let reply = operator.bearing(&token).get("/status").await.expect_problem(403, "insufficient-scope");
    expect_challenge(&reply, Some("insufficient_scope"));
}

/// What was allowed in the role of an administrator ends with that role, before the token does.
pub async fn a_demoted_administrators_token_stops_at_once(target: &Target) {
    let app = client(target, &SCOPES).await;
    let operator = Operator::new(target).await;
    // The last one could not be demoted.
    target.admin().await;
    for change in [json!({ "admin": false }), json!({ "active": false })] {
        let admin = target.admin().await;
        let token = token_of(target, &app, &admin, "admin:users:read").await;
        let administrator = operator.bearing(&token);
        administrator.get("/users?limit=1").await.expect(200);
        operator.patch(&format!("/users/{}", admin.id), &change).await.expect(200);
        let reply = administrator.get("/users?limit=1").await;
        assert!([401, 403].contains(&reply.status), "{change}: {reply:?}");
    }
}

/// So does that of a client which may do nothing any more, or has the scope no more.
pub async fn an_operators_token_ends_with_its_client(target: &Target) {
    let operator = Operator::new(target).await;
    let other = Operator::with(target, &["admin:system:read"]).await;
    other.get("/status").await.expect(200);
    operator.patch(&format!("/clients/{}", other.app.client_id), &json!({ "active": false })).await.expect(200);
    other.get("/status").await.expect_problem(401, "unauthorized");
}

/// RFC 9110 §9.3.2: HEAD works where GET does. RFC 9110 §15.5.6: what else is sent is 405, with what there is.
pub async fn head_works_and_other_methods_are_405(target: &Target) {
    let operator = Operator::new(target).await;
    let all: Vec<_> = operations().collect();
    for operation in &all {
        let path = nowhere(operation);
        let known: Vec<_> =
            all.iter().filter(|other| other.path == operation.path).map(|other| other.method.as_str()).collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            if known.contains(&method) || method == "HEAD" && known.contains(&"GET") {
                continue;
            }
            let reply = operator.request(method.parse().expect("a method"), &path).reply().await;
            let allow = reply.header("allow").expect("what is allowed").to_owned();
            if method != "HEAD" {
                reply.expect_problem(405, "method-not-allowed");
            }
            let mut allowed: Vec<_> = allow.split(", ").filter(|method| *method != "HEAD").collect();
            let mut known = known.clone();
            allowed.sort_unstable();
            known.sort_unstable();
            assert_eq!(allowed, known, "{}", operation.path);
        }
        if operation.method == "GET" {
            let (get, head) = (
                operator.request(Method::GET, &path).reply().await,
                operator.request(Method::HEAD, &path).reply().await,
            );
            assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
            assert!(head.body.is_empty(), "{path}");
        }
    }
}
