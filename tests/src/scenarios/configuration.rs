//! Scenarios that need settings of their own. Each starts a server with these variables.

use authly_core::model::SessionToken;
use authly_native::host::OsEntropy;
use cookie::Cookie;
use http::{Method, header};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    http::{RequestExt as _, encode, names},
    scenarios::{
        accounts::{forgotten, path, register, stranger},
        expect_denied_at_client,
        metadata::well_known,
    },
    server::JWT_SECRET_KEY,
    target::{Code, Host, Target, Tokens, new_verifier, redirect_uri},
    user_agent::fill,
};

const CREDENTIALS: (&str, &str) = ("grant_type", "client_credentials");

/// The whole way of a person and of a client, wherever the server thinks it is.
async fn expect_everything_works(target: &Target, algorithm: &str) {
    let (app, person) = (target.public().await, target.person().await);
    let ask = app.ask();
    let mut browser = target.user_agent();
    let login = browser.authorize(&ask).await.page().expect(200).form();
    let consent = browser.submit_and_follow(&fill(login, &person)).await.page().expect(200);
    let answer = browser.decide(&consent, "allow").await.answer();
    assert_eq!(answer["iss"], target.issuer());
    let code = Code { code: answer["code"].clone(), verifier: ask.verifier };
    let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
    let token = target.verify(&tokens.access, target.issuer()).await;
    assert_eq!((&token.header["alg"], &token.header["typ"]), (&json!(algorithm), &json!("at+jwt")));
    assert_eq!(token.claims["iss"], target.issuer());
    let next = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
    assert!(target.is_active(&next.access).await);
    target.get("/api/v1/users/me").bearer_auth(&next.access).reply().await.expect(200);
    target.revoke(&app, &next.refresh).await.expect(200);
    assert!(!target.is_active(&next.access).await);
    target.get("/api/v1/users/me").bearer_auth(&next.access).reply().await.expect(401);
    browser.get(&format!("{}/logout", target.issuer_path())).await.expect(200);
}

async fn document(target: &Target) -> Value {
    target.request_url(Method::GET, &well_known(target)).reply().await.expect(200).json()
}

/// RFC 8037: `JWT_ALGORITHM=EdDSA`.
pub async fn eddsa_tokens_verify_with_the_published_key<H: Host>() {
    let target = H::start(&[("JWT_ALGORITHM", "EdDSA")]).await;
    expect_everything_works(&target, "EdDSA").await;
    let jwks = target.get("/.well-known/jwks.json").reply().await.expect(200).json();
    assert_eq!((&jwks["keys"][0]["kty"], &jwks["keys"][0]["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(jwks["keys"][0].get("d").is_none(), "{jwks}");
}

/// RFC 7518 §3.3: `JWT_ALGORITHM=RS256`.
pub async fn rs256_tokens_verify_with_the_published_key<H: Host>() {
    let target = H::start(&[("JWT_ALGORITHM", "RS256")]).await;
    expect_everything_works(&target, "RS256").await;
    let jwks = target.get("/.well-known/jwks.json").reply().await.expect(200).json();
    assert_eq!(names(&jwks["keys"][0]), ["alg", "e", "kid", "kty", "n", "use"], "nothing private");
}

/// RFC 7518 §3.2: `JWT_ALGORITHM=HS256` has no key to publish; whoever knows the secret can sign, so the type and the
/// issuer of a token count all the more (RFC 8725 §3.11).
pub async fn hs256_tokens_verify_with_the_secret_and_there_is_no_jwks<H: Host>() {
    let target = H::start(&[("JWT_ALGORITHM", "HS256")]).await;
    expect_everything_works(&target, "HS256").await;
    assert!(document(&target).await.get("jwks_uri").is_none());
    assert_eq!(target.get("/.well-known/jwks.json").reply().await.expect(200).json(), json!({ "keys": [] }));

    let app = target.confidential().await;
    let person = target.person().await;
    let tokens = target.tokens(&app, &person).await;
    let genuine = jsonwebtoken::decode_header(&tokens.access).expect("a JWT");
    let claims = target.verify(&tokens.access, target.issuer()).await.claims;
    let sign = |change: &dyn Fn(&mut Header, &mut Value)| {
        let (mut header, mut claims) = (genuine.clone(), claims.clone());
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(JWT_SECRET_KEY.as_bytes())).expect("a JWT")
    };
    assert_eq!(target.introspect(&app, &sign(&|_, _| {})).await["active"], true, "the signature itself is right");
    let hour_ago = chrono::Utc::now().timestamp() - 3600;
    for forged in [
        sign(&|header, _| header.typ = Some("JWT".to_owned())),
        sign(&|header, _| header.typ = None),
        sign(&|header, _| header.kid = None),
        sign(&|_, claims| claims["iss"] = json!("https://other.example")),
        sign(&|_, claims| claims["exp"] = json!(hour_ago)),
        sign(&|_, claims| _ = claims.as_object_mut().expect("an object").remove("exp")),
        sign(&|_, claims| claims["client_id"] = json!("nobody")),
        sign(&|_, claims| claims["grant_id"] = json!("01933b7e-0000-7000-8000-000000000000")),
    ] {
        assert_eq!(target.introspect(&app, &forged).await, json!({ "active": false }), "{forged}");
        target.get("/api/v1/users/me").bearer_auth(&forged).reply().await.expect_error(401, "invalid_token");
    }
    // Meant for somebody else: good, but not here.
    let foreign = sign(&|_, claims| claims["aud"] = json!("https://api.example/"));
    target.get("/api/v1/users/me").bearer_auth(&foreign).reply().await.expect_error(401, "invalid_token");
}

/// RFC 8414 §3.1: the well-known path goes before the issuer's; everything else is below it.
pub async fn an_issuer_with_a_path_is_served_at_the_location_of_rfc_8414<H: Host>() {
    let target = H::start(&[("ISSUER_URL", "{base}/tenants/one")]).await;
    expect_everything_works(&target, "ES256").await;
    let issuer = target.issuer().to_owned();
    let document = document(&target).await;
    assert_eq!(document["issuer"], issuer);
    for name in
        ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "introspection_endpoint", "jwks_uri"]
    {
        let url = document[name].as_str().expect("a URL");
        assert!(url.starts_with(&format!("{issuer}/")), "{url}");
        let reply = target.request_url(Method::GET, url).reply().await;
        assert!(reply.status != 404, "{url}: {reply:?}");
    }
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/tenants",
        "/.well-known/oauth-authorization-server/tenants/one/",
        "/authorize",
        "/auth/token",
        "/login",
        "/tenants/oneauthorize",
        "/tenants/one/tenants/one/login",
    ] {
        let url = format!("{}{path}", target.base());
        target.request_url(Method::GET, &url).reply().await.expect(404);
    }
    // Probes know nothing of issuers.
    for path in ["/health", "/health/live", "/health/ready"] {
        target.request_url(Method::GET, &format!("{}{path}", target.base())).reply().await.expect(200);
        target.get(path).reply().await.expect(200);
    }
}

/// RFC 6265bis §4.1.3.2, RFC 6797: behind TLS, cookies and browsers are told so. The issuer is what was configured,
/// whatever the request says about itself.
pub async fn an_https_issuer_has_host_cookies_and_hsts<H: Host>() {
    let target = H::start(&[("ISSUER_URL", "https://auth.example")]).await;
    expect_everything_works(&target, "ES256").await;
    let page = target
        .get("/login")
        .header("host", "auth.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example;proto=http")
        .reply()
        .await
        .expect(200);
    assert!(page.header("strict-transport-security").is_some_and(|it| it.contains("max-age=31536000")));
    assert!(!page.text().contains("evil.example"));
    let person = target.person().await;
    let mut browser = target.user_agent();
    let form = browser.login_form().await;
    assert!(browser.cookies().contains_key("__Host-authly_browser"));
    browser.set_cookie("authly_session", SessionToken::generate(&OsEntropy).expose());
    let reply = browser.submit(&fill(form, &person)).await.expect(303);
    let cookies = reply.header_values("set-cookie");
    let cookies: Vec<_> = cookies.into_iter().map(|it| Cookie::parse(it).expect("a cookie")).collect();
    let session = cookies.iter().find(|cookie| cookie.name() == "__Host-authly_session").expect("a session");
    assert_eq!((session.secure(), session.http_only(), session.path()), (Some(true), Some(true), Some("/")));
    assert_eq!(session.domain(), None);
    assert_eq!(document(&target).await["issuer"], "https://auth.example");
}

/// `PKCE_REQUIRED=false` is for confidential clients that bring their own protection: never for public ones, and a
/// verifier belongs to a challenge, always (RFC 9700 §2.1.1: no downgrade).
pub async fn without_pkce_a_verifier_is_required_iff_a_challenge_was_sent<H: Host>() {
    let target = H::start(&[("PKCE_REQUIRED", "false")]).await;
    let person = target.person().await;
    let lenient = target.confidential_with(|client| client.require_pkce = false).await;
    let strict = target.confidential_with(|client| client.require_pkce = true).await;
    let public = target.public_with(|client| client.require_pkce = false).await;
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    for app in [&strict, &public] {
        let ask = app.ask().without("code_challenge").without("code_challenge_method");
        expect_denied_at_client(&target, browser.authorize(&ask).await, "invalid_request");
    }
    let ask = lenient.ask().without("code_challenge").without("code_challenge_method");
    let code = browser.code(&ask).await;
    let without = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let verifier = new_verifier();
    let with = [without.as_slice(), &[("code_verifier", &verifier)]].concat();
    target.token(&lenient, &with).await.expect_error(400, "invalid_grant");
    target.token(&lenient, &without).await.expect(200);
    // Sent all the same, it counts.
    let ask = lenient.ask();
    let code = Code { code: browser.code(&ask).await, verifier: ask.verifier };
    let without = [("grant_type", "authorization_code"), ("code", code.code.as_str())];
    target.token(&lenient, &without).await.expect_error(400, "invalid_grant");
    target.exchange(&lenient, &code).await.expect(200);
    for ask in [
        lenient.ask().without("code_challenge"),
        lenient.ask().without("code_challenge_method"),
        lenient.ask().with("code_challenge_method", "plain"),
    ] {
        expect_denied_at_client(&target, browser.authorize(&ask).await, "invalid_request");
    }
}

/// `REQUIRE_USER_CONSENT=false`: but nobody's loopback port is trusted (RFC 8252 §8.6).
pub async fn without_consent_public_loopback_clients_are_asked_for_all_the_same<H: Host>() {
    let target = H::start(&[("REQUIRE_USER_CONSENT", "false")]).await;
    let mut browser = target.user_agent();
    browser.log_in(&target.person().await).await;
    for app in [target.confidential().await, target.public().await] {
        assert!(browser.authorize(&app.ask()).await.answer().contains_key("code"));
    }
    for uri in ["http://127.0.0.1/cb", "com.example.app:/cb"] {
        let app = target.public_with(|client| client.redirect_uris = vec![redirect_uri(uri)]).await;
        assert_eq!(browser.authorize(&app.ask()).await.page().status, 200, "{uri}");
    }
}

/// Fetch §3.2: the origins that were configured, for programs' endpoints, and never for what a person sees.
pub async fn cors_is_for_configured_origins_and_never_for_pages<H: Host>() {
    let target = H::start(&[("CORS_ORIGINS", "https://app.example,http://localhost:3000")]).await;
    let app = target.confidential().await;
    let is_cors =
        |reply: &crate::http::Reply| reply.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
    for origin in ["https://app.example", "http://localhost:3000"] {
        for path in ["/auth/token", "/auth/refresh", "/auth/revoke", "/api/v1/users/me"] {
            let preflight = target
                .request(Method::OPTIONS, path)
                .header(header::ORIGIN, origin)
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
                .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization")
                .reply()
                .await
                .expect(204);
            assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
            assert!(preflight.header("access-control-allow-headers").is_some_and(|it| it.contains("authorization")));
            assert_eq!(preflight.header("access-control-allow-credentials"), None, "cookies stay out of it");
            assert_eq!(preflight.header("vary"), Some("origin"));
        }
        let request = target.client_request(&app, "/auth/token", &[CREDENTIALS]).header(header::ORIGIN, origin);
        let reply = request.reply().await.expect(200);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        let request = target.client_request(&app, "/auth/token", &[]).header(header::ORIGIN, origin);
        let reply = request.reply().await.expect_error(400, "invalid_request");
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "errors can be read as well");
        for path in ["/authorize", "/consent", "/login", "/logout", "/", "/auth/introspect", "/health"] {
            let reply = target.request(Method::OPTIONS, path).header(header::ORIGIN, origin).reply().await;
            assert!(reply.status == 405 && !is_cors(&reply), "{path}: {reply:?}");
            let reply = target.get(path).header(header::ORIGIN, origin).reply().await;
            assert!(!is_cors(&reply), "{path}: {reply:?}");
        }
    }
    for origin in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null", "*"] {
        let request = target.client_request(&app, "/auth/token", &[CREDENTIALS]).header(header::ORIGIN, origin);
        let reply = request.reply().await.expect(200);
        assert!(!is_cors(&reply), "{origin}: {reply:?}");
        assert_eq!(reply.header("vary"), Some("origin"), "no cache mixes the two up");
    }
}

/// `ALLOWED_HOSTS`: a name that was not configured is nobody's business here (RFC 9110 §7.4).
pub async fn only_allowed_hosts_are_answered<H: Host>() {
    let target = H::start(&[("ISSUER_URL", "https://auth.example"), ("ALLOWED_HOSTS", "api.example,127.0.0.1")]).await;
    for host in ["auth.example", "AUTH.EXAMPLE:443", "api.example", "127.0.0.1"] {
        target.get("/login").header(header::HOST, host).reply().await.expect(200);
    }
    for host in ["evil.example", "auth.example.evil.example", "localhost", "auth.example@evil.example", "x:y:z"] {
        for path in ["/login", "/.well-known/oauth-authorization-server", "/auth/token", "/nope"] {
            let Some(reply) = target.reply_to_malformed(target.get(path).header(header::HOST, host)).await else {
                assert_eq!(host, "x:y:z");
                continue;
            };
            assert!((400..500).contains(&reply.status) && !reply.text().contains("evil"), "{host}: {reply:?}");
            assert!(reply.header("location").is_none());
        }
        if let Some(reply) = target.reply_to_malformed(target.get("/health/ready").header(header::HOST, host)).await {
            reply.expect(200);
        }
    }
}

/// `OAUTH_ENABLED=false`: the pages and the probes stay, the protocol is gone, and nothing is advertised.
pub async fn with_oauth_disabled_its_endpoints_are_not_there<H: Host>() {
    let target = H::start(&[("OAUTH_ENABLED", "false")]).await;
    for path in [
        "/authorize",
        "/consent",
        "/auth/token",
        "/auth/refresh",
        "/auth/revoke",
        "/auth/introspect",
        "/.well-known/oauth-authorization-server",
    ] {
        for method in [Method::GET, Method::POST] {
            target.request(method, path).reply().await.expect(404);
        }
    }
    target.user_agent().log_in(&target.person().await).await;
    target.get("/health/ready").reply().await.expect(200);
}

/// Lifetimes that were configured are those of tokens, codes and cookies.
pub async fn configured_lifetimes_are_kept<H: Host>() {
    let target = H::start(&[
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "1"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "2"),
        ("GRANT_EXPIRE_DAYS", "1"),
        ("SESSION_EXPIRE_HOURS", "1"),
    ])
    .await;
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let reply = target.exchange(&app, &code).await.expect(200);
    assert_eq!(reply.json()["expires_in"], 60);
    let claims = target.verify(&reply.member("access_token"), target.issuer()).await.claims;
    let second = |value: &Value| value.as_i64().expect("whole seconds");
    assert_eq!(second(&claims["exp"]) - second(&claims["iat"]), 60);
    let seen = target.introspect(&app, &reply.member("refresh_token")).await;
    let left = second(&seen["exp"]) - second(&seen["iat"]);
    assert!(left <= 24 * 3600, "never beyond the grant: {left}");
    let mut browser = target.user_agent();
    let form = browser.login_form().await;
    let reply = browser.submit(&fill(form, &person)).await.expect(303);
    assert!(
        reply
            .header_values("set-cookie")
            .iter()
            .any(|it| it.contains("authly_session=") && it.contains("Max-Age=3600"))
    );
}

/// `REFRESH_TOKEN_RETRY_SECONDS=0`: without a grace, the second use is a replay at once.
pub async fn without_a_grace_every_second_use_kills_the_grant<H: Host>() {
    let target = H::start(&[("REFRESH_TOKEN_RETRY_SECONDS", "0")]).await;
    let (app, person) = (target.public().await, target.person().await);
    let first = target.tokens(&app, &person).await;
    let second = Tokens::of(&target.refresh(&app, &first.refresh).await.expect(200));
    target.refresh(&app, &first.refresh).await.expect_error(400, "invalid_grant");
    target.refresh(&app, &second.refresh).await.expect_error(400, "invalid_grant");
    assert!(!target.is_active(&second.access).await);
}

/// RFC 8707: whom a token is for is asked for at the authorization endpoint, narrowed at the token endpoint, and
/// shown by the token itself.
pub async fn resources_become_the_audience<H: Host>() {
    let (api, files) = ("https://api.example/v1", "urn:example:files");
    let target =
        H::start(&[("RESOURCES", "https://api.example/v1,urn:example:files"), ("AUDIENCE", "urn:example:default")])
            .await;
    let (app, person) = (target.confidential().await, target.person().await);
    let audience = async |reply: &crate::http::Reply, expected: &str| {
        target.verify(&reply.member("access_token"), expected).await.claims["aud"].clone()
    };

    // Without any: the configured default.
    let code = target.code(&app, &person).await;
    let reply = target.exchange(&app, &code).await.expect(200);
    assert_eq!(audience(&reply, "urn:example:default").await, "urn:example:default");
    target.get("/api/v1/users/me").bearer_auth(reply.member("access_token")).reply().await.expect(200);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", &reply.member("refresh_token"))];
    let foreign = [refresh.as_slice(), &[("resource", api)]].concat();
    target.token(&app, &foreign).await.expect_error(400, "invalid_target");

    // One, and several: a parameter that may be repeated.
    let code = target.code_for(&app.ask().and("resource", api), &person).await;
    let reply = target.exchange(&app, &code).await.expect(200);
    assert_eq!(audience(&reply, api).await, api);
    target
        .get("/api/v1/users/me")
        .bearer_auth(reply.member("access_token"))
        .reply()
        .await
        .expect_error(401, "invalid_token");
    let ask = app.ask().and("resource", api).and("resource", files).and("resource", api);
    let code = target.code_for(&ask, &person).await;
    let narrowed = [code.parameters().as_slice(), &[("resource", files)]].concat();
    let reply = target.token(&app, &narrowed).await.expect(200);
    assert_eq!(audience(&reply, files).await, files);
    let refresh = |token: &str, resource: Option<&'static str>| {
        let mut parameters = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
        parameters.extend(resource.map(|resource| ("resource", resource.to_owned())));
        parameters
    };
    let send = async |parameters: Vec<(&str, String)>| {
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        target.token(&app, &parameters).await
    };
    let reply = send(refresh(&reply.member("refresh_token"), None)).await.expect(200);
    assert_eq!(audience(&reply, api).await, json!([api, files]), "all that was granted");
    let reply = send(refresh(&reply.member("refresh_token"), Some(api))).await.expect(200);
    assert_eq!(audience(&reply, api).await, api);

    // The resource server sees what is meant for it.
    let server = target.confidential_with(|client| client.resources = vec![api.to_owned()]).await;
    assert_eq!(target.introspect(&server, &reply.member("access_token")).await["active"], true);
    let reply = send(refresh(&reply.member("refresh_token"), Some(files))).await.expect(200);
    assert_eq!(target.introspect(&server, &reply.member("access_token")).await, json!({ "active": false }));

    // A client for itself.
    let reply = target.token(&app, &[CREDENTIALS, ("resource", files)]).await.expect(200);
    assert_eq!(audience(&reply, files).await, files);
    for bad in ["https://other.example/", "https://api.example/v1/", "https://api.example/v1#x", "relative"] {
        target.token(&app, &[CREDENTIALS, ("resource", bad)]).await.expect_error(400, "invalid_target");
    }
}

/// A mistake in `resource` must not cost the code: RFC 8707 §2 is no reason to log in again.
pub async fn a_wrong_resource_does_not_use_up_the_code<H: Host>() {
    let target = H::start(&[("RESOURCES", "https://api.example/v1,urn:example:files")]).await;
    let (app, person) = (target.public().await, target.person().await);
    let code = target.code_for(&app.ask().and("resource", "urn:example:files"), &person).await;
    for wrong in ["https://unknown.example/", "https://api.example/v1"] {
        let parameters = [code.parameters().as_slice(), &[("resource", wrong)]].concat();
        target.token(&app, &parameters).await.expect_error(400, "invalid_target");
    }
    let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
    let wrong = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens.refresh.as_str()),
        ("resource", "https://api.example/v1"),
    ];
    target.token(&app, &wrong).await.expect_error(400, "invalid_target");
    target.refresh(&app, &tokens.refresh).await.expect(200);
}

/// `CACHE_TTL=0`: what an operator changes acts on the next request.
pub async fn without_a_cache_a_deactivated_client_is_refused_at_once<H: Host>() {
    let target = H::start(&[("CACHE_TTL", "0")]).await;
    let app = target.confidential().await;
    target.token(&app, &[CREDENTIALS]).await.expect(200);
    target.deactivate_app(&app).await;
    target.token(&app, &[CREDENTIALS]).await.expect_error(401, "invalid_client");
    target.get(&format!("/authorize?{}", encode([("client_id", &app.client_id)]))).reply().await.expect(400);
}

/// A person who opens the issuer's own address finds out what it is.
pub async fn the_front_page_names_the_issuer<H: Host>() {
    let target = H::start(&[("ISSUER_URL", "{base}/id")]).await;
    let page = target.get("/").header("accept", "text/html").reply().await.expect(200);
    assert!(page.text().contains(target.issuer()), "{page:?}");
    target.request_url(Method::GET, &format!("{}/id", target.base())).reply().await.expect(200);
}

/// `REGISTRATION_ENABLED=false`: neither page nor link.
pub async fn registration_can_be_switched_off<H: Host>() {
    let target = H::start(&[("REGISTRATION_ENABLED", "false")]).await;
    let mut browser = target.user_agent();
    browser.get(&path(&target, "/register")).await.expect(404);
    target.request(Method::POST, "/register").form_body(&[("email", "a@b.example")]).reply().await.expect(404);
    assert!(!browser.get(&path(&target, "/login")).await.expect(200).text().contains("/register"));
    forgotten(&target, &mut browser, "nobody@example.com").await.expect(303);
}

/// `EMAIL_VERIFICATION_REQUIRED=false`: an address that is not verified is no obstacle.
pub async fn verification_can_be_optional<H: Host>() {
    let target = H::start(&[("EMAIL_VERIFICATION_REQUIRED", "false")]).await;
    let (person, app) = (stranger(), target.confidential().await);
    register(&target, &mut target.user_agent(), &person).await.expect(303);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    assert!(browser.approve(&app.ask()).await.contains_key("code"));
}
