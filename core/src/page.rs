//! The pages a person sees, rendered on the server from `core/templates`.
//!
//! Every value is escaped by the template engine. The pages need no script,
//! no inline style and no image of another origin, so they work under
//! `default-src 'none'; style-src 'self'; img-src 'self' data:`.
//!
//! `base` is the path prefix in front of every link, asset and form action:
//! empty when the server owns the root of its origin, or for example `/auth`
//! (no trailing slash).

mod account;

use askama::Template;

pub use account::{
    AccountPage, ApplicationItem, EmailPage, ForgottenPasswordPage, NoticePage, PasswordPage, RegistrationPage,
    ResetPage, SessionItem, UnverifiedPage, VerificationPage, time_for_machines, time_for_people,
};

/// The one stylesheet, to be served at `{base}/assets/authly.css` as `text/css`.
pub const STYLESHEET: &str = include_str!("../assets/authly.css");

/// Part of the stylesheet's address, so that an upgrade is not met by an old
/// copy out of a browser's cache.
const STYLESHEET_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Asks for the person's name and password.
#[derive(Debug, Clone, Template)]
#[template(path = "login.html")]
pub struct LoginPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// The application that asked for the login, if one did.
    pub client_name: Option<&'a str>,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// Value of the hidden field `return_to`: where to go after the login.
    pub return_to: &'a str,
    /// What the field `username` holds at first; empty on a first visit.
    pub login: &'a str,
    /// Why the last attempt failed, as a whole sentence.
    pub error: Option<&'a str>,
    /// Where to make an account, if anybody can.
    pub register: Option<&'a str>,
}

/// Asks whether an application may have what it asked for.
///
/// The form sends `decision=allow` or `decision=deny`. "Deny" is its first
/// button, hence its default one, and nothing is focused at first: no stray
/// press of Enter can grant access.
#[derive(Debug, Clone, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// The application's name, as it registered it.
    pub client_name: &'a str,
    /// Host of the redirect address: where the browser goes after the decision.
    pub client_host: &'a str,
    /// The application's own web page; a link only if it is `https://`.
    pub client_uri: Option<&'a str>,
    /// Who is logged in.
    pub user: &'a str,
    /// What the application asks for; empty if only for who the person is.
    pub scopes: &'a [ScopeLine<'a>],
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
    /// Value of the hidden field `request`: which request is decided on.
    pub request: &'a str,
}

/// One scope on the consent page.
#[derive(Debug, Clone, Copy)]
pub struct ScopeLine<'a> {
    /// The scope's name in the protocol.
    pub name: &'a str,
    /// What it allows, in words.
    pub description: &'a str,
}

/// Asks whether the person really wants to log out.
#[derive(Debug, Clone, Template)]
#[template(path = "logout.html")]
pub struct LogoutPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Who is logged in.
    pub user: &'a str,
    /// Value of the hidden field `csrf_token`.
    pub csrf_token: &'a str,
}

/// Confirms that the person is logged out.
#[derive(Debug, Clone, Template)]
#[template(path = "logged_out.html")]
pub struct LoggedOutPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
}

/// Says what went wrong and what to do about it.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// Status of the response.
    pub status: u16,
    /// What went wrong, in a few words.
    pub title: &'a str,
    /// What happened, in whole sentences.
    pub message: &'a str,
    /// What the person can do now, in whole sentences.
    pub advice: &'a str,
    /// The error's code in the protocol, for whoever looks into it.
    pub code: &'a str,
    /// Identifies the request in the server's log.
    pub request_id: &'a str,
}

/// The page at the server's own address.
#[derive(Debug, Clone, Template)]
#[template(path = "home.html")]
pub struct HomePage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// The server's issuer identifier.
    pub issuer: &'a str,
    /// Whether the demonstration at `{base}/demo` is on.
    pub demo: bool,
    /// Who is logged in, if anyone is.
    pub user: Option<&'a str>,
}

/// What a developer sees at the end of the demonstration: the tokens, opened.
#[derive(Debug, Clone, Template)]
#[template(path = "demo.html")]
pub struct DemoPage<'a> {
    /// Path prefix of every address on the page.
    pub base: &'a str,
    /// The server's issuer identifier.
    pub issuer: &'a str,
    /// The access token as issued.
    pub access_token: &'a str,
    /// Its decoded header, as indented JSON.
    pub header: &'a str,
    /// Its decoded claims, as indented JSON.
    pub claims: &'a str,
    /// What to notice in it: a label, and what it means.
    pub facts: &'a [(&'a str, String)],
    /// The refresh token, if one was issued.
    pub refresh_token: Option<&'a str>,
    /// The scope that was granted; may be empty.
    pub scope: &'a str,
    /// For how many seconds the access token is valid.
    pub expires_in: u64,
    /// What to try next: a title, and a command for a terminal.
    pub curl: &'a [(&'a str, String)],
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "<script>alert('1')</script>\"&";

    fn html(page: &impl Template) -> String {
        page.render().expect("rendering into memory does not fail")
    }

    fn login<'a>(login: &'a str, error: Option<&'a str>) -> LoginPage<'a> {
        LoginPage {
            base: "/auth",
            client_name: Some(NASTY),
            csrf_token: NASTY,
            return_to: NASTY,
            login,
            error,
            register: Some(NASTY),
        }
    }

    fn consent<'a>(client_uri: &'a str, scopes: &'a [ScopeLine<'a>]) -> ConsentPage<'a> {
        ConsentPage {
            base: "/auth",
            client_name: NASTY,
            client_host: NASTY,
            client_uri: Some(client_uri),
            user: NASTY,
            scopes,
            csrf_token: NASTY,
            request: NASTY,
        }
    }

    #[test]
    fn values_are_escaped_and_addresses_carry_the_base() {
        let scopes = [ScopeLine { name: NASTY, description: NASTY }];
        let pairs = [(NASTY, NASTY.to_owned())];
        let pages = [
            html(&login(NASTY, Some(NASTY))),
            html(&consent(NASTY, &scopes)),
            html(&LogoutPage { base: "/auth", user: NASTY, csrf_token: NASTY }),
            html(&LoggedOutPage { base: "/auth" }),
            html(&ErrorPage {
                base: "/auth",
                status: 400,
                title: NASTY,
                message: NASTY,
                advice: NASTY,
                code: NASTY,
                request_id: NASTY,
            }),
            html(&HomePage { base: "/auth", issuer: NASTY, demo: true, user: Some(NASTY) }),
            html(&DemoPage {
                base: "/auth",
                issuer: NASTY,
                access_token: NASTY,
                header: NASTY,
                claims: NASTY,
                facts: &pairs,
                refresh_token: Some(NASTY),
                scope: NASTY,
                expires_in: 600,
                curl: &pairs,
            }),
        ];
        for page in pages {
            assert!(page.starts_with("<!doctype html>"), "{page}");
            for forbidden in ["<script", " style=", "<style", "\"/login", "href=\"/demo"] {
                assert!(!page.contains(forbidden), "{forbidden} in {page}");
            }
            assert_eq!(page.matches("<h1").count(), 1, "{page}");
            assert!(page.contains("\"/auth/assets/authly.css?v="), "{page}");
        }
    }

    #[test]
    fn a_failed_login_is_announced_and_keeps_the_name() {
        let first = html(&login("", None));
        assert!(first.contains("<title>Log in"));
        assert!(!first.contains("aria-invalid") && !first.contains("role=\"alert\""));

        let again = html(&login("alice", Some("Wrong.")));
        assert!(again.contains("<title>Error: Log in"));
        assert!(again.contains("role=\"alert\"") && again.contains("value=\"alice\""));
        assert_eq!(again.matches("aria-invalid=\"true\"").count(), 2);
        assert_eq!(again.matches(" autofocus").count(), 1);
    }

    #[test]
    fn only_an_https_address_becomes_a_link() {
        assert!(html(&consent("https://a.example/", &[])).contains("href=\"https://a.example/\""));
        for uri in ["http://a.example/", "javascript:alert(1)", "//a.example"] {
            assert!(!html(&consent(uri, &[])).contains(&format!("href=\"{uri}")));
        }
    }

    #[test]
    fn the_default_button_of_the_consent_form_denies() {
        let page = html(&consent("", &[]));
        let (deny, allow) = (page.find("value=\"deny\""), page.find("value=\"allow\""));
        assert!(deny.is_some() && deny < allow);
        assert!(!page.contains("autofocus"));
        assert!(page.contains("only learns that it is you"));
    }
}
