//! Input that is wrong in form. Raw bytes on the wire are in `tests/malformed.rs`.

use authly_core::{MAX_BODY, router::Endpoint};
use http::{Method, header};

use crate::{
    http::{Reply, RequestExt as _},
    scenarios::metadata::well_known,
    target::Target,
};

const FORM: &str = "application/x-www-form-urlencoded";

/// What was wrong before must not be wrong for the next one.
async fn expect_serving(target: &Target) {
    let app = target.confidential().await;
    target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
}

/// Every endpoint that the default settings have.
fn endpoints() -> impl Iterator<Item = Endpoint> {
    Endpoint::ALL.into_iter().filter(|it| !matches!(it, Endpoint::Demo | Endpoint::DemoCallback))
}

fn url(target: &Target, endpoint: Endpoint) -> String {
    if endpoint == Endpoint::Metadata { well_known(target) } else { target.url(endpoint.path()) }
}

/// RFC 9110 §15.5.6.
pub async fn a_wrong_method_is_405_with_allow(target: &Target) {
    for endpoint in endpoints() {
        let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "QUERY", "get"];
        for method in methods.map(|method| Method::from_bytes(method.as_bytes()).expect("a token")) {
            if endpoint.methods().contains(&method) {
                continue;
            }
            let reply = target.request_url(method.clone(), &url(target, endpoint)).reply().await;
            assert_eq!(reply.status, 405, "{method} {endpoint:?}: {reply:?}");
            assert_eq!(reply.header("allow"), Some(endpoint.allow()), "{method} {endpoint:?}");
        }
    }
}

/// RFC 9110 §9.3.2: the same headers, no body.
pub async fn head_works_where_get_does(target: &Target) {
    for endpoint in endpoints().filter(|endpoint| endpoint.methods().contains(&Method::GET)) {
        let (get, head): (Reply, Reply) = (
            target.request_url(Method::GET, &url(target, endpoint)).reply().await,
            target.request_url(Method::HEAD, &url(target, endpoint)).reply().await,
        );
        assert_eq!(get.status, head.status, "{endpoint:?}");
        assert!(head.body.is_empty(), "{endpoint:?}");
        for name in ["content-type", "content-length", "cache-control", "location", "www-authenticate"] {
            assert_eq!(get.header(name), head.header(name), "{name} of {endpoint:?}");
        }
    }
}

/// RFC 9110 §15.5.16.
pub async fn a_wrong_content_type_is_415(target: &Target) {
    let forms = [
        Endpoint::Authorize,
        Endpoint::Consent,
        Endpoint::Login,
        Endpoint::Logout,
        Endpoint::Token,
        Endpoint::Refresh,
        Endpoint::Revoke,
        Endpoint::Introspect,
    ];
    for endpoint in forms {
        for content_type in ["application/json", "multipart/form-data; boundary=x", "text/plain", "x", "\u{e9}"] {
            let reply = target.post(endpoint.path()).typed_body(content_type, "a=b").reply().await;
            assert_eq!(reply.status, 415, "{content_type} at {endpoint:?}: {reply:?}");
        }
        let reply = target.post(endpoint.path()).reply().await;
        assert_eq!(reply.status, 415, "none at {endpoint:?}: {reply:?}");
    }
}

/// 1 MiB, to the byte.
pub async fn a_body_over_one_mebibyte_is_413(target: &Target) {
    let mut answered = 0;
    for path in ["/auth/token", "/auth/revoke", "/login", "/authorize", "/no-such-page"] {
        for length in [MAX_BODY + 1, 4 * MAX_BODY] {
            // The server may hang up before it has read all of it, once it has answered.
            if let Ok(reply) = target.post(path).typed_body(FORM, "a".repeat(length)).try_reply().await {
                assert_eq!(reply.status, 413, "{length} bytes at {path}: {reply:?}");
                assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()), "{reply:?}");
                assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
                answered += 1;
            }
        }
    }
    assert!(answered > 0, "no client ever sees the answer");
    let full = format!("grant_type={}", "a".repeat(MAX_BODY - "grant_type=".len()));
    target.post("/auth/token").typed_body(FORM, full).reply().await.expect_error(400, "unsupported_grant_type");
    expect_serving(target).await;
}

/// RFC 9110 §15.5.15.
pub async fn a_long_request_target_is_414(target: &Target) {
    let app = target.public().await;
    let reply = target.get(&app.ask().with("state", &"x".repeat(20_000)).path()).reply().await;
    assert_eq!(reply.status, 414, "{reply:?}");
    let reply = target.get(&format!("/{}", "x".repeat(20_000))).reply().await;
    assert_eq!(reply.status, 414, "{reply:?}");
    let reply = target.get(&app.ask().with("state", &"x".repeat(8_000)).path()).reply().await;
    assert_eq!(reply.status, 303, "{reply:?}");
    expect_serving(target).await;
}

/// NUL and bytes that are no UTF-8, encoded or raw, in names and in values, in query and form.
pub async fn nul_and_invalid_utf8_are_400(target: &Target) {
    let app = target.confidential().await;
    for bad in ["a=%00", "%00=a", "a=%FF", "%C3=a", "a=%ED%A0%80", "a=%C0%AF", "client_id=a%00b", "state=%F5%80%80%80"]
    {
        for path in ["/authorize", "/login"] {
            let reply = target.get(&format!("{path}?{bad}")).reply().await;
            assert_eq!(reply.status, 400, "{bad} at {path}: {reply:?}");
        }
        for path in ["/auth/token", "/auth/refresh", "/auth/revoke", "/auth/introspect"] {
            let request = target.post(path).client_basic(&app.client_id, app.secret()).typed_body(FORM, bad);
            request.reply().await.expect_error(400, "invalid_request");
        }
        for path in ["/authorize", "/login", "/consent", "/logout"] {
            target.post(path).typed_body(FORM, bad).reply().await.expect(400);
        }
    }
    for bad in [&b"a=\xFF"[..], b"\xFF\xFE", b"a=\0", b"\0\0\0\0", b"grant_type=\xC3\x28", &[0x80; 1000]] {
        for path in ["/auth/token", "/auth/revoke", "/login", "/authorize"] {
            let reply = target.post(path).typed_body(FORM, bad.to_vec()).reply().await;
            assert_eq!(reply.status, 400, "{bad:?} at {path}: {reply:?}");
        }
    }
    expect_serving(target).await;
}

/// Forms that no browser makes: they are read or refused, and never break anything.
pub async fn odd_forms_never_break_the_server(target: &Target) {
    let ampersands = "&".repeat(100_000);
    let many: String = (0..50_000).map(|index| format!("p{index}=&")).collect();
    for body in [
        "",
        "&",
        "=",
        "&&&&",
        "====",
        "=a",
        "a",
        "%",
        "a=%",
        "a=%4",
        "a=%zz",
        "a=%u0041",
        "+",
        "a;b=c",
        &ampersands,
        &many,
        "[]=1&a[b][c]=2",
        "{\"grant_type\":\"password\"}",
        "<?xml version=\"1.0\"?><!DOCTYPE a SYSTEM \"file:///\">",
    ] {
        for path in ["/auth/token", "/auth/revoke", "/auth/introspect", "/authorize", "/consent", "/login"] {
            let reply = target.post(path).typed_body(FORM, body.to_owned()).reply().await;
            assert!((400..500).contains(&reply.status), "{body:.40} at {path}: {reply:?}");
        }
    }
    expect_serving(target).await;
}

/// A second header of a kind that there is one of: which one counts is a guess, so neither does.
pub async fn duplicate_headers_are_400(target: &Target) {
    let (app, other) = (target.confidential().await, target.confidential().await);
    let form = [("grant_type", "client_credentials")];
    let twice = |second_id: &str, second_secret: &str| {
        let request = target.post("/auth/token").client_basic(&app.client_id, app.secret());
        request.client_basic(second_id, second_secret).form_body(&form)
    };
    twice(&app.client_id, app.secret()).reply().await.expect_error(400, "invalid_request");
    twice(&other.client_id, other.secret()).reply().await.expect_error(400, "invalid_request");
    let request = target.client_request(&app, "/auth/token", &form).header(header::CONTENT_TYPE, FORM);
    request.reply().await.expect_error(400, "invalid_request");
    let request = target.get("/api/v1/users/me").bearer_auth("x").bearer_auth("y");
    request.reply().await.expect_error(400, "invalid_request");
    target.token(&app, &form).await.expect(200);
}

/// Headers that are long, many or binary.
pub async fn odd_headers_are_4xx_at_worst(target: &Target) {
    let binary = http::HeaderValue::from_bytes(b"Basic \xFF\xFE\x80").expect("opaque bytes are legal");
    let form = [("grant_type", "client_credentials")];
    let request = target.post("/auth/token").header(header::AUTHORIZATION, binary.clone()).form_body(&form);
    if let Some(reply) = target.reply_to_malformed(request).await {
        reply.expect_error(401, "invalid_client");
    }
    let request = target.get("/api/v1/users/me").header(header::AUTHORIZATION, binary.clone());
    if let Some(reply) = target.reply_to_malformed(request).await {
        reply.expect_error(401, "invalid_token");
    }
    for name in [header::COOKIE, header::ORIGIN, header::ACCEPT, header::REFERER] {
        let request = target.get("/login").header(&name, binary.clone());
        if let Some(reply) = target.reply_to_malformed(request).await {
            assert_eq!(reply.status, 200, "{name}: {reply:?}");
        }
        let reply = target.get("/login").header(&name, "x".repeat(8_000)).reply().await;
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
    let mut request = target.get("/login");
    for index in 0..60 {
        request = request.header(format!("x-header-{index}"), "x");
    }
    request.reply().await.expect(200);
    let reply = target.get("/login").header("x-request-id", "a b").reply().await.expect(200);
    assert_ne!(reply.header("x-request-id"), Some("a b"), "a bad one is replaced");
    expect_serving(target).await;
}

/// What is not there is 404, in the form that the asker reads.
pub async fn an_unknown_path_is_404(target: &Target) {
    for path in ["/nope", "/auth/nope", "/%00", "/%FF", "/..%2f..%2fetc/passwd", "/.env", "/authorize/../../x", "/ü"] {
        let reply = target.get(path).reply().await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(reply.header("content-type").is_some_and(|it| it.contains("json")), "{reply:?}");
        let reply = target.get(path).header("accept", "text/html,*/*;q=0.8").reply().await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
        assert!(reply.header("content-type").is_some_and(|it| it.starts_with("text/html")), "{reply:?}");
    }
}

/// Cookies that nobody set here are as good as none.
pub async fn odd_cookies_are_ignored(target: &Target) {
    let app = target.public().await;
    for cookie in [
        "authly_session=",
        "authly_session=x",
        "authly_session=authly_st_x",
        "authly_session",
        "=;;;=",
        "authly_session=\"quoted\"",
        "a=b; authly_session=%00; authly_session=%FF",
        "authly_browser=x; authly_browser=y",
        "__Host-authly_session=x",
    ] {
        let reply = target.get(&app.ask().path()).header(header::COOKIE, cookie).reply().await;
        assert_eq!(reply.status, 303, "{cookie}: {reply:?}");
        target.get("/login").header(header::COOKIE, cookie).reply().await.expect(200);
        target.get("/logout").header(header::COOKIE, cookie).reply().await.expect(200);
    }
}

/// Every reply says the same about itself.
pub async fn every_reply_has_its_security_headers_and_an_id(target: &Target) {
    let app = target.public().await;
    for request in [
        target.get("/login"),
        target.get("/"),
        target.get("/nope"),
        target.get("/auth/token"),
        target.get("/health/live"),
        target.get("/.well-known/jwks.json"),
        target.get(&app.ask().path()),
        target.post("/auth/token").form_body(&[]),
        target.get("/assets/authly.css"),
    ] {
        let reply = request.try_clone().expect("a plain request").reply().await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{reply:?}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{reply:?}");
        assert!(reply.header("content-security-policy").is_some_and(|it| it.contains("frame-ancestors 'none'")));
        assert!(reply.header("x-request-id").is_some_and(|id| id.len() >= 16), "{reply:?}");
        let reply = request.header("x-request-id", "my-id.1").reply().await;
        assert_eq!(reply.header("x-request-id"), Some("my-id.1"), "a good one is kept");
    }
}
