//! The authorization endpoint: requests, redirects, errors.

use http::Method;

use crate::{
    http::{RequestExt as _, encode, parameters},
    scenarios::expect_denied_at_client,
    target::{App, Ask, Target, redirect_uri, unique},
    user_agent::{Landing, UserAgent},
};

async fn logged_in(target: &Target) -> UserAgent<'_> {
    let person = target.person().await;
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    browser
}

/// Sends the request by POST, as a form.
async fn post(browser: &mut UserAgent<'_>, target: &Target, ask: &Ask) -> Landing {
    let reply = browser.send(target.post("/authorize").form_body(&ask.pairs())).await;
    browser.follow(reply).await
}

/// The person sees an error, and nobody is sent anywhere: neither with a login nor without, by neither method.
async fn expect_page(target: &Target, browser: &mut UserAgent<'_>, ask: &Ask, code: &str) {
    target.get(&ask.path()).reply().await.expect_error_page(400, code);
    browser.get(&format!("{}{}", target.issuer_path(), ask.path())).await.expect_error_page(400, code);
    browser.send(target.post("/authorize").form_body(&ask.pairs())).await.expect_error_page(400, code);
}

/// GET and POST both lead to the consent page, logged in or after the login.
pub async fn requests_by_get_and_by_post_work(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let page = browser.authorize(&app.ask()).await.page();
    assert!(browser.decide(&page, "allow").await.answer().contains_key("code"));
    let ask = app.ask().with("scope", "profile");
    let page = post(&mut browser, target, &ask).await.page();
    assert!(browser.decide(&page, "allow").await.answer().contains_key("code"));

    let mut fresh = target.user_agent();
    let ask = app.ask().with("redirect_uri", &app.redirect_uri);
    let login = post(&mut fresh, target, &ask).await.page();
    let landing = fresh.submit_and_follow(&crate::user_agent::fill(login.form(), &person)).await;
    assert!(landing.answer().contains_key("code"), "the request survives the login");
}

/// RFC 6749 §3.1: parameters must not be sent more than once.
pub async fn a_repeated_parameter_is_invalid_request(target: &Target) {
    let app = target.public().await;
    let mut browser = logged_in(target).await;
    for name in ["response_type", "scope", "code_challenge", "code_challenge_method", "response_mode"] {
        let ask = app.ask();
        let ask = if name == "response_mode" { ask.and(name, "query") } else { ask };
        let value = ask.pairs().iter().find(|(known, _)| *known == name).expect("it is there").1.to_owned();
        let ask = ask.and(name, &value);
        for landing in [browser.authorize(&ask).await, post(&mut browser, target, &ask).await] {
            expect_denied_at_client(target, landing, "invalid_request");
        }
    }
    let ask = app.ask().and("state", "another");
    let answer = browser.authorize(&ask).await.answer();
    assert_eq!(answer["error"], "invalid_request");
    assert!(!answer.contains_key("state"), "nobody can tell which one: {answer:?}");
    for name in ["client_id", "redirect_uri"] {
        let ask = app.ask();
        let value = ask.pairs().iter().find(|(known, _)| *known == name).expect("it is there").1.to_owned();
        expect_page(target, &mut browser, &ask.and(name, &value), "invalid_request").await;
    }
}

/// RFC 6749 §3.1: a parameter without a value is as if it was not sent.
pub async fn an_empty_parameter_is_as_if_absent(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let ask = app.ask().with("scope", "").with("state", "").with("redirect_uri", "").with("resource", "");
    let ask = ask.with("response_mode", "");
    let answer = browser.approve(&ask).await;
    assert!(!answer.contains_key("state"), "{answer:?}");
    let code = crate::target::Code { code: answer["code"].clone(), verifier: ask.verifier.clone() };
    let tokens = target.exchange(&app, &code).await.expect(200);
    assert_eq!(tokens.member("scope"), "profile read", "the defaults");
    let landing = browser.authorize(&app.ask().with("code_challenge", "").with("code_challenge_method", "")).await;
    expect_denied_at_client(target, landing, "invalid_request");
    expect_page(target, &mut browser, &app.ask().with("client_id", ""), "invalid_request").await;
}

/// RFC 6749 §3.1: unrecognized parameters are ignored, repeated or not.
pub async fn unknown_parameters_are_ignored(target: &Target) {
    let app = target.public().await;
    let mut browser = logged_in(target).await;
    let ask = app.ask().and("nonce", "x").and("display", "page").and("display", "popup").and("ünknown", "ü");
    assert!(browser.approve(&ask).await.contains_key("code"));
}

/// RFC 6749 §4.1.2.1.
pub async fn an_unknown_client_is_an_error_page(target: &Target) {
    let (app, inactive) = (target.public().await, target.public().await);
    target.deactivate_app(&inactive).await;
    let mut browser = logged_in(target).await;
    let uuid = app.id.to_string();
    for client_id in ["nobody", &unique(), &inactive.client_id, &uuid, "ü", "'; DROP TABLE clients; --"] {
        expect_page(target, &mut browser, &app.ask().with("client_id", client_id), "invalid_client").await;
    }
    expect_page(target, &mut browser, &app.ask().without("client_id"), "invalid_request").await;
    expect_page(target, &mut browser, &Ask { parameters: vec![], verifier: String::new() }, "invalid_request").await;
}

/// RFC 6749 §4.1.2.1, OAuth 2.1 §2.3.1: no comparison but that of the whole string.
pub async fn an_unregistered_redirect_uri_is_an_error_page(target: &Target) {
    let app = target
        .public_with(|client| client.redirect_uris = vec![redirect_uri("https://app.example/callback?tenant=1")])
        .await;
    let mut browser = logged_in(target).await;
    for other in [
        "https://evil.example/callback?tenant=1",
        "https://app.example/callback",
        "https://app.example/callback?tenant=1&x=2",
        "https://app.example/callback?tenant=10",
        "https://app.example/callback/?tenant=1",
        "https://app.example/callback/../callback?tenant=1",
        "https://app.example:443/callback?tenant=1",
        "https://APP.example/callback?tenant=1",
        "HTTPS://app.example/callback?tenant=1",
        "https://app.example/callback%3Ftenant=1",
        "https://user@app.example/callback?tenant=1",
        "https://app.example.evil.example/callback?tenant=1",
        "http://app.example/callback?tenant=1",
        "//app.example/callback?tenant=1",
        "/callback",
        "callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.example/callback?tenant=1\r\nx: y",
        "https://app.example/callback?tenant=1 ",
    ] {
        expect_page(target, &mut browser, &app.ask().with("redirect_uri", other), "invalid_request").await;
    }
    assert!(browser.authorize(&app.ask()).await.page().status == 200, "the registered one works");
}

/// OAuth 2.1 §2.3.1: no fragment.
pub async fn a_redirect_uri_with_a_fragment_is_an_error_page(target: &Target) {
    let app = target.public().await;
    let mut browser = logged_in(target).await;
    for fragment in ["#", "#x", "#access_token=1"] {
        let ask = app.ask().with("redirect_uri", &format!("{}{fragment}", app.redirect_uri));
        expect_page(target, &mut browser, &ask, "invalid_request").await;
    }
}

/// OAuth 2.1 §4.1.1: it may be left out only if exactly one is registered.
pub async fn redirect_uri_may_be_left_out_only_if_one_is_registered(target: &Target) {
    let one = target.public().await;
    let two = target
        .public_with(|client| {
            client.redirect_uris = vec![redirect_uri("https://a.example/"), redirect_uri("https://b.example/")];
        })
        .await;
    let none = target.confidential_with(|client| client.redirect_uris = vec![]).await;
    let mut browser = logged_in(target).await;
    let page = browser.authorize(&one.ask().without("redirect_uri")).await.page();
    let url = browser.decide(&page, "allow").await.client();
    assert!(url.as_str().starts_with(&one.redirect_uri), "{url}");
    for app in [&two, &none] {
        expect_page(target, &mut browser, &app.ask().without("redirect_uri"), "invalid_request").await;
    }
    let url = browser.authorize(&two.ask().with("redirect_uri", "https://b.example/")).await.page();
    let url = browser.decide(&url, "allow").await.client();
    assert!(url.as_str().starts_with("https://b.example/?code="), "{url}");
}

/// RFC 8252 §7.3, OAuth 2.1 §8.4.2: the port, and only on loopback IP literals.
pub async fn only_the_port_of_a_loopback_literal_may_differ(target: &Target) {
    let registered = ["http://127.0.0.1/cb", "http://[::1]:1234/cb?x=1", "http://localhost:3000/cb"];
    let app = target
        .public_with(|client| client.redirect_uris = registered.iter().map(|uri| redirect_uri(uri)).collect())
        .await;
    let mut browser = logged_in(target).await;
    for asked in [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:49152/cb",
        "http://[::1]:49152/cb?x=1",
        "http://[::1]/cb?x=1",
        "http://localhost:3000/cb",
    ] {
        let page = browser.authorize(&app.ask().with("redirect_uri", asked)).await.page();
        let url = browser.decide(&page, "allow").await.client();
        let separator = if asked.contains('?') { '&' } else { '?' };
        assert!(url.as_str().starts_with(&format!("{asked}{separator}code=")), "{url} for {asked}");
    }
    for asked in [
        "http://localhost:3001/cb",
        "http://localhost/cb",
        "http://127.0.0.1:49152/other",
        "http://127.0.0.1:49152/cb?x=1",
        "http://127.0.0.2:49152/cb",
        "https://127.0.0.1:49152/cb",
        "http://127.0.0.1:49152@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://[::1]:49152/cb",
        "http://[::2]:49152/cb?x=1",
        "http://2130706433/cb",
    ] {
        expect_page(target, &mut browser, &app.ask().with("redirect_uri", asked), "invalid_request").await;
    }
}

/// RFC 8252 §7.1: a private-use scheme is a reversed domain name; nothing else than http(s) comes without a dot.
pub async fn private_use_schemes_work_and_contain_a_dot(target: &Target) {
    for bad in ["myapp:/cb", "myapp://cb", "javascript:alert(1)", "urn:x"] {
        assert!(authly_core::model::RedirectUri::parse(bad).is_err(), "{bad} can be registered");
    }
    let app = target.public_with(|client| client.redirect_uris = vec![redirect_uri("com.example.app:/callback")]).await;
    let mut browser = logged_in(target).await;
    let page = browser.authorize(&app.ask()).await.page();
    let url = browser.decide(&page, "allow").await.client();
    assert!(url.as_str().starts_with("com.example.app:/callback?code="), "{url}");
    expect_page(target, &mut browser, &app.ask().with("redirect_uri", "myapp:/callback"), "invalid_request").await;
}

/// RFC 6749 §4.1.2.1, RFC 9207 §2: `error`, `state` as received, `iss`, and no code.
pub async fn every_other_error_goes_back_by_redirect_with_state_and_iss(target: &Target) {
    let app = target.public().await;
    let no_code = target
        .confidential_with(|client| {
            client.grant_types = [authly_core::model::GrantType::ClientCredentials].into();
        })
        .await;
    let mut browser = logged_in(target).await;
    for (ask, error) in [
        (app.ask().without("response_type"), "invalid_request"),
        (app.ask().with("response_type", "nonsense"), "unsupported_response_type"),
        (app.ask().with("response_mode", "fragment"), "invalid_request"),
        (app.ask().with("scope", "admin"), "invalid_scope"),
        (app.ask().with("scope", "read  write"), "invalid_scope"),
        (app.ask().with("scope", "no-such-scope"), "invalid_scope"),
        (app.ask().with("scope", "\"quoted\""), "invalid_scope"),
        (app.ask().with("scope", "ü"), "invalid_scope"),
        (app.ask().with("resource", "https://unknown.example/"), "invalid_target"),
        (app.ask().with("resource", "not a uri"), "invalid_target"),
        (app.ask().with("resource", "https://api.example/#fragment"), "invalid_target"),
        (app.ask().without("code_challenge").without("code_challenge_method"), "invalid_request"),
        (no_code.ask(), "unauthorized_client"),
    ] {
        for landing in [browser.authorize(&ask).await, post(&mut browser, target, &ask).await] {
            expect_denied_at_client(target, landing, error);
        }
    }
}

/// RFC 6749 §4.1.2, RFC 9207 §2; a query that the redirect URI already has stays.
pub async fn success_carries_code_state_and_iss(target: &Target) {
    let app = target
        .public_with(|client| client.redirect_uris = vec![redirect_uri("https://app.example/cb?tenant=a%20b")])
        .await;
    let mut browser = logged_in(target).await;
    for state in ["plain", "a+b c&d=e#f%20\"'<>\\ü€\u{1F600}", " ", "\r\nSet-Cookie: x=y", &"long".repeat(500)] {
        let ask = app.ask().with("state", state);
        let answer = browser.approve(&ask).await;
        let names: Vec<_> = answer.keys().map(String::as_str).collect();
        assert_eq!(names, ["code", "iss", "state", "tenant"]);
        assert_eq!(answer["state"], state);
        assert_eq!(answer["iss"], target.issuer());
        assert_eq!(answer["tenant"], "a b");
        assert!(answer["code"].len() >= 43, "it cannot be guessed");
    }
    let answer = browser.approve(&app.ask().without("state")).await;
    assert!(!answer.contains_key("state"), "none was sent: {answer:?}");
}

/// OAuth 2.1 §10.1: the implicit grant and its kin do not exist.
pub async fn only_response_type_code_exists(target: &Target) {
    let app = target.confidential().await;
    let mut browser = logged_in(target).await;
    for response_type in ["token", "id_token", "code token", "code id_token", "none", "CODE", "code "] {
        let landing = browser.authorize(&app.ask().with("response_type", response_type)).await;
        let url = landing.clone().client();
        assert!(url.fragment().is_none() && !url.as_str().contains("access_token"), "{url}");
        expect_denied_at_client(target, landing, "unsupported_response_type");
    }
}

/// RFC 7636 §4.3, OAuth 2.1 §4.1.1 and §7.5.2.
pub async fn code_challenge_is_required_and_s256(target: &Target) {
    for app in [target.public().await, target.confidential().await] {
        let mut browser = logged_in(target).await;
        let challenge = app.ask().pairs().iter().find(|(name, _)| *name == "code_challenge").map(|it| it.1.to_owned());
        let challenge = challenge.expect("it is there");
        for ask in [
            app.ask().without("code_challenge").without("code_challenge_method"),
            app.ask().without("code_challenge"),
            app.ask().without("code_challenge_method"),
            app.ask().with("code_challenge_method", "plain"),
            app.ask().with("code_challenge_method", "s256"),
            app.ask().with("code_challenge_method", "S512"),
            app.ask().with("code_challenge", &challenge[..42]),
            app.ask().with("code_challenge", &format!("{challenge}A")),
            app.ask().with("code_challenge", &format!("{challenge}=")),
            app.ask().with("code_challenge", &format!("+{}", &challenge[1..])),
            app.ask().with("code_challenge", &format!("/{}", &challenge[1..])),
            app.ask().with("code_challenge", &format!(" {}", &challenge[1..])),
            app.ask().with("code_challenge", &"é".repeat(43)),
            // The last of 43 characters carries four bits: the others are zero.
            app.ask().with("code_challenge", &"B".repeat(43)),
        ] {
            let landing = browser.authorize(&ask).await;
            expect_denied_at_client(target, landing, "invalid_request");
        }
    }
}

/// OAuth 2.1 §3.1: no script of another origin has any business here.
pub async fn there_is_no_cors(target: &Target) {
    let app = target.public().await;
    for origin in ["https://app.example", "null", target.base()] {
        let reply = target.get(&app.ask().path()).header("origin", origin).reply().await;
        assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{reply:?}");
        let preflight = target
            .request(Method::OPTIONS, "/authorize")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .reply()
            .await
            .expect(405);
        assert!(!preflight.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{preflight:?}");
    }
}

/// OAuth 2.1 §7.6.
pub async fn every_page_forbids_framing(target: &Target) {
    let app = target.public().await;
    let mut browser = logged_in(target).await;
    let path = target.issuer_path();
    let mut replies = vec![
        target.get("/login").reply().await.expect(200),
        target.get(&app.ask().path()).reply().await.expect(303),
        target.get("/authorize").reply().await.expect(400),
        target.get("/no-such-page").header("accept", "text/html").reply().await.expect(404),
        target.get("/").reply().await.expect(200),
    ];
    replies.push(browser.get(&format!("{path}{}", app.ask().path())).await.expect(200));
    replies.push(browser.get(&format!("{path}/logout")).await.expect(200));
    for reply in replies {
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{}", reply.url);
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy} at {}", reply.url);
        assert!(!policy.contains("script-src") && policy.contains("default-src 'none'"), "{policy}");
    }
}

/// OAuth 2.1 §7.5.3: 303 after POST, and nowhere 307.
pub async fn redirects_are_303(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let mut browser = target.user_agent();
    let path = format!("{}{}", target.issuer_path(), app.ask().path());
    let to_login = browser.get(&path).await.expect(303);
    browser.send(target.post("/authorize").form_body(&app.ask().pairs())).await.expect(303);
    let login = browser.get(to_login.location().as_str()).await.expect(200).form();
    browser.submit(&crate::user_agent::fill(login, &person)).await.expect(303);
    let consent = browser.get(&path).await.expect(200).form();
    browser.submit(&consent.clone().fill("decision", "deny")).await.expect(303);
    browser.submit(&consent.fill("decision", "allow")).await.expect(303);
    browser.get(&path).await.expect(303);
    browser.send(target.post("/authorize").form_body(&app.ask().pairs())).await.expect(303);
    browser.get(&format!("{}/login", target.issuer_path())).await.expect(303);
}

/// RFC 9700 §4.11.2: an attacker's client cannot use this server to send people on.
pub async fn the_person_is_authenticated_before_any_redirect_to_the_client(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    for (ask, error) in [
        (app.ask().with("scope", "nonsense"), "invalid_scope"),
        (app.ask().with("response_type", "token"), "unsupported_response_type"),
        (app.ask().without("code_challenge"), "invalid_request"),
    ] {
        let mut browser = target.user_agent();
        let page = browser.authorize(&ask).await.page().expect(200);
        assert!(page.url.path().ends_with("/login"), "{}", page.url);
        let landing = browser.submit_and_follow(&crate::user_agent::fill(page.form(), &person)).await;
        expect_denied_at_client(target, landing, error);
    }
}

/// A client that was registered for narrow scopes gets no others, whatever the person may do; `admin` comes only from
/// administrators.
pub async fn scopes_are_limited_to_client_and_person(target: &Target) {
    let app = target.confidential_with(|client| client.scopes = crate::http::scope_set("admin read")).await;
    for (person, granted) in [(target.person().await, "read"), (target.admin().await, "admin read")] {
        let code = target.code_for(&app.ask().with("scope", "admin read"), &person).await;
        let reply = target.exchange(&app, &code).await.expect(200);
        assert_eq!(reply.member("scope"), granted);
    }
    let mut browser = logged_in(target).await;
    expect_denied_at_client(target, browser.authorize(&app.ask().with("scope", "write")).await, "invalid_scope");
}

/// The query and the form are kept apart: what belongs to one is not read from the other.
pub async fn a_post_reads_its_form_only(target: &Target) {
    let app = target.public().await;
    let mut browser = logged_in(target).await;
    let ask = app.ask();
    let path = format!("/authorize?{}", encode([("client_id", app.client_id.as_str())]));
    browser.send(target.post(&path).form_body(&ask.clone().without("client_id").pairs())).await.expect(400);
    browser.send(target.post(&ask.path()).form_body(&[])).await.expect(400);
    browser.send(target.post("/authorize").typed_body("application/json", "{}")).await.expect(415);
}

/// Two requests get two codes, and neither is part of the other.
pub async fn every_code_is_new(target: &Target) {
    let app: App = target.confidential().await;
    let mut browser = logged_in(target).await;
    let mut codes = std::collections::BTreeSet::new();
    for _ in 0..5 {
        let url = match browser.authorize(&app.ask()).await {
            Landing::Client(url) => url,
            Landing::Page(page) => browser.decide(&page, "allow").await.client(),
        };
        assert!(codes.insert(parameters(&url)["code"].clone()));
    }
}
