//! `authly-admin login`: the flow of a native application, and what is kept of it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Output},
};

use authly_tests::{
    container::target,
    http::{Reply, RequestExt as _, parameters},
    server::TestServer,
    shell::{Shell, stderr, stdout},
    target::{Person, Target, http_client},
    user_agent::{Landing, UserAgent, fill},
};
use serde_json::{Value, json};
use url::Url;

const ADMIN: &str = "authly-admin";

struct World {
    server: TestServer,
    target: Target,
    shell: Shell,
}

/// A command that waits for somebody to log in.
struct Login {
    child: Child,
    link: Url,
}

impl World {
    async fn new() -> Self {
        let server = TestServer::sqlite(&[]).await;
        let target = target(&server).await;
        let mut shell = Shell::new(&[("AUTHLY_URL", server.issuer())]);
        let config = shell.path().join("config").display().to_string();
        shell.set("XDG_CONFIG_HOME", &config);
        Self { server, target, shell }
    }

    fn directory(&self) -> PathBuf {
        self.shell.path().join("config/authly")
    }

    fn file(&self) -> PathBuf {
        self.directory().join("credentials.json")
    }

    /// The login that is kept.
    fn kept(&self) -> Value {
        let kept: Value = serde_json::from_slice(&fs::read(self.file()).expect("the file")).expect("JSON");
        kept[self.server.issuer()].clone()
    }

    /// Makes the access token that is kept look as if it had ended.
    fn expire(&self) {
        let mut kept: Value = serde_json::from_slice(&fs::read(self.file()).expect("the file")).expect("JSON");
        kept[self.server.issuer()]["expires_at"] = json!(0);
        fs::write(self.file(), kept.to_string()).expect("the file");
    }

    fn begin(&self, arguments: &[&str]) -> Login {
        let mut child = self.shell.command(ADMIN, &[&["login"], arguments].concat()).spawn().expect("it runs");
        let mut said = BufReader::new(child.stderr.as_mut().expect("piped"));
        let mut line = String::new();
        while !line.starts_with("http") {
            line.clear();
            assert_ne!(said.read_line(&mut line).expect("text"), 0, "it ended");
        }
        Login { child, link: Url::parse(line.trim()).expect("a link") }
    }

    /// Goes to the link in a browser, as this person, up to the consent page.
    async fn consent_page(&self, agent: &mut UserAgent<'_>, login: &Login, person: &Person) -> Reply {
        let form = agent.open(login.link.as_str()).await.page().form();
        match agent.submit_and_follow(&fill(form, person)).await {
            Landing::Page(page) => *page,
            Landing::Client(url) => panic!("sent to {url} before anybody was asked"),
        }
    }

    /// Logs in, from the command to the end.
    async fn log_in(&self, person: &Person) -> Output {
        let login = self.begin(&[]);
        let mut agent = self.target.user_agent();
        let page = self.consent_page(&mut agent, &login, person).await;
        let answer = agent.decide(&page, "allow").await.client();
        let page = browser_get(&answer).await;
        assert_eq!(page.status, 200, "{page:?}");
        login.child.wait_with_output().expect("it ends")
    }
}

async fn browser_get(url: &Url) -> Reply {
    http_client().get(url.clone()).reply().await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_lasts_until_the_logout() {
    let world = World::new().await;
    let admin = world.target.admin().await;
    let login = world.begin(&[]);
    let asked = parameters(&login.link);
    assert_eq!(asked["client_id"], "authly-admin");
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(asked["redirect_uri"].starts_with("http://127.0.0.1:") && asked["redirect_uri"].ends_with("/callback"));
    assert!(asked["state"].len() >= 43 && asked["scope"].split(' ').count() == 8, "{asked:?}");

    let mut agent = world.target.user_agent();
    let page = world.consent_page(&mut agent, &login, &admin).await;
    let answer = agent.decide(&page, "allow").await.client();
    // What comes before, and is not the answer, ends nothing.
    let callback = |query: &str| Url::parse(&format!("{}{query}", asked["redirect_uri"])).expect("a URL");
    for query in ["", "?state=x&code=y", "?code=y"] {
        assert_eq!(browser_get(&callback(query)).await.status, 400, "{query}");
    }
    let page = browser_get(&answer).await.expect(200);
    assert!(page.text().contains("terminal"), "{page:?}");
    let output = login.child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("Logged in at"), "{}", stdout(&output));

    assert_eq!((mode(&world.directory()), mode(&world.file())), (0o700, 0o600));
    let me = world.shell.admin_json(&["whoami"]);
    assert_eq!((&me["username"], &me["admin"]), (&json!(admin.username), &json!(true)));
    assert_eq!(world.shell.admin_json(&["user", "list"]).as_array().map(Vec::len), Some(1));

    let kept = world.kept();
    let token = kept["access_token"].as_str().expect("a token").to_owned();
    assert!(world.target.is_active(&token).await);
    world.shell.succeed(ADMIN, &["logout"]);
    assert!(!world.target.is_active(&token).await, "it is revoked");
    assert!(!fs::read_to_string(world.file()).expect("the file").contains(&token));
    world.shell.fail_with(5, ADMIN, &["user", "list"]);
    world.shell.fail_with(5, ADMIN, &["logout"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_refreshed_by_one_command_at_a_time() {
    let world = World::new().await;
    let output = world.log_in(&world.target.admin().await).await;
    assert!(output.status.success(), "{}", stderr(&output));
    for _ in 0..2 {
        let before = world.kept();
        world.expire();
        let commands: Vec<_> =
            (0..6).map(|_| world.shell.command(ADMIN, &["client", "list"]).spawn().expect("it runs")).collect();
        for command in commands {
            let output = command.wait_with_output().expect("it ends");
            assert!(output.status.success(), "{}", stderr(&output));
        }
        let after = world.kept();
        assert_ne!(after["refresh_token"], before["refresh_token"], "it is rotated");
        assert!(after["expires_at"].as_i64() > Some(0));
        assert_eq!(mode(&world.file()), 0o600);
    }
}

/// A token that the server does not believe any more is replaced, too.
#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_keys_do_not_end_a_login() {
    let world = World::new().await;
    let output = world.log_in(&world.target.admin().await).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let before = world.kept();
    world.shell.succeed(ADMIN, &["key", "rotate", "--immediate", "--yes"]);
    world.shell.succeed(ADMIN, &["key", "list"]);
    assert_ne!(world.kept()["access_token"], before["access_token"]);
}

/// When the grant is revoked, the login is over, and is not kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_login_is_forgotten() {
    let world = World::new().await;
    let admin = world.target.admin().await;
    let output = world.log_in(&admin).await;
    assert!(output.status.success(), "{}", stderr(&output));
    world.target.revoke_grants(&admin).await;
    let said = world.shell.fail_with(5, ADMIN, &["client", "list"]);
    assert!(said.contains("authly-admin login"), "{said}");
    assert_eq!(world.kept(), Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_can_read_is_refused() {
    let world = World::new().await;
    let output = world.log_in(&world.target.admin().await).await;
    assert!(output.status.success(), "{}", stderr(&output));
    for (path, wide, right) in [(world.file(), 0o640, 0o600), (world.directory(), 0o755, 0o700)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wide)).expect("it is ours");
        let said = world.shell.fail_with(1, ADMIN, &["client", "list"]);
        assert!(said.contains("chmod"), "{said}");
        fs::set_permissions(&path, fs::Permissions::from_mode(right)).expect("it is ours");
        world.shell.succeed(ADMIN, &["client", "list"]);
    }
}

/// No login comes of it where the person says no, another server answers, or nobody does.
#[tokio::test(flavor = "multi_thread")]
async fn logins_that_fail_say_why() {
    let world = World::new().await;
    let admin = world.target.admin().await;
    let ended = |login: Login| {
        let output = login.child.wait_with_output().expect("it ends");
        (output.status.code(), stderr(&output))
    };

    let login = world.begin(&[]);
    let mut agent = world.target.user_agent();
    let page = world.consent_page(&mut agent, &login, &admin).await;
    let answer = agent.decide(&page, "deny").await.client();
    browser_get(&answer).await.expect(200);
    let (code, said) = ended(login);
    assert!(code == Some(5) && said.contains("access_denied"), "{code:?} {said}");

    for issuer in [Some("https://evil.example"), None] {
        let login = world.begin(&[]);
        let asked = parameters(&login.link);
        let mut answer = Url::parse(&asked["redirect_uri"]).expect("a URL");
        answer.query_pairs_mut().append_pair("code", "x").append_pair("state", &asked["state"]);
        if let Some(issuer) = issuer {
            answer.query_pairs_mut().append_pair("iss", issuer);
        }
        browser_get(&answer).await.expect(200);
        let (code, said) = ended(login);
        assert!(code == Some(1) && said.contains("answer"), "{code:?} {said}");
    }

    let (code, said) = ended(world.begin(&["--timeout", "1"]));
    assert!(code == Some(1) && said.contains("within 1 seconds"), "{code:?} {said}");
    assert!(!world.file().exists(), "nothing is kept");
}
