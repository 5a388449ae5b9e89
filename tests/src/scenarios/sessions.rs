//! Logging in and out, and the cookies.

use cookie::{Cookie, SameSite};

use crate::{
    http::{Form, RequestExt as _},
    target::{Person, Target},
    user_agent::fill,
};

fn login_path(target: &Target) -> String {
    format!("{}/login", target.issuer_path())
}

/// RFC 6265bis: no script reads it, no other site's form sends it, and it is for this server's pages.
pub async fn the_session_cookie_is_http_only_and_same_site(target: &Target) {
    let person = target.person().await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await;
    let reply = browser.submit(&fill(form, &person)).await.expect(303);
    let cookies: Vec<_> =
        reply.header_values("set-cookie").into_iter().map(|it| Cookie::parse(it).expect("a cookie")).collect();
    let session = cookies.iter().find(|cookie| cookie.name() == "authly_session").expect("a session");
    assert_eq!(session.http_only(), Some(true));
    assert_eq!(session.same_site(), Some(SameSite::Lax));
    assert_eq!(session.path(), Some("/"));
    assert_eq!(session.domain(), None);
    assert_eq!(session.max_age().map(cookie::time::Duration::whole_hours), Some(24));
    let page = target.get("/login").reply().await;
    let browser_cookie = Cookie::parse(page.header("set-cookie").expect("a cookie").to_owned()).expect("a cookie");
    assert_eq!((browser_cookie.http_only(), browser_cookie.same_site()), (Some(true), Some(SameSite::Lax)));
}

/// Session fixation: a cookie that was planted before the login is worth nothing after it.
pub async fn the_session_changes_at_every_login(target: &Target) {
    let (person, attacker) = (target.person().await, target.person().await);
    let mut planting = target.user_agent();
    planting.log_in(&attacker).await;
    let planted = planting.session().expect("logged in").1.to_owned();

    let mut victim = target.user_agent();
    victim.set_cookie("authly_session", &planted);
    // The login page lets nobody in who has a session, so the victim's browser goes straight to the form.
    let mut fresh = target.user_agent();
    let form = fresh.login_form().await;
    let browser_cookie = fresh.cookies()["authly_browser"].clone();
    victim.set_cookie("authly_browser", &browser_cookie);
    victim.submit(&fill(form, &person)).await.expect(303);
    let first = victim.session().expect("logged in").1.to_owned();
    assert_ne!(first, planted);
    // The session that was replaced has ended, for whoever knows it.
    let mut old = target.user_agent();
    old.set_cookie("authly_session", &planted);
    assert!(old.get(&login_path(target)).await.expect(200).forms().len() == 1, "the planted session lives");

    let mut again = target.user_agent();
    again.log_in(&person).await;
    assert_ne!(again.session().expect("logged in").1, first, "each browser has its own");
    victim.get(&login_path(target)).await.expect(303);
}

/// A cookie that somebody made up does not become a session by logging in.
pub async fn a_made_up_session_is_not_adopted(target: &Target) {
    let person = target.person().await;
    let made_up = authly_core::model::SessionToken::generate(&authly_native::host::OsEntropy).expose().to_owned();
    let mut browser = target.user_agent();
    browser.set_cookie("authly_session", &made_up);
    browser.log_in(&person).await;
    assert_ne!(browser.session().expect("logged in").1, made_up);
    let mut stranger = target.user_agent();
    stranger.set_cookie("authly_session", &made_up);
    stranger.get(&login_path(target)).await.expect(200);
}

/// The form of a second tab, sent after the first tab's has logged in, changes nothing and goes on to where it led.
pub async fn a_form_of_a_second_tab_goes_on(target: &Target) {
    let (person, other) = (target.person().await, target.person().await);
    let mut browser = target.user_agent();
    let (first, second) = (browser.login_form().await, browser.login_form().await);
    browser.submit(&fill(first, &person)).await.expect(303);
    let session = browser.session().expect("logged in").1.to_owned();
    let reply = browser.submit(&fill(second, &other)).await.expect(303);
    assert_eq!(reply.location().path(), format!("{}/", target.issuer_path()));
    assert_eq!(browser.session().expect("still logged in").1, session);
}

/// Name or address in any case, and the way back to where the person was going.
pub async fn a_person_logs_in_by_name_or_address(target: &Target) {
    let person = target.person().await;
    for login in [&person.username, &person.email, &person.email.to_uppercase(), &format!(" {} ", person.email)] {
        let mut browser = target.user_agent();
        browser.log_in(&Person { username: login.clone(), ..person.clone() }).await;
    }
}

/// One answer, whether the name, the password or the account is wrong.
pub async fn a_failed_login_tells_nothing(target: &Target) {
    let (person, inactive) = (target.person().await, target.person().await);
    target.deactivate_person(&inactive).await;
    let mut pages = std::collections::BTreeSet::new();
    for (username, password) in [
        (person.username.as_str(), "not my password"),
        (person.username.as_str(), &format!("{} ", person.password)),
        ("nobody", person.password.as_str()),
        ("nobody@example.com", "not my password"),
        (inactive.username.as_str(), inactive.password.as_str()),
        ("' OR 1=1 --", "' OR ''='"),
    ] {
        let mut browser = target.user_agent();
        let form = browser.login_form().await.fill("username", username).fill("password", password);
        let csrf_token = form.value("csrf_token").to_owned();
        let reply = browser.submit(&form).await.expect(403);
        assert!(browser.session().is_none());
        let escaped = username.replace('\'', "&#39;");
        assert!(!reply.text().contains(password), "a password on the page");
        pages.insert(reply.text().replace(username, "NAME").replace(&escaped, "NAME").replace(&csrf_token, "TOKEN"));
        // The form that came back works.
        let form = reply.form().fill("username", &person.username).fill("password", &person.password);
        browser.submit(&form).await.expect(303);
    }
    assert_eq!(pages.len(), 1, "{pages:#?}");
    for (username, password) in [("", "x"), ("x", ""), ("", ""), ("x", &*"x".repeat(2000))] {
        let mut browser = target.user_agent();
        let form = browser.login_form().await.fill("username", username).fill("password", password);
        browser.submit(&form).await.expect(422);
    }
}

/// Login CSRF: nobody is logged in by another site's form, not even as the attacker.
pub async fn the_login_form_is_bound_to_the_browser(target: &Target) {
    let person = target.person().await;
    let mut foreign = target.user_agent();
    let foreign_form = foreign.login_form().await;
    let mut browser = target.user_agent();
    let form = fill(browser.login_form().await, &person);
    for wrong in [foreign_form.value("csrf_token"), "", "x", "ü", &"A".repeat(43)] {
        let reply = browser.submit(&form.clone().fill("csrf_token", wrong)).await.expect(403);
        assert!(browser.session().is_none() && !reply.forms().is_empty(), "{reply:?}");
    }
    browser.submit(&form.clone().without("csrf_token")).await.expect(403);
    let mut without_cookie = target.user_agent();
    without_cookie.submit(&form).await.expect(403);
    assert!(without_cookie.session().is_none());
    browser.submit(&form).await.expect(303);
}

/// A POST ends the session, on the server too; a link or another site's form does not.
pub async fn logging_out_needs_the_form_and_ends_the_session(target: &Target) {
    let (person, other) = (target.person().await, target.person().await);
    let app = target.confidential().await;
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let mut foreign = target.user_agent();
    foreign.log_in(&other).await;
    let path = format!("{}/logout", target.issuer_path());
    let form = browser.get(&path).await.expect(200).form();
    let foreign_form = foreign.get(&path).await.expect(200).form();
    for wrong in [foreign_form.value("csrf_token"), "x", "ü"] {
        browser.submit(&form.clone().fill("csrf_token", wrong)).await.expect_error_page(403, "invalid_request");
    }
    browser.submit(&form.clone().without("csrf_token")).await.expect_error_page(400, "invalid_request");
    browser.get(&login_path(target)).await.expect(303);
    let cookie = browser.session().expect("still logged in").1.to_owned();
    browser.submit(&form).await.expect(200);
    assert!(browser.session().is_none(), "the cookie is removed");
    browser.set_cookie("authly_session", &cookie);
    browser.get(&login_path(target)).await.expect(200);
    let page = browser.authorize(&app.ask()).await.page();
    assert!(page.url.path().ends_with("/login"), "{}", page.url);
    foreign.get(&login_path(target)).await.expect(303);
    // Whoever has no session is told that it is over.
    target.user_agent().get(&path).await.expect(200);
    let form = Form { action: path, method: "post".to_owned(), fields: vec![], buttons: vec![] };
    target.user_agent().submit(&form).await.expect(200);
}

/// No open redirect: `return_to` leads to a page of this server.
pub async fn return_to_never_leads_to_another_site(target: &Target) {
    let person = target.person().await;
    let base = target.issuer_path();
    for evil in [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example/",
        "/\n/evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example",
        "@evil.example",
        "https:evil.example",
        "/%5Cevil.example/..//evil.example/",
        " //evil.example",
    ] {
        let mut browser = target.user_agent();
        let url = format!("{base}/login?{}", crate::http::encode([("return_to", evil)]));
        let form = browser.get(&url).await.expect(200).form();
        let reply = browser.submit(&fill(form, &person)).await.expect(303);
        let location = reply.location();
        assert!(location.as_str().starts_with(&format!("{}/", target.base())), "{evil:?} leads to {location}");
        assert!(!reply.header("location").is_some_and(|it| it.starts_with("//")), "{evil:?}");
        // Logged in already: the same.
        let location = browser.get(&url).await.expect(303).location();
        assert!(location.as_str().starts_with(&format!("{}/", target.base())), "{evil:?} leads to {location}");
    }
    let mut browser = target.user_agent();
    let url = format!("{base}/login?{}", crate::http::encode([("return_to", format!("{base}/logout?a=b"))]));
    let form = browser.get(&url).await.expect(200).form();
    let location = browser.submit(&fill(form, &person)).await.expect(303).location();
    assert_eq!(location.as_str(), target.url("/logout?a=b"));
}

/// A login lasts for as long as it says, and no longer than the account.
pub async fn a_session_ends_with_its_time_and_with_the_account(target: &Target) {
    let (one, other) = (target.person().await, target.person().await);
    for person in [&one, &other] {
        let mut browser = target.user_agent();
        browser.log_in(person).await;
        browser.get(&login_path(target)).await.expect(303);
        if person.id == one.id {
            target.expire_sessions(person).await;
        } else {
            target.deactivate_person(person).await;
        }
        browser.get(&login_path(target)).await.expect(200);
        let app = target.confidential().await;
        let page = browser.authorize(&app.ask()).await.page();
        assert!(page.url.path().ends_with("/login"), "{}", page.url);
    }
}

/// Pages are nobody's to keep, and have no script.
pub async fn pages_are_not_kept_and_have_no_script(target: &Target) {
    let app = target.public().await;
    let mut browser = target.user_agent();
    let base = target.issuer_path();
    let login = browser.get(&login_path(target)).await.expect(200);
    browser.log_in(&target.person().await).await;
    let consent = browser.get(&format!("{base}{}", app.ask().path())).await.expect(200);
    let logout = browser.get(&format!("{base}/logout")).await.expect(200);
    let home = browser.get(&format!("{base}/")).await.expect(200);
    let error = browser.get(&format!("{base}/authorize")).await.expect(400);
    for page in [login, consent, logout, home, error] {
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.header("cache-control"), Some("no-store"), "{}", page.url);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
        assert!(policy.contains("base-uri 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.text().contains("<script") && !page.text().contains("javascript:"), "{}", page.url);
        assert!(!page.text().contains(" style="), "{}", page.url);
    }
}

/// CSP: the forms that end at a client may lead there, and nowhere else.
pub async fn forms_may_lead_to_the_client_only(target: &Target) {
    let app = target.public().await;
    let mut browser = target.user_agent();
    let login = browser.authorize(&app.ask()).await.page();
    browser.log_in(&target.person().await).await;
    let consent = browser.authorize(&app.ask()).await.page();
    for page in [login, consent] {
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    }
    let policy = target.get("/login").reply().await;
    let policy = policy.header("content-security-policy").expect("a policy");
    assert!(policy.contains("form-action 'self';"), "{policy}");
}
