//! `authly` and `authly-admin` as a person at a terminal meets them: the first run, the second, production, and every
//! command.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use authly_tests::{
    http::RequestExt as _,
    postgres::TestDatabase,
    server::free_port,
    shell::{Shell, stdout},
};
use reqwest::{Client, redirect::Policy};
use serde_json::Value;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// A server that is killed in the end, and what it wrote until then.
struct Serving(Child);

impl Serving {
    async fn start(shell: &Shell, port: u16) -> Self {
        let child = shell.command("authly", &[]).spawn().expect("the program runs");
        let serving = Self(child);
        let url = format!("http://127.0.0.1:{port}/health/ready");
        let deadline = Instant::now() + Duration::from_secs(60);
        let client = Client::new();
        while client.get(&url).send().await.is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        serving
    }

    fn stop(mut self) -> String {
        self.0.kill().expect("it runs");
        let mut text = String::new();
        let mut pipe = self.0.stdout.take().expect("piped");
        std::io::Read::read_to_string(&mut pipe, &mut text).expect("text");
        text
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nothing is configured, and everything is there: twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_makes_everything_and_the_second_finds_it() {
    let port = free_port();
    let shell = Shell::new(&[("PORT", &port.to_string())]);
    let server = Serving::start(&shell, port).await;
    let jwks = Client::new().get(format!("http://127.0.0.1:{port}/.well-known/jwks.json"));
    let keys = jwks.try_clone().expect("no body").reply().await.expect(200).json();
    let first = server.stop();
    assert!(first.contains("user name  admin") && first.contains("password   "), "{first}");
    assert!(first.contains(&format!("http://127.0.0.1:{port}/demo")), "{first}");
    let data = shell.path().join("data");
    assert_eq!(mode(&data), 0o700);
    for file in ["authly.db", "jwt_secret_key", "jwt_refresh_secret_key"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    let server = Serving::start(&shell, port).await;
    let again = jwks.reply().await.expect(200).json();
    let second = server.stop();
    assert_eq!(keys, again, "the keys are still there");
    assert!(!second.contains("password"), "{second}");
    assert!(second.contains("/demo"), "{second}");
}

/// `ADMIN_EMAIL` and `ADMIN_PASSWORD` make an administrator, once, who can log in; nobody else is made up.
#[tokio::test(flavor = "multi_thread")]
async fn the_configured_administrator_is_made_once() {
    let port = free_port();
    let admin = [("ADMIN_EMAIL", "Root@Example.com"), ("ADMIN_PASSWORD", "a password of the operator's")];
    let shell = Shell::new(&[&admin[..], &[("PORT", &port.to_string())]].concat());
    for _ in 0..2 {
        let server = Serving::start(&shell, port).await;
        let url = format!("http://127.0.0.1:{port}/login");
        let client = Client::builder().redirect(Policy::none()).build().expect("a client");
        let page = client.get(&url).reply().await.expect(200);
        let cookie = page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
        let form = page.form();
        let fields =
            [("username", "root@example.com"), ("password", admin[1].1), ("csrf_token", form.value("csrf_token"))];
        client.post(&url).header("cookie", cookie).form_body(&fields).reply().await.expect(303);
        let said = server.stop();
        assert!(!said.contains("password"), "{said}");
    }
    assert_eq!(shell.admin_json(&["status"])["counts"]["users"], 1);
    let half = Shell::new(&admin[..1]);
    assert!(half.fail("authly", &["config", "check"]).contains("ADMIN_PASSWORD: it is not set, but ADMIN_EMAIL is"));
}

/// A line of JSON for each request: what, how long, from where, by which id; never the query.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_logged_as_json_without_their_query() {
    let port = free_port();
    let variables =
        [("PORT", port.to_string()), ("LOG_FORMAT", "json".to_owned()), ("TRUSTED_PROXIES", "127.0.0.1".to_owned())];
    let shell = Shell::new(&variables.each_ref().map(|(name, value)| (*name, value.as_str())));
    let mut server = Serving::start(&shell, port).await;
    let url = format!("http://127.0.0.1:{port}/authorize?client_id=nobody&state=a-secret-state");
    let request = Client::new().get(url).header("x-request-id", "id-of-mine").header("x-forwarded-for", "203.0.113.7");
    let reply = request.reply().await;
    assert_eq!((reply.status, reply.header("x-request-id")), (400, Some("id-of-mine")));
    server.0.kill().expect("it runs");
    let mut log = String::new();
    std::io::Read::read_to_string(&mut server.0.stderr.take().expect("piped"), &mut log).expect("text");
    assert!(!log.contains("a-secret-state"), "{log}");
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let line = lines.into_iter().find(|line| line["request_id"] == "id-of-mine").expect("the request was logged");
    assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some("GET"), Some("/authorize")));
    assert_eq!((line["status"].as_u64(), line["client_address"].as_str()), (Some(400), Some("203.0.113.7")));
    assert!(line["duration_us"].is_u64() && line["timestamp"].is_string() && line["level"] == "INFO", "{line}");
}

/// Production makes nothing up, and names every variable that is missing.
#[test]
fn production_refuses_the_conveniences() {
    let shell = Shell::new(&[("ENVIRONMENT", "production")]);
    for arguments in [&["serve"][..], &["config", "check"], &["migrate"], &[]] {
        let said = shell.fail("authly", arguments);
        for variable in ["ISSUER_URL", "JWT_SECRET_KEY", "JWT_REFRESH_SECRET_KEY", "DATABASE_URL"] {
            assert!(said.contains(&format!("  {variable}: ")), "{variable} is not named: {said}");
        }
    }
    assert!(!shell.path().join("data").exists(), "it made something");
}

/// Secrets may come from files, and never show.
#[test]
fn config_check_prints_what_is_in_force_without_secrets() {
    let secret = "a secret of more than thirty-two characters";
    let mut shell = Shell::new(&[
        ("JWT_REFRESH_SECRET_KEY", secret),
        ("DATABASE_URL", "postgresql://authly:hunter2@db/authly"),
        ("ADMIN_EMAIL", "ada@example.com"),
        ("ADMIN_PASSWORD", "hunter2"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "5"),
    ]);
    let file = shell.path().join("key");
    fs::write(&file, format!("{secret}, in a file\n")).expect("a file");
    shell.variables.push(("JWT_SECRET_KEY_FILE".to_owned(), file.display().to_string()));
    let said = shell.succeed("authly", &["config", "check"]);
    assert!(said.contains("ACCESS_TOKEN_EXPIRE_MINUTES=5\n"), "{said}");
    assert!(said.contains("JWT_SECRET_KEY=(redacted)\n"), "{said}");
    assert!(said.contains("JWT_ALGORITHM=ES256  (default)\n"), "{said}");
    assert!(!said.contains("hunter2") && !said.contains(secret), "{said}");
    shell.variables.retain(|(name, _)| name != "JWT_SECRET_KEY_FILE");
    shell.variables.push(("JWT_SECRET_KEY_FILE".to_owned(), "/nowhere".to_owned()));
    let said = shell.fail("authly", &["config", "check"]);
    assert!(said.contains("JWT_SECRET_KEY: JWT_SECRET_KEY_FILE, /nowhere: "), "{said}");
}

/// The health check of an image in which nothing else is: the same environment as the server's, whatever it listens at
/// and whatever names it answers to.
#[tokio::test(flavor = "multi_thread")]
async fn health_asks_the_server_of_this_environment() {
    for host in ["127.0.0.1", "0.0.0.0", "::", "::1"] {
        let port = free_port();
        let variables =
            [("PORT", &port.to_string()[..]), ("HOST", host), ("ISSUER_URL", "https://auth.example.com/tenant")];
        let shell = Shell::new(&variables);
        let said = shell.fail("authly", &["health"]);
        assert!(said.contains(&format!(":{port}/health/ready: Connection refused")), "{said}");
        assert!(!shell.path().join("data").exists(), "to ask makes nothing");
        let mut server = Serving(shell.command("authly", &[]).spawn().expect("the program runs"));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !shell.run("authly", &["health"]).status.success() {
            assert!(Instant::now() < deadline, "{host}: {}", shell.fail("authly", &["health"]));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let said = shell.succeed("authly", &["health"]);
        assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON")["status"], "ok");
        let loopback = if host.contains(':') { "[::1]" } else { "127.0.0.1" };
        let url = |path: &str| format!("http://{loopback}:{port}{path}");
        Shell::new(&[]).succeed("authly", &["health", &url("/tenant/health/live")]);
        let said = Shell::new(&[]).fail("authly", &["health", &url("/nothing")]);
        assert!(said.contains("/nothing: 404 "), "{said}");
        server.0.kill().expect("it runs");
    }
}

/// A server that cannot work is not healthy, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn health_notices_what_is_wrong() {
    let database = TestDatabase::empty().await;
    let port = free_port().to_string();
    let shell = Shell::new(&[("DATABASE_URL", &database.url()), ("PORT", &port)]);
    let _server = Serving(shell.command("authly", &[]).spawn().expect("the program runs"));
    let deadline = Instant::now() + Duration::from_secs(60);
    let said = loop {
        let said = shell.fail("authly", &["health"]);
        if !said.contains("Connection refused") {
            break said;
        }
        assert!(Instant::now() < deadline, "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(said.contains("/health/ready: 503 ") && said.contains("run `authly migrate`"), "{said}");
    for (variables, expected) in [
        ([("PORT", "0")], "PORT: it is 0"),
        ([("PORT", "http")], "PORT: \"http\" is not valid"),
        ([("HOST", "localhost")], "HOST: \"localhost\" is not valid"),
    ] {
        let said = Shell::new(&variables).fail("authly", &["health"]);
        assert!(said.contains(expected), "{said}");
    }
    let said = shell.fail("authly", &["health", "https://localhost/health"]);
    assert!(said.contains("is no plain http URL"), "{said}");
}

/// The README's first steps, one after another.
#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_first_steps() {
    let shell = Shell::new(&[]);
    let status = shell.admin_json(&["status"]);
    assert_eq!((status["healthy"].as_bool(), status["counts"]["users"].as_u64()), (Some(true), Some(0)));

    let client = shell.admin_json(&["client", "create", "--name", "Report", "--type", "confidential"]);
    let client_id = client["client_id"].as_str().expect("an id").to_owned();
    let secret = client["client_secret"].as_str().expect("a secret").to_owned();
    assert_eq!(client["grant_types"], serde_json::json!(["client_credentials"]));
    assert_eq!(client["scope"], "profile read", "those granted by default");
    let shown = shell.admin_json(&["client", "show", &client_id]);
    assert!(shown.get("client_secret").is_none());
    let app = ["client", "create", "--name", "App", "--type", "public", "--client-id", "app"];
    shell.succeed("authly-admin", &[&app[..], &["--redirect-uri", "https://app.example/cb"]].concat());
    let table = shell.succeed("authly-admin", &["client", "list"]);
    assert!(table.contains("client_id") && table.contains(&client_id) && table.contains(" app "), "{table}");

    let before = shell.admin_json(&["scope", "list"]).as_array().map(Vec::len).expect("a list");
    let invoices = ["scope", "create", "invoices", "--description", "Read your invoices", "--default"];
    assert_eq!(shell.admin_json(&invoices)["default"], true);
    let scopes = shell.admin_json(&["scope", "list"]);
    assert_eq!(scopes.as_array().map(Vec::len), Some(before + 1));

    let user = shell.admin_json(&["user", "create", "--email", "Ada@Example.com", "--verified", "--generate-password"]);
    assert_eq!((user["email"].as_str(), user["verified"].as_bool()), (Some("ada@example.com"), Some(true)));
    assert!(user["password"].as_str().is_some_and(|password| password.len() >= 20));
    let typed = ["user", "create", "--email", "b@example.com", "--password-stdin"];
    assert!(shell.run_with("authly-admin", &typed, "a password, typed\nrest").status.success());

    // What was made works.
    let port = free_port();
    let mut shell = shell;
    shell.set("PORT", &port.to_string());
    let server = Serving::start(&shell, port).await;
    let token = Client::new()
        .post(format!("http://127.0.0.1:{port}/auth/token"))
        .client_basic(&client_id, &secret)
        .form_body(&[("grant_type", "client_credentials")]);
    let reply = token.reply().await.expect(200);
    assert_eq!(reply.member("scope"), "profile read");
    assert!(!server.stop().contains("user name"), "there are users already: no administrator is made up");
}

/// Words that help, and exit code 1.
#[test]
fn the_administrator_is_told_what_is_wrong() {
    let shell = Shell::new(&[]);
    let public = ["client", "create", "--name", "App", "--type", "public"];
    for (arguments, expected) in [
        (&[&public[..], &["--redirect-uri", "http://app.example/cb"]].concat()[..], "use https"),
        (&[&public[..], &["--redirect-uri", "myapp:/cb"]].concat(), "contains a dot"),
        (&public, "needs at least one redirect URI"),
        (&[&public[..], &["--redirect-uri", "https://a.example", "--scope", "nope"]].concat(), "no scope \"nope\""),
        (&[&public[..], &["--grant-type", "client_credentials"]].concat(), "confidential clients only"),
        (&[&public[..], &["--grant-type", "password"]].concat(), "no grant type \"password\""),
        (&["client", "show", "nobody"], "there is no client \"nobody\""),
        (&["user", "create", "--email", "nonsense", "--generate-password"], "must look like name@example.com"),
        (&["scope", "create", "two words", "--description", "x"], "one word"),
        (&["scope", "create", "read", "--description", "x"], "exists already"),
    ] {
        let said = shell.fail("authly-admin", arguments);
        assert!(said.contains(expected), "{arguments:?} said: {said}");
    }
    shell.succeed("authly-admin", &["user", "create", "--email", "a@b.example", "--generate-password"]);
    let said = shell.fail("authly-admin", &["user", "create", "--email", "A@B.example", "--generate-password"]);
    assert!(said.contains("is taken"), "{said}");
}

/// A database that is not there, or empty, is not healthy; one that was migrated is.
#[tokio::test(flavor = "multi_thread")]
async fn status_tells_health_by_its_exit_code() {
    let nowhere = Shell::new(&[("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")]);
    let output = nowhere.run("authly-admin", &["status", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["healthy"], false);

    let database = TestDatabase::empty().await;
    let shell = Shell::new(&[("DATABASE_URL", &database.url())]);
    let output = shell.run("authly-admin", &["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("migrate"), "{}", stdout(&output));
    for _ in 0..2 {
        assert!(shell.succeed("authly", &["migrate"]).contains("is up to date"));
    }
    shell.succeed("authly-admin", &["status"]);
    assert!(shell.succeed("authly", &["maintenance", "run"]).contains("Made the next signing key."));
    assert!(shell.succeed("authly", &["maintenance", "run"]).contains("Removed 0 rows"));
}
