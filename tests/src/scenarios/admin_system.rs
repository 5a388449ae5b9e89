//! Signing keys, audit log, status and maintenance, as operators see and use them.

use chrono::{DateTime, Utc};
use http::{Method, header};
use serde_json::{Value, json};

use crate::{
    admin::{Operator, path_part, time},
    http::RequestExt as _,
    openapi::Document,
    target::{REDIRECT_URI, Target, unique},
};

/// What each job did last.
pub async fn jobs_and_their_runs_are_listed(target: &Target) {
    let operator = Operator::new(target).await;
    let started = Utc::now();
    operator.call(Method::POST, "/maintenance", None).await.expect(200);
    let reply = operator.get("/maintenance").await.expect(200).json();
    let jobs = reply["items"].as_array().expect("a list");
    assert!(!jobs.is_empty());
    for job in jobs {
        assert_eq!(job["last_outcome"], "success", "{job}");
        assert!((time(&job["last_finished_at"]) - started).num_seconds() >= -60, "{job}");
        assert!(time(&job["last_started_at"]) <= time(&job["last_finished_at"]), "{job}");
    }
}

/// Every change with who made it, and no secret in it.
pub async fn every_change_is_in_the_audit_log(target: &Target) {
    let operator = Operator::new(target).await;
    let actor = format!("client:{}", operator.app.client_id);
    let mut secrets = Vec::new();
    let mut expected = Vec::new();
    let id = format!("app-{}", unique());
    let client = format!("/clients/{id}");
    let body = json!({
        "client_id": id, "client_name": "x", "client_type": "confidential", "redirect_uris": [REDIRECT_URI],
    });
    secrets.push(operator.post("/clients", &body).await.expect(201).member("client_secret"));
    expected.push("client.created");
    operator.patch(&client, &json!({ "client_name": "y" })).await.expect(200);
    expected.push("client.changed");
    secrets.push(operator.post(&format!("{client}/secret"), &json!({})).await.expect(200).member("client_secret"));
    expected.push("client.secret_rotated");
    operator.delete(&client).await.expect(204);
    expected.push("client.deleted");

    let scope = format!("/scopes/{}", unique());
    let body = json!({ "name": scope.trim_start_matches("/scopes/"), "description": "x" });
    operator.post("/scopes", &body).await.expect(201);
    expected.push("scope.created");
    operator.patch(&scope, &json!({ "active": false })).await.expect(200);
    expected.push("scope.changed");
    operator.delete(&scope).await.expect(204);
    expected.push("scope.deleted");

    let user = operator.post("/users", &json!({ "email": format!("{}@example.com", unique()) })).await.expect(201);
    secrets.push(user.member("password"));
    expected.push("user.created");
    let path = format!("/users/{}", user.member("id"));
    let chosen = format!("chosen {}", unique());
    operator.post(&format!("{path}/password"), &json!({ "password": chosen })).await.expect(200);
    secrets.push(chosen);
    expected.push("password.assigned");
    operator.patch(&path, &json!({ "verified": true })).await.expect(200);
    expected.push("user.changed");
    operator.call(Method::POST, &format!("{path}/logout"), None).await.expect(204);
    expected.push("logout.everywhere");
    operator.delete(&path).await.expect(204);
    expected.push("user.deleted");

    let (app, person) = (target.public().await, target.person().await);
    target.tokens(&app, &person).await;
    let session = operator.list(&format!("/sessions?user_id={}", person.id)).await[0]["id"].clone();
    let grant = operator.list(&format!("/grants?user_id={}", person.id)).await[0]["id"].clone();
    operator.delete(&format!("/sessions/{}", session.as_str().expect("an id"))).await.expect(204);
    expected.push("session.ended");
    operator.delete(&format!("/grants/{}", grant.as_str().expect("an id"))).await.expect(204);
    expected.push("grant.revoked");
    operator.delete(&format!("/grants/{}", uuid::Uuid::from_bytes([9; 16]))).await.expect(404);

    let mut events = operator.list("/audit-log?limit=200").await;
    events.retain(|event| event["actor"] == *actor);
    events.sort_by_key(|event| time(&event["occurred_at"]));
    let seen: Vec<_> = events.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(seen, expected, "each change once, and nothing that was refused");
    for event in &events {
        assert_eq!(event["outcome"], "success");
        assert!(event["request_id"].is_string() && event["client_address"].is_string(), "{event}");
        assert!(secrets.iter().all(|secret| !event.to_string().contains(secret)), "{event}");
        let name = event["event"].as_str().expect("a name");
        match name.split('.').next().expect("an area") {
            "client" => assert_eq!(event["client_id"], id, "{event}"),
            "user" | "password" | "logout" => assert_eq!(event["user_id"], user.member("id"), "{event}"),
            "scope" => {
                let name = scope.trim_start_matches("/scopes/");
                assert!(event["detail"].as_str().is_some_and(|detail| detail.contains(name)), "{event}");
            }
            "session" => assert_eq!(event["user_id"], person.id.to_string(), "{event}"),
            "grant" => assert_eq!((&event["grant_id"], &event["user_id"]), (&grant, &json!(person.id)), "{event}"),
            _ => panic!("{event}"),
        }
    }
}

/// The log is read by what is asked for, newest first, page after page, and as lines for other programs.
pub async fn the_audit_log_is_filtered_and_exported(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let since = Utc::now();
    target.tokens(&app, &person).await;
    target.tokens(&app, &person).await;
    let guess = crate::target::Person { password: "a guess".to_owned(), ..person.clone() };
    let mut browser = target.user_agent();
    let form = browser.login_form().await;
    browser.submit(&crate::user_agent::fill(form, &guess)).await.expect(403);
    let of = async |query: &str| operator.list(&format!("/audit-log?limit=2&user_id={}{query}", person.id)).await;
    let all = of("").await;
    let names: Vec<_> = all.iter().map(|event| event["event"].as_str().expect("a name")).collect();
    assert_eq!(
        names,
        ["login.failed", "login.succeeded", "consent.granted", "login.succeeded"],
        "consent was remembered"
    );
    assert_eq!(of("&event=login.succeeded").await.len(), 2);
    assert_eq!(of("&outcome=failure").await.len(), 1);
    assert_eq!(of(&format!("&client_id={}", app.client_id)).await.len(), 1);
    assert_eq!(of("&event=login.failed&outcome=success").await.len(), 0);
    let at = |time: DateTime<Utc>| path_part(time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
    assert_eq!(of(&format!("&since={}", at(since - chrono::TimeDelta::minutes(5)))).await.len(), 4);
    assert_eq!(of(&format!("&until={}", at(since - chrono::TimeDelta::minutes(5)))).await.len(), 0);
    assert_eq!(of(&format!("&since={}", at(time(&all[0]["occurred_at"])))).await, all[..1], "that time included");
    assert_eq!(of(&format!("&until={}", at(time(&all[0]["occurred_at"])))).await, all[1..], "that time excluded");
    for query in ["since=yesterday", "outcome=odd", "limit=201", "until=2026-01-01"] {
        operator.get(&format!("/audit-log?{query}")).await.expect_problem(400, "invalid-request");
    }

    let mut lines = Vec::new();
    let mut path = format!("/audit-log?limit=2&user_id={}", person.id);
    for page in 0..2 {
        let reply = operator.request(Method::GET, &path).header(header::ACCEPT, "application/x-ndjson").reply().await;
        Document::get().check(&Method::GET, &format!("/admin{path}"), None, &reply);
        let reply = reply.expect(200);
        assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
        lines.extend(reply.text().lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
        let Some(link) = reply.header("link") else {
            assert_eq!(page, 1);
            break;
        };
        let (url, rel) = link.split_once('>').expect("a link");
        assert_eq!(rel.replace(' ', ""), ";rel=\"next\"");
        let url = reply.url.join(url.trim_start_matches('<')).expect("a URL");
        let query = url.query().expect("a cursor").to_owned();
        path = format!("/audit-log?{query}");
    }
    assert_eq!(lines, all);
    let many = operator.request(Method::GET, "/audit-log?limit=10000").header(header::ACCEPT, "application/x-ndjson");
    many.reply().await.expect(200);
    let more = operator.request(Method::GET, "/audit-log?limit=10001").header(header::ACCEPT, "application/x-ndjson");
    more.reply().await.expect_problem(400, "invalid-request");
}
