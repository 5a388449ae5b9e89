//! The token endpoint: client authentication, and the authorization code grant.

use authly_core::model::{ClientId, GrantType};
use base64ct::{Base64, Encoding as _};
use http::header;

use crate::{
    http::{Reply, RequestExt as _, encode, in_parallel, names, scope_set},
    target::{App, Code, REDIRECT_URI, Target, Tokens, challenge, new_verifier, unique},
};

/// `what` is refused, and the code still works afterwards: nothing was used up.
async fn expect_unharmed(target: &Target, app: &App, code: &Code, what: &str) -> Tokens {
    let reply = target.exchange(app, code).await;
    assert_eq!(reply.status, 200, "{what} has used up the code: {reply:?}");
    let tokens = Tokens::of(&reply);
    assert!(target.is_active(&tokens.access).await && target.is_active(&tokens.refresh).await, "{what}");
    tokens
}

/// The tokens that were issued for a code are dead.
async fn expect_dead(target: &Target, app: &App, tokens: &Tokens) {
    assert!(!target.is_active(&tokens.access).await, "the access token lives");
    assert!(!target.is_active(&tokens.refresh).await, "the refresh token lives");
    target.refresh(app, &tokens.refresh).await.expect_error(400, "invalid_grant");
}

/// RFC 6749 §5.1.
pub async fn a_code_becomes_tokens(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let code = target.code(&app, &person).await;
        let reply = target.exchange(&app, &code).await.expect(200).expect_no_store();
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let body = reply.json();
        assert_eq!(names(&body), ["access_token", "expires_in", "refresh_token", "scope", "token_type"]);
        assert_eq!(body["token_type"], "Bearer");
        assert_eq!(body["expires_in"], 1800);
        assert_eq!(scope_set(body["scope"].as_str().expect("a text")), scope_set("read write"));
        assert!(target.is_active(&reply.member("access_token")).await);
    }
}

/// RFC 6749 §5.1: `scope` is there also where it is the one that was asked for, and where it is empty.
pub async fn scope_is_always_returned(target: &Target) {
    let app = target.confidential_with(|client| client.scopes = scope_set("write")).await;
    let person = target.person().await;
    let code = target.code_for(&app.ask().without("scope"), &person).await;
    let tokens = target.exchange(&app, &code).await.expect(200);
    assert_eq!(tokens.member("scope"), "", "write is no default");
    assert_eq!(target.refresh(&app, &tokens.member("refresh_token")).await.expect(200).member("scope"), "");
    let reply = target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
    assert_eq!(reply.member("scope"), "");
}

/// RFC 6749 §3.2: POST of a form, and nothing else.
pub async fn only_forms_are_read(target: &Target) {
    let app = target.confidential().await;
    let form = encode([("grant_type", "client_credentials")]);
    for path in ["/auth/token", "/auth/refresh", "/auth/revoke", "/auth/introspect"] {
        for content_type in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded-not",
            "application",
            "",
        ] {
            let request = target.post(path).client_basic(&app.client_id, app.secret());
            request.typed_body(content_type, form.clone()).reply().await.expect_error(415, "invalid_request");
        }
        let request = target.post(path).client_basic(&app.client_id, app.secret()).body(form.clone());
        request.reply().await.expect_error(415, "invalid_request");
    }
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-URLEncoded;charset=utf-8",
    ] {
        let request = target.post("/auth/token").client_basic(&app.client_id, app.secret());
        request.typed_body(content_type, form.clone()).reply().await.expect(200);
    }
    target.get("/auth/token").reply().await.expect_error(405, "invalid_request");
}

/// OAuth 2.1 §3.2.2: parameters, and above all credentials, do not belong into the URI.
pub async fn parameters_in_the_uri_are_refused(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    for query in [
        encode(code.parameters()),
        encode([("client_id", app.client_id.as_str()), ("client_secret", app.secret())]),
        "x=y".to_owned(),
    ] {
        for path in ["/auth/token", "/auth/refresh"] {
            let reply = target.client_request(&app, &format!("{path}?{query}"), &code.parameters()).reply().await;
            reply.expect_error(400, "invalid_request");
        }
    }
    // At the other endpoints they are not read.
    let token = target.tokens(&app, &person).await.access;
    for path in ["/auth/revoke", "/auth/introspect"] {
        let path = format!("{path}?{}", encode([("token", token.as_str())]));
        target.client_request(&app, &path, &[]).reply().await.expect_error(400, "invalid_request");
        let credentials = encode([("client_id", app.client_id.as_str()), ("client_secret", app.secret())]);
        let path = format!("{path}&{credentials}");
        target.post(&path).form_body(&[("token", &token)]).reply().await.expect_error(401, "invalid_client");
    }
    assert!(target.is_active(&token).await);
    expect_unharmed(target, &app, &code, "a parameter in the URI").await;
}

/// RFC 6749 §3.2: each parameter of each grant.
pub async fn a_repeated_parameter_is_invalid_request(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let tokens = target.tokens(&app, &person).await;
    let credentials = [("client_id", app.client_id.as_str()), ("client_secret", app.secret())];
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str()), ("scope", "read")];
    for (path, parameters) in [
        ("/auth/token", [code.parameters().as_slice(), &[("redirect_uri", REDIRECT_URI)], &credentials].concat()),
        ("/auth/token", [refresh.as_slice(), &credentials].concat()),
        ("/auth/refresh", [refresh.as_slice(), &credentials].concat()),
        ("/auth/token", [[("grant_type", "client_credentials"), ("scope", "read")], credentials].concat()),
        ("/auth/revoke", [[("token", tokens.refresh.as_str()), ("token_type_hint", "x")], credentials].concat()),
        ("/auth/introspect", [[("token", tokens.refresh.as_str()), ("token_type_hint", "x")], credentials].concat()),
    ] {
        for repeated in &parameters {
            let parameters = [parameters.as_slice(), &[*repeated]].concat();
            let reply = target.post(path).form_body(&parameters).reply().await;
            assert_eq!(reply.status, 400, "{} at {path}: {reply:?}", repeated.0);
            reply.expect_error(400, "invalid_request");
        }
    }
    assert!(target.is_active(&tokens.refresh).await, "nothing was revoked");
    expect_unharmed(target, &app, &code, "a repeated parameter").await;
}

/// RFC 6749 §3.2: empty is as absent, and what is unknown is ignored.
pub async fn empty_is_absent_and_unknown_is_ignored(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    for missing in ["grant_type", "code"] {
        let parameters = code.parameters().map(|(name, value)| (name, if name == missing { "" } else { value }));
        target.token(&app, &parameters).await.expect_error(400, "invalid_request");
        let parameters: Vec<_> = code.parameters().into_iter().filter(|(name, _)| *name != missing).collect();
        target.token(&app, &parameters).await.expect_error(400, "invalid_request");
    }
    let more = [("redirect_uri", ""), ("scope", ""), ("client_secret", ""), ("a", "1"), ("a", "2"), ("ü", "ü")];
    let parameters = [code.parameters().as_slice(), &more].concat();
    target.token(&app, &parameters).await.expect(200);
}

/// RFC 6749 §2.3.1: a client with a secret uses either method.
pub async fn client_secret_basic_and_client_secret_post_work(target: &Target) {
    use authly_core::model::AuthMethod;
    for method in [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost] {
        let app = target.confidential_with(|client| client.auth_method = method).await;
        let form = [("grant_type", "client_credentials")];
        target.token(&app, &form).await.expect(200);
        let credentials = [("client_id", app.client_id.as_str()), ("client_secret", app.secret())];
        let form = [form.as_slice(), &credentials].concat();
        target.post("/auth/token").form_body(&form).reply().await.expect(200);
        // RFC 9110 §11.1: schemes are case-insensitive.
        let basic = Base64::encode_string(format!("{}:{}", app.client_id, app.secret()).as_bytes());
        for scheme in ["basic", "BASIC"] {
            let request = target.post("/auth/token").header(header::AUTHORIZATION, format!("{scheme} {basic}"));
            request.form_body(&[("grant_type", "client_credentials")]).reply().await.expect(200);
        }
    }
}

/// RFC 6749 §2.3: one method per request.
pub async fn two_authentication_methods_at_once_are_refused(target: &Target) {
    let (app, other) = (target.confidential().await, target.confidential().await);
    let send = async |parameters: &[(&str, &str)]| -> Reply {
        let form = [parameters, &[("grant_type", "client_credentials"), ("token", "x")]].concat();
        target.post("/auth/token").client_basic(&app.client_id, app.secret()).form_body(&form).reply().await
    };
    let (id, secret) = (("client_id", app.client_id.as_str()), ("client_secret", app.secret()));
    send(&[id, secret]).await.expect_error(400, "invalid_request");
    send(&[secret]).await.expect_error(400, "invalid_request");
    send(&[("client_secret", "wrong")]).await.expect_error(400, "invalid_request");
    send(&[("client_id", other.client_id.as_str())]).await.expect_error(400, "invalid_request");
    send(&[id]).await.expect(200);
    for path in ["/auth/revoke", "/auth/introspect"] {
        let request = target.post(path).client_basic(&app.client_id, app.secret());
        request.form_body(&[id, secret, ("token", "x")]).reply().await.expect_error(400, "invalid_request");
    }
}

/// OAuth 2.1 §3.2.2: a public client names itself; one that shows a secret is not who it says it is.
pub async fn public_clients_name_themselves_by_client_id(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let code = target.code(&app, &person).await;
    let with_secret = [code.parameters().as_slice(), &[("client_id", &app.client_id), ("client_secret", "x")]].concat();
    target.post("/auth/token").form_body(&with_secret).reply().await.expect_error(401, "invalid_client");
    target.post("/auth/token").form_body(&code.parameters()).reply().await.expect_error(401, "invalid_client");
    let unknown = [code.parameters().as_slice(), &[("client_id", "nobody")]].concat();
    target.post("/auth/token").form_body(&unknown).reply().await.expect_error(401, "invalid_client");
    expect_unharmed(target, &app, &code, "a failed authentication").await;
}

/// RFC 6749 §5.2: 401 with a challenge of the scheme that was used.
pub async fn a_failed_basic_is_401_with_a_challenge(target: &Target) {
    let app = target.confidential().await;
    let form = [("grant_type", "client_credentials"), ("token", "x")];
    let basic = |text: &[u8]| format!("Basic {}", Base64::encode_string(text));
    let id = &app.client_id;
    for path in ["/auth/token", "/auth/revoke", "/auth/introspect"] {
        for value in [
            basic(format!("{id}:wrong").as_bytes()),
            basic(format!("{id}:").as_bytes()),
            basic(format!("{id}:{}x", app.secret()).as_bytes()),
            basic(format!("nobody:{}", app.secret()).as_bytes()),
            basic(format!("{}:{}", app.id, app.secret()).as_bytes()),
            basic(b"no colon"),
            basic(b":"),
            basic(b"\xFF\xFE:\x00"),
            basic(b"a%FF:b%00"),
            "Basic !!!".to_owned(),
            "Basic".to_owned(),
            "Basic ".to_owned(),
            format!("Bearer {}", app.secret()),
            "Digest username=x".to_owned(),
        ] {
            let request = target.post(path).header(header::AUTHORIZATION, &value).form_body(&form);
            let reply = request.reply().await.expect_error(401, "invalid_client");
            let challenge = reply.header("www-authenticate").expect("a challenge");
            assert!(challenge.starts_with("Basic realm="), "{challenge} for {value}");
        }
        let wrong = [form.as_slice(), &[("client_id", id), ("client_secret", "wrong")]].concat();
        let reply = target.post(path).form_body(&wrong).reply().await.expect_error(401, "invalid_client");
        assert!(reply.header("www-authenticate").is_some_and(|it| it.starts_with("Basic ")), "{reply:?}");
    }
}

/// RFC 6749 §2.3.1: both parts are encoded as in a form.
pub async fn basic_credentials_are_form_decoded(target: &Target) {
    let id = format!("app: 100% + {} & more", unique());
    let app = target.confidential_with(|client| client.client_id = ClientId::parse(&id).expect("visible ASCII")).await;
    let form = [("grant_type", "client_credentials")];
    let reply = target.token(&app, &form).await.expect(200);
    assert_eq!(target.introspect(&app, &reply.member("access_token")).await["client_id"], id);
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let encoded = format!("{}:{}", percent(&id), percent(app.secret()));
    let value = format!("Basic {}", Base64::encode_string(encoded.as_bytes()));
    target.post("/auth/token").header(header::AUTHORIZATION, value).form_body(&form).reply().await.expect(200);
    let raw = format!("Basic {}", Base64::encode_string(format!("{id}:{}", app.secret()).as_bytes()));
    let request = target.post("/auth/token").header(header::AUTHORIZATION, raw).form_body(&form);
    request.reply().await.expect_error(401, "invalid_client");
}

/// OAuth 2.1 §3.2.1: on every grant, at revocation and at introspection.
pub async fn a_confidential_client_always_authenticates(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let code = target.code(&app, &person).await;
    let tokens = target.tokens(&app, &person).await;
    let id = ("client_id", app.client_id.as_str());
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
    for (path, parameters) in [
        ("/auth/token", [code.parameters().as_slice(), &[id]].concat()),
        ("/auth/token", [refresh.as_slice(), &[id]].concat()),
        ("/auth/refresh", [refresh.as_slice(), &[id]].concat()),
        ("/auth/token", vec![("grant_type", "client_credentials"), id]),
        ("/auth/revoke", vec![("token", tokens.refresh.as_str()), id]),
        ("/auth/introspect", vec![("token", tokens.refresh.as_str()), id]),
    ] {
        for secret in [vec![], vec![("client_secret", "")], vec![("client_secret", "wrong")]] {
            let parameters = [parameters.as_slice(), &secret].concat();
            target.post(path).form_body(&parameters).reply().await.expect_error(401, "invalid_client");
        }
    }
    assert!(target.is_active(&tokens.refresh).await);
    expect_unharmed(target, &app, &code, "a failed authentication").await;
}

/// RFC 7636 §4.5: with a challenge, no code without the right verifier; a wrong one costs nobody anything.
pub async fn the_verifier_must_be_right_and_a_wrong_one_changes_nothing(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let code = target.code(&app, &person).await;
        let wrong = Code { verifier: new_verifier(), ..code.clone() };
        for _ in 0..3 {
            target.exchange(&app, &wrong).await.expect_error(400, "invalid_grant");
        }
        let none = [("grant_type", "authorization_code"), ("code", code.code.as_str())];
        target.token(&app, &none).await.expect_error(400, "invalid_grant");
        let challenge_itself = challenge(&code.verifier);
        let plain = Code { verifier: challenge_itself, ..code.clone() };
        target.exchange(&app, &plain).await.expect_error(400, "invalid_grant");
        let tokens = expect_unharmed(target, &app, &code, "a wrong verifier").await;
        // Also after the code was used: only its owner can reveal that it leaked.
        target.exchange(&app, &wrong).await.expect_error(400, "invalid_grant");
        assert!(target.is_active(&tokens.refresh).await && target.is_active(&tokens.access).await);
    }
}

/// RFC 7636 §4.1: 43 to 128 characters of the unreserved set.
pub async fn verifiers_have_43_to_128_unreserved_characters(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    for verifier in ["a".repeat(43), alphabet.to_owned(), "~".repeat(128)] {
        let ask = app.ask().with("code_challenge", &challenge(&verifier));
        let code = Code { code: browser.code(&ask).await, verifier };
        for bad in [
            "a".repeat(42),
            "a".repeat(129),
            "a".repeat(5000),
            format!("{}+", "a".repeat(43)),
            format!("{} ", "a".repeat(43)),
            format!("{}=", "a".repeat(43)),
            "é".repeat(43),
        ] {
            let bad = Code { verifier: bad, ..code.clone() };
            target.exchange(&app, &bad).await.expect_error(400, "invalid_request");
        }
        expect_unharmed(target, &app, &code, "a malformed verifier").await;
    }
}

/// RFC 6749 §4.1.2, OAuth 2.1 §4.1.3.
pub async fn a_second_use_of_a_code_revokes_what_the_first_one_issued(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let bystander = target.tokens(&app, &person).await;
        let code = target.code(&app, &person).await;
        let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
        let rotated = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
        target.exchange(&app, &code).await.expect_error(400, "invalid_grant");
        expect_dead(target, &app, &rotated).await;
        assert!(!target.is_active(&tokens.access).await, "every access token of the grant");
        target.exchange(&app, &code).await.expect_error(400, "invalid_grant");
        assert!(target.is_active(&bystander.refresh).await, "another grant of the same person and client");
    }
}

/// OAuth 2.1 §4.1.3: the code belongs to one client; another can neither use nor destroy it.
pub async fn another_clients_use_of_a_code_changes_nothing(target: &Target) {
    let person = target.person().await;
    let (owner, public) = (target.confidential().await, target.public().await);
    for (owner, thief) in [(&owner, &public), (&public, &owner)] {
        let code = target.code(owner, &person).await;
        target.exchange(thief, &code).await.expect_error(400, "invalid_grant");
        let tokens = expect_unharmed(target, owner, &code, "another client's use").await;
        target.exchange(thief, &code).await.expect_error(400, "invalid_grant");
        assert!(target.is_active(&tokens.refresh).await, "another client's replay revokes nothing");
    }
}

/// Of 32 uses at once, one succeeds; the others show that the code leaked, so the grant is dead.
pub async fn of_32_concurrent_uses_exactly_one_succeeds(target: &Target) {
    let person = target.person().await;
    for app in [target.public().await, target.confidential().await] {
        let code = target.code(&app, &person).await;
        let request = || target.client_request(&app, "/auth/token", &code.parameters());
        let replies = in_parallel((0..32).map(|_| request())).await;
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
        assert_eq!(won.len(), 1);
        for reply in lost {
            reply.expect_error(400, "invalid_grant");
        }
        expect_dead(target, &app, &Tokens::of(&won[0])).await;
    }
}

/// OAuth 2.1 §4.1.3: not needed, but when it is sent it is that of the request.
pub async fn redirect_uri_is_not_needed_but_must_match(target: &Target) {
    let app = target
        .public_with(|client| {
            client.redirect_uris =
                ["http://127.0.0.1/cb", "https://b.example/"].map(crate::target::redirect_uri).to_vec();
        })
        .await;
    let person = target.person().await;
    let asked = "http://127.0.0.1:49152/cb";
    for right in [None, Some(asked)] {
        let code = target.code_for(&app.ask().with("redirect_uri", asked), &person).await;
        for wrong in ["http://127.0.0.1/cb", "http://127.0.0.1:49153/cb", "https://b.example/", "nonsense"] {
            let parameters = [code.parameters().as_slice(), &[("redirect_uri", wrong)]].concat();
            target.token(&app, &parameters).await.expect_error(400, "invalid_grant");
        }
        let right: Vec<_> = right.map(|uri| ("redirect_uri", uri)).into_iter().collect();
        target.token(&app, &[code.parameters().as_slice(), &right].concat()).await.expect(200);
    }
}

/// RFC 6749 §4.1.2.
pub async fn an_expired_code_is_refused(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let code = target.code(&app, &person).await;
    target.expire_codes(&person).await;
    target.exchange(&app, &code).await.expect_error(400, "invalid_grant");
}

/// What the database has is of no use to whoever reads it.
pub async fn codes_tokens_and_cookies_are_stored_as_digests(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let ask = app.ask();
    let code = Code { code: browser.code(&ask).await, verifier: ask.verifier };
    let tokens = Tokens::of(&target.exchange(&app, &code).await.expect(200));
    let session = browser.session().expect("logged in").1.to_owned();
    for (table, column, secret) in [
        ("authorization_codes", "code", &code.code),
        ("authorization_codes", "code_challenge", &code.verifier),
        ("tokens", "jti", &tokens.refresh),
        ("tokens", "digest", &tokens.refresh),
        ("sessions", "digest", &session),
        ("clients", "client_secret_hash", &app.secret().to_owned()),
        ("users", "password_hash", &person.password),
    ] {
        assert!(!target.is_stored(table, column, secret).await, "{table}.{column}");
    }
    assert!(target.is_stored("users", "username", &person.username).await, "the search itself works");
}

/// OAuth 2.1 §10.1: no password grant, and nothing else that is not advertised.
pub async fn other_grant_types_do_not_exist(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    for grant_type in [
        "password",
        "implicit",
        "code",
        "AUTHORIZATION_CODE",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ] {
        let parameters = [("grant_type", grant_type), ("username", &person.username), ("password", &person.password)];
        target.token(&app, &parameters).await.expect_error(400, "unsupported_grant_type");
    }
    target.token(&app, &[]).await.expect_error(400, "invalid_request");
}

/// RFC 6749 §5.2: `unauthorized_client`.
pub async fn a_client_uses_only_the_grants_it_is_registered_for(target: &Target) {
    let person = target.person().await;
    let app = target.confidential_with(|client| client.grant_types = [GrantType::AuthorizationCode].into()).await;
    let code = target.code(&app, &person).await;
    target.refresh(&app, "x").await.expect_error(400, "unauthorized_client");
    let credentials = [("grant_type", "client_credentials")];
    target.token(&app, &credentials).await.expect_error(400, "unauthorized_client");
    let body = target.exchange(&app, &code).await.expect(200).json();
    assert!(body.get("refresh_token").is_none(), "{body}");
    let machine = target.confidential_with(|client| client.grant_types = [GrantType::ClientCredentials].into()).await;
    target.exchange(&machine, &code).await.expect_error(400, "unauthorized_client");
}

/// One answer for every reason: whoever guesses learns nothing, and nothing internal shows.
pub async fn errors_leak_nothing(target: &Target) {
    let (app, other, person) = (target.public().await, target.public().await, target.person().await);
    let (used, fresh) = (target.code(&app, &person).await, target.code(&app, &person).await);
    target.exchange(&app, &used).await.expect(200);
    let expired_person = target.person().await;
    let expired = target.code(&app, &expired_person).await;
    target.expire_codes(&expired_person).await;
    let mut damaged = fresh.clone();
    damaged.code.pop();
    let wrong = Code { verifier: new_verifier(), ..fresh.clone() };
    let mut descriptions = std::collections::BTreeSet::new();
    for (app, code) in [(&app, &used), (&app, &expired), (&app, &damaged), (&app, &wrong), (&other, &fresh)] {
        let reply = target.exchange(app, code).await.expect_error(400, "invalid_grant");
        for secret in [&code.code, &code.verifier, &person.username, &app.client_id] {
            assert!(!reply.text().contains(secret.as_str()), "{reply:?}");
        }
        descriptions.insert(reply.member("error_description"));
    }
    assert_eq!(descriptions.len(), 1, "{descriptions:?}");
    let odd = "\"quote\" back\\slash\r\nü\u{1F600}";
    target.token(&app, &[("grant_type", odd)]).await.expect_error(400, "unsupported_grant_type");
    target.refresh(&app, odd).await.expect_error(400, "invalid_grant");
}

/// Who cannot log in any more gets nothing for a code made before.
pub async fn a_code_of_a_deactivated_person_is_refused(target: &Target) {
    let (app, person) = (target.public().await, target.person().await);
    let code = target.code(&app, &person).await;
    target.deactivate_person(&person).await;
    target.exchange(&app, &code).await.expect_error(400, "invalid_grant");
}
