//! The pages around a person's account.

use askama::Template;

use super::STYLESHEET_VERSION;
use crate::model::Timestamp;

/// A moment as people read it.
pub fn time_for_people(time: Timestamp) -> String {
    time.format("%-d %B %Y, %H:%M UTC").to_string()
}

/// A moment for the attribute `datetime`.
pub fn time_for_machines(time: Timestamp) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Says what happened, and leads on.
#[derive(Debug, Clone, Template)]
#[template(path = "notice.html")]
pub struct NoticePage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// What happened, in a few words.
    pub title: &'a str,
    /// The same, in whole sentences.
    pub paragraphs: &'a [&'a str],
    /// Where the button leads.
    pub href: &'a str,
    /// What it says.
    pub label: &'a str,
}

/// Asks for what an account needs.
#[derive(Debug, Clone, Template)]
#[template(path = "register.html")]
pub struct RegistrationPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// Value of the hidden field `return_to`: where to go once there is an account.
    pub return_to: &'a str,
    /// What the field `email` holds at first.
    pub email: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
    /// Where to log in instead.
    pub login: &'a str,
}

/// Asks for the password, to confirm an address.
#[derive(Debug, Clone, Template)]
#[template(path = "verify_email.html")]
pub struct VerificationPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// Value of the hidden field `token`: the link's.
    pub token: &'a str,
    /// Value of the hidden field `return_to`.
    pub return_to: &'a str,
    /// The address.
    pub email: &'a str,
    /// The account's name.
    pub username: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
}

/// Asks for the address of somebody who has forgotten the password.
#[derive(Debug, Clone, Template)]
#[template(path = "forgot_password.html")]
pub struct ForgottenPasswordPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// What the field `email` holds at first.
    pub email: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
}

/// Asks for a new password instead of a forgotten one.
#[derive(Debug, Clone, Template)]
#[template(path = "reset_password.html")]
pub struct ResetPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// Value of the hidden field `token`: the link's.
    pub token: &'a str,
    /// The account's name.
    pub username: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
}

/// Asks for the old password and a new one.
#[derive(Debug, Clone, Template)]
#[template(path = "account_password.html")]
pub struct PasswordPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// The account's name.
    pub username: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
}

/// Asks for a new address.
#[derive(Debug, Clone, Template)]
#[template(path = "account_email.html")]
pub struct EmailPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// The address that the account has.
    pub email: &'a str,
    /// What the field `email` holds at first.
    pub new_email: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
}

/// Says that the address has to be confirmed before anything else.
#[derive(Debug, Clone, Template)]
#[template(path = "unverified.html")]
pub struct UnverifiedPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// The address.
    pub email: &'a str,
}

/// What a person has here, and can end.
#[derive(Debug, Clone, Template)]
#[template(path = "account.html")]
pub struct AccountPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Value of the hidden fields `csrf_token`.
    pub csrf_token: &'a str,
    /// The account's name.
    pub username: &'a str,
    /// Its address.
    pub email: &'a str,
    /// Whether that was shown to be theirs.
    pub is_verified: bool,
    /// What was just done, as a whole sentence.
    pub done: Option<&'a str>,
    /// Applications with access.
    pub applications: &'a [ApplicationItem],
    /// Sessions, the one of this browser among them.
    pub sessions: &'a [SessionItem],
}

/// An application on the account page.
#[derive(Debug, Clone)]
pub struct ApplicationItem {
    /// Names it in the form.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do; may be empty.
    pub scopes: String,
    /// Since when, for people.
    pub since: String,
    /// Since when, for machines.
    pub since_machine: String,
    /// From where it was allowed; may be empty.
    pub origin: String,
}

/// A session on the account page.
#[derive(Debug, Clone)]
pub struct SessionItem {
    /// Names it in the form.
    pub id: String,
    /// The browser; may be empty.
    pub device: String,
    /// Its address then; may be empty.
    pub address: String,
    /// Since when, for people.
    pub since: String,
    /// Since when, for machines.
    pub since_machine: String,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "<script>alert('1')</script>\"&";

    #[test]
    fn values_are_escaped_and_every_page_has_one_heading() {
        let nasty = || NASTY.to_owned();
        let application = ApplicationItem {
            id: nasty(),
            name: nasty(),
            scopes: nasty(),
            since: nasty(),
            since_machine: nasty(),
            origin: nasty(),
        };
        let session = SessionItem {
            id: nasty(),
            device: nasty(),
            address: nasty(),
            since: nasty(),
            since_machine: nasty(),
            is_this: false,
        };
        let this = SessionItem { is_this: true, ..session.clone() };
        let (base, error) = ("/auth", Some(NASTY));
        let html = |page: &dyn askama::DynTemplate| page.dyn_render().expect("rendering does not fail");
        let pages = [
            html(&NoticePage { base, title: NASTY, paragraphs: &[NASTY], href: "/auth/x", label: NASTY }),
            html(&RegistrationPage { base, csrf_token: NASTY, return_to: NASTY, email: NASTY, error, login: NASTY }),
            html(&VerificationPage {
                base,
                csrf_token: NASTY,
                token: NASTY,
                return_to: NASTY,
                email: NASTY,
                username: NASTY,
                error,
            }),
            html(&ForgottenPasswordPage { base, csrf_token: NASTY, email: NASTY, error }),
            html(&ResetPage { base, csrf_token: NASTY, token: NASTY, username: NASTY, error }),
            html(&PasswordPage { base, csrf_token: NASTY, username: NASTY, error }),
            html(&EmailPage { base, csrf_token: NASTY, email: NASTY, new_email: NASTY, error }),
            html(&UnverifiedPage { base, csrf_token: NASTY, email: NASTY }),
            html(&AccountPage {
                base,
                csrf_token: NASTY,
                username: NASTY,
                email: NASTY,
                is_verified: false,
                done: Some(NASTY),
                applications: &[application],
                sessions: &[session, this],
            }),
        ];
        for page in pages {
            assert!(page.starts_with("<!doctype html>"), "{page}");
            for forbidden in ["<script", " style=", "<style", "\"/login", "\"/account", "action=\"/r"] {
                assert!(!page.contains(forbidden), "{forbidden} in {page}");
            }
            assert_eq!(page.matches("<h1").count(), 1, "{page}");
        }
    }

    #[test]
    fn times() {
        let time = Timestamp::from_timestamp_micros(1_750_000_000_123_456).expect("in range");
        assert_eq!(time_for_people(time), "15 June 2025, 15:06 UTC");
        assert_eq!(time_for_machines(time), "2025-06-15T15:06:40Z");
    }
}
