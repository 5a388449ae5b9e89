//! Every command of `authly-admin`, for real: on the database and over HTTP, on SQLite and on Postgres.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Output};

use authly_tests::{
    container::{postgres, target},
    http::RequestExt as _,
    server::{Database, TestServer},
    shell::{Shell, stderr, stdout},
    target::Target,
    tls::Front,
};
use serde_json::{Value, json};

const ADMIN: &str = "authly-admin";
const ALL_SCOPES: [&str; 8] = [
    "admin:clients:read",
    "admin:clients:write",
    "admin:scopes:read",
    "admin:scopes:write",
    "admin:users:read",
    "admin:users:write",
    "admin:system:read",
    "admin:system:write",
];

/// How the commands reach the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Database,
    Http,
}

/// A server, and a shell whose commands administer it.
struct World {
    server: TestServer,
    target: Target,
    shell: Shell,
}

impl World {
    async fn new(database: Database, way: Way) -> Self {
        let server = TestServer::start(database, &[]).await;
        let target = target(&server).await;
        let mut shell = Shell::new(&[]);
        let variables = [
            "ISSUER_URL",
            "DATABASE_URL",
            "ENVIRONMENT",
            "JWT_SECRET_KEY",
            "JWT_REFRESH_SECRET_KEY",
            "ARGON2_MEMORY_KIB",
            "ARGON2_ITERATIONS",
        ];
        for name in variables {
            shell.set(name, server.variable(name).expect("the tests set it"));
        }
        let mut world = Self { server, target, shell };
        if way == Way::Http {
            let token = world.machine_token().await;
            world.shell = Shell::new(&[("AUTHLY_URL", world.server.issuer()), ("AUTHLY_TOKEN", &token)]);
        }
        world
    }

    /// An access token of a client that may do everything.
    async fn machine_token(&self) -> String {
        let mut create = vec!["client", "create", "--name", "Operations", "--type", "confidential"];
        create.extend(ALL_SCOPES.iter().flat_map(|scope| ["--scope", scope]));
        let client = self.shell.admin_json(&create);
        let member = |name: &str| client[name].as_str().expect("text").to_owned();
        self.client_token(&member("client_id"), &member("client_secret")).await.expect("a token")
    }

    async fn client_token(&self, client_id: &str, secret: &str) -> Option<String> {
        let request = self.target.post("/auth/token").client_basic(client_id, secret);
        let reply = request.form_body(&[("grant_type", "client_credentials")]).reply().await;
        (reply.status == 200).then(|| reply.member("access_token"))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.shell.admin_json(arguments)
    }

    fn table(&self, arguments: &[&str]) -> String {
        self.shell.succeed(ADMIN, arguments)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.shell.run(ADMIN, arguments)
    }

    #[track_caller]
    fn fail(&self, code: i32, arguments: &[&str]) -> String {
        self.shell.fail_with(code, ADMIN, arguments)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.shell.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

/// The values of a member of a list's items.
fn each<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().expect("a list").iter().map(|item| item[member].as_str().unwrap_or_default()).collect()
}

async fn status(world: &World) {
    let status = world.json(&["status"]);
    assert_eq!(status["healthy"], true, "{status}");
    assert!(status["counts"]["clients"].is_u64() && status["version"].is_string(), "{status}");
    let table = world.table(&["status"]);
    assert!(table.contains("healthy") && table.contains("yes") && table.contains("clients: "), "{table}");
    let yaml = world.table(&["status", "--output", "yaml"]);
    assert!(yaml.contains("healthy: true\n"), "{yaml}");
    world.json(&["whoami"]);
}

async fn scopes(world: &World) {
    let create = ["scope", "create", "invoices", "--description", "Read your invoices"];
    let dry = world.json(&[&create[..], &["--dry-run"]].concat());
    assert_eq!((dry["name"].as_str(), dry["dry_run"].as_bool()), (Some("invoices"), Some(true)));
    world.fail(3, &["scope", "show", "invoices"]);
    let scope = world.json(&[&create[..], &["--default"]].concat());
    assert_eq!((scope["default"].as_bool(), scope["active"].as_bool()), (Some(true), Some(true)));
    let said = world.fail(4, &create);
    assert!(said.starts_with("authly-admin: ") && said.contains("already"), "{said}");
    let said = world.fail(1, &["scope", "create", "two words", "--description", "x"]);
    assert!(said.contains("/name"), "the member that is wrong is named: {said}");
    let list = world.json(&["scope", "list", "--query", "INVO"]);
    assert_eq!(each(&list, "name"), ["invoices"]);
    let update = ["scope", "update", "invoices", "--description", "See your invoices", "--default", "false"];
    let diff = world.table(&[&update[..], &["--dry-run"]].concat());
    assert!(diff.contains("-   description: Read your invoices\n+   description: See your invoices\n"), "{diff}");
    assert!(diff.contains("-   default: true\n+   default: false\n"), "{diff}");
    assert!(!diff.contains("active"), "it does not change: {diff}");
    assert_eq!(world.json(&["scope", "show", "invoices"])["default"], true, "that was a dry run");
    assert_eq!(world.json(&update)["default"], false);
    assert_eq!(world.json(&update[..5])["description"], "See your invoices", "it is safe to repeat");
    assert!(world.table(&[&update[..], &["--dry-run"]].concat()).contains("Nothing would change"));
    world.fail(2, &["scope", "update", "invoices"]);
    let said = world.fail(2, &["scope", "delete", "invoices"]);
    assert!(said.contains("--yes"), "there is no terminal: {said}");
    assert!(world.table(&["scope", "delete", "invoices", "--dry-run"]).contains("Would be deleted: invoices"));
    world.json(&["scope", "show", "invoices"]);
    assert!(world.table(&["scope", "delete", "invoices", "--yes"]).contains("Now deleted: invoices"));
    world.fail(3, &["scope", "delete", "invoices", "--yes"]);
}

async fn clients(world: &World) {
    let create = ["client", "create", "--name", "Report", "--type", "confidential", "--client-id", "report/a b"];
    let dry = world.json(&[&create[..], &["--dry-run"]].concat());
    assert!(dry.get("client_secret").is_none() && dry["dry_run"] == true, "{dry}");
    world.fail(3, &["client", "show", "report"]);
    let create = ["client", "create", "--name", "Report", "--type", "confidential", "--client-id", "report:1/2"];
    let client = world.json(&[&create[..], &["--scope", "read", "--scope", "profile"]].concat());
    let (id, first) = ("report:1/2", client["client_secret"].as_str().expect("a secret").to_owned());
    assert_eq!(client["grant_types"], json!(["client_credentials"]));
    world.fail(4, &create);
    let shown = world.json(&["client", "show", id]);
    assert!(shown.get("client_secret").is_none() && shown["client_name"] == "Report", "{shown}");
    assert!(world.client_token(id, &first).await.is_some());

    let rotated = world.json(&["client", "rotate-secret", id]);
    let second = rotated["client_secret"].as_str().expect("a secret").to_owned();
    assert!(rotated["previous_secret_expires_at"].is_string(), "{rotated}");
    for secret in [&first, &second] {
        assert!(world.client_token(id, secret).await.is_some(), "both work for a day");
    }
    world.fail(2, &["client", "rotate-secret", id, "--overlap-seconds", "0"]);
    let rotated = world.json(&["client", "rotate-secret", id, "--overlap-seconds", "0", "--yes"]);
    let third = rotated["client_secret"].as_str().expect("a secret");
    assert!(world.client_token(id, third).await.is_some());

    let update = ["client", "update", id, "--name", "Reports", "--resource", "https://api.example"];
    let diff = world.table(&[&update[..], &["--dry-run"]].concat());
    assert!(diff.contains("-   client_name: Report\n+   client_name: Reports\n"), "{diff}");
    let updated = world.json(&update);
    assert_eq!((&updated["client_name"], &updated["resources"]), (&json!("Reports"), &json!(["https://api.example"])));
    let cleared = world.json(&["client", "update", id, "--clear", "resources", "--client-uri", "https://r.example/"]);
    assert_eq!(cleared["resources"], json!([]));
    let cleared = world.json(&["client", "update", id, "--clear", "client-uri"]);
    assert_eq!(cleared["client_uri"], Value::Null);
    world.fail(2, &["client", "update", id, "--clear", "client-uri", "--client-uri", "https://r.example/"]);
    assert!(world.fail(1, &["client", "update", id, "--scope", "nope"]).contains("nope"));

    assert_eq!(world.json(&["client", "deactivate", id])["active"], false);
    assert_eq!(each(&world.json(&["client", "list", "--active", "false"]), "client_id"), [id]);
    assert_eq!(world.json(&["client", "activate", id])["active"], true);
    let list = world.json(&["client", "list", "--query", "report", "--type", "confidential"]);
    assert_eq!(each(&list, "client_id"), [id]);
    let table = world.table(&["client", "list"]);
    assert!(table.contains("client_id") && table.contains(id), "{table}");
    world.fail(2, &["client", "delete", id]);
    world.table(&["client", "delete", id, "--yes"]);
    world.fail(3, &["client", "show", id]);
}

async fn lists_of_many_pages(world: &World) {
    for number in 0..205 {
        let name = format!("many-{number:03}");
        world.target.public_with(|client| client.name.clone_from(&name)).await;
    }
    let all = world.json(&["client", "list", "--query", "many-"]);
    assert_eq!(all.as_array().map(Vec::len), Some(205), "two pages");
    let mut ids = each(&all, "client_id");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 205);
    for limit in [1, 203] {
        let some = world.json(&["client", "list", "--query", "many-", "--limit", &limit.to_string()]);
        assert_eq!(some.as_array().map(Vec::len), Some(limit));
    }
}

async fn users(world: &World) {
    let create = ["user", "create", "--email", "Ada@Example.com", "--username", "ada", "--password-stdin"];
    let output = world.shell.run_with(ADMIN, &[&create[..], &["--output", "json"]].concat(), "a long password\nx");
    assert!(output.status.success(), "{}", stderr(&output));
    let user: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let id = user["id"].as_str().expect("an id");
    assert!(user.get("password").is_none() && user["verified"] == false, "{user}");
    let output = world.shell.run_with(ADMIN, &create, "another password\n");
    assert_eq!(output.status.code(), Some(4), "the address is taken: {}", stderr(&output));
    let weak = ["user", "create", "--email", "w@example.com", "--password-stdin"];
    let output = world.shell.run_with(ADMIN, &weak, "password\n");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("/password"), "{}", stderr(&output));
    let said = world.fail(1, &["user", "create", "--email", "x@example.com"]);
    assert!(said.contains("--password-stdin"), "no terminal to ask on: {said}");

    for name in [id, "ada@example.com", "ADA"] {
        assert_eq!(world.json(&["user", "show", name])["id"], id, "{name}");
    }
    world.fail(3, &["user", "show", "nobody"]);
    world.fail(3, &["user", "show", "ad"]);
    assert_eq!(each(&world.json(&["user", "list", "-q", "EXAMPLE.com", "--verified", "false"]), "id"), [id]);
    assert_eq!(world.json(&["user", "verify", "ada"])["verified"], true);
    let diff = world.table(&["user", "lock", "ada", "--dry-run"]);
    assert!(diff.contains("-   active: true\n+   active: false"), "{diff}");
    assert_eq!(world.json(&["user", "lock", "ada"])["active"], false);
    assert_eq!(world.json(&["user", "unlock", "ada"])["active"], true);
    let renamed = world.json(&["user", "update", "ada", "--username", "countess", "--email", "countess@example.com"]);
    assert_eq!((&renamed["username"], &renamed["email"]), (&json!("countess"), &json!("countess@example.com")));
    let made = world.json(&["user", "set-password", "countess", "--generate-password"]);
    assert!(made["password"].as_str().is_some_and(|password| password.len() >= 16), "{made}");

    world.fail(2, &["user", "delete", "countess"]);
    world.table(&["user", "logout", "countess", "--yes"]);
    world.table(&["user", "delete", "countess", "--yes"]);
    world.fail(3, &["user", "show", "countess"]);
}

/// The last one cannot be removed, whatever the other tests made.
async fn last_administrator(world: &World) {
    let others = world.json(&["user", "list", "--admin", "true"]);
    let admin = ["user", "create", "--email", "last@example.com", "--admin", "--verified", "--generate-password"];
    world.json(&admin);
    for other in each(&others, "id") {
        world.table(&["user", "delete", other, "--yes"]);
    }
    for command in [
        &["user", "delete", "last@example.com", "--yes"][..],
        &["user", "lock", "last@example.com"],
        &["user", "update", "last@example.com", "--admin", "false"],
    ] {
        world.fail(4, command);
    }
}

async fn sessions_and_grants(world: &World) {
    let (app, person) = (world.target.confidential().await, world.target.person().await);
    let tokens = world.target.tokens(&app, &person).await;
    assert!(world.target.is_active(&tokens.access).await);
    let sessions = world.json(&["session", "list", "--user", &person.username]);
    let session = each(&sessions, "id")[0].to_owned();
    assert_eq!(each(&sessions, "username"), [person.username.as_str()]);
    let grants = world.json(&["grant", "list", "--user", &person.email, "--client", &app.client_id]);
    let grant = each(&grants, "id")[0].to_owned();
    world.fail(2, &["grant", "revoke", &grant]);
    world.table(&["grant", "revoke", &grant, "--dry-run"]);
    assert!(world.target.is_active(&tokens.access).await, "that was a dry run");
    world.table(&["grant", "revoke", &grant, "--yes"]);
    assert!(!world.target.is_active(&tokens.access).await);
    let revoked = world.json(&["grant", "list", "--user", &person.username, "--revoked", "true"]);
    assert_eq!(each(&revoked, "id"), [grant.as_str()]);
    world.table(&["session", "end", &session, "--yes"]);
    assert_eq!(world.json(&["session", "list", "--user", &person.username]), json!([]));
    world.fail(3, &["session", "end", &session, "--yes"]);
    world.fail(3, &["grant", "list", "--user", "nobody"]);
}

async fn audit(world: &World) {
    let events = world.json(&["audit", "list", "--limit", "5", "--since", "1h"]);
    assert_eq!(events.as_array().map(Vec::len), Some(5), "what the other steps did");
    let name = each(&events, "event")[0].to_owned();
    let some = world.json(&["audit", "list", "--event", &name]);
    assert!(!each(&some, "event").is_empty() && each(&some, "event").iter().all(|event| *event == name), "{some}");
    assert_eq!(world.json(&["audit", "list", "--until", "2020-01-01"]), json!([]));
    world.fail(2, &["audit", "list", "--since", "yesterday"]);

    let lines = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    };
    let until = &chrono::Utc::now().to_rfc3339();
    let listed = world.json(&["audit", "list", "--until", until]);
    let exported = lines(&world.table(&["audit", "export", "--until", until]));
    assert_eq!(exported, *listed.as_array().expect("a list"));
    assert_eq!(lines(&world.table(&["audit", "export", "--limit", "3"])).len(), 3);
    let path = world.shell.path().join("audit.ndjson");
    let export = ["audit", "export", "--until", until, "--file", "audit.ndjson"];
    assert!(world.table(&export).contains(&format!("{} events", exported.len())));
    assert_eq!(lines(&fs::read_to_string(&path).expect("a file")), exported);
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(world.fail(1, &export).contains("--force"));
    world.table(&[&export[..], &["--force"]].concat());
}

async fn maintenance(world: &World) {
    let run = world.json(&["maintenance", "run"]);
    assert!(run["removed"].is_u64() && run["finished"] == true, "{run}");
    let jobs = world.json(&["maintenance", "status"]);
    assert!(each(&jobs, "job").iter().all(|job| !job.is_empty()) && !each(&jobs, "job").is_empty(), "{jobs}");
    assert!(world.table(&["maintenance", "status"]).contains("last_outcome"));
}

/// The last of the steps: afterwards, tokens made before are good for nothing.
async fn keys(world: &World, way: Way) {
    let before = world.json(&["key", "list"]);
    assert!(each(&before, "state").contains(&"current"), "{before}");
    world.json(&["key", "rotate", "--dry-run"]);
    assert_eq!(world.json(&["key", "list"]), before, "that was a dry run");
    let key = world.json(&["key", "rotate"]);
    assert_eq!(key["state"], "next", "{key}");
    world.fail(2, &["key", "rotate", "--immediate"]);
    let key = world.json(&["key", "rotate", "--immediate", "--yes"]);
    assert_eq!(key["state"], "current", "{key}");
    if way == Way::Http {
        // It is this command's own token, too. What was verified lately is believed for a moment more.
        let said = world.fail(5, &["key", "list"]);
        assert!(said.starts_with("authly-admin: "), "{said}");
    }
}

async fn apply(world: &World) {
    let yaml = "\
# what there should be
- client_id: apply-app
  client_name: App
  client_type: public
  redirect_uris: [https://app.example/cb, https://app.example/other]
  scope: read profile
- client_id: apply-job
  client_name: Job
  client_type: confidential
";
    world.file("clients.yaml", yaml);
    let apply = ["client", "apply", "--file", "clients.yaml", "--exit-code"];
    let with = |more: &[&'static str]| -> Vec<&str> { apply.iter().copied().chain(more.iter().copied()).collect() };

    let output = world.run(&with(&["--dry-run"]));
    assert_eq!(output.status.code(), Some(10), "it would change something: {}", stderr(&output));
    let plan = stderr(&output);
    assert!(plan.contains("+ client apply-app\n") && plan.contains("+   client_name: App\n"), "{plan}");
    assert!(plan.contains("2 to create, 0 to change, 0 to delete, 0 unchanged\n"), "{plan}");
    world.fail(3, &["client", "show", "apply-app"]);
    let said = world.fail(2, &apply);
    assert!(said.contains("--yes"), "{said}");

    let output = world.run(&with(&["--yes", "--output", "json"]));
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(each(&result, "action"), ["create", "create"]);
    let secret = result[1]["client_secret"].as_str().expect("the secret of the confidential one");
    assert!(world.client_token("apply-job", secret).await.is_some());
    assert!(result[0].get("client_secret").is_none(), "{result}");

    let output = world.run(&with(&["--yes"]));
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains("0 to create, 0 to change, 0 to delete, 2 unchanged"), "{}", stderr(&output));

    // The order of a list means nothing; what the file does not say stays.
    world.json(&["client", "update", "apply-app", "--client-uri", "https://app.example/"]);
    world.file("clients.yaml", &yaml.replace("read profile", "profile read").replace("name: App", "name: The app"));
    let output = world.run(&with(&["--yes"]));
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let plan = stderr(&output);
    assert!(plan.contains("~ client apply-app\n-   client_name: App\n+   client_name: The app\n1"), "{plan}");
    let app = world.json(&["client", "show", "apply-app"]);
    assert_eq!((&app["client_name"], &app["client_uri"]), (&json!("The app"), &json!("https://app.example/")));

    // Everything that there is, as a file, is what there is.
    world.file("all.yaml", &world.table(&["client", "list", "--output", "yaml"]));
    let all = ["client", "apply", "--file", "all.yaml", "--exit-code", "--prune", "--yes"];
    let output = world.run(&all);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));

    // Without what is to go.
    let mut list = world.json(&["client", "list"]);
    list.as_array_mut().expect("a list").retain(|client| client["client_id"] != "apply-app");
    world.file("all.yaml", &list.to_string());
    let output = world.run(&["client", "apply", "--file", "all.yaml", "--exit-code"]);
    assert_eq!(output.status.code(), Some(0), "without --prune it stays: {}", stderr(&output));
    world.fail(2, &["client", "apply", "--file", "all.yaml", "--prune"]);
    let output = world.run(&all);
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    assert!(stderr(&output).contains("- client apply-app\n"), "{}", stderr(&output));
    world.fail(3, &["client", "show", "apply-app"]);

    for (yaml, code, expected) in [
        ("- client_name: x", 1, "client_id"),
        ("- client_id: a\n- client_id: a", 1, "twice"),
        ("client_id: a", 1, "bad.yaml"),
        ("- client_id: apply-job\n  client_type: public", 1, "client_type"),
        ("- client_id: apply-job\n  client_nam: x", 1, "client_nam"),
        (
            "- {client_id: apply-new, client_type: public, client_name: x, redirect_uris: [http://a.example]}",
            1,
            "apply-new",
        ),
    ] {
        world.file("bad.yaml", yaml);
        let said = world.fail(code, &["client", "apply", "-f", "bad.yaml", "--yes"]);
        assert!(said.contains(expected), "{yaml}: {said}");
    }
    world.table(&["client", "delete", "apply-job", "--yes"]);
}

async fn everything(database: Database, way: Way) {
    let world = World::new(database, way).await;
    status(&world).await;
    scopes(&world).await;
    clients(&world).await;
    users(&world).await;
    sessions_and_grants(&world).await;
    last_administrator(&world).await;
    apply(&world).await;
    maintenance(&world).await;
    audit(&world).await;
    keys(&world, way).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_database_of_sqlite() {
    everything(Database::sqlite(), Way::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_with_sqlite() {
    everything(Database::sqlite(), Way::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_database_of_postgres() {
    everything(postgres().await, Way::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_with_postgres() {
    everything(postgres().await, Way::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_read_page_by_page() {
    for way in [Way::Database, Way::Http] {
        lists_of_many_pages(&World::new(Database::sqlite(), way).await).await;
    }
}

/// On a terminal it asks, and takes no for an answer.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_asked_about() {
    let world = World::new(Database::sqlite(), Way::Database).await;
    world.json(&["scope", "create", "invoices", "--description", "Read your invoices"]);
    for (typed, code) in [("n\n", 2), ("\n", 2), ("yes\n", 0)] {
        world.json(&["scope", "show", "invoices"]);
        let output = world.shell.on_terminal("authly-admin scope delete invoices", typed);
        assert_eq!(output.status.code(), Some(code), "{typed:?}: {}", stdout(&output));
        assert!(stdout(&output).contains("Delete the scope \"invoices\""), "{}", stdout(&output));
    }
    world.fail(3, &["scope", "show", "invoices"]);
}

/// What has no token, or not the scope, is told what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_must_allow_it() {
    let world = World::new(Database::sqlite(), Way::Database).await;
    let create = ["client", "create", "--name", "Reader", "--type", "confidential", "--scope", "admin:scopes:read"];
    let client = world.json(&create);
    let member = |name: &str| client[name].as_str().expect("text");
    let token = world.client_token(member("client_id"), member("client_secret")).await.expect("a token");
    let remote = Shell::new(&[("AUTHLY_URL", world.server.issuer()), ("XDG_CONFIG_HOME", "/nonexistent")]);
    let said = remote.fail_with(5, ADMIN, &["scope", "list"]);
    assert!(said.contains("authly-admin login --url"), "{said}");
    let output = remote.run_with(ADMIN, &["scope", "list", "--token-stdin", "--output", "json"], &format!("{token}\n"));
    assert!(output.status.success(), "{}", stderr(&output));
    let output = remote.run_with(ADMIN, &["client", "list", "--token-stdin"], &token);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stderr(&output).contains("admin:clients:read"), "{}", stderr(&output));
    let output = remote.run_with(ADMIN, &["whoami", "--token-stdin", "--output", "json"], &token);
    let me: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&me["client_id"], &me["scope"]), (&client["client_id"], &json!("admin:scopes:read")));
    for nonsense in ["nonsense", "a.b.c"] {
        let output = remote.run_with(ADMIN, &["scope", "list", "--token-stdin"], nonsense);
        assert_eq!(output.status.code(), Some(5), "{nonsense}: {}", stderr(&output));
    }
}

/// Where nobody answers, or the URL is none to send credentials to.
#[test]
fn servers_that_are_not_there() {
    let mut shell = Shell::new(&[("AUTHLY_TOKEN", "x"), ("AUTHLY_URL", "http://127.0.0.1:1")]);
    let said = shell.fail_with(6, ADMIN, &["client", "list"]);
    assert!(said.contains("http://127.0.0.1:1/admin/clients"), "{said}");
    let output = shell.run(ADMIN, &["status", "--output", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).expect("JSON")["healthy"], false);
    for (url, expected) in [
        ("http://auth.example.com", "https"),
        ("ftp://127.0.0.1", "https"),
        ("nonsense", "nonsense"),
        ("https://user@auth.example.com", "without user"),
        ("https://auth.example.com/?x=y", "query"),
    ] {
        let said = shell.fail_with(2, ADMIN, &["client", "list", "--url", url]);
        assert!(said.contains(expected), "{url}: {said}");
    }
    shell.variables.clear();
    shell.fail_with(2, ADMIN, &["login"]);
    shell.fail_with(2, ADMIN, &["logout"]);
    shell.fail_with(2, ADMIN, &["client", "list", "--token-stdin"]);
    shell.set("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing");
    shell.fail_with(6, ADMIN, &["client", "list"]);
    assert!(!shell.path().join("data/authly.db").exists());
}

/// A server's certificate must be vouched for: by Mozilla's list, or by the file that was given.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked() {
    let mut front = Front::open().await;
    let server = TestServer::sqlite(&[("ISSUER_URL", &front.url())]).await;
    front.serve(server.port());
    let mut shell = Shell::new(&[("AUTHLY_URL", &front.url()), ("AUTHLY_TOKEN", "nonsense")]);
    let said = shell.fail_with(6, ADMIN, &["client", "list"]);
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    fs::write(shell.path().join("ca.pem"), front.authority()).expect("a file");
    shell.set("AUTHLY_CA_FILE", "ca.pem");
    // Now the server is asked, and does not know the token.
    shell.fail_with(5, ADMIN, &["client", "list"]);
    fs::write(shell.path().join("ca.pem"), "nothing").expect("a file");
    assert!(shell.fail_with(1, ADMIN, &["client", "list"]).contains("ca.pem"));
}
