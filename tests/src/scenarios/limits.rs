//! Limits by address and by account, and what they leave alone.

use http::{Method, header};

use crate::{
    http::{Reply, RequestExt as _},
    target::{Host, Person, Target, unique},
    user_agent::{UserAgent, fill},
};

/// 429 with all that a client needs to do better.
fn expect_too_many(reply: &Reply) {
    assert_eq!(reply.status, 429, "{reply:?}");
    let seconds: u64 = reply.header("retry-after").and_then(|it| it.parse().ok()).expect("a number of seconds");
    assert!((1..=900).contains(&seconds), "{reply:?}");
}

/// A token request of somebody who is not who they say they are.
async fn impostor(target: &Target) -> Reply {
    let request = target.post("/auth/token").client_basic("nobody", "a guess");
    request.form_body(&[("grant_type", "client_credentials")]).reply().await
}

async fn try_password(browser: &mut UserAgent<'_>, login: &str, password: &str) -> Reply {
    let form = browser.login_form().await.fill("username", login).fill("password", password);
    browser.submit(&form).await
}

/// `RATE_LIMIT_REQUESTS_PER_MINUTE` for each address, over all instances; RFC 6585 §4, RFC 9110 §10.2.3, and the IETF's
/// `RateLimit` headers.
pub async fn strangers_are_limited_by_address<H: Host>() {
    let target = H::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "20")]).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let tokens = crate::target::Tokens::of(&target.exchange(&app, &code).await.expect(200));
    let mut refused = None;
    for _ in 0..20 {
        let reply = impostor(&target).await;
        assert_eq!(reply.header("ratelimit-policy"), Some("\"address\";q=20;w=60"), "{reply:?}");
        assert!(reply.header("ratelimit").is_some_and(|it| it.starts_with("\"address\";r=")), "{reply:?}");
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        reply.expect_error(401, "invalid_client");
    }
    let refused =
        refused.expect("the login took some of the permits as well").expect_error(429, "temporarily_unavailable");
    expect_too_many(&refused);
    assert!(refused.header("ratelimit").is_some_and(|it| it.starts_with("\"address\";r=0;t=")), "{refused:?}");

    // Everything that a stranger can burden, by whichever instance.
    for _ in 0..6 {
        expect_too_many(&impostor(&target).await);
        for path in ["/login", "/authorize", "/", "/logout"] {
            let page = target.get(path).header(header::ACCEPT, "text/html").reply().await;
            expect_too_many(&page);
            let page = page.expect_error_page(429, "temporarily_unavailable");
            assert!(page.text().contains("Too many requests") && page.text().contains("Wait"), "{page:?}");
        }
        expect_too_many(&target.get("/api/v1/users/me").bearer_auth("nonsense").reply().await);
        expect_too_many(&target.post("/auth/introspect").form_body(&[("token", "x")]).reply().await);
        expect_too_many(&target.post("/auth/revoke").form_body(&[("token", "x")]).reply().await);
    }

    // What the others depend on, and who proves who they are.
    for _ in 0..30 {
        for path in ["/health/ready", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"] {
            let reply = target.get(path).reply().await.expect(200);
            assert_eq!(reply.header("ratelimit"), None, "{reply:?}");
        }
        target.get("/assets/authly.css").reply().await.expect(200);
        target.get("/api/v1/users/me").bearer_auth(&tokens.access).reply().await.expect(200);
        target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
        assert_eq!(target.introspect(&app, &tokens.access).await["active"], true);
        // Its mistakes are its own.
        target.refresh(&app, "nonsense").await.expect_error(400, "invalid_grant");
    }
}

/// A resource server asks for every request of its own, from one address.
pub async fn clients_that_authenticate_are_not_limited<H: Host>() {
    let target = H::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "3"), ("CACHE_TTL", "0")]).await;
    let app = target.confidential().await;
    let reply = target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
    let token = reply.member("access_token");
    for _ in 0..40 {
        assert_eq!(target.introspect(&app, &token).await["active"], true);
        let reply = target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
        assert_eq!(reply.header("ratelimit"), None, "{reply:?}");
    }
}

/// People who are logged in do not count, however many share an address.
pub async fn people_who_are_logged_in_are_not_limited<H: Host>() {
    let target = H::start(&[("RATE_LIMIT_REQUESTS_PER_MINUTE", "20")]).await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    for _ in 0..40 {
        let page = browser.get(&format!("{}/", target.issuer_path())).await.expect(200);
        assert_eq!(page.header("ratelimit"), None, "{page:?}");
    }
}

/// `RATE_LIMIT_ENABLED=false`.
pub async fn limits_can_be_switched_off<H: Host>() {
    let target = H::start(&[("RATE_LIMIT_ENABLED", "false"), ("RATE_LIMIT_REQUESTS_PER_MINUTE", "3")]).await;
    let person = target.person().await;
    for _ in 0..10 {
        let reply = impostor(&target).await.expect_error(401, "invalid_client");
        assert_eq!(reply.header("ratelimit"), None);
    }
    for _ in 0..30 {
        try_password(&mut target.user_agent(), &person.username, "a guess").await.expect(403);
    }
    target.user_agent().log_in(&person).await;
}

/// Passwords are tried more and more slowly, of accounts that exist and of others alike; who was here before gets in.
pub async fn wrong_passwords_are_slowed_down<H: Host>() {
    let target = H::start(&[]).await;
    let person = target.person().await;
    let mut outcomes = Vec::new();
    for login in [person.username.clone(), format!("nobody-{}", unique())] {
        let mut stranger = target.user_agent();
        let mut tried = Vec::new();
        for _ in 0..14 {
            let reply = try_password(&mut stranger, &login, "a guess").await;
            if reply.status == 429 {
                expect_too_many(&reply);
                assert!(reply.text().contains("There were too many attempts. Wait "), "{reply:?}");
                assert!(reply.text().contains(&login) && !reply.text().contains("a guess"), "{reply:?}");
            }
            tried.push(reply.status);
        }
        outcomes.push(tried);
    }
    for tried in &outcomes {
        assert!(
            tried[..10] == [403; 10] && tried.contains(&429),
            "an account that does not exist is no other: {outcomes:?}"
        );
    }
}

/// Until there is a wait of more than a second.
async fn guess_until_refused(guesser: &mut UserAgent<'_>, guess: &Person) {
    for _ in 0..100 {
        let form = guesser.login_form().await;
        let reply = guesser.submit(&fill(form, guess)).await;
        if reply.header("retry-after").and_then(|it| it.parse::<u64>().ok()).is_some_and(|seconds| seconds > 1) {
            return;
        }
    }
    panic!("nobody is slowed down");
}

/// Where the account was logged in to before: its browser, whatever the address does.
pub async fn the_owner_gets_in_while_others_guess<H: Host>() {
    let target = H::start(&[]).await;
    let person = target.person().await;
    let mut owner = target.user_agent();
    owner.log_in(&person).await;
    let device = owner.cookies().iter().find(|(name, _)| name.ends_with("authly_device")).expect("a cookie").1.clone();
    let guess = Person { password: "a guess".to_owned(), ..person.clone() };
    // From the same address, so that nothing but the browser tells the owner from the others.
    let mut guesser = target.user_agent();
    guess_until_refused(&mut guesser, &guess).await;
    let form = guesser.login_form().await;
    expect_too_many(&guesser.submit(&fill(form, &person)).await);
    let path = format!("{}/logout", target.issuer_path());
    let logout = owner.get(&path).await.expect(200).form();
    owner.submit(&logout).await.expect(200);
    assert!(owner.session().is_none());
    assert!(owner.cookies().values().any(|it| *it == device), "the browser stays known");
    owner.log_in(&person).await;
    // Made up, it is nobody's.
    let mut forger = target.user_agent();
    forger.set_cookie("authly_device", &device.replace(&device[20..24], "AAAA"));
    let form = forger.login_form().await;
    guess_until_refused(&mut guesser, &guess).await;
    expect_too_many(&forger.submit(&fill(form, &person)).await);
}

/// What happened can be read later: who, what, from where, and how it ended, and no secret.
pub async fn security_events_are_recorded<H: Host>() {
    let target = H::start(&[]).await;
    let (app, public, person) = (target.confidential().await, target.public().await, target.person().await);
    let mut browser = target.user_agent();
    try_password(&mut browser, &person.username, "a guess that must not show").await.expect(403);
    browser.log_in(&person).await;
    let page = browser.authorize(&app.ask()).await.page();
    browser.decide(&page, "deny").await.client();
    let ask = app.ask();
    let code = crate::target::Code { code: browser.code(&ask).await, verifier: ask.verifier };
    let tokens = crate::target::Tokens::of(&target.exchange(&app, &code).await.expect(200));
    target.revoke(&app, &tokens.access).await.expect(200);
    target.revoke(&app, &tokens.refresh).await.expect(200);
    target.exchange(&app, &code).await.expect(400);
    let first = target.tokens(&public, &person).await;
    let second = crate::target::Tokens::of(&target.refresh(&public, &first.refresh).await.expect(200));
    target.refresh(&public, &second.refresh).await.expect(200);
    target.refresh(&public, &first.refresh).await.expect(400);
    let request = target.request(Method::POST, "/auth/token").header("x-request-id", "the-request");
    let request = request.client_basic(&app.client_id, "a secret that must not show");
    request.form_body(&[("grant_type", "client_credentials")]).reply().await.expect(401);
    let logout = browser.get(&format!("{}/logout", target.issuer_path())).await.expect(200).form();
    browser.submit(&logout).await.expect(200);

    let mut log = target.audit_log().await;
    log.retain(|record| record.request_id.is_some());
    log.sort_by_key(|record| record.occurred_at);
    let events: Vec<_> = log.iter().map(|record| &*record.event).collect();
    assert_eq!(
        events,
        [
            "login.failed",
            "login.succeeded",
            "consent.denied",
            "consent.granted",
            "token.revoked",
            "grant.revoked",
            "code.replayed",
            "login.succeeded",
            "consent.granted",
            "refresh_token.replayed",
            "client_authentication.failed",
            "logout",
        ]
    );
    let of = |event: &str| log.iter().find(|record| record.event == event).unwrap_or_else(|| panic!("no {event}"));
    for event in ["login.failed", "login.succeeded", "logout", "consent.granted", "consent.denied", "grant.revoked"] {
        assert_eq!(of(event).user_id, Some(person.id), "{event}");
    }
    for event in ["consent.denied", "token.revoked", "grant.revoked", "code.replayed", "client_authentication.failed"] {
        assert_eq!(of(event).client_id.as_deref(), Some(app.client_id.as_str()), "{event}");
    }
    for event in ["consent.granted", "grant.revoked", "code.replayed", "refresh_token.replayed"] {
        assert!(of(event).grant_id.is_some(), "{event}");
    }
    let failed = of("client_authentication.failed");
    assert_eq!((failed.request_id.as_deref(), &*failed.outcome), (Some("the-request"), "failure"));
    for record in &log {
        assert_eq!(record.client_address.as_deref(), Some("127.0.0.1"), "{record:?}");
        assert!(!format!("{record:?}").contains("must not show"), "{record:?}");
    }
}
