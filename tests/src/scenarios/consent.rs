//! The consent page: what it says, whom it asks, and how it is bound to the person who decides.

use crate::{
    http::RequestExt as _,
    scenarios::expect_denied_at_client,
    target::{Target, redirect_uri},
    user_agent::Landing,
};

/// The page shows who asks, where the answer goes, what for, and who is logged in.
pub async fn the_page_shows_client_host_scopes_and_person(target: &Target) {
    let scope = target.scope().await;
    let (name, person) = ("<b>Evil</b> & \"Sons\"", target.person().await);
    let app = target
        .public_with(|client| {
            name.clone_into(&mut client.name);
            client.client_uri = Some("https://www.app.example/about".to_owned());
            client.scopes = crate::http::scope_set(&format!("read {scope}"));
        })
        .await;
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let page = browser.authorize(&app.ask().with("scope", &format!("read {scope}"))).await.page().expect(200);
    let html = page.text();
    let document = scraper_text(html);
    for text in [
        name,
        "app.example",
        "https://www.app.example/about",
        "Read access to user data",
        &format!("Do what {scope} allows"),
        &scope,
        &person.username,
    ] {
        assert!(document.contains(text), "{text} is not in {document}");
    }
    assert!(!html.contains("<b>Evil") && !html.contains("<script"), "{html}");
    assert!(!document.contains("Write access"), "only what was asked for");
    let buttons: Vec<_> = page.form().buttons.into_iter().map(|(_, value)| value).collect();
    assert_eq!(buttons, ["deny", "allow"], "Enter presses the first one");
}

fn scraper_text(html: &str) -> String {
    let document = scraper::Html::parse_document(html);
    document.root_element().text().collect::<Vec<_>>().join(" ")
}

/// OAuth 2.1 §7.3.1, RFC 8252 §8.6: of whom this server can be sure, nobody is asked twice.
pub async fn remembered_consent_skips_the_page_for_clients_that_are_sure(target: &Target) {
    let person = target.person().await;
    for app in [
        target.confidential().await,
        target.public().await,
        target.confidential_with(|client| client.redirect_uris = vec![redirect_uri("http://127.0.0.1/cb")]).await,
    ] {
        let mut browser = target.user_agent();
        browser.log_in(&person).await;
        assert_eq!(browser.authorize(&app.ask()).await.page().status, 200, "the first time");
        assert!(browser.approve(&app.ask()).await.contains_key("code"));
        assert!(browser.authorize(&app.ask()).await.answer().contains_key("code"), "the second time");
        assert!(browser.authorize(&app.ask().with("scope", "read")).await.answer().contains_key("code"), "narrower");
        let wider = app.ask().with("scope", "profile read");
        assert_eq!(browser.authorize(&wider).await.page().status, 200, "wider");
        assert!(browser.approve(&wider).await.contains_key("code"));
        let all = app.ask().with("scope", "profile read write");
        assert!(browser.authorize(&all).await.answer().contains_key("code"), "what was allowed before adds up");

        let mut later = target.user_agent();
        later.log_in(&person).await;
        assert!(later.authorize(&all).await.answer().contains_key("code"), "in another browser");
        let mut other = target.user_agent();
        other.log_in(&target.person().await).await;
        assert_eq!(other.authorize(&all).await.page().status, 200, "another person");
    }
}

/// RFC 8252 §8.6: any program can listen on a loopback port or take a private-use scheme.
pub async fn a_public_client_without_claimed_https_is_always_asked_for(target: &Target) {
    let person = target.person().await;
    for uri in ["http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb", "com.example.app:/cb"] {
        let app = target.public_with(|client| client.redirect_uris = vec![redirect_uri(uri)]).await;
        let mut browser = target.user_agent();
        browser.log_in(&person).await;
        for _ in 0..3 {
            let page = browser.authorize(&app.ask()).await.page().expect(200);
            assert!(browser.decide(&page, "allow").await.answer().contains_key("code"));
        }
    }
}

/// RFC 6749 §4.1.2.1; a refusal is not remembered, nor does it undo what was allowed before.
pub async fn denying_sends_access_denied(target: &Target) {
    let app = target.confidential().await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    for _ in 0..2 {
        let page = browser.authorize(&app.ask()).await.page();
        let landing = browser.decide(&page, "deny").await;
        expect_denied_at_client(target, landing, "access_denied");
    }
    assert!(browser.approve(&app.ask().with("scope", "read")).await.contains_key("code"));
    let page = browser.authorize(&app.ask()).await.page();
    expect_denied_at_client(target, browser.decide(&page, "deny").await, "access_denied");
    assert!(browser.authorize(&app.ask().with("scope", "read")).await.answer().contains_key("code"));
}

/// A form of another site, session, request or purpose decides nothing.
pub async fn the_form_is_bound_to_session_and_request(target: &Target) {
    let app = target.confidential().await;
    let (victim, attacker) = (target.person().await, target.person().await);
    let mut browser = target.user_agent();
    browser.log_in(&victim).await;
    let mut foreign = target.user_agent();
    foreign.log_in(&attacker).await;

    let form = browser.authorize(&app.ask()).await.page().form().fill("decision", "allow");
    let foreign_form = foreign.authorize(&app.ask()).await.page().form();
    let logout = format!("{}/logout", target.issuer_path());
    let logout_token = browser.get(&logout).await.form().value("csrf_token").to_owned();
    let token = form.value("csrf_token").to_owned();
    let mut damaged = token.clone().into_bytes();
    damaged[0] = if damaged[0] == b'A' { b'B' } else { b'A' };
    let damaged = String::from_utf8(damaged).expect("ASCII");
    for wrong in [foreign_form.value("csrf_token"), &logout_token, &damaged, &token[..40], "x", "ü", &"A".repeat(43)] {
        browser.submit(&form.clone().fill("csrf_token", wrong)).await.expect_error_page(403, "invalid_request");
    }
    for form in [form.clone().without("csrf_token"), form.clone().fill("csrf_token", "")] {
        browser.submit(&form).await.expect_error_page(400, "invalid_request");
    }
    // The same person's token of another request: scopes cannot be slipped in.
    let narrow = browser.authorize(&app.ask().with("scope", "read")).await.page().form();
    let widened = narrow.clone().fill("request", form.value("request")).fill("decision", "allow");
    browser.submit(&widened).await.expect_error_page(403, "invalid_request");
    let tampered = narrow.value("request").replace("scope=read", "scope=read+write");
    assert_ne!(tampered, narrow.value("request"));
    let tampered = narrow.clone().fill("request", &tampered).fill("decision", "allow");
    browser.submit(&tampered).await.expect_error_page(403, "invalid_request");
    // The victim's form in the attacker's browser.
    foreign.submit(&form).await.expect_error_page(403, "invalid_request");
    // Nothing of this was taken for consent; the form itself still works.
    assert_eq!(browser.authorize(&app.ask()).await.page().status, 200);
    assert!(browser.submit_and_follow(&form).await.answer().contains_key("code"));
}

/// A decision that is none: no code, no redirect.
pub async fn only_allow_and_deny_are_decisions(target: &Target) {
    let app = target.public().await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    let form = browser.authorize(&app.ask()).await.page().form();
    for decision in ["", "yes", "ALLOW", "allow,deny"] {
        let reply = browser.submit(&form.clone().fill("decision", decision)).await;
        reply.expect_error_page(400, "invalid_request");
    }
    let mut twice = form.clone().fill("decision", "allow");
    twice.fields.push(("decision".to_owned(), "deny".to_owned()));
    browser.submit(&twice).await.expect_error_page(400, "invalid_request");
    browser.submit(&form.clone().without("request")).await.expect_error_page(400, "invalid_request");
    let path = format!("{}/consent", target.issuer_path());
    browser.get(&path).await.expect_error_page(405, "invalid_request");
}

/// Whoever was logged out in between logs in again, and is asked again.
pub async fn a_decision_needs_a_login(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let form = browser.authorize(&app.ask()).await.page().form().fill("decision", "allow");
    let mut stranger = target.user_agent();
    let page = stranger.submit_and_follow(&form).await.page().expect(200);
    assert!(page.url.path().ends_with("/login"), "{}", page.url);

    target.expire_sessions(&person).await;
    let login = browser.submit_and_follow(&form).await.page().expect(200).form();
    match browser.submit_and_follow(&crate::user_agent::fill(login, &person)).await {
        Landing::Page(page) => assert!(page.form().buttons.len() == 2, "the consent page: {page:?}"),
        Landing::Client(url) => panic!("a decision made without a login was carried out: {url}"),
    }
}

/// The registration may change between the page and the decision.
pub async fn the_decision_is_checked_against_the_client_as_it_is(target: &Target) {
    let app = target.public().await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    let form = browser.authorize(&app.ask()).await.page().form().fill("decision", "allow");
    target.deactivate_app(&app).await;
    // A client is read again after CACHE_TTL at the latest.
    tokio::time::sleep(std::time::Duration::from_millis(5_100)).await;
    browser.submit(&form).await.expect_error_page(400, "invalid_client");
    target.get(&app.ask().path()).reply().await.expect_error_page(400, "invalid_client");
}
