//! What operators' programs do over HTTP.

use authly_core::model::Scopes;
use http::header;

use crate::{
    http::{Reply, RequestExt as _},
    target::{App, Target},
};

const SCOPE: &str = "admin:system:write";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

async fn operator(target: &Target) -> App {
    target.scope_named(SCOPE).await;
    target.confidential_with(|client| client.scopes = Scopes::parse(&format!("read {SCOPE}")).expect("scopes")).await
}

async fn run(target: &Target, token: &str) -> Reply {
    target.post("/admin/maintenance").header(header::AUTHORIZATION, format!("Bearer {token}")).reply().await
}

/// A scheduler's client: a token for itself, then the run. It can be repeated.
pub async fn a_client_with_the_scope_runs_maintenance(target: &Target) {
    let app = operator(target).await;
    let token = target.token(&app, &[GRANT, ("scope", SCOPE)]).await.expect(200).member("access_token");
    let (other, person) = (target.public().await, target.person().await);
    let tokens = target.tokens(&other, &person).await;
    target.expire_grants(&person).await;
    target.expire_codes(&person).await;
    let report = run(target, &token).await.expect(200).json();
    assert_eq!(report["finished"], true, "{report}");
    assert!(report["removed"].as_u64().is_some() && report["new_signing_key"] == false, "{report}");
    run(target, &token).await.expect(200);
    assert!(!target.has_grants(&person).await, "what has ended is not there any more");
    target.refresh(&other, &tokens.refresh).await.expect_error(400, "invalid_grant");
}

/// RFC 6750 §3.1, and an administrator's token is not good enough without the scope, nor the scope without an administrator.
pub async fn maintenance_takes_the_scope(target: &Target) {
    let app = operator(target).await;
    let token = target.token(&app, &[GRANT, ("scope", "read")]).await.expect(200).member("access_token");
    let reply = run(target, &token).await.expect(403);
    assert_eq!(reply.json()["type"], "urn:authly:problem:insufficient-scope");
    let challenge = reply.header("www-authenticate").expect("a challenge").to_owned();
    assert!(challenge.starts_with("Bearer ") && challenge.contains("insufficient_scope"), "{challenge}");
    for (person, status) in [(target.person().await, 403), (target.admin().await, 200)] {
        let code = target.code_for(&app.ask().with("scope", SCOPE), &person).await;
        let token = target.exchange(&app, &code).await.expect(200).member("access_token");
        run(target, &token).await.expect(status);
    }
}

/// RFC 6750 §3: 401, with a challenge.
pub async fn maintenance_takes_a_token(target: &Target) {
    let reply = target.post("/admin/maintenance").reply().await.expect(401);
    assert!(reply.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")), "{reply:?}");
    let reply = run(target, "nonsense").await.expect(401);
    assert_eq!(reply.json()["type"], "urn:authly:problem:unauthorized");
}
