//! Requests to the admin API that are wrong in form, and requests that only ask what would be.

use authly_core::MAX_BODY;
use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    admin::Operator,
    http::RequestExt as _,
    openapi::Document,
    target::{REDIRECT_URI, Target, unique},
};

/// What has a body, with a body that is good.
async fn changes(operator: &Operator<'_>, target: &Target) -> Vec<(Method, String, Value)> {
    let (app, person, scope) = (target.confidential().await, target.person().await, target.scope().await);
    operator.get(&format!("/clients/{}", app.client_id)).await.expect(200);
    let email = format!("{}@example.com", unique());
    let client = json!({ "client_name": "x", "client_type": "public", "redirect_uris": [REDIRECT_URI] });
    vec![
        (Method::POST, "/clients".to_owned(), client),
        (Method::PATCH, format!("/clients/{}", app.client_id), json!({ "client_name": "x" })),
        (Method::POST, format!("/clients/{}/secret", app.client_id), json!({ "overlap_seconds": 0 })),
        (Method::POST, "/scopes".to_owned(), json!({ "name": unique(), "description": "x" })),
        (Method::PATCH, format!("/scopes/{scope}"), json!({ "description": "x" })),
        (Method::POST, "/users".to_owned(), json!({ "email": email })),
        (Method::PATCH, format!("/users/{}", person.id), json!({ "verified": false })),
        (Method::POST, format!("/users/{}/password", person.id), json!({})),
        (Method::POST, "/keys".to_owned(), json!({ "immediate": true })),
    ]
}

/// Bodies that are no JSON object are 400, and unknown members 422 by name.
pub async fn malformed_bodies_are_400(target: &Target) {
    let operator = Operator::new(target).await;
    for (method, path, good) in changes(&operator, target).await {
        let send = async |body: Vec<u8>| {
            let reply = operator.request(method.clone(), &path).typed_body("application/json", body).reply().await;
            Document::get().check(&method, &format!("/admin{path}"), None, &reply);
            reply
        };
        for body in [
            &b"{"[..],
            b"[]",
            b"\"x\"",
            b"7",
            b"null",
            b"{} {}",
            b"{'a':1}",
            b"\xFF",
            b"{\"a\":\"\xFF\"}",
            b"\0",
            b"{\"a\":\"\\ud800\"}",
            b"\xEF\xBB\xBF{}",
        ] {
            send(body.to_vec()).await.expect_problem(400, "invalid-request");
        }
        send("[".repeat(100_000).into_bytes()).await.expect_problem(400, "invalid-request");
        let mut unknown = good.clone();
        unknown["colour"] = json!("red");
        let reply = operator.call(method.clone(), &path, Some(&unknown)).await;
        reply.expect_problem_at(422, "invalid-value", "/colour");
        // Which of two members counts is a guess (RFC 8259 §4), so neither does.
        if let Some((name, value)) = good.as_object().and_then(|members| members.iter().next()) {
            let rest = good.to_string();
            let twice = format!("{{{}:{value},{}", json!(name), &rest[1..]);
            let reply = send(twice.into_bytes()).await.expect_problem(400, "invalid-request");
            assert!(reply.text().contains(name.as_str()), "{reply:?}");
        }
    }
}

/// RFC 9110 §15.5.16.
pub async fn other_content_types_are_415(target: &Target) {
    let operator = Operator::new(target).await;
    for (method, path, good) in changes(&operator, target).await {
        let form = "application/x-www-form-urlencoded";
        let types = [form, "text/plain", "text/json", "multipart/form-data; boundary=x", "x", "application/jsonx"];
        for content_type in types {
            let request = operator.request(method.clone(), &path).typed_body(content_type, good.to_string());
            let reply = request.reply().await.expect_problem(415, "unsupported-media-type");
            Document::get().check(&method, &format!("/admin{path}"), None, &reply);
        }
        let reply = operator.request(method.clone(), &path).body(good.to_string()).reply().await;
        reply.expect_problem(415, "unsupported-media-type");
        if method == Method::POST {
            let request = operator.request(method, &path);
            let reply = request.typed_body("application/merge-patch+json", good.to_string()).reply().await;
            reply.expect_problem(415, "unsupported-media-type");
        }
    }
    let path = format!("/scopes/{}", target.scope().await);
    for content_type in ["application/json; charset=utf-8", "Application/Merge-Patch+JSON"] {
        let request = operator.request(Method::PATCH, &path).typed_body(content_type, "{}");
        request.reply().await.expect(200);
    }
}

/// 1 MiB is the limit here as well.
pub async fn a_large_body_is_413(target: &Target) {
    let operator = Operator::new(target).await;
    let mut answered = 0;
    for length in [MAX_BODY + 1, 4 * MAX_BODY] {
        let body = format!("{{\"client_name\":\"{}\"}}", "a".repeat(length));
        // The server may hang up before it has read all of it, once it has answered.
        if let Ok(reply) =
            operator.request(Method::POST, "/clients").typed_body("application/json", body).try_reply().await
        {
            assert_eq!(reply.status, 413, "{reply:?}");
            answered += 1;
        }
    }
    assert!(answered > 0, "no client ever sees the answer");
    let long = json!({ "client_name": "a".repeat(MAX_BODY - 100), "client_type": "public" });
    operator.post("/clients", &long).await.expect_problem_at(422, "invalid-value", "/client_name");
}

/// NUL and bytes that are no UTF-8, in paths and queries; parameters twice; headers twice; paths that are none.
pub async fn odd_targets_and_headers_are_refused(target: &Target) {
    // Such ids cannot be told from others there.
    if target.paths_are_decoded() {
        return;
    }
    let operator = Operator::new(target).await;
    for query in ["limit=1&limit=1", "q=%00", "q=%FF", "active=TRUE", "active=1", "active=", "limit=", "q="] {
        operator.get(&format!("/scopes?{query}")).await.expect_problem(400, "invalid-request");
    }
    // Whoever misspells a filter is not shown everything, and a run that cannot be dry is none.
    for path in ["/users?usernme=x", "/clients?dry_run=true", "/scopes/read?active=true", "/status?verbose"] {
        operator.get(path).await.expect_problem(400, "invalid-request");
    }
    for path in ["/scopes?dryrun=true", "/maintenance?dry_run=true"] {
        let reply = operator.post(path, &json!({ "name": unique(), "description": "x" })).await;
        let detail = reply.expect_problem(400, "invalid-request").member("detail");
        assert!(detail.contains("dry") && detail.contains("there is no parameter"), "{detail}");
    }
    for path in ["/scopes/%00", "/scopes/%FF", "/users/%00", "/clients/a%00b"] {
        operator.get(path).await.expect_problem(400, "invalid-request");
    }
    for path in
        ["/", "/nope", "/clients/", "/clients//", "/clients/a/b", "/clients/a/secret/b", "/users/x/y", "/Clients"]
    {
        let reply = operator.request(Method::GET, path).reply().await;
        reply.expect_problem(404, "not-found");
    }
    let twice = operator.request(Method::GET, "/status").header(header::AUTHORIZATION, "Bearer x");
    twice.reply().await.expect_problem(400, "invalid-request");
    for value in ["", "yes", "1", "TRUE"] {
        let reply = operator.post(&format!("/clients?dry_run={value}"), &json!({})).await;
        reply.expect_problem(400, "invalid-request");
    }
}

/// `dry_run`: the same checks and the same answer, without the secret, and nothing is changed.
pub async fn a_dry_run_changes_nothing(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, person, scope) = (target.confidential().await, target.person().await, target.scope().await);
    let tokens = target.tokens(&app, &person).await;
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let path = format!("/users/{}", person.id);
    let session = operator.list(&format!("/sessions?user_id={}", person.id)).await[0]["id"].clone();
    let grant = operator.list(&format!("/grants?user_id={}", person.id)).await[0]["id"].clone();
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let client = format!("/clients/{}", app.client_id);
    let before = (
        operator.get(&client).await.json(),
        operator.get(&path).await.json(),
        operator.get(&format!("/scopes/{scope}")).await.json(),
        operator.get("/keys").await.json(),
        events(&operator).await,
    );

    let new = unique();
    let body = json!({ "client_id": new, "client_name": "x", "client_type": "confidential" });
    let reply = operator.post("/clients?dry_run=true", &body).await.expect(201);
    assert!(reply.json().get("client_secret").is_none(), "{reply:?}");
    assert_eq!((&reply.json()["client_id"], &reply.json()["dry_run"]), (&json!(new), &json!(true)));
    let reply = operator.post("/scopes?dry_run=true", &json!({ "name": new, "description": "x" })).await.expect(201);
    assert_eq!(reply.json()["dry_run"], true);
    let body = json!({ "email": format!("{new}@example.com") });
    let reply = operator.post("/users?dry_run=true", &body).await.expect(201);
    assert!(reply.json().get("password").is_none() && reply.json()["dry_run"] == true, "{reply:?}");
    for (path, patch) in [
        (client.clone(), json!({ "active": false, "client_name": "Renamed" })),
        (path.clone(), json!({ "active": false, "username": new })),
        (format!("/scopes/{scope}"), json!({ "active": false })),
    ] {
        let changed = operator.patch(&format!("{path}?dry_run=true"), &patch).await.expect(200).json();
        assert_eq!((&changed["active"], &changed["dry_run"]), (&json!(false), &json!(true)), "as it would be");
    }
    for path in [format!("{client}/secret"), format!("{path}/password")] {
        let reply = operator.post(&format!("{path}?dry_run=true"), &json!({})).await.expect(200).json();
        assert_eq!(reply["dry_run"], true);
        assert!(reply.get("client_secret").is_none() && reply.get("password").is_none(), "{reply}");
    }
    operator.call(Method::POST, &format!("{path}/logout?dry_run=true"), None).await.expect(204);
    let key = operator.post("/keys?dry_run=true", &json!({ "immediate": true })).await.expect(201).json();
    assert_eq!(key["dry_run"], true);
    for path in [
        client.clone(),
        path.clone(),
        format!("/scopes/{scope}"),
        format!("/sessions/{}", text(&session)),
        format!("/grants/{}", text(&grant)),
    ] {
        operator.delete(&format!("{path}?dry_run=true")).await.expect(204);
    }

    // What is refused is refused as it would be.
    let taken = json!({ "client_id": app.client_id, "client_name": "x", "client_type": "confidential" });
    operator.post("/clients?dry_run=true", &taken).await.expect_problem(409, "conflict");
    operator.post("/users?dry_run=true", &json!({ "email": person.email })).await.expect_problem(409, "conflict");
    let other = target.person().await;
    for patch in [json!({ "email": other.email }), json!({ "username": other.username })] {
        operator.patch(&format!("{path}?dry_run=true"), &patch).await.expect_problem(409, "conflict");
    }
    operator.delete("/clients/nobody?dry_run=true").await.expect_problem(404, "not-found");
    let patch = json!({ "scope": "no-such-scope-anywhere" });
    operator.patch(&format!("{client}?dry_run=true"), &patch).await.expect_problem_at(422, "invalid-value", "/scope");

    let after = (
        operator.get(&client).await.json(),
        operator.get(&path).await.json(),
        operator.get(&format!("/scopes/{scope}")).await.json(),
        operator.get("/keys").await.json(),
        events(&operator).await,
    );
    assert_eq!(before, after);
    operator.get(&format!("/clients/{new}")).await.expect_problem(404, "not-found");
    operator.get(&format!("/scopes/{new}")).await.expect_problem(404, "not-found");
    assert!(operator.list(&format!("/users?q={new}")).await.is_empty());
    assert!(target.is_active(&tokens.access).await && target.is_active(&tokens.refresh).await);
    assert_eq!(browser.get(&format!("{}/account", target.issuer_path())).await.status, 200);
}

/// What this caller did, according to the audit log.
async fn events(operator: &Operator<'_>) -> Vec<Value> {
    let actor = json!(format!("client:{}", operator.app.client_id));
    let mut events = operator.list("/audit-log?limit=200").await;
    events.retain(|event| event["actor"] == actor);
    events
}
