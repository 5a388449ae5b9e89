//! Mail of the real program to a mail server on loopback: protected, tried again, never lost, never twice at once.

use authly_tests::{
    container::target,
    server::{Database, TestServer},
    smtp::{Encryption, MailServer, Trouble, USERNAME},
    target::{Target, unique},
};

async fn start(mail: &MailServer, more: &[(&str, &str)]) -> (TestServer, Target) {
    let variables = mail.variables();
    let mut variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // What is overridden comes later.
    variables.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    variables.extend(more);
    let server = TestServer::start(Database::sqlite(), &variables).await;
    let target = target(&server).await;
    (server, target)
}

/// Has a mail sent to a new account, and returns its address.
async fn register(target: &Target) -> String {
    let email = format!("somebody-{}@example.com", unique());
    let mut browser = target.user_agent();
    let form = browser.get("/register").await.expect(200).form();
    browser.submit(&form.fill("email", &email).fill("password", "a few quiet words")).await.expect(303);
    email
}

/// A request that leaves mail wakes whoever sends it.
async fn wake(target: &Target) {
    let mut browser = target.user_agent();
    let form = browser.get("/forgot-password").await.expect(200).form();
    browser.submit(&form.fill("email", "nobody@example.com")).await.expect(303);
}

/// Quoted-printable, as far as a line of ours needs it.
fn decoded(data: &str) -> String {
    data.replace("=\n", "").replace("=3D", "=")
}

async fn expect_delivery(encryption: Encryption) {
    let mail = MailServer::start(encryption).await;
    let (_server, target) = start(&mail, &[]).await;
    let email = register(&target).await;
    let received = mail.accepted(1).await.remove(0);
    assert_eq!((received.recipient.as_str(), received.user.as_deref()), (email.as_str(), Some(USERNAME)));
    assert!(received.is_encrypted);
    let text = decoded(&received.data);
    for expected in [
        "From: Authly <no-reply@auth.example>",
        &format!("To: {email}"),
        "Subject: Confirm your e-mail address",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
        "Message-ID: <",
        "Date: ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(expected)), "no {expected} in {text}");
    }
    let link = text.lines().find(|line| line.starts_with("http")).expect("a link");
    assert!(link.starts_with(&format!("{}/verify-email?token=authly_et_", target.issuer())), "{link}");
    let mut browser = target.user_agent();
    let form = browser.get(link).await.expect(200).form();
    browser.submit(&form.fill("password", "a few quiet words")).await.expect(303);
    // It is removed when the server has said that it has it; that may be a moment after.
    while !target.mails_to(&email).await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(mail.received().len(), 1);
}

#[tokio::test]
async fn mail_goes_by_starttls_with_authentication() {
    expect_delivery(Encryption::StartTls).await;
}

#[tokio::test]
async fn mail_goes_by_tls() {
    expect_delivery(Encryption::Tls).await;
}

/// A certificate that nobody vouches for, or a server without TLS: neither a mail nor the password goes there. A wrong
/// password costs no mail.
#[tokio::test]
async fn no_other_server_gets_mail_or_password() {
    let other = MailServer::start(Encryption::Tls).await;
    let authority = other.variables().into_iter().find(|(name, _)| *name == "SMTP_CA").expect("it has one").1;
    let mail = MailServer::start(Encryption::StartTls).await;
    for (name, value) in [("SMTP_CA", authority.as_str()), ("SMTP_TLS", "tls"), ("SMTP_PASSWORD", "wrong")] {
        let before = (mail.connections(), mail.credentials_seen());
        let (server, target) = start(&mail, &[(name, value)]).await;
        let email = register(&target).await;
        mail.wait("a connection", |mail| mail.connections() > before.0).await;
        let said = server.wait_for_log("a mail was not sent").await;
        assert!(!said.contains("the mail server's password"), "{said}");
        assert_eq!(target.mails_to(&email).await.len(), 1, "{name}: it waits");
        assert_eq!(mail.credentials_seen() > before.1, name == "SMTP_PASSWORD");
    }
    assert_eq!(mail.received().len(), 0);
}

/// 4xx: later, by the same id. 5xx: never, and the operator sees it.
#[tokio::test]
async fn what_is_put_off_is_tried_again_and_what_is_refused_is_given_up() {
    let mail = MailServer::start(Encryption::StartTls).await;
    let (server, target) = start(&mail, &[]).await;
    mail.expect_trouble(&[Trouble::Recipient("450 4.2.0 greylisted"), Trouble::Close]);
    let email = register(&target).await;
    server.wait_for_log("greylisted").await;
    // Not before its time.
    wake(&target).await;
    wake(&target).await;
    assert!(mail.received().is_empty());
    target.hurry_mail().await;
    wake(&target).await;
    // Read, and not answered: nobody knows whether it was taken.
    mail.wait("the second attempt", |mail| mail.received().len() == 1).await;
    server.wait_for_log("attempts=2").await;
    target.hurry_mail().await;
    wake(&target).await;
    let accepted = mail.accepted(1).await.remove(0);
    assert_eq!(accepted.recipient, email);
    let id = |data: &str| data.lines().find(|line| line.starts_with("Message-ID:")).map(str::to_owned);
    assert_eq!(id(&accepted.data), id(&mail.received()[0].data));

    mail.expect_trouble(&[Trouble::Recipient("550 5.1.1 no such user here")]);
    let email = register(&target).await;
    server.wait_for_log("given_up=true").await;
    assert_eq!(target.mails_to(&email).await.len(), 1, "kept for operators");
    wake(&target).await;
    register(&target).await;
    let recipients: Vec<_> = mail.accepted(2).await.into_iter().map(|mail| mail.recipient).collect();
    assert!(!recipients.contains(&email), "{recipients:?}");
}

/// Nothing is lost while it is away, and nothing is given up.
#[tokio::test]
async fn mail_waits_for_a_server_that_is_gone() {
    let mut mail = MailServer::start(Encryption::StartTls).await;
    mail.stop().await;
    let (server, target) = start(&mail, &[]).await;
    let emails = [register(&target).await, register(&target).await];
    server.wait_for_log("a mail was not sent").await;
    mail.resume().await;
    let mut recipients = Vec::new();
    while recipients.len() < 2 {
        target.hurry_mail().await;
        wake(&target).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        recipients = mail.accepted(1).await.into_iter().map(|mail| mail.recipient).collect();
    }
    for email in emails {
        assert!(recipients.contains(&email), "{recipients:?}");
    }
    assert!(!server.log().contains("given_up=true"), "{}", server.log());
}

/// Killed while the mail server thinks about it: the mail is another's when the lease is over, and not before.
#[tokio::test]
async fn a_crash_in_the_middle_of_a_mail_loses_nothing() {
    let mail = MailServer::start(Encryption::StartTls).await;
    let (server, target) = start(&mail, &[]).await;
    mail.expect_trouble(&[Trouble::Silence]);
    let email = register(&target).await;
    mail.wait("the mail is read", |mail| mail.received().len() == 1).await;
    server.kill9();
    server.restart().await;
    // Mail of a later request goes, so the sender is at work; the lease holds the first one.
    let second = register(&target).await;
    assert_eq!(mail.accepted(1).await[0].recipient, second);
    assert_eq!(target.mails_to(&email).await.len(), 1);
    target.hurry_mail().await;
    wake(&target).await;
    let accepted = mail.accepted(2).await;
    assert_eq!(accepted[1].recipient, email);
}

/// The log is for the developer; production never writes a link into it.
#[tokio::test]
async fn without_a_mail_server_the_link_is_shown_in_development_only() {
    let server = TestServer::start(Database::sqlite(), &[]).await;
    let development = target(&server).await;
    let email = register(&development).await;
    let said = server.wait_for_log("token=authly_et_").await;
    assert!(said.contains(&format!("the mail to {email}")), "{said}");
    assert!(said.contains(development.mail_to(&email).await.link()));

    let server = TestServer::start(Database::sqlite(), &[("ENVIRONMENT", "production")]).await;
    let production = target(&server).await;
    let person = production.person().await;
    let mut browser = production.user_agent();
    let form = browser.get("/forgot-password").await.expect(200).form();
    browser.submit(&form.fill("email", &person.email)).await.expect(303);
    server.wait_for_log("SMTP_HOST is not set: mail waits").await;
    assert_eq!(production.mails_to(&person.email).await.len(), 1, "it waits");
    assert!(!server.log().contains("authly_et_"), "{}", server.log());
}

/// `authly maintenance run`, as a CronJob runs it. The test waits for it, and the mail server must not.
#[tokio::test(flavor = "multi_thread")]
async fn the_maintenance_sends_what_waits() {
    let mut mail = MailServer::start(Encryption::StartTls).await;
    mail.stop().await;
    let (server, target) = start(&mail, &[]).await;
    let email = register(&target).await;
    server.wait_for_log("a mail was not sent").await;
    assert!(server.terminate().await);
    mail.resume().await;
    target.hurry_mail().await;
    let output = server.run(&["maintenance", "run"]);
    assert!(output.contains("Mail: 1 sent, 0 to be tried again, 0 given up."), "{output}");
    assert_eq!(mail.accepted(1).await[0].recipient, email);
}
