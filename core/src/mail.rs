//! Mail to people: what it says, how it is kept until it has gone, and its delivery.
//!
//! The body holds a link that lets somebody in, so what is kept of it is sealed under the root secret: whoever reads
//! the database does not get in.

use std::fmt;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    crypto::RootSecrets,
    error::Fault,
    model::{EmailToken, Secret, Timestamp},
    ports::{Host, Mail, MailError, Mailer},
    router::Endpoint,
    server::Server,
    store::{ClaimedMail, NewMail, Store},
};

/// What its keys are derived for.
const PURPOSE: &str = "outgoing mail";

/// How many mails are taken up at once.
const BATCH: u32 = 8;
/// For how long: each of the batch has its time within.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// The wait after the first failure; each further one doubles it.
const FIRST_RETRY: TimeDelta = TimeDelta::seconds(30);
/// The longest wait.
const LAST_RETRY: TimeDelta = TimeDelta::hours(1);
/// A mail that is put off so often is given up.
const MAX_ATTEMPTS: u32 = 12;
/// The longest text that is kept of an error.
const MAX_ERROR: usize = 300;

/// A notice is worth delivering for so long.
pub(crate) const NOTICE_LIFETIME: TimeDelta = TimeDelta::days(3);

/// A mail in words.
pub(crate) struct Letter {
    subject: &'static str,
    body: String,
}

/// What a delivery did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Mails that have gone.
    pub sent: u64,
    /// Mails that are tried again later.
    pub deferred: u64,
    /// Mails that were given up.
    pub given_up: u64,
}

/// Opens a body that was sealed for this id; `None` where it was sealed with another secret, or is damaged.
pub fn open(root: &RootSecrets, id: Uuid, sealed: &[u8]) -> Option<Secret> {
    root.derive(PURPOSE).iter().find_map(|key| key.open(id.as_bytes(), sealed))
}

/// How long to wait after so many attempts.
fn back_off(attempts: u32) -> TimeDelta {
    let doublings = attempts.saturating_sub(1).min(16);
    (FIRST_RETRY * (1 << doublings)).min(LAST_RETRY)
}

/// A text that fits into a column and a log line.
pub(crate) fn bounded(error: &impl fmt::Display) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    error.to_string().chars().map(printable).take(MAX_ERROR).collect()
}

impl<S: Store, H: Host> Server<S, H> {
    /// An address of this server with a token, and more parameters, in its query.
    pub(crate) fn link(&self, endpoint: Endpoint, token: &EmailToken, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("token", token.expose()).extend_pairs(more);
        format!("{}{}?{}", self.config.issuer, endpoint.path(), query.finish())
    }

    /// A mail for the outbox, by this id, of use until then.
    pub(crate) fn seal_mail(&self, id: Uuid, letter: &Letter, expires_at: Timestamp) -> NewMail {
        let key = self.config.root.current.derive(PURPOSE);
        let sealed = key.seal(id.as_bytes(), letter.body.as_bytes(), &self.host);
        NewMail { id, subject: letter.subject.to_owned(), sealed, expires_at }
    }

    /// Sends what is due, in bounded batches. Several instances may do so at once: each mail is one's alone for a
    /// while. What an instance dies with is tried again later; a receiver may then see it twice, by the same id.
    pub async fn deliver_mail<M: Mailer>(&self, mailer: &M) -> Result<Delivery, Fault> {
        let mut delivery = Delivery::default();
        loop {
            let now = self.host.now();
            let leased_until = now + LEASE;
            let batch = self.store.claim_mail(now, leased_until, BATCH).await?;
            let is_last = batch.len() < BATCH as usize;
            let mut unavailable: Option<MailError> = None;
            for mail in batch {
                if self.host.now() + M::TIMEOUT > leased_until {
                    // Its turn comes when the lease is over.
                    continue;
                }
                let result = match &unavailable {
                    Some(error) => Err(error.clone()),
                    None => self.send(mailer, &mail).await,
                };
                if let Err(error @ MailError::Unavailable(_)) = &result {
                    unavailable = Some(error.clone());
                }
                self.note_result(&mail, result, &mut delivery).await?;
            }
            if is_last || unavailable.is_some() {
                return Ok(delivery);
            }
        }
    }

    async fn send(&self, mailer: &impl Mailer, mail: &ClaimedMail) -> Result<(), MailError> {
        let Some(recipient) = &mail.recipient else {
            return Ok(());
        };
        let Some(body) = open(&self.config.root, mail.id, &mail.sealed) else {
            return Err(MailError::Refused("the body was sealed with another JWT_SECRET_KEY".to_owned()));
        };
        let mail = Mail {
            id: mail.id,
            recipient: recipient.clone(),
            subject: mail.subject.clone(),
            body,
            written_at: mail.created_at,
        };
        mailer.send(&mail).await
    }

    async fn note_result(
        &self,
        mail: &ClaimedMail,
        result: Result<(), MailError>,
        delivery: &mut Delivery,
    ) -> Result<(), Fault> {
        let Err(error) = result else {
            delivery.sent += u64::from(mail.recipient.is_some());
            return Ok(self.store.remove_mail(mail.id, mail.attempts).await?);
        };
        let is_over = match &error {
            // It says nothing about this mail, which is tried until it is of no use any more.
            MailError::Unavailable(_) => false,
            MailError::Deferred(_) => mail.attempts >= MAX_ATTEMPTS,
            MailError::Refused(_) => true,
        };
        let error = bounded(&error);
        let due_at = (!is_over).then(|| self.host.now() + back_off(mail.attempts));
        if is_over {
            delivery.given_up += 1;
        } else {
            delivery.deferred += 1;
        }
        tracing::warn!(mail = %mail.id, attempts = mail.attempts, given_up = is_over, error, "a mail was not sent");
        Ok(self.store.defer_mail(mail.id, mail.attempts, &error, due_at).await?)
    }
}

impl Letter {
    pub(crate) fn welcome(host: &str, link: &str) -> Self {
        Self {
            subject: "Confirm your e-mail address",
            body: format!(
                "Somebody, probably you, made an account at {host} with this e-mail address.\n\n\
                 Confirm that the address is yours by opening this link within 24 hours, and entering the password\n\
                 that you chose:\n\n\
                 {link}\n\n\
                 If it was not you, do nothing: without that password nobody can use the link.\n"
            ),
        }
    }

    pub(crate) fn already_registered(host: &str, login: &str, forgotten: &str) -> Self {
        Self {
            subject: "You already have an account",
            body: format!(
                "Somebody, probably you, wanted to make an account at {host} with this e-mail address.\n\
                 It has one already, and nothing was changed. Log in here:\n\n\
                 {login}\n\n\
                 If you do not know the password, choose a new one:\n\n\
                 {forgotten}\n\n\
                 If it was not you, do nothing.\n"
            ),
        }
    }

    pub(crate) fn verify(host: &str, link: &str) -> Self {
        Self {
            subject: "Confirm your e-mail address",
            body: format!(
                "Confirm that this is your e-mail address at {host} by opening this link within 24 hours, and\n\
                 entering the password of your account:\n\n\
                 {link}\n\n\
                 If you did not ask for this, do nothing: without that password nobody can use the link.\n"
            ),
        }
    }

    pub(crate) fn address_taken(host: &str, login: &str) -> Self {
        Self {
            subject: "Your e-mail address was entered",
            body: format!(
                "Somebody wanted to use this e-mail address for another account at {host}. It has one already, and\n\
                 nothing was changed. If it was you, log in to that account instead:\n\n\
                 {login}\n\n\
                 If it was not you, do nothing.\n"
            ),
        }
    }

    pub(crate) fn reset(host: &str, link: &str) -> Self {
        Self {
            subject: "Choose a new password",
            body: format!(
                "Somebody, probably you, wants to choose a new password for your account at {host}.\n\
                 Open this link within an hour:\n\n\
                 {link}\n\n\
                 If it was not you, do nothing: your password stays as it is. Do not give the link to anybody.\n"
            ),
        }
    }

    pub(crate) fn password_changed(host: &str, forgotten: &str) -> Self {
        Self {
            subject: "Your password was changed",
            body: format!(
                "The password of your account at {host} was changed. Applications and other devices are logged out.\n\n\
                 If it was not you, choose a new password at once:\n\n\
                 {forgotten}\n"
            ),
        }
    }

    pub(crate) fn email_changed(host: &str) -> Self {
        Self {
            subject: "Your e-mail address was changed",
            body: format!(
                "Your account at {host} has another e-mail address now, and mail about it goes there.\n\n\
                 If it was not you, tell whoever runs {host}.\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        let waits: Vec<_> = (1..=9).map(|attempts| back_off(attempts).num_seconds()).collect();
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(back_off(u32::MAX), LAST_RETRY);
    }

    #[test]
    fn errors_are_short_and_on_one_line() {
        let error = MailError::Deferred(format!("a\r\nb{}", "é".repeat(1000)));
        let text = bounded(&error);
        assert!(text.starts_with("a  bé") && text.chars().count() == MAX_ERROR);
    }
}
