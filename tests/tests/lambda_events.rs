//! The Lambda target: events of every kind, written out, and what a client cannot make of them.

use authly_tests::{
    container,
    http::RequestExt as _,
    lambda::{Function, Gateway, OnFunctionUrl, OnLoadBalancer, OnRestApi},
    postgres::TestDatabase,
    server::Database,
    smtp::{Encryption, MailServer},
    target::{Host, Target, Tokens},
};
use serde_json::{Value, json};

/// A login with cookies and redirects, a code exchange, and two headers of a kind.
async fn a_whole_flow(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
    target.refresh(&app, &tokens.refresh).await.expect(200);
    target.get("/api/v1/users/me").bearer_auth("x").bearer_auth("y").reply().await.expect_error(400, "invalid_request");
    let ask = app.ask().and("client_id", &app.client_id);
    assert_eq!(target.get(&ask.path()).reply().await.status, 400, "a repeated parameter is seen as such");
    assert_eq!(target.get("/ü %00").reply().await.status, 404);
}

#[tokio::test]
async fn a_flow_through_a_function_url() {
    a_whole_flow(&*OnFunctionUrl::shared().await).await;
}

#[tokio::test]
async fn a_flow_through_a_rest_api() {
    a_whole_flow(&*OnRestApi::shared().await).await;
}

#[tokio::test]
async fn a_flow_through_a_load_balancer() {
    a_whole_flow(&*OnLoadBalancer::shared().await).await;
}

async fn function(variables: &[(&str, &str)]) -> Function {
    Function::start(Gateway::HttpApi, container::postgres().await, variables)
}

fn http_api(path: &str, stage: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": { "host": "127.0.0.1" },
        "requestContext": { "http": { "method": "GET", "path": path, "sourceIp": "203.0.113.7" }, "stage": stage },
        "isBase64Encoded": false,
    })
}

fn rest_api(path: &str, stage: &str) -> Value {
    json!({
        "httpMethod": "GET", "path": path, "headers": { "Host": "127.0.0.1" },
        "multiValueHeaders": { "Host": ["127.0.0.1"] }, "multiValueQueryStringParameters": null,
        "requestContext": {
            "stage": stage, "path": format!("/{stage}{path}"), "identity": { "sourceIp": "203.0.113.8" },
        },
        "body": null, "isBase64Encoded": false,
    })
}

fn load_balancer(forwarded: &str) -> Value {
    json!({
        "httpMethod": "GET", "path": "/health/live", "queryStringParameters": {},
        "headers": { "host": "127.0.0.1", "x-forwarded-for": forwarded },
        "requestContext": { "elb": { "targetGroupArn": "arn" } }, "body": "", "isBase64Encoded": false,
    })
}

const JWKS: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn a_stage_is_no_part_of_the_path_unless_it_is_of_the_issuers() {
    let function = function(&[]).await;
    for event in [http_api(JWKS, "$default"), http_api(&format!("/prod{JWKS}"), "prod"), rest_api(JWKS, "prod")] {
        let answer = function.invoke(event.clone()).await.expect("an answer");
        assert_eq!(answer["statusCode"], 200, "{event} {answer}");
    }
    let answer = function.invoke(http_api(&format!("/production{JWKS}"), "prod")).await.expect("an answer");
    assert_eq!(answer["statusCode"], 404, "{answer}");

    let function = self::function(&[("ISSUER_URL", "{base}/prod")]).await;
    for event in [http_api(&format!("/prod{JWKS}"), "prod"), rest_api(JWKS, "prod")] {
        let answer = function.invoke(event.clone()).await.expect("an answer");
        assert_eq!(answer["statusCode"], 200, "{event} {answer}");
    }
}

#[tokio::test]
async fn the_clients_address_is_the_gateways_word() {
    let function = function(&[("TRUSTED_PROXIES", "10.0.0.0/8")]).await;
    let mut lying = http_api("/health/live", "$default");
    lying["headers"]["x-forwarded-for"] = "198.51.100.66, 203.0.113.7".into();
    for event in [lying, rest_api("/health/live", "prod")] {
        function.invoke(event).await.expect("an answer");
    }
    for forwarded in
        ["198.51.100.66, 203.0.113.9", "198.51.100.66, 203.0.113.10:4711", "198.51.100.66, 203.0.113.11, 10.0.0.1"]
    {
        let answer = function.invoke(load_balancer(forwarded)).await.expect("an answer");
        assert_eq!(answer["statusDescription"], "200 OK");
        assert!(answer["headers"]["x-request-id"].is_string(), "{answer}");
    }
    let log = function.log();
    for address in ["203.0.113.7", "203.0.113.8", "203.0.113.9", "203.0.113.10", "203.0.113.11"] {
        assert!(log.contains(&format!("\"client_address\":\"{address}\"")), "{address} is not in\n{log}");
    }
    assert!(!log.contains("198.51.100.66"), "{log}");
}

#[tokio::test]
async fn a_schedules_event_runs_the_maintenance() {
    let admin = [("ADMIN_EMAIL", "root@example.com"), ("ADMIN_PASSWORD", "a long password for the tests")];
    let mail = MailServer::start(Encryption::StartTls).await;
    let smtp = mail.variables();
    let variables: Vec<_> = admin.into_iter().chain(smtp.iter().map(|(name, value)| (*name, value.as_str()))).collect();
    let function = function(&variables).await;
    let schedule = json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "resources": [] });
    let first = function.invoke(schedule).await.expect("a report");
    assert_eq!(first, json!({ "removed": 0, "newSigningKey": true }));
    let second = function.invoke(json!({ "authly": "maintenance" })).await.expect("a report");
    assert_eq!(second, json!({ "removed": 0, "newSigningKey": false }));

    // The configured administrator is there.
    let target = function.target().await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await.fill("username", admin[0].1).fill("password", admin[1].1);
    browser.submit(&form).await.expect(303);

    // What has ended is removed, and mail that a request left is sent.
    let (app, person) = (target.public().await, target.person().await);
    target.tokens(&app, &person).await;
    target.expire_grants(&person).await;
    target.expire_codes(&person).await;
    let form = browser.get("/forgot-password").await.expect(200).form().fill("email", &person.email);
    browser.submit(&form).await.expect(303);
    assert!(mail.received().is_empty(), "between invocations a function sends nothing");
    let third = function.invoke(json!({ "authly": "maintenance" })).await.expect("a report");
    assert!(third["removed"].as_u64() > Some(0) && !target.has_grants(&person).await, "{third}");
    assert_eq!(mail.accepted(1).await[0].recipient, person.email);
}

#[tokio::test]
async fn an_operators_event_migrates() {
    let database = TestDatabase::empty().await;
    let database = Database::new(database.direct_url(), database);
    let function = Function::start(Gateway::HttpApi, database, &[]);
    assert_eq!(function.invoke(http_api("/health/ready", "$default")).await.expect("an answer")["statusCode"], 503);
    let first = function.invoke(json!({ "authly": "migrate" })).await.expect("a report");
    assert!(first["applied"].as_array().is_some_and(|applied| applied.len() >= 2), "{first}");
    let second = function.invoke(json!({ "authly": "migrate" })).await.expect("a report");
    assert_eq!(second, json!({ "applied": [] }));
    assert_eq!(function.invoke(http_api("/health/ready", "$default")).await.expect("an answer")["statusCode"], 200);
    function.invoke(json!({ "authly": "destroy" })).await.expect_err("no such job");
}

#[tokio::test]
async fn what_is_no_request_is_an_error_and_what_is_malformed_is_400() {
    let function = function(&[]).await;
    for event in [json!({}), json!({ "Records": [] }), json!({ "source": "aws.s3" }), json!("x"), json!(null)] {
        function.invoke(event).await.expect_err("not for this function");
    }
    let mut events = vec![http_api("/", "$default"); 3];
    events[0]["headers"]["x"] = "a\nb".into();
    events[1]["requestContext"]["http"]["method"] = "G T".into();
    events[2]["isBase64Encoded"] = true.into();
    events[2]["body"] = "%%%".into();
    for event in events {
        let answer = function.invoke(event.clone()).await.expect("an answer");
        assert_eq!(answer["statusCode"], 400, "{event} {answer}");
    }
    assert_eq!(function.invoke(http_api("/health/ready", "$default")).await.expect("an answer")["statusCode"], 200);
}
