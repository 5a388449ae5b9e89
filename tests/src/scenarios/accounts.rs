//! Accounts of people: making one, getting into it again, and looking after it. Mail is read where it waits.

use std::collections::BTreeSet;

use crate::{
    http::{Form, Reply, RequestExt as _, in_parallel},
    target::{Person, Target, unique},
    user_agent::{Landing, UserAgent, fill},
};

const NEW_PASSWORD: &str = "quite another password";

pub(super) fn path(target: &Target, path: &str) -> String {
    format!("{}{path}", target.issuer_path())
}

/// Somebody without an account.
pub(super) fn stranger() -> Person {
    let email = format!("stranger-{}@example.com", unique());
    Person { id: uuid::Uuid::nil(), username: email.clone(), email, password: format!("a long sentence {}", unique()) }
}

/// Fills in the form to make an account.
pub(super) async fn register(target: &Target, browser: &mut UserAgent<'_>, person: &Person) -> Reply {
    let form = browser.get(&path(target, "/register")).await.expect(200).form();
    browser.submit(&form.fill("email", &person.email).fill("password", &person.password)).await
}

/// Opens the link in the newest mail, enters the password, and is logged in.
async fn verify(target: &Target, browser: &mut UserAgent<'_>, email: &str, password: &str) -> Reply {
    let letter = target.mail_to(email).await;
    let form = browser.get(letter.link()).await.expect(200).form();
    browser.submit(&form.fill("password", password)).await
}

pub(super) async fn forgotten(target: &Target, browser: &mut UserAgent<'_>, email: &str) -> Reply {
    let form = browser.get(&path(target, "/forgot-password")).await.expect(200).form();
    browser.submit(&form.fill("email", email)).await
}

/// The form behind the link in the newest mail.
async fn reset_form(target: &Target, browser: &mut UserAgent<'_>, person: &Person) -> Form {
    forgotten(target, browser, &person.email).await.expect(303);
    let letter = target.mail_to(&person.email).await;
    browser.get(letter.link()).await.expect(200).form()
}

async fn can_log_in(target: &Target, person: &Person, password: &str) -> bool {
    let mut browser = target.user_agent();
    let form = fill(browser.login_form().await, &Person { password: password.to_owned(), ..person.clone() });
    browser.submit(&form).await.status == 303
}

/// The form of the account page with this action and, if so wished, this word in its neighbourhood.
fn action(page: &Reply, action: &str) -> Form {
    let mut forms = page.forms().into_iter().filter(|form| form.fields.iter().any(|(_, value)| value == action));
    forms.next().unwrap_or_else(|| panic!("no form to {action} on {}", page.text()))
}

async fn account(target: &Target, browser: &mut UserAgent<'_>) -> Reply {
    browser.get(&path(target, "/account")).await.expect(200)
}

/// From the form to a token for an application: the address is verified by the link and the password together.
pub async fn a_registration_leads_to_an_account(target: &Target) {
    let (person, app) = (stranger(), target.confidential().await);
    let mut browser = target.user_agent();
    let login = browser.authorize(&app.ask()).await.page();
    let link = scraper_link(&login, "/register");
    let form = browser.get(&link).await.expect(200).form();
    let sent = browser.submit(&form.fill("email", &person.email).fill("password", &person.password)).await.expect(303);
    assert_eq!(sent.location().path(), path(target, "/register"));
    let page = browser.follow(sent).await.page();
    assert!(page.text().contains("Look into your mail"), "{}", page.text());
    assert!(!page.text().contains(&person.email), "the address is not in any URL either");
    assert!(browser.session().is_none());

    // On another device.
    let mut browser = target.user_agent();
    let reply = verify(target, &mut browser, &person.email, &person.password).await.expect(303);
    assert!(browser.session().is_some());
    // The way back is the application's request.
    let page = browser.follow(reply).await.page();
    let answer = browser.decide(&page, "allow").await.answer();
    assert!(answer.contains_key("code"), "{answer:?}");
    let account = account(target, &mut browser).await;
    assert!(account.text().contains(&person.email) && !account.text().contains("not confirmed yet"));
}

/// The address of the first link of a page that leads there.
fn scraper_link(page: &Reply, to: &str) -> String {
    let html = page.text();
    let href = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).find(|href| href.contains(to));
    href.unwrap_or_else(|| panic!("no link to {to} on {html}")).replace("&#38;", "&").replace("&amp;", "&")
}

/// Status, headers and page are the same; who has the address is told by mail.
pub async fn a_taken_address_is_told_by_mail_only(target: &Target) {
    let (known, new) = (target.person().await, stranger());
    let mut answers = BTreeSet::new();
    for (email, subject) in [
        (known.email.clone(), "You already have an account"),
        (known.email.to_uppercase(), "You already have an account"),
        (new.email.clone(), "Confirm your e-mail address"),
        (new.email.clone(), "You already have an account"),
    ] {
        let mut browser = target.user_agent();
        let person = Person { email: email.clone(), ..stranger() };
        let reply = register(target, &mut browser, &person).await;
        let names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        let location = reply.location().to_string();
        let page = browser.follow(reply.clone()).await.page();
        answers.insert((reply.status, names, location, page.text().to_owned()));
        let letter = target.mail_to(&email.to_lowercase()).await;
        assert_eq!(letter.subject, subject);
        assert_eq!(letter.body.contains("token="), subject.starts_with("Confirm"));
        assert!(
            !can_log_in(target, &Person { username: known.email.clone(), ..known.clone() }, &person.password).await
        );
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(can_log_in(target, &known, &known.password).await, "nothing was changed");
}

/// NIST SP 800-63B: length, common ones, names; no rules of composition. The form keeps the address and not the
/// password.
pub async fn weak_passwords_are_refused(target: &Target) {
    let person = Person { email: format!("lovelace.{}@example.com", unique()), ..stranger() };
    for (password, complaint) in [
        ("", "at least 8"),
        ("1234567", "at least 8"),
        (&*"long ".repeat(26), "at most 128"),
        ("password1", "guessed first"),
        ("QWERTYUIOP", "guessed first"),
        ("zzzzzzzzzz", "guessed first"),
        ("lovelace!", "a name that everybody knows"),
        ("authly12", "a name that everybody knows"),
    ] {
        let mut browser = target.user_agent();
        let weak = Person { password: password.to_owned(), ..person.clone() };
        let reply = register(target, &mut browser, &weak).await.expect(422);
        assert!(reply.text().contains(complaint), "{password}: {}", reply.text());
        let form = reply.form();
        assert_eq!((form.value("email"), form.value("password")), (person.email.as_str(), ""));
    }
    assert_eq!(target.mails_to(&person.email).await, []);
    for email in ["", "nonsense", "two words@example.com", "a@", "@b"] {
        let mut browser = target.user_agent();
        register(target, &mut browser, &Person { email: email.to_owned(), ..stranger() }).await.expect(422);
    }
    // Eight letters of any kind will do.
    register(target, &mut target.user_agent(), &Person { password: "kwxvpzqm".to_owned(), ..person }).await.expect(303);
}

/// Mail filters open links: a GET changes nothing, and neither does a wrong password.
pub async fn a_link_alone_verifies_nothing(target: &Target) {
    let person = stranger();
    register(target, &mut target.user_agent(), &person).await.expect(303);
    let link = target.mail_to(&person.email).await.link().to_owned();
    for _ in 0..3 {
        target.user_agent().get(&link).await.expect(200);
    }
    let mut browser = target.user_agent();
    let form = browser.get(&link).await.expect(200).form();
    for (password, status) in [("", 422), ("not the password", 403)] {
        let reply = browser.submit(&form.clone().fill("password", password)).await.expect(status);
        assert!(browser.session().is_none());
        assert_eq!(reply.form().value("token"), form.value("token"));
    }
    let other = target.user_agent().submit(&form.clone().fill("password", &person.password)).await;
    assert_eq!(other.status, 403, "the form of another browser: {other:?}");
    browser.log_in(&person).await;
    assert!(account(target, &mut browser).await.text().contains("not confirmed yet"));
    // The login has given the browser another cookie: the form is fetched anew.
    let form = browser.get(&link).await.expect(200).form();
    browser.submit(&form.clone().fill("password", &person.password)).await.expect(303);
    assert!(!account(target, &mut browser).await.text().contains("not confirmed yet"));
    // Once.
    browser.submit(&form.fill("password", &person.password)).await.expect(410);
    browser.get(&link).await.expect(410);
}

/// Neither a request nor a decision leads to the client, until the address is verified.
pub async fn an_unverified_account_authorizes_nobody(target: &Target) {
    let (person, app) = (stranger(), target.confidential().await);
    register(target, &mut target.user_agent(), &person).await.expect(303);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let page = browser.authorize(&app.ask()).await.page().expect(403);
    assert!(page.text().contains(&person.email), "{}", page.text());
    let before = target.mail_to(&person.email).await;
    browser.submit(&page.form()).await.expect(303);
    let again = target.mail_to(&person.email).await;
    assert_ne!(before.link(), again.link());
    browser.get(before.link()).await.expect(410);
    verify(target, &mut browser, &person.email, &person.password).await.expect(303);
    assert!(browser.approve(&app.ask()).await.contains_key("code"));
}

/// The newest one is good, for as long as it says, and only whole.
pub async fn links_end_and_give_way_to_newer_ones(target: &Target) {
    let person = target.person().await;
    let mut browser = target.user_agent();
    let first = reset_form(target, &mut browser, &person).await.fill("password", NEW_PASSWORD);
    let second = reset_form(target, &mut browser, &person).await.fill("password", NEW_PASSWORD);
    browser.submit(&first).await.expect(410);
    let token = second.value("token").to_owned();
    for wrong in ["", "x", &token[..token.len() - 1], &format!("{token}A"), &token.replace("_et_", "_ac_"), "ü"] {
        browser.submit(&second.clone().fill("token", wrong)).await.expect(410);
        let query = crate::http::encode([("token", wrong)]);
        browser.get(&path(target, &format!("/reset-password?{query}"))).await.expect(410);
        browser.get(&path(target, &format!("/verify-email?{query}"))).await.expect(410);
    }
    target.expire_links(&person).await;
    browser.submit(&second).await.expect(410);
    assert!(can_log_in(target, &person, &person.password).await);
}

/// Everything that came of the old password is over, and the person is told.
pub async fn a_forgotten_password_is_replaced(target: &Target) {
    let (person, app) = (target.person().await, target.confidential().await);
    let tokens = target.tokens(&app, &person).await;
    let mut thief = target.user_agent();
    thief.log_in(&person).await;
    let mut browser = target.user_agent();
    let form = reset_form(target, &mut browser, &person).await;
    assert_eq!(form.value("username"), person.username, "for a password manager");
    let weak = browser.submit(&form.clone().fill("password", &person.username)).await.expect(422);
    assert!(weak.text().contains("a name that everybody knows"));
    let reply = browser.submit(&form.fill("password", NEW_PASSWORD)).await.expect(303);
    assert!(browser.follow(reply).await.page().text().contains("Your password was changed"));
    assert_eq!(target.mail_to(&person.email).await.subject, "Your password was changed");
    assert!(!can_log_in(target, &person, &person.password).await);
    assert!(can_log_in(target, &person, NEW_PASSWORD).await);
    target.refresh(&app, &tokens.refresh).await.expect_error(400, "invalid_grant");
    assert!(!target.is_active(&tokens.access).await);
    thief.get(&path(target, "/account")).await.expect(303);
}

/// Somebody who registered and lost the first mail gets in by it, verified.
pub async fn a_reset_verifies_the_address(target: &Target) {
    let person = stranger();
    register(target, &mut target.user_agent(), &person).await.expect(303);
    let first = target.mail_to(&person.email).await;
    let mut browser = target.user_agent();
    let form = reset_form(target, &mut browser, &person).await;
    browser.submit(&form.fill("password", NEW_PASSWORD)).await.expect(303);
    browser.log_in(&Person { password: NEW_PASSWORD.to_owned(), ..person }).await;
    assert!(!account(target, &mut browser).await.text().contains("not confirmed yet"));
    browser.get(first.link()).await.expect(410);
}

/// One answer for those who have an account, those who have none, and those who may not log in.
pub async fn a_forgotten_password_of_nobody_looks_the_same(target: &Target) {
    let (person, inactive, nobody) = (target.person().await, target.person().await, stranger());
    target.deactivate_person(&inactive).await;
    let mut answers = BTreeSet::new();
    for (email, has_mail) in [(&person.email, true), (&inactive.email, false), (&nobody.email, false)] {
        let mut browser = target.user_agent();
        let reply = forgotten(target, &mut browser, email).await;
        let names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
        let location = reply.location().to_string();
        let page = browser.follow(reply.clone()).await.page();
        answers.insert((reply.status, names, location, page.text().to_owned()));
        assert_eq!(!target.mails_to(email).await.is_empty(), has_mail, "{email}");
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    for bad in ["", "no address", &"x".repeat(300)] {
        forgotten(target, &mut target.user_agent(), bad).await.expect(422);
    }
}

/// The store decides: of many at once one sets the password.
pub async fn of_16_concurrent_resets_one_succeeds(target: &Target) {
    let person = target.person().await;
    let mut browser = target.user_agent();
    let form = reset_form(target, &mut browser, &person).await;
    let cookies: Vec<_> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let passwords: Vec<_> = (0..16).map(|number| format!("{NEW_PASSWORD} {number}")).collect();
    let requests = passwords.iter().map(|password| {
        let form = form.clone().fill("password", password);
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        target.post("/reset-password").header("cookie", cookies.join("; ")).form_body(&fields)
    });
    let statuses: Vec<_> = in_parallel(requests).await.into_iter().map(|reply| reply.status).collect();
    let winner = statuses.iter().position(|status| *status == 303).expect("one succeeds");
    let losers: Vec<_> = (0..passwords.len()).filter(|number| *number != winner).collect();
    assert!(losers.iter().all(|number| statuses[*number] == 410), "{statuses:?}");
    assert!(can_log_in(target, &person, &passwords[winner]).await);
    // Not all of them: so many wrong passwords are one too many.
    for number in &losers[..3] {
        assert!(!can_log_in(target, &person, &passwords[*number]).await);
    }
}

/// Requirements: every other session and every grant; the one that it was done in goes on.
pub async fn a_changed_password_ends_everything_else(target: &Target) {
    let (person, app) = (target.person().await, target.confidential().await);
    let tokens = target.tokens(&app, &person).await;
    let (mut here, mut there) = (target.user_agent(), target.user_agent());
    here.log_in(&person).await;
    there.log_in(&person).await;
    let form = here.get(&path(target, "/account/password")).await.expect(200).form();
    for (current, new, status) in [
        ("not my password", NEW_PASSWORD, 403),
        ("", NEW_PASSWORD, 403),
        (person.password.as_str(), "short", 422),
        (person.password.as_str(), "password1", 422),
    ] {
        let reply = here.submit(&form.clone().fill("current", current).fill("password", new)).await.expect(status);
        assert!(!reply.text().contains(&person.password));
    }
    let foreign = there.get(&path(target, "/account/password")).await.expect(200).form();
    let crossed = form.clone().fill("csrf_token", foreign.value("csrf_token"));
    let filled = |form: Form| form.fill("current", &person.password).fill("password", NEW_PASSWORD);
    here.submit(&filled(crossed)).await.expect(403);
    assert!(target.is_active(&tokens.access).await, "nothing has happened so far");
    let reply = here.submit(&filled(form)).await.expect(303);
    let page = here.follow(reply).await.page();
    assert!(page.text().contains("Your password was changed"), "{}", page.text());
    there.get(&path(target, "/account")).await.expect(303);
    target.refresh(&app, &tokens.refresh).await.expect_error(400, "invalid_grant");
    assert!(!target.is_active(&tokens.access).await);
    assert!(!can_log_in(target, &person, &person.password).await);
    assert!(can_log_in(target, &person, NEW_PASSWORD).await);
    assert_eq!(target.mail_to(&person.email).await.subject, "Your password was changed");
}

/// It stays the old one until the link was used; the old address is told, and its links end.
pub async fn an_address_is_changed_by_the_link_to_the_new_one(target: &Target) {
    let (person, new) = (target.person().await, stranger().email);
    let mut browser = target.user_agent();
    let reset = reset_form(target, &mut browser, &person).await.fill("password", NEW_PASSWORD);
    browser.log_in(&person).await;
    let form = browser.get(&path(target, "/account/email")).await.expect(200).form();
    for (email, current, status) in [
        (new.as_str(), "not my password", 403),
        ("nonsense", person.password.as_str(), 422),
        (person.email.as_str(), person.password.as_str(), 422),
    ] {
        browser.submit(&form.clone().fill("email", email).fill("current", current)).await.expect(status);
    }
    browser.submit(&form.fill("email", &new.to_uppercase()).fill("current", &person.password)).await.expect(303);
    assert!(account(target, &mut browser).await.text().contains(&person.email));
    verify(target, &mut browser, &new, &person.password).await.expect(303);
    let page = account(target, &mut browser).await;
    assert!(page.text().contains(&new) && !page.text().contains(&person.email));
    assert_eq!(target.mail_to(&person.email).await.subject, "Your e-mail address was changed");
    browser.submit(&reset).await.expect(410);
    assert!(can_log_in(target, &Person { username: new, ..person.clone() }, &person.password).await);
    assert!(!can_log_in(target, &Person { username: person.email.clone(), ..person.clone() }, &person.password).await);
    assert!(can_log_in(target, &person, &person.password).await, "the name is still theirs");
}

/// Whoever asks learns nothing; whoever has it is told.
pub async fn a_change_to_a_taken_address_tells_nothing(target: &Target) {
    let (person, other, free) = (target.person().await, target.person().await, stranger().email);
    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let mut answers = BTreeSet::new();
    for (email, subject) in [(&other.email, "Your e-mail address was entered"), (&free, "Confirm your e-mail address")]
    {
        let form = browser.get(&path(target, "/account/email")).await.expect(200).form();
        let reply = browser.submit(&form.fill("email", email).fill("current", &person.password)).await.expect(303);
        answers.insert(reply.location().to_string());
        assert_eq!(target.mail_to(email).await.subject, subject);
    }
    assert_eq!(answers.len(), 1);
}

/// When, from where, which scopes; each can be ended, and by its owner only.
pub async fn the_account_page_shows_and_ends_sessions_and_applications(target: &Target) {
    let (person, other) = (target.person().await, target.person().await);
    let (app, second) = (target.confidential().await, target.confidential().await);
    let tokens = target.tokens(&app, &person).await;
    let spared = target.tokens(&second, &person).await;
    let mut elsewhere = target.user_agent();
    let form = fill(elsewhere.login_form().await, &person);
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let request = target.post("/login").header("user-agent", firefox).form_body(&fields);
    elsewhere.send(request).await.expect(303);

    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let page = account(target, &mut browser).await;
    for expected in [&person.username, &person.email, &app.name, &second.name, "read write", "Firefox on Linux"] {
        assert!(page.text().contains(expected), "{expected} is not on {}", page.text());
    }
    let times = page.text().split("<p>Since <time datetime=\"").skip(1);
    let times: Vec<_> = times.filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(times.len(), 2 + 4, "applications and sessions, one of which came of each: {}", page.text());
    for time in times {
        let time: chrono::DateTime<chrono::Utc> = time.parse().expect("a time");
        assert!((chrono::Utc::now() - time).num_minutes().abs() < 10, "{time}");
    }
    for from in [", last allowed from <bdi>127.0.0.1</bdi>", ", from <bdi>127.0.0.1</bdi>"] {
        assert!(page.text().contains(from), "{from:?} is not on {}", page.text());
    }
    assert!(!page.text().contains(firefox), "no more of it is kept than that");
    assert!(!page.text().contains(&other.username));

    // Somebody else's form, session and application.
    let (mut stranger, revoke) = (target.user_agent(), action(&page, "revoke"));
    stranger.log_in(&other).await;
    stranger.submit(&revoke).await.expect_error_page(403, "invalid_request");
    let own = account(target, &mut stranger).await;
    let everywhere = action(&own, "log_out_everywhere");
    for (what, id) in [("revoke", revoke.value("id")), ("end_session", action(&page, "end_session").value("id"))] {
        stranger.submit(&everywhere.clone().fill("action", what).fill("id", id)).await.expect(303);
    }
    assert!(target.is_active(&tokens.access).await);
    elsewhere.get(&path(target, "/account")).await.expect(200);
    for wrong in ["", "x", "00000000-0000-0000-0000-000000000000"] {
        let reply = browser.submit(&revoke.clone().fill("id", wrong)).await;
        assert!(matches!(reply.status, 303 | 400), "{reply:?}");
    }
    browser.submit(&revoke.clone().fill("action", "nonsense")).await.expect_error_page(400, "invalid_request");

    // The newest comes first.
    for (application, token) in [(&second, &spared), (&app, &tokens)] {
        assert!(target.is_active(&token.access).await);
        let page = account(target, &mut browser).await;
        assert!(page.text().contains(&application.name));
        let reply = browser.submit(&action(&page, "revoke")).await.expect(303);
        let page = browser.follow(reply).await.page();
        assert!(page.text().contains("no access any more") && !page.text().contains(&application.name));
        target.refresh(application, &token.refresh).await.expect_error(400, "invalid_grant");
        assert!(!target.is_active(&token.access).await);
    }
    // What was allowed once is asked for again.
    assert!(matches!(browser.authorize(&app.ask()).await, Landing::Page(_)));

    let page = account(target, &mut browser).await;
    assert!(page.text().contains("Firefox on Linux"));
    let sessions = page.forms().into_iter().filter(|form| form.fields.iter().any(|(_, value)| value == "end_session"));
    for form in sessions.collect::<Vec<_>>() {
        browser.submit(&form).await.expect(303);
    }
    elsewhere.get(&path(target, "/account")).await.expect(303);
    assert!(!account(target, &mut browser).await.text().contains("end_session"), "this one is left");
}

/// Sessions and grants, all of them, and no one else's.
pub async fn logging_out_everywhere_ends_everything(target: &Target) {
    let (person, other, app) = (target.person().await, target.person().await, target.confidential().await);
    let (tokens, others) = (target.tokens(&app, &person).await, target.tokens(&app, &other).await);
    let (mut here, mut there) = (target.user_agent(), target.user_agent());
    here.log_in(&person).await;
    there.log_in(&person).await;
    let page = account(target, &mut here).await;
    here.submit(&action(&page, "log_out_everywhere")).await.expect(200);
    assert!(here.session().is_none(), "the cookie is removed");
    there.get(&path(target, "/account")).await.expect(303);
    target.refresh(&app, &tokens.refresh).await.expect_error(400, "invalid_grant");
    assert!(!target.is_active(&tokens.access).await);
    assert!(target.is_active(&others.access).await);
}

/// Every page leads to the login and back; every form is bound to its browser.
pub async fn accounts_need_a_login_and_forms_of_their_own(target: &Target) {
    let person = target.person().await;
    for place in ["/account", "/account/password", "/account/email"] {
        let mut browser = target.user_agent();
        let form = browser.open(&path(target, place)).await.page().form();
        let landing = browser.submit_and_follow(&fill(form, &person)).await.page();
        assert_eq!(landing.url.path(), path(target, place));
        let nobody = target.post(place).form_body(&[("action", "log_out_everywhere")]).reply().await.expect(303);
        assert_eq!(nobody.location().path(), path(target, "/login"));
        browser.send(target.post(place).form_body(&[("action", "log_out_everywhere")])).await.expect(403);
    }
    for (place, field) in [("/register", "email"), ("/forgot-password", "email")] {
        let mut browser = target.user_agent();
        let form = browser.get(&path(target, place)).await.expect(200).form().fill(field, &person.email);
        let form = form.fill("password", NEW_PASSWORD);
        target.user_agent().submit(&form).await.expect(403);
        browser.submit(&form.clone().without("csrf_token")).await.expect(403);
        let mut other = target.user_agent();
        let foreign = other.get(&path(target, place)).await.expect(200).form();
        browser.submit(&form.fill("csrf_token", foreign.value("csrf_token"))).await.expect(403);
    }
    assert_eq!(target.mails_to(&person.email).await, []);
}

/// Whoever reads the database gets no link, and whoever reads a mail later finds it used.
pub async fn links_are_stored_as_digests_and_mail_is_sealed(target: &Target) {
    let person = stranger();
    register(target, &mut target.user_agent(), &person).await.expect(303);
    let letter = target.mail_to(&person.email).await;
    let token = url::Url::parse(letter.link()).expect("a URL");
    let token = crate::http::parameters(&token)["token"].clone();
    assert!(token.starts_with("authly_et_"), "{token}");
    for (table, column) in [("email_tokens", "digest"), ("outbox", "sealed"), ("outbox", "subject"), ("users", "email")]
    {
        assert!(!target.is_stored(table, column, &token).await, "{table}.{column}");
    }
    assert!(!target.is_stored("outbox", "sealed", "Somebody").await, "not a word of it");
}
