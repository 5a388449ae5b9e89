//! A person with a real browser: what they see and press, and what reaches the client.

use std::{collections::BTreeMap, fs, path::Path};

use authly_core::model::{RedirectUri, Scopes};
use authly_tests::{
    browser::{Arrival, Browser, Options, RedirectEndpoint},
    container::target,
    http::parameters,
    server::TestServer,
    target::{App, Ask, Code, Person, Target, unique},
};
use base64ct::{Base64, Encoding as _};
use serde_json::json;
use thirtyfour::{Key, SameSite};

const ERROR_SUMMARY: &str = "main > [role=alert]";

/// A server, somebody with an account there, a client's redirect endpoint, and a browser.
struct Scene {
    server: TestServer,
    target: Target,
    person: Person,
    client: RedirectEndpoint,
    browser: Browser,
}

impl Scene {
    async fn new(options: Options) -> Self {
        let server = TestServer::sqlite(&[]).await;
        let target = target(&server).await;
        let person = target.person().await;
        Self { server, target, person, client: RedirectEndpoint::start().await, browser: Browser::start(options).await }
    }

    /// A public client. Its registered redirect URI has no port: on a loopback address any will do (RFC 8252 §7.3).
    async fn native_app(&self) -> App {
        self.target.public_with(|client| client.redirect_uris = vec![redirect_uri("http://127.0.0.1/callback")]).await
    }

    /// A request of this client, to be answered at the redirect endpoint under this name of the machine.
    fn ask(&self, app: &App, host: &str) -> Ask {
        app.ask().with("redirect_uri", &self.client.uri(host))
    }

    async fn open(&self, ask: &Ask) {
        self.browser.open(&self.target.url(&ask.path())).await;
    }

    async fn log_in(&self) {
        self.browser.log_in(&self.person.username, &self.person.password).await;
    }

    /// The browser arrives at the client with a code that is good.
    async fn expect_code(&self, app: &App, ask: &Ask) {
        let arrival = self.client.arrival().await;
        let answer = self.check_arrival(&arrival, ask);
        assert_eq!(answer.keys().collect::<Vec<_>>(), ["code", "iss", "state"]);
        let code = Code { code: answer["code"].clone(), verifier: ask.verifier.clone() };
        self.target.exchange(app, &code).await.expect(200);
        self.browser.expect_title("Client").await;
    }

    /// The browser arrives at the client with this error.
    async fn expect_refusal(&self, ask: &Ask, error: &str) {
        let arrival = self.client.arrival().await;
        assert_eq!(self.check_arrival(&arrival, ask)["error"], error);
        self.browser.expect_title("Client").await;
    }

    fn check_arrival(&self, arrival: &Arrival, ask: &Ask) -> BTreeMap<String, String> {
        let value = |name: &str| {
            let parameter = ask.parameters.iter().find(|(known, _)| known == name);
            parameter.unwrap_or_else(|| panic!("no {name} in {ask:?}")).1.clone()
        };
        assert_eq!(arrival.method, "GET", "nothing that was posted is sent on: {arrival:?}");
        assert_eq!(arrival.header("referer"), None, "{arrival:?}");
        assert_eq!(arrival.url.as_str().split('?').next(), Some(value("redirect_uri").as_str()));
        let answer = parameters(&arrival.url);
        assert_eq!(answer["state"], value("state"));
        assert_eq!(answer["iss"], self.target.issuer());
        answer
    }
}

fn redirect_uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).expect("a redirect URI")
}

/// `form-action` of the pages' Content-Security-Policy holds for the redirect that follows a form, too: too strict a
/// policy stops the browser on its way to the client.
#[tokio::test]
async fn login_and_consent_lead_to_the_client_on_a_loopback_address() {
    let scene = Scene::new(Options::default()).await;
    let app = scene.native_app().await;
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    scene.browser.expect_title("Log in").await;
    assert!(scene.browser.text().await.contains(&format!("Log in to continue to {}", app.name)));
    scene.log_in().await;
    scene.browser.expect_title(&format!("Allow {}?", app.name)).await;
    let text = scene.browser.text().await;
    for expected in ["read", "write", "127.0.0.1", &scene.person.username] {
        assert!(text.contains(expected), "{expected} is not on the page:\n{text}");
    }
    scene.browser.allow().await;
    scene.expect_code(&app, &ask).await;
    scene.browser.close(&[]).await;
}

#[tokio::test]
async fn login_and_consent_lead_to_the_client_on_localhost() {
    let scene = Scene::new(Options::default()).await;
    let uri = scene.client.uri("localhost");
    let app = scene.target.public_with(|client| client.redirect_uris = vec![redirect_uri(&uri)]).await;
    let ask = scene.ask(&app, "localhost");
    scene.open(&ask).await;
    scene.log_in().await;
    scene.browser.allow().await;
    scene.expect_code(&app, &ask).await;
    scene.browser.close(&[]).await;
}

/// Where nothing is left to ask after the login, its form itself leads to the client.
#[tokio::test]
async fn the_login_alone_leads_to_the_client_where_consent_is_remembered() {
    let scene = Scene::new(Options::default()).await;
    let uri = scene.client.uri("127.0.0.1");
    let app = scene.target.confidential_with(|client| client.redirect_uris = vec![redirect_uri(&uri)]).await;

    let ask = scene.ask(&app, "127.0.0.1").with("scope", "read");
    scene.open(&ask).await;
    scene.log_in().await;
    scene.browser.allow().await;
    scene.expect_code(&app, &ask).await;

    // Logged in, and asked before: no page at all.
    let ask = scene.ask(&app, "127.0.0.1").with("scope", "read");
    scene.open(&ask).await;
    scene.expect_code(&app, &ask).await;

    // More than before: asked again.
    let more = scene.ask(&app, "127.0.0.1");
    scene.open(&more).await;
    scene.browser.allow().await;
    scene.expect_code(&app, &more).await;

    // Logged out: the login is all that is missing.
    scene.browser.open(&scene.target.url("/logout")).await;
    scene.browser.click("main form button").await;
    scene.browser.expect_title("You are logged out").await;
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    scene.log_in().await;
    scene.expect_code(&app, &ask).await;
    scene.browser.close(&[]).await;
}

#[tokio::test]
async fn a_native_app_is_asked_about_every_time() {
    let scene = Scene::new(Options::default()).await;
    let app = scene.native_app().await;
    for is_first in [true, false] {
        let ask = scene.ask(&app, "127.0.0.1");
        scene.open(&ask).await;
        if is_first {
            scene.log_in().await;
        }
        scene.browser.allow().await;
        scene.expect_code(&app, &ask).await;
    }
    scene.browser.close(&[]).await;
}

#[tokio::test]
async fn who_denies_returns_to_the_client_with_nothing() {
    let scene = Scene::new(Options::default()).await;
    let app = scene.native_app().await;
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    scene.log_in().await;
    scene.browser.expect_title("Allow ").await;
    scene.browser.click("button[value=deny]").await;
    scene.expect_refusal(&ask, "access_denied").await;
    scene.browser.close(&[]).await;
}

#[tokio::test]
async fn a_wrong_password_is_explained_and_the_right_one_works() {
    let scene = Scene::new(Options::default()).await;
    let (app, browser) = (scene.native_app().await, &scene.browser);
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    browser.expect_title("Log in").await;
    assert!(!browser.has("[aria-invalid]").await && !browser.has(ERROR_SUMMARY).await);

    browser.log_in(&scene.person.username, "not the password").await;
    browser.expect_title("Error: Log in").await;
    let summary = browser.element(ERROR_SUMMARY).await.text().await.expect("text");
    assert!(summary.contains("wrong"), "{summary}");
    for (field, value) in [("#username", scene.person.username.as_str()), ("#password", "")] {
        let field = browser.element(field).await;
        assert_eq!(field.attr("aria-invalid").await.expect("an answer").as_deref(), Some("true"));
        assert_eq!(field.value().await.expect("an answer").unwrap_or_default(), value);
        let described_by = field.attr("aria-describedby").await.expect("an answer").expect("a description");
        let description = browser.element(&format!("#{described_by}")).await.text().await.expect("text");
        assert!(summary.contains(&description) && !description.is_empty(), "{description}");
    }
    assert_eq!(browser.focused().await, "#password", "the name is probably right");
    assert!(scene.client.arrivals().is_empty());

    browser.type_text(&scene.person.password).await;
    browser.press(Key::Enter).await;
    browser.allow().await;
    scene.expect_code(&app, &ask).await;
    scene.browser.close(&[403]).await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let scene = Scene::new(Options::default()).await;
    let (app, browser) = (scene.native_app().await, &scene.browser);
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;

    browser.expect_title("Log in").await;
    assert_focus(browser, "#username").await;
    browser.type_text(&scene.person.username).await;
    browser.press(Key::Tab).await;
    assert_focus(browser, "#password").await;
    browser.press(Key::Tab).await;
    assert_focus(browser, "Log in").await;
    browser.press_with_shift(Key::Tab).await;
    assert_focus(browser, "#password").await;
    browser.press_with_shift(Key::Tab).await;
    assert_focus(browser, "#username").await;
    browser.press(Key::Tab).await;
    browser.type_text(&scene.person.password).await;
    browser.press(Key::Enter).await;

    // Enter was pressed once too often.
    browser.expect_title("Allow ").await;
    assert_eq!(browser.focused().await, "nothing");
    browser.press(Key::Enter).await;
    browser.press(Key::Space).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert!(scene.client.arrivals().is_empty(), "a stray key decided");
    browser.expect_title("Allow ").await;

    for stop in ["Not you? Log out", "Deny", "Allow"] {
        browser.press(Key::Tab).await;
        assert_focus(browser, stop).await;
    }
    browser.press_with_shift(Key::Tab).await;
    assert_focus(browser, "Deny").await;
    browser.press(Key::Enter).await;
    scene.expect_refusal(&ask, "access_denied").await;

    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    browser.expect_title("Allow ").await;
    for _ in 0..3 {
        browser.press(Key::Tab).await;
    }
    assert_focus(browser, "Allow").await;
    browser.press(Key::Space).await;
    scene.expect_code(&app, &ask).await;
    scene.browser.close(&[]).await;
}

async fn assert_focus(browser: &Browser, expected: &str) {
    assert_eq!(browser.focused().await, expected);
    assert!(browser.is_focus_visible().await, "nobody sees that {expected} has the focus");
}

#[tokio::test]
async fn the_demo_shows_what_came_of_it() {
    let scene = Scene::new(Options::default()).await;
    let browser = &scene.browser;
    browser.open(&scene.target.url("/")).await;
    browser.expect_title("Running").await;
    browser.click("main a.primary").await;
    scene.log_in().await;
    browser.allow().await;
    browser.expect_title("It works").await;
    let access_token = browser.element("#access-token").await.text().await.expect("text");
    let token = scene.target.verify(&access_token, scene.target.issuer()).await;
    let text = browser.text().await;
    for claim in ["sub", "jti", "client_id"] {
        let value = token.claims[claim].as_str().expect("a string");
        assert!(text.contains(value), "the value of {claim} is not on the page:\n{text}");
    }
    assert!(browser.has("#refresh-token").await);

    let cookies = browser.cookies().await;
    let mut names: Vec<_> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["authly_device", "authly_session"], "no __Host- without https");
    for cookie in &cookies {
        assert_eq!((cookie.http_only, cookie.same_site), (Some(true), Some(SameSite::Lax)), "{cookie:?}");
    }
    assert_eq!(browser.evaluate("return document.cookie").await, json!(""));

    browser.open(&scene.target.url("/")).await;
    for _ in 0..2 {
        assert!(browser.text().await.contains(&format!("Logged in as {}", scene.person.username)));
        browser.driver().refresh().await.expect("the page loads again");
        browser.expect_title("Running").await;
    }
    // It is the server that remembers, not the process.
    scene.server.restart().await;
    browser.driver().refresh().await.expect("the page loads again");
    assert!(browser.text().await.contains("Logged in as"));

    browser.click("a[href='/logout']").await;
    browser.expect_title("Log out").await;
    browser.click("main form button").await;
    browser.expect_title("You are logged out").await;
    let cookies = browser.cookies().await;
    assert!(cookies.iter().all(|cookie| cookie.name == "authly_device"), "{cookies:?}");
    browser.click("main a.button").await;
    browser.expect_title("Running").await;
    assert!(!browser.text().await.contains("Logged in as"));
    scene.browser.close(&[]).await;
}

#[tokio::test]
async fn no_page_needs_scripts() {
    let scene = Scene::new(Options { without_javascript: true, ..Options::default() }).await;
    let (app, browser) = (scene.native_app().await, &scene.browser);
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    browser.log_in(&scene.person.username, "not the password").await;
    browser.expect_title("Error: Log in").await;
    assert!(browser.has(ERROR_SUMMARY).await);
    scene.log_in().await;
    browser.allow().await;
    scene.expect_code(&app, &ask).await;
    let title = browser.driver().title().await.expect("a title");
    assert_eq!(title, "Client", "scripts are off in this browser");

    browser.open(&scene.target.url("/demo")).await;
    browser.allow().await;
    browser.expect_title("It works").await;
    browser.open(&scene.target.url("/logout")).await;
    browser.click("main form button").await;
    browser.expect_title("You are logged out").await;
    scene.browser.close(&[403]).await;
}

/// Nobody is sent to a client that is not known, or to an address that it did not register (RFC 6749 §4.1.2.1).
#[tokio::test]
async fn a_request_that_cannot_be_answered_ends_on_a_page_of_ours() {
    let scene = Scene::new(Options::default()).await;
    let app = scene.native_app().await;
    for (name, value) in [("client_id", "nobody"), ("redirect_uri", &scene.client.uri("localhost"))] {
        scene.open(&scene.ask(&app, "127.0.0.1").with(name, value)).await;
        scene.browser.expect_title("Error: This request cannot be completed").await;
        assert!(scene.browser.text().await.contains(name), "{}", scene.browser.text().await);
    }
    assert!(scene.client.arrivals().is_empty());
    scene.browser.close(&[400, 401]).await;
}

/// Shows every page, with names that are longer than a small phone is wide, and looks at each.
async fn tour(scene: Scene, look: impl AsyncFn(&Browser)) {
    let browser = &scene.browser;
    let see = async |title: &str| {
        browser.expect_title(title).await;
        look(browser).await;
    };
    let scope = scene.target.scope().await;
    let name = format!("The{}App {}", "Incomprehensible".repeat(6), unique());
    let app = scene
        .target
        .public_with(|client| {
            client.name = name;
            client.client_uri = Some(format!("https://{}.example/", "a-label".repeat(8)));
            client.redirect_uris = vec![redirect_uri("http://127.0.0.1/callback")];
            client.scopes = Scopes::parse(&format!("read write profile {scope}")).expect("scopes");
        })
        .await;
    let ask = scene.ask(&app, "127.0.0.1").with("scope", &format!("read write profile {scope}"));

    browser.open(&scene.target.url("/")).await;
    see("Running").await;
    scene.open(&ask.clone().with("client_id", &"x".repeat(200))).await;
    see("Error: This request").await;
    scene.open(&ask).await;
    see("Log in").await;
    browser.log_in(&format!("{}@example.com", "somebody".repeat(12)), "not the password").await;
    see("Error: Log in").await;
    scene.log_in().await;
    see("Allow The").await;
    browser.open(&scene.target.url("/")).await;
    see("Running").await;
    let newcomer = tour_account(&scene, &app, &see).await;
    browser.open(&scene.target.url("/demo")).await;
    browser.allow().await;
    see("It works").await;
    browser.open(&scene.target.url("/logout")).await;
    see("Log out").await;
    browser.click("main form button").await;
    see("You are logged out").await;
    scene.open(&ask).await;
    browser.log_in(&newcomer, "some quiet words").await;
    see("Confirm your e-mail address").await;
    assert!(browser.text().await.contains("first"), "not verified yet");
    browser.click("main a.button").await;
    see("Your account").await;
    assert!(browser.text().await.contains("(not confirmed yet)"));
    scene.browser.close(&[400, 401, 403, 410, 422]).await;
}

/// The pages of somebody who is logged in, and of those who are not there yet. Nobody is logged out by it. Returns the address of
/// a newcomer who has not confirmed it.
async fn tour_account(scene: &Scene, app: &App, see: &impl AsyncFn(&str)) -> String {
    let (browser, target) = (&scene.browser, &scene.target);
    let long = format!("{}.{}@example.com", "somebody".repeat(7), unique());
    // Another session and an application with access, which are listed.
    target.tokens(app, &scene.person).await;
    browser.open(&target.url("/account")).await;
    see("Your account").await;
    let text = browser.text().await;
    assert!(text.contains(&app.name) && text.contains("(this one)"), "{text}");

    browser.open(&target.url("/account/password")).await;
    see("Change your password").await;
    browser.fill("#current", "not the password").await;
    browser.fill("#password", "some quiet words").await;
    browser.click("main form button").await;
    see("Error: Change your password").await;
    browser.open(&target.url("/account/email")).await;
    see("Change your e-mail address").await;
    browser.fill("#email", &long).await;
    browser.fill("#current", "not the password").await;
    browser.click("main form button").await;
    see("Error: Change your e-mail address").await;
    browser.fill("#current", &scene.person.password).await;
    browser.click("main form button").await;
    see("Your account").await;
    assert!(browser.has("[role=status]").await);
    browser.open(target.mail_to(&long).await.link()).await;
    see("Confirm your e-mail address").await;
    browser.fill("#password", "not the password").await;
    browser.click("main form button").await;
    see("Error: Confirm your e-mail address").await;

    browser.open(&target.url("/forgot-password")).await;
    see("Forgot your password?").await;
    browser.fill("#email", &scene.person.email).await;
    browser.click("main form button").await;
    see("Look into your mail").await;
    browser.open(target.mail_to(&scene.person.email).await.link()).await;
    see("Choose a new password").await;
    browser.fill("#password", "password1").await;
    browser.click("main form button").await;
    see("Error: Choose a new password").await;
    browser.open(&target.url("/reset-password?token=nonsense")).await;
    see("This link is not good any more").await;

    let newcomer = format!("{}.{}@example.com", "newcomer".repeat(7), unique());
    browser.open(&target.url("/register")).await;
    see("Make an account").await;
    browser.fill("#email", &newcomer).await;
    browser.fill("#password", "password1").await;
    browser.click("main form button").await;
    see("Error: Make an account").await;
    browser.fill("#password", "some quiet words").await;
    browser.click("main form button").await;
    see("Look into your mail").await;
    newcomer
}

/// Somebody who has no account and no scripts, from an application's request to its answer.
#[tokio::test]
async fn a_newcomer_makes_an_account_and_gets_to_the_application() {
    let scene = Scene::new(Options { without_javascript: true, ..Options::default() }).await;
    let (app, browser) = (scene.native_app().await, &scene.browser);
    let email = format!("newcomer-{}@example.com", unique());
    let ask = scene.ask(&app, "127.0.0.1");
    scene.open(&ask).await;
    browser.click("a[href*='/register']").await;
    browser.expect_title("Make an account").await;
    browser.fill("#email", &email).await;
    browser.fill("#password", "some quiet words").await;
    browser.click("main form button").await;
    browser.expect_title("Look into your mail").await;

    // Not verified yet: the login alone does not lead to the application.
    scene.open(&ask).await;
    browser.log_in(&email, "some quiet words").await;
    browser.expect_title("Confirm your e-mail address").await;
    assert!(scene.client.arrivals().is_empty());
    browser.click("main form button").await;
    browser.expect_title("Your account").await;
    browser.open(scene.target.mail_to(&email).await.link()).await;
    browser.expect_title("Confirm your e-mail address").await;
    browser.fill("#password", "some quiet words").await;
    browser.click("main form button").await;
    browser.expect_title("Your account").await;
    scene.open(&ask).await;
    browser.allow().await;
    scene.expect_code(&app, &ask).await;
    scene.browser.close(&[403]).await;
}

#[tokio::test]
async fn a_small_phone_is_wide_enough() {
    let scene = Scene::new(Options { phone: Some((360, 740)), ..Options::default() }).await;
    tour(scene, assert_fits).await;
}

/// Nothing is cut off or has to be scrolled sideways, and what is pressed is as large as a finger (WCAG 2.5.5).
async fn assert_fits(browser: &Browser) {
    let width = browser.evaluate("return document.documentElement.scrollWidth").await;
    assert!(width.as_u64().expect("a number") <= 360, "{width} pixels wide: {}", browser.page().await);
    let script = "return [...document.querySelectorAll('main *')].filter(it => {
            const box = it.getBoundingClientRect();
            return box.right > 360.5 || box.left < -0.5
                || it.matches('button, a.button, a.row-link, input:not([type=hidden])') && box.height < 43.5;
        }).map(it => it.outerHTML.slice(0, 120))";
    assert_eq!(browser.evaluate(script).await, json!([]), "{}", browser.page().await);
}

#[tokio::test]
async fn every_page_is_accessible_in_light_colours() {
    tour(Scene::new(Options::default()).await, assert_accessible).await;
}

#[tokio::test]
async fn every_page_is_accessible_in_dark_colours() {
    tour(Scene::new(Options { dark: true, ..Options::default() }).await, assert_accessible).await;
}

/// What a program can tell of WCAG 2.2, levels A and AA: names, roles, contrast, structure.
async fn assert_accessible(browser: &Browser) {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node_modules/axe-core/axe.min.js");
    let axe = fs::read_to_string(axe).expect("the npm packages are there: tests/run.sh installs them");
    let script = "
        const only = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
        return axe.run({ runOnly: only, preload: false }).then(found => ({
            complaints: found.violations.map(it => [it.id, it.help, it.nodes.map(node => node.html)]),
            passes: found.passes.length,
        }))";
    let found = browser.evaluate(&format!("{axe};{script}")).await;
    assert_eq!(found["complaints"], json!([]), "{}", browser.page().await);
    assert!(found["passes"].as_u64() > Some(10), "it looked at something: {found}");
}

/// The picture in the README: the login in light colours, the consent in dark ones.
#[tokio::test]
#[ignore = "it writes .github/screenshot.png: run it after a change of the pages, and look at the picture"]
async fn screenshot() {
    let password = "correct horse battery staple";
    let admin = [("ADMIN_EMAIL", "alice@example.com"), ("ADMIN_PASSWORD", password)];
    let server = TestServer::sqlite(&admin).await;
    let target = target(&server).await;
    let app = target
        .public_with(|client| {
            client.name = "Acme Notes".to_owned();
            client.client_uri = Some("https://notes.example/".to_owned());
            client.redirect_uris = vec![redirect_uri("https://notes.example/callback")];
        })
        .await;
    let mut pictures = Vec::new();
    for dark in [false, true] {
        let browser = Browser::start(Options { phone: Some((460, 720)), dark, ..Options::default() }).await;
        browser.open(&target.url(&app.ask().with("scope", "profile read").path())).await;
        if dark {
            browser.log_in("alice@example.com", password).await;
            browser.expect_title("Allow Acme Notes?").await;
        } else {
            browser.fill("#username", "alice@example.com").await;
        }
        pictures.push(Base64::encode_string(&browser.screenshot().await));
        browser.close(&[]).await;
    }
    let frame = Browser::start(Options { phone: Some((920, 720)), ..Options::default() }).await;
    frame
        .open(
            "data:text/html,<!doctype html><meta name=viewport content='width=device-width'>\
         <title>Authly</title><body style='margin:0;display:flex'>",
        )
        .await;
    for picture in pictures {
        let script = format!(
            "const it = new Image(460, 720); it.src = 'data:image/png;base64,{picture}';
             document.body.append(it); return it.decode();"
        );
        frame.evaluate(&script).await;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/screenshot.png");
    fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory can be made");
    fs::write(path, frame.screenshot().await).expect("the file can be written");
    frame.close(&[]).await;
}

/// CORS as a browser enforces it (Fetch §4.8), with a preflight: `CORS_ORIGINS` may call what programs call and nothing
/// that a person sees; other origins neither.
#[tokio::test]
async fn scripts_of_configured_origins_alone_may_call_what_programs_call() {
    let client = RedirectEndpoint::start().await;
    let (configured, foreign) = (client.uri("127.0.0.1"), client.uri("localhost"));
    let origin = configured.trim_end_matches("/callback");
    let server = TestServer::sqlite(&[("CORS_ORIGINS", origin)]).await;
    let target = target(&server).await;
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    let browser = Browser::start(Options::default()).await;
    let basic = Base64::encode_string(format!("{}:{}", app.client_id, app.secret()).as_bytes());
    let form = |body: &str| {
        format!(
            "{{ method: 'POST', headers: {{ authorization: 'Basic {basic}' }}, body: new URLSearchParams('{body}') }}"
        )
    };
    let bearer = format!("{{ headers: {{ authorization: 'Bearer {}' }} }}", tokens.access);
    let grant = form("grant_type=client_credentials");
    for (page, is_configured) in [(&configured, true), (&foreign, false)] {
        browser.open(page).await;
        let programs = if is_configured { json!(200) } else { json!("blocked") };
        let mistake = if is_configured { json!(400) } else { json!("blocked") };
        for (path, options, expected) in [
            ("/auth/token", grant.as_str(), &programs),
            ("/api/v1/users/me", &bearer, &programs),
            ("/auth/revoke", &form("token=nonsense"), &programs),
            // A mistake can be read as well.
            ("/auth/token", &form(""), &mistake),
            ("/auth/introspect", &form("token=nonsense"), &json!("blocked")),
            ("/authorize", "{}", &json!("blocked")),
            ("/authorize", "{ credentials: 'include' }", &json!("blocked")),
            ("/login", "{ credentials: 'include' }", &json!("blocked")),
            ("/consent", "{ method: 'POST', credentials: 'include' }", &json!("blocked")),
            ("/auth/token", "{ method: 'POST', credentials: 'include' }", &json!("blocked")),
            ("/.well-known/jwks.json", "{}", &json!(200)),
        ] {
            let url = target.url(path);
            let script = format!("return fetch('{url}', {options}).then(it => it.status, () => 'blocked')");
            assert_eq!(browser.evaluate(&script).await, *expected, "{page} {path} {options}");
        }
    }
    browser.driver().clone().quit().await.expect("the browser ends");
}
