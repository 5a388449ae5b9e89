//! Scopes, as operators manage them.

use serde_json::json;

use crate::{
    admin::{Operator, path_part},
    http::scope_set,
    target::{Target, unique},
};

/// From its making to its deletion, which takes it from every client.
pub async fn a_scope_lives_from_its_making_to_its_deletion(target: &Target) {
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(target).await;
    let name = format!("invoices:{}/read?", unique());
    let path = format!("/scopes/{}", path_part(&name));
    let created = operator.post("/scopes", &json!({ "name": name, "description": "See your invoices" })).await;
    let created = created.expect(201);
    assert!(created.header("location").is_some_and(|location| location.contains("/admin/scopes/")), "{created:?}");
    let scope = created.json();
    assert_eq!((&scope["name"], &scope["description"]), (&json!(name), &json!("See your invoices")));
    assert_eq!((&scope["default"], &scope["active"]), (&json!(false), &json!(true)), "what was left out");
    assert_eq!(operator.get(&path).await.expect(200).json(), scope);
    operator.post("/scopes", &json!({ "name": name, "description": "x" })).await.expect_problem(409, "conflict");

    let (app, person) = (target.confidential().await, target.person().await);
    let client = format!("/clients/{}", app.client_id);
    operator.patch(&client, &json!({ "scope": format!("read {name}") })).await.expect(200);
    let grant = [("grant_type", "client_credentials"), ("scope", name.as_str())];
    target.token(&app, &grant).await.expect(200);

    let description = "See all of your invoices";
    operator.patch(&path, &json!({ "description": description })).await.expect(200);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let page = browser.authorize(&app.ask().with("scope", &name)).await.page();
    assert!(page.text().contains(description), "in words on the consent page: {page:?}");

    operator.patch(&path, &json!({ "active": false })).await.expect(200);
    target.token(&app, &grant).await.expect_error(400, "invalid_scope");
    operator.patch(&path, &json!({ "active": true })).await.expect(200);
    target.token(&app, &grant).await.expect(200);

    operator.delete(&path).await.expect(204);
    operator.get(&path).await.expect_problem(404, "not-found");
    operator.delete(&path).await.expect_problem(404, "not-found");
    operator.patch(&path, &json!({ "active": true })).await.expect_problem(404, "not-found");
    target.token(&app, &grant).await.expect_error(400, "invalid_scope");
    let scope = operator.get(&client).await.expect(200).json()["scope"].as_str().expect("a text").to_owned();
    assert_eq!(scope_set(&scope), scope_set("read"));
}

/// Lists are in order of name, and filters narrow them.
pub async fn scopes_are_found(target: &Target) {
    let operator = Operator::new(target).await;
    let mark = unique();
    for (name, active) in [("c", true), ("a", false), ("b", true)] {
        let body = json!({ "name": format!("{name}-{mark}"), "description": "x", "active": active });
        operator.post("/scopes", &body).await.expect(201);
    }
    let found = async |query: &str| -> String {
        let items = operator.list(&format!("/scopes?limit=1&q={mark}{query}")).await;
        items.iter().filter_map(|scope| scope["name"].as_str()?.strip_suffix(&format!("-{mark}"))).collect()
    };
    assert_eq!(found("").await, "abc");
    assert_eq!(found("&active=true").await, "bc");
    assert_eq!(found("&active=false").await, "a");
    let all = operator.list("/scopes").await;
    let names: Vec<_> = all.iter().filter_map(|scope| scope["name"].as_str()).collect();
    assert!(["profile", "read", "write", "admin:clients:read"].iter().all(|name| names.contains(name)), "{names:?}");
    assert!(names.is_sorted_by(|one, other| one.as_bytes() < other.as_bytes()), "{names:?}");
}

/// A default scope is what a client gets that asks for none.
pub async fn a_default_scope_is_given_to_who_asks_for_none(target: &Target) {
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(target).await;
    let name = target.scope().await;
    let path = format!("/scopes/{name}");
    let app = target.confidential().await;
    let body = json!({ "scope": format!("write {name}") });
    operator.patch(&format!("/clients/{}", app.client_id), &body).await.expect(200);
    let given = async || target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200).member("scope");
    assert_eq!(given().await, "");
    // For a moment only: clients of other scenarios are registered without a scope meanwhile.
    operator.patch(&path, &json!({ "default": true })).await.expect(200);
    let scope = given().await;
    operator.patch(&path, &json!({ "default": false })).await.expect(200);
    assert_eq!(scope, name);
    assert_eq!(given().await, "");
}

/// What a scope must not be.
pub async fn unacceptable_scopes_are_refused(target: &Target) {
    let operator = Operator::new(target).await;
    for (name, value) in [
        ("name", json!("two words")),
        ("name", json!("")),
        ("name", json!("a\"b")),
        ("name", json!("a\\b")),
        ("name", json!("é")),
        ("name", json!("x".repeat(256))),
        ("description", json!("")),
        ("description", json!("a\u{0}b")),
    ] {
        let mut body = json!({ "name": unique(), "description": "x" });
        body[name] = value;
        operator.post("/scopes", &body).await.expect_problem_at(422, "invalid-value", &format!("/{name}"));
    }
    let path = format!("/scopes/{}", target.scope().await);
    operator.patch(&path, &json!({ "name": "other" })).await.expect_problem_at(422, "invalid-value", "/name");
    operator.patch(&path, &json!({ "description": "" })).await.expect_problem_at(422, "invalid-value", "/description");
}
