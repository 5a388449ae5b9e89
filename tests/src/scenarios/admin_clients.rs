//! Clients, as operators manage them.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::{
    admin::{Operator, path_part, time},
    http::{Reply, RequestExt as _, scope_set},
    target::{App, REDIRECT_URI, Target, unique},
};

fn path(app: &App) -> String {
    format!("/clients/{}", path_part(&app.client_id))
}

/// The client that an answer is about.
fn app(reply: &Reply) -> App {
    let client = reply.json();
    let text = |name: &str| client[name].as_str().map(str::to_owned);
    App {
        id: uuid::Uuid::nil(),
        client_id: text("client_id").expect("always there"),
        name: text("client_name").expect("always there"),
        secret: text("client_secret"),
        redirect_uri: client["redirect_uris"][0].as_str().unwrap_or_default().to_owned(),
    }
}

/// The same client with another secret.
fn with_secret(app: &App, secret: &str) -> App {
    App { secret: Some(secret.to_owned()), ..app.clone() }
}

async fn can_authenticate(target: &Target, app: &App) -> bool {
    let reply = target.token(app, &[("grant_type", "client_credentials")]).await;
    assert!([200, 401].contains(&reply.status), "{reply:?}");
    reply.status == 200
}

/// From registration to deletion: what is told is what is stored, and the client works meanwhile.
pub async fn a_client_lives_from_registration_to_deletion(target: &Target) {
    let operator = Operator::new(target).await;
    let client_id = format!("shop-{}", unique());
    let wanted = json!({
        "client_id": client_id,
        "client_name": "The shop",
        "client_type": "confidential",
        "redirect_uris": [REDIRECT_URI, "http://127.0.0.1/callback"],
        "client_uri": "https://shop.example/",
        "logo_uri": "https://shop.example/logo.png",
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "client_credentials"],
        "scope": "read write",
        "resources": ["https://api.example/"],
        "introspect_all": true,
        "require_pkce": false,
        "active": true,
    });
    let created = operator.post("/clients", &wanted).await.expect(201).expect_no_store();
    let location = created.location();
    assert_eq!(location.path(), format!("{}/admin/clients/{client_id}", target.issuer_path()));
    let mut client = created.json();
    for (name, value) in wanted.as_object().expect("an object") {
        let equal = match name.as_str() {
            "scope" => scope_set(client[name].as_str().expect("a text")) == scope_set("read write"),
            "grant_types" => client[name].as_array().expect("a list").len() == 2,
            _ => client[name] == *value,
        };
        assert!(equal, "{name}: {client}");
    }
    assert_eq!(client["previous_secret_expires_at"], Value::Null);
    let secret = client.as_object_mut().expect("an object").remove("client_secret").expect("it is confidential");
    let path = format!("/clients/{client_id}");
    let shown = operator.get(&path).await.expect(200).json();
    assert_eq!(shown, client, "what was told is what is stored, but for the secret");

    let app = app(&created);
    assert_eq!(app.secret(), secret);
    assert!(can_authenticate(target, &app).await);
    let code = target.code(&app, &target.person().await).await;
    target.exchange(&app, &code).await.expect(200);

    let changed = operator.patch(&path, &json!({ "client_name": "Shop", "logo_uri": null })).await.expect(200).json();
    assert_eq!((&changed["client_name"], &changed["logo_uri"]), (&json!("Shop"), &Value::Null));
    assert!(time(&changed["updated_at"]) > time(&changed["created_at"]), "{changed}");
    let mut expected = shown;
    for name in ["client_name", "logo_uri", "updated_at"] {
        expected[name] = changed[name].clone();
    }
    assert_eq!(changed, expected, "and nothing else");

    let gone = operator.delete(&path).await.expect(204);
    assert!(gone.body.is_empty());
    operator.get(&path).await.expect_problem(404, "not-found");
    operator.patch(&path, &json!({ "client_name": "x" })).await.expect_problem(404, "not-found");
    operator.post(&format!("{path}/secret"), &json!({})).await.expect_problem(404, "not-found");
    operator.delete(&path).await.expect_problem(404, "not-found");
    // Other instances know of it when their caches have ended.
    assert!(target.has_several_instances() || !can_authenticate(target, &app).await, "at once");
}

/// What is left out has its default.
pub async fn what_is_left_out_of_a_client_has_its_default(target: &Target) {
    let operator = Operator::new(target).await;
    let create = async |body: Value| operator.post("/clients", &body).await.expect(201).json();
    let name = unique();
    let service = create(json!({ "client_name": name, "client_type": "confidential" })).await;
    assert_eq!(service["grant_types"], json!(["client_credentials"]), "{service}");
    assert_eq!(service["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!((&service["redirect_uris"], &service["resources"]), (&json!([]), &json!([])));
    assert!(scope_set("profile read").is_subset(&scope_set(service["scope"].as_str().expect("a text"))), "{service}");
    for (member, value) in [("introspect_all", false), ("require_pkce", true), ("active", true)] {
        assert_eq!(service[member], value, "{member}");
    }
    for member in ["client_uri", "logo_uri", "previous_secret_expires_at"] {
        assert_eq!(service[member], Value::Null, "{member}");
    }
    let uris = json!([REDIRECT_URI]);
    let web = create(json!({ "client_name": name, "client_type": "confidential", "redirect_uris": uris })).await;
    let phone = create(json!({ "client_name": name, "client_type": "public", "redirect_uris": uris })).await;
    for client in [&web, &phone] {
        let mut grant_types: Vec<_> = client["grant_types"].as_array().expect("a list").iter().collect();
        grant_types.sort_by_key(|grant_type| grant_type.as_str());
        assert_eq!(grant_types, ["authorization_code", "refresh_token"], "{client}");
    }
    assert_eq!(phone["token_endpoint_auth_method"], "none");
    assert!(phone.get("client_secret").is_none() && web.get("client_secret").is_some());
    assert_ne!(web["client_id"], phone["client_id"], "they are made up");
}

/// Lists are in a stable order, and filters narrow them.
pub async fn clients_are_found(target: &Target) {
    let operator = Operator::new(target).await;
    let mark = unique();
    for (id, name, kind, active) in [
        ("c", "Kitchen", "public", true),
        ("a", "Bath 100%_\\", "confidential", true),
        ("b", "Cellar", "confidential", false),
    ] {
        let body = json!({
            "client_id": format!("{id}-{mark}"), "client_name": format!("{name} {mark}"), "client_type": kind,
            "redirect_uris": [REDIRECT_URI], "active": active,
        });
        operator.post("/clients", &body).await.expect(201);
    }
    let found = async |query: &str| -> String {
        let items = operator.list(&format!("/clients?limit=2&{query}")).await;
        let ours = items.iter().filter_map(|client| client["client_id"].as_str()?.strip_suffix(&format!("-{mark}")));
        ours.collect()
    };
    assert_eq!(found(&format!("q={mark}")).await, "abc", "in order of client_id");
    assert_eq!(found(&format!("q=KITCHEN%20{}", mark.to_uppercase())).await, "c", "in any case");
    assert_eq!(found(&format!("q=A-{mark}")).await, "a", "by the id");
    assert_eq!(found(&format!("q=100%25_%5C%20{mark}")).await, "a", "nothing in it is a pattern");
    assert_eq!(found(&format!("q=1%25%5C%20{mark}")).await, "");
    assert_eq!(found(&format!("q={mark}&client_type=public")).await, "c");
    assert_eq!(found(&format!("q={mark}&client_type=confidential")).await, "ab");
    assert_eq!(found(&format!("q={mark}&active=true")).await, "ac");
    assert_eq!(found(&format!("q={mark}&active=false")).await, "b");
    assert_eq!(found(&format!("q={mark}&active=false&client_type=public")).await, "");
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1&limit=2",
        "client_type=odd",
        "active=maybe",
        "cursor=x",
        "cursor=%FF",
        "q=%00",
    ] {
        operator.get(&format!("/clients?{query}")).await.expect_problem(400, "invalid-request");
    }
}

/// Whoever reads page after page sees each client that was there all the time, once, whatever comes and goes.
pub async fn pages_hold_while_rows_come_and_go(target: &Target) {
    let operator = Operator::new(target).await;
    let mark = unique();
    let id = |name: &str| format!("{mark}-{name}");
    let create = async |name: &str| {
        let body = json!({ "client_id": id(name), "client_name": "x", "client_type": "confidential" });
        operator.post("/clients", &body).await.expect(201);
    };
    for name in ["b", "d", "f", "h", "j"] {
        create(name).await;
    }
    let list = format!("/clients?limit=2&q={mark}");
    let (mut seen, cursor) = operator.page(&list, None).await;
    create("a").await;
    create("e").await;
    operator.delete(&format!("/clients/{}", id("d"))).await.expect(204);
    let (page, cursor) = operator.page(&list, cursor.as_deref()).await;
    seen.extend(page);
    create("k").await;
    operator.delete(&format!("/clients/{}", id("h"))).await.expect(204);
    let mut cursor = cursor;
    while let Some(at) = cursor {
        let (page, next) = operator.page(&list, Some(&at)).await;
        seen.extend(page);
        cursor = next;
    }
    let seen: Vec<_> = seen.iter().map(|client| client["client_id"].as_str().expect("a text")).collect();
    let expected: Vec<_> = ["b", "d", "e", "f", "j", "k"].map(id).into();
    assert_eq!(seen, expected);
    let (page, cursor) = operator.page(&format!("/clients?limit=200&q={mark}"), None).await;
    assert_eq!((page.len(), cursor), (6, None), "a page that holds all is the last");
}

/// Both secrets work while they overlap, and no third.
pub async fn a_secret_is_rotated_with_an_overlap(target: &Target) {
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(target).await;
    let first = target.confidential().await;
    let path = format!("{}/secret", path(&first));
    let rotate = async |body: Value| operator.post(&path, &body).await.expect(200).expect_no_store().json();
    let secret = |client: &Value| client["client_secret"].as_str().expect("a new one").to_owned();
    assert!(can_authenticate(target, &first).await);

    let client = rotate(json!({})).await;
    let second = with_secret(&first, &secret(&client));
    let seconds = (time(&client["previous_secret_expires_at"]) - chrono::Utc::now()).num_seconds();
    assert!((86_300..=86_400).contains(&seconds), "a day: {client}");
    assert!(can_authenticate(target, &first).await && can_authenticate(target, &second).await);
    let shown = operator.get(&self::path(&first)).await.expect(200).json();
    assert_eq!(shown["previous_secret_expires_at"], client["previous_secret_expires_at"]);
    assert!(shown.get("client_secret").is_none(), "never again");

    let third = with_secret(&first, &secret(&rotate(json!({ "overlap_seconds": 1 })).await));
    assert!(!can_authenticate(target, &first).await, "there are two at most");
    assert!(can_authenticate(target, &third).await);
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert!(!can_authenticate(target, &second).await, "its second is over");

    let client = rotate(json!({ "overlap_seconds": 0 })).await;
    assert_eq!(client["previous_secret_expires_at"], Value::Null, "there is none");
    assert!(!can_authenticate(target, &third).await, "at once");
    assert!(can_authenticate(target, &with_secret(&first, &secret(&client))).await);

    for overlap in [json!(-1), json!(2_592_001), json!(1.5), json!("1")] {
        let reply = operator.post(&path, &json!({ "overlap_seconds": overlap })).await;
        reply.expect_problem_at(422, "invalid-value", "/overlap_seconds");
    }
    let public = target.public().await;
    let reply = operator.post(&format!("{}/secret", self::path(&public)), &json!({})).await;
    reply.expect_problem(409, "conflict");
}

/// A deactivated client and its tokens are refused at once, and come back with it.
pub async fn a_deactivated_client_is_refused_at_once(target: &Target) {
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(target).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let own = target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200).member("access_token");
    for token in [&tokens.access, &tokens.refresh, &own] {
        assert!(target.is_active(token).await);
    }
    let code = target.code(&app, &person).await;
    operator.patch(&path(&app), &json!({ "active": false })).await.expect(200);
    for token in [&tokens.access, &tokens.refresh, &own] {
        assert!(!target.is_active(token).await, "at once");
    }
    assert!(!can_authenticate(target, &app).await);
    target.exchange(&app, &code).await.expect_error(401, "invalid_client");
    target.get("/api/v1/users/me").bearer_auth(&tokens.access).reply().await.expect_error(401, "invalid_token");
    operator.patch(&path(&app), &json!({ "active": true })).await.expect(200);
    assert!(can_authenticate(target, &app).await, "at once, too");
}

/// With a client go its grants, and their tokens.
pub async fn a_deleted_clients_tokens_are_dead(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let grants = format!("/grants?user_id={}", person.id);
    assert_eq!(operator.list(&grants).await.len(), 1);
    assert!(target.is_active(&tokens.access).await && target.is_active(&tokens.refresh).await);
    operator.delete(&path(&app)).await.expect(204);
    assert!(!target.is_active(&tokens.access).await && !target.is_active(&tokens.refresh).await);
    assert_eq!(operator.list(&grants).await.len(), 0);
    target.get("/api/v1/users/me").bearer_auth(&tokens.access).reply().await.expect_error(401, "invalid_token");
}

/// A change counts for the next request of the client: its name on the consent page, where it may be reached, what it may
/// ask for.
pub async fn a_change_of_a_client_counts_at_once(target: &Target) {
    // Other instances know of it when their caches have ended.
    if target.has_several_instances() {
        return;
    }
    let operator = Operator::new(target).await;
    let (app, person) = (target.confidential().await, target.person().await);
    assert!(can_authenticate(target, &app).await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let ask = app.ask();
    assert!(browser.authorize(&ask).await.page().text().contains(&app.name));
    let name = format!("Renamed {}", unique());
    let body = json!({ "client_name": name, "redirect_uris": ["https://new.example/"], "scope": "read" });
    operator.patch(&path(&app), &body).await.expect(200);
    browser.authorize(&ask).await.page().expect_error_page(400, "invalid_request");
    let ask = ask.with("redirect_uri", "https://new.example/").with("scope", "read");
    assert!(browser.authorize(&ask).await.page().text().contains(&name));
    let wide = target.token(&app, &[("grant_type", "client_credentials"), ("scope", "write")]).await;
    wide.expect_error(400, "invalid_scope");
    operator.patch(&path(&app), &json!({ "grant_types": ["authorization_code"] })).await.expect(200);
    let reply = target.token(&app, &[("grant_type", "client_credentials")]).await;
    reply.expect_error(400, "unauthorized_client");
}

/// RFC 7396: what is named is changed, null takes it away where it can be missing, and nothing else is touched.
pub async fn a_merge_patch_changes_what_it_names(target: &Target) {
    let operator = Operator::new(target).await;
    let app = target.confidential().await;
    let path = path(&app);
    let before = operator.get(&path).await.expect(200).json();
    let same = |one: &Value, other: &Value| {
        let without = |client: &Value| {
            let mut client = client.clone();
            client.as_object_mut().expect("an object").remove("updated_at");
            client
        };
        without(one) == without(other)
    };
    let after = operator.patch(&path, &json!({})).await.expect(200).json();
    assert!(same(&before, &after), "nothing is named: {after}");
    let patch = json!({ "client_uri": "https://app.example/", "logo_uri": "https://app.example/logo" });
    let after = operator.patch(&path, &patch).await.expect(200).json();
    assert_eq!((&after["client_uri"], &after["logo_uri"]), (&patch["client_uri"], &patch["logo_uri"]));
    let after = operator.patch(&path, &json!({ "client_uri": null })).await.expect(200).json();
    assert_eq!((&after["client_uri"], &after["logo_uri"]), (&Value::Null, &patch["logo_uri"]));
    let request = operator.request(http::Method::PATCH, &path).typed_body("application/json", r#"{"logo_uri":null}"#);
    let after = request.reply().await.expect(200).json();
    assert!(same(&before, &after), "as it was: {after}");
    let reply = operator.patch(&path, &json!({ "client_name": null })).await;
    reply.expect_problem_at(422, "invalid-value", "/client_name");
    for name in ["client_id", "client_type", "created_at", "client_secret"] {
        let mut patch = json!({});
        patch[name] = json!("public");
        operator.patch(&path, &patch).await.expect_problem_at(422, "invalid-value", &format!("/{name}"));
    }
    assert!(same(&before, &operator.get(&path).await.expect(200).json()), "what was refused was not done in part");
    // What is taken away is as if it had never been said.
    operator.patch(&path, &json!({ "introspect_all": true, "require_pkce": false })).await.expect(200);
    let patch = json!({ "introspect_all": null, "require_pkce": null, "grant_types": null, "resources": null });
    let after = operator.patch(&path, &patch).await.expect(200).json();
    assert_eq!((&after["introspect_all"], &after["require_pkce"]), (&json!(false), &json!(true)), "{after}");
    assert_eq!(
        (&after["grant_types"], &after["resources"]),
        (&json!(["authorization_code", "refresh_token"]), &json!([]),)
    );
}

/// What a client must not be is told with where it is.
pub async fn unacceptable_clients_are_refused(target: &Target) {
    let operator = Operator::new(target).await;
    let base = json!({
        "client_name": "x", "client_type": "confidential", "client_id": unique(), "redirect_uris": [REDIRECT_URI],
    });
    for (name, value, pointer) in [
        ("client_name", json!(""), "/client_name"),
        ("client_name", json!("x".repeat(256)), "/client_name"),
        ("client_name", json!("a\u{0}b"), "/client_name"),
        ("client_id", json!("a\u{0}b"), "/client_id"),
        ("client_id", json!(""), "/client_id"),
        ("client_id", json!("ü"), "/client_id"),
        ("client_id", json!("x".repeat(256)), "/client_id"),
        ("client_id", json!("01933b7e-0000-7000-8000-000000000000"), "/client_id"),
        ("redirect_uris", json!([REDIRECT_URI, "http://app.example/"]), "/redirect_uris/1"),
        ("redirect_uris", json!(["https://app.example/#x"]), "/redirect_uris/0"),
        ("redirect_uris", json!(["/callback"]), "/redirect_uris/0"),
        ("redirect_uris", json!(["javascript:alert(1)"]), "/redirect_uris/0"),
        ("redirect_uris", json!(["https://user:password@app.example/"]), "/redirect_uris/0"),
        ("client_uri", json!("javascript:alert(1)"), "/client_uri"),
        ("logo_uri", json!("data:text/html,x"), "/logo_uri"),
        ("scope", json!("no-such-scope-anywhere"), "/scope"),
        ("scope", json!("a  b"), "/scope"),
        ("resources", json!(["not a uri"]), "/resources/0"),
        ("token_endpoint_auth_method", json!("none"), "/token_endpoint_auth_method"),
    ] {
        let mut body = base.clone();
        body[name] = value;
        operator.post("/clients", &body).await.expect_problem_at(422, "invalid-value", pointer);
    }
    for (name, value) in [
        ("client_type", json!("odd")),
        ("grant_types", json!(["password"])),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("active", json!("yes")),
        ("redirect_uris", json!(REDIRECT_URI)),
        ("client_name", json!(7)),
        ("client_name", json!(null)),
    ] {
        let mut body = base.clone();
        body[name] = value;
        let reply = operator.post("/clients", &body).await.expect_problem(422, "invalid-value");
        let pointer = reply.json()["errors"][0]["pointer"].as_str().expect("a pointer").to_owned();
        assert!(pointer.starts_with(&format!("/{name}")), "it says which: {reply:?}");
    }
    let public = json!({
        "client_name": "x", "client_type": "public", "redirect_uris": [REDIRECT_URI],
        "grant_types": ["client_credentials"],
    });
    operator.post("/clients", &public).await.expect_problem(422, "invalid-value");
    let unreachable = json!({ "client_name": "x", "client_type": "public", "grant_types": ["authorization_code"] });
    operator.post("/clients", &unreachable).await.expect_problem(422, "invalid-value");
    for missing in ["client_name", "client_type"] {
        let mut body = base.clone();
        body.as_object_mut().expect("an object").remove(missing);
        let reply = operator.post("/clients", &body).await;
        reply.expect_problem_at(422, "invalid-value", &format!("/{missing}"));
    }
    assert!(operator.list(&format!("/clients?q={}", base["client_id"].as_str().expect("a text"))).await.is_empty());
    operator.post("/clients", &base).await.expect(201);
    operator.post("/clients", &base).await.expect_problem(409, "conflict");
}

/// Every client_id that can be registered can be named in a path.
pub async fn ids_are_percent_encoded_in_paths(target: &Target) {
    // Such ids cannot be told from others there.
    if target.paths_are_decoded() {
        return;
    }
    let operator = Operator::new(target).await;
    for odd in ["a/b", "a b", "a%2Fb", "?q=1", "#x", "a+b", "a:b@c", "\"quoted\"", "../clients", ";v=1", "%", "secret"]
    {
        let id = format!("{odd} {}", unique());
        let body = json!({ "client_id": id, "client_name": "x", "client_type": "confidential" });
        let created = operator.post("/clients", &body).await.expect(201);
        let path = format!("/clients/{}", path_part(&id));
        let decoded = percent_decode_str(created.location().path()).decode_utf8_lossy().into_owned();
        assert_eq!(decoded, format!("{}/admin/clients/{id}", target.issuer_path()));
        assert_eq!(operator.get(&path).await.expect(200).json()["client_id"], id);
        let rotated = operator.post(&format!("{path}/secret"), &json!({})).await.expect(200).json();
        assert_eq!(rotated["client_id"], id);
        assert_eq!(operator.list(&format!("/clients?q={}", path_part(&id))).await.len(), 1, "{id}");
        operator.delete(&path).await.expect(204);
    }
    operator.get("/clients/%C3%BC").await.expect_problem(404, "not-found");
    for path in ["/clients/%FF", "/clients/%00"] {
        operator.get(path).await.expect_problem(400, "invalid-request");
    }
}
