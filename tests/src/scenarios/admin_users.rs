//! Accounts, as operators manage them, and what follows for the person.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    admin::{Operator, time},
    http::RequestExt as _,
    target::{Person, Target, Tokens, unique},
    user_agent::{UserAgent, fill},
};

/// The person that an account was made for.
fn person(user: &Value, password: &str) -> Person {
    let text = |name: &str| user[name].as_str().expect("always there").to_owned();
    Person {
        id: text("id").parse().expect("a UUID"),
        username: text("username"),
        email: text("email"),
        password: password.to_owned(),
    }
}

async fn can_log_in(target: &Target, person: &Person) -> bool {
    let mut browser = target.user_agent();
    let form = browser.login_form().await;
    let reply = browser.submit(&fill(form, person)).await;
    assert!([303, 403].contains(&reply.status), "{reply:?}");
    reply.status == 303
}

async fn is_logged_in(target: &Target, browser: &mut UserAgent<'_>) -> bool {
    browser.get(&format!("{}/account", target.issuer_path())).await.status == 200
}

/// From its making to its deletion.
pub async fn an_account_lives_from_its_making_to_its_deletion(target: &Target) {
    let operator = Operator::new(target).await;
    let name = format!("Ada-{}", unique());
    let body = json!({ "email": format!("{name}@Example.COM"), "username": name, "verified": true });
    let created = operator.post("/users", &body).await.expect(201).expect_no_store();
    let mut user = created.json();
    let password = user.as_object_mut().expect("an object").remove("password").expect("it was made up");
    let password = password.as_str().expect("a text");
    assert!(password.len() >= 16, "nobody guesses it");
    assert_eq!(user["email"], format!("{name}@example.com").to_lowercase());
    assert_eq!((&user["username"], &user["verified"]), (&json!(name), &json!(true)));
    assert_eq!((&user["admin"], &user["active"]), (&json!(false), &json!(true)));
    let person = person(&user, password);
    let path = format!("/users/{}", person.id);
    assert!(created.location().path().ends_with(&path), "{created:?}");
    assert_eq!(operator.get(&path).await.expect(200).json(), user);
    assert!(can_log_in(target, &person).await);

    for (field, value) in [("email", person.email.to_uppercase()), ("username", name.clone())] {
        let mut other = json!({ "email": format!("{}@example.com", unique()), "username": unique() });
        other[field] = json!(value);
        operator.post("/users", &other).await.expect_problem(409, "conflict");
    }

    let changed = json!({ "username": format!("Countess-{name}"), "email": format!("new-{name}@example.com") });
    let changed = operator.patch(&path, &changed).await.expect(200).json();
    assert!(time(&changed["updated_at"]) > time(&user["updated_at"]), "{changed}");
    assert!(!can_log_in(target, &person).await, "by the old name");
    let person = self::person(&changed, password);
    assert!(can_log_in(target, &person).await, "by the new one");
    let taken = json!({ "email": target.person().await.email });
    operator.patch(&path, &taken).await.expect_problem(409, "conflict");

    let app = target.public().await;
    let tokens = target.tokens(&app, &person).await;
    assert!(target.is_active(&tokens.access).await && target.is_active(&tokens.refresh).await);
    operator.delete(&path).await.expect(204);
    operator.get(&path).await.expect_problem(404, "not-found");
    operator.delete(&path).await.expect_problem(404, "not-found");
    operator.patch(&path, &json!({ "verified": true })).await.expect_problem(404, "not-found");
    operator.post(&format!("{path}/password"), &json!({})).await.expect_problem(404, "not-found");
    operator.call(http::Method::POST, &format!("{path}/logout"), None).await.expect_problem(404, "not-found");
    assert!(!target.is_active(&tokens.access).await && !target.is_active(&tokens.refresh).await);
    assert!(!can_log_in(target, &person).await);
}

/// Lists are in a stable order, and filters narrow them.
pub async fn users_are_found(target: &Target) {
    let operator = Operator::new(target).await;
    let mark = unique();
    for (name, verified, admin, active) in
        [("a", true, false, true), ("b", false, false, true), ("c", true, true, true), ("d", true, false, false)]
    {
        let body = json!({
            "email": format!("{name}.{mark}@example.com"), "username": format!("{name} {mark}_%"), "verified": verified,
            "admin": admin, "password": format!("{mark} is long enough"),
        });
        let user = operator.post("/users", &body).await.expect(201).json();
        assert!(user.get("password").is_none(), "whoever set it knows it: {user}");
        if !active {
            let path = format!("/users/{}", user["id"].as_str().expect("an id"));
            operator.patch(&path, &json!({ "active": false })).await.expect(200);
        }
    }
    let found = async |query: &str| -> String {
        let items = operator.list(&format!("/users?limit=2&{query}")).await;
        let ours = items.iter().filter_map(|user| user["username"].as_str()?.strip_suffix(&format!(" {mark}_%")));
        ours.collect()
    };
    assert_eq!(found(&format!("q={}", mark.to_uppercase())).await, "abcd", "in the order of their making");
    assert_eq!(found(&format!("q=B.{mark}%40example")).await, "b");
    assert_eq!(found(&format!("q=b%20{mark}_%25")).await, "b");
    assert_eq!(found(&format!("q=b_{mark}")).await, "", "nothing in it is a pattern");
    assert_eq!(found(&format!("q={mark}&verified=false")).await, "b");
    assert_eq!(found(&format!("q={mark}&admin=true")).await, "c");
    assert_eq!(found(&format!("q={mark}&active=false")).await, "d");
    assert_eq!(found(&format!("q={mark}&active=true&verified=true&admin=false")).await, "a");
    for id in ["x", "01933b7e-0000-7000-8000-00000000000", "00000000-0000-0000-0000-000000000000"] {
        operator.get(&format!("/users/{id}")).await.expect_problem(404, "not-found");
    }
}

/// A password that an operator sets replaces the old one, and ends whatever was begun with that.
pub async fn a_password_that_is_set_ends_everything(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, old) = (target.public().await, target.person().await);
    let path = format!("/users/{}/password", old.id);
    for chosen in [None, Some(format!("chosen {}", unique()))] {
        let current = operator.post(&path, &json!({})).await.expect(200).expect_no_store().member("password");
        let old = Person { password: current, ..old.clone() };
        let tokens = target.tokens(&app, &old).await;
        let mut browser = target.user_agent();
        browser.log_in(&old).await;
        assert!(is_logged_in(target, &mut browser).await && target.is_active(&tokens.access).await);
        let body = chosen.as_ref().map_or_else(|| json!({}), |password| json!({ "password": password }));
        let user = operator.post(&path, &body).await.expect(200).json();
        let told = user.get("password").and_then(Value::as_str).map(str::to_owned);
        assert_eq!(told.is_some(), chosen.is_none(), "it is told where it was made up: {user}");
        let new = Person { password: chosen.or(told).expect("one of both"), ..old.clone() };
        assert!(!is_logged_in(target, &mut browser).await);
        assert!(!target.is_active(&tokens.access).await && !target.is_active(&tokens.refresh).await);
        assert!(!can_log_in(target, &old).await && can_log_in(target, &new).await);
    }
    for weak in ["short", "password1", "aaaaaaaaaaaa", &"x".repeat(129), &old.username] {
        let reply = operator.post(&path, &json!({ "password": weak })).await;
        reply.expect_problem_at(422, "invalid-value", "/password");
    }
}

/// A locked account: no session, no token, no login, until it is unlocked.
pub async fn a_locked_account_is_of_no_use(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, person) = (target.public().await, target.person().await);
    let path = format!("/users/{}", person.id);
    let tokens = target.tokens(&app, &person).await;
    let code = target.code(&app, &person).await;
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let user = operator.patch(&path, &json!({ "active": false })).await.expect(200).json();
    assert_eq!(user["active"], false);
    assert!(!target.is_active(&tokens.access).await && !target.is_active(&tokens.refresh).await);
    target.exchange(&app, &code).await.expect_error(400, "invalid_grant");
    target.refresh(&app, &tokens.refresh).await.expect_error(400, "invalid_grant");
    target.get("/api/v1/users/me").bearer_auth(&tokens.access).reply().await.expect_error(401, "invalid_token");
    assert!(!is_logged_in(target, &mut browser).await && !can_log_in(target, &person).await);
    assert!(operator.list(&format!("/sessions?user_id={}", person.id)).await.is_empty());
    operator.patch(&path, &json!({ "active": true })).await.expect(200);
    assert!(can_log_in(target, &person).await);
    assert!(!is_logged_in(target, &mut browser).await, "what has ended stays ended");
    assert!(!target.is_active(&tokens.refresh).await);
}

/// Log out everywhere: every session, every grant.
pub async fn a_person_is_logged_out_everywhere(target: &Target) {
    let operator = Operator::new(target).await;
    let (app, person, other) = (target.public().await, target.person().await, target.person().await);
    let (tokens, others) = (target.tokens(&app, &person).await, target.tokens(&app, &other).await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let path = format!("/users/{}/logout", person.id);
    let reply = operator.call(http::Method::POST, &path, None).await.expect(204);
    assert!(reply.body.is_empty());
    assert!(!is_logged_in(target, &mut browser).await);
    assert!(!target.is_active(&tokens.access).await && !target.is_active(&tokens.refresh).await);
    assert!(target.is_active(&others.refresh).await, "nobody else's");
    operator.call(http::Method::POST, &path, None).await.expect(204);
    assert!(can_log_in(target, &person).await);
}

/// What an account must not be.
pub async fn unacceptable_accounts_are_refused(target: &Target) {
    let operator = Operator::new(target).await;
    for (name, value) in [
        ("email", json!("nobody")),
        ("email", json!("a b@example.com")),
        ("email", json!(format!("{}@example.com", "x".repeat(255)))),
        ("email", json!("a\u{0}@example.com")),
        ("username", json!("")),
        ("username", json!("x".repeat(256))),
        ("username", json!("a\u{0}b")),
        ("password", json!("short")),
        ("password", json!("password1")),
    ] {
        let mut body = json!({ "email": format!("{}@example.com", unique()) });
        body[name] = value;
        operator.post("/users", &body).await.expect_problem_at(422, "invalid-value", &format!("/{name}"));
    }
    let path = format!("/users/{}", target.person().await.id);
    for name in ["id", "password", "created_at"] {
        let mut patch = json!({});
        patch[name] = json!("x");
        operator.patch(&path, &patch).await.expect_problem_at(422, "invalid-value", &format!("/{name}"));
    }
    let reply = operator.patch(&path, &json!({ "email": null })).await;
    reply.expect_problem_at(422, "invalid-value", "/email");
}

/// One session, or one grant, at a time.
pub async fn sessions_and_grants_are_listed_and_ended(target: &Target) {
    let operator = Operator::new(target).await;
    let (person, other) = (target.person().await, target.person().await);
    let (app, second) = (target.public().await, target.public().await);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let sessions = format!("/sessions?user_id={}", person.id);
    let session = operator.list(&sessions).await;
    assert_eq!(session.len(), 1);
    assert_eq!((&session[0]["user_id"], &session[0]["username"]), (&json!(person.id), &json!(person.username)));
    let id = session[0]["id"].as_str().expect("an id").to_owned();
    let mut more = target.user_agent();
    more.log_in(&person).await;
    assert_eq!(operator.list(&format!("{sessions}&limit=1")).await.len(), 2, "page after page");
    assert!(operator.list("/sessions?limit=200").await.iter().any(|session| session["id"] == id));
    assert!(operator.list(&format!("/sessions?user_id={}", other.id)).await.is_empty());
    operator.delete(&format!("/sessions/{id}")).await.expect(204);
    assert!(!is_logged_in(target, &mut browser).await && is_logged_in(target, &mut more).await);
    operator.delete(&format!("/sessions/{id}")).await.expect_problem(404, "not-found");

    let (one, two) = (target.tokens(&app, &person).await, target.tokens(&second, &person).await);
    let foreign: Tokens = target.tokens(&app, &other).await;
    let of = async |query: &str| operator.list(&format!("/grants?user_id={}{query}", person.id)).await;
    assert_eq!(of("&limit=1").await.len(), 2);
    let by_client = of(&format!("&client_id={}", app.client_id)).await;
    assert_eq!(by_client.len(), 1);
    let grant = &by_client[0];
    assert_eq!((&grant["client_id"], &grant["revoked_at"]), (&json!(app.client_id), &Value::Null));
    assert_eq!(operator.list(&format!("/grants?client_id={}", app.client_id)).await.len(), 2, "of two people");
    let path = format!("/grants/{}", grant["id"].as_str().expect("an id"));
    operator.delete(&path).await.expect(204);
    assert!(!target.is_active(&one.access).await && !target.is_active(&one.refresh).await);
    assert!(target.is_active(&two.access).await && target.is_active(&foreign.access).await);
    assert_eq!((of("&revoked=true").await.len(), of("&revoked=false").await.len()), (1, 1));
    assert!(of("&revoked=true").await[0]["revoked_at"].is_string());
    for path in [format!("/grants/{}", Uuid::from_bytes([7; 16])), "/grants/x".to_owned(), "/sessions/x".to_owned()] {
        operator.delete(&path).await.expect_problem(404, "not-found");
    }
    for query in ["user_id=x", "revoked=x"] {
        operator.get(&format!("/grants?{query}")).await.expect_problem(400, "invalid-request");
    }
}
