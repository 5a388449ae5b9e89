//! Making an account. The answer and the work are the same whether or not the address has one already: what differs is
//! the mail that goes there.

use chrono::TimeDelta;
use http::StatusCode;

use super::account::FORM_EXPIRED;
use crate::{
    audit::{Event, EventType},
    error::Error,
    mail::Letter,
    model::{EmailToken, NewPassword, User},
    page::{NoticePage, RegistrationPage},
    ports::Host,
    request::Parameters,
    response::{self, Reply, see_other},
    router::Endpoint,
    server::{Exchange, Server},
    store::{NewEmailToken, Registration, Store},
};

const REGISTER: &str = "register";

/// How long the link that verifies an address is good.
pub(super) const VERIFICATION_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// A longer way back is left out of the link: mail programs break long ones.
const MAX_RETURN: usize = 1500;

#[derive(Default)]
struct Form<'a> {
    return_to: &'a str,
    email: &'a str,
    error: Option<&'a str>,
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) fn registration_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let parameters = Parameters::from_query(exchange.request)?;
        if parameters.get("sent")?.is_some() {
            let page = NoticePage {
                base: self.config.issuer.path(),
                title: "Look into your mail",
                paragraphs: &[
                    "A mail is on its way to the address that you entered. Open the link in it within 24 hours to \
                     finish.",
                    "If nothing arrives within a few minutes, look into the spam folder, or check the address and try \
                     again.",
                ],
                href: &self.location(Endpoint::Login),
                label: "Log in",
            };
            return Ok(response::page(StatusCode::OK, &page, None));
        }
        let return_to = parameters.get("return_to")?.unwrap_or_default();
        Ok(self.registration_form(exchange, StatusCode::OK, &Form { return_to, ..Form::default() }))
    }

    pub(crate) async fn register(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let email = form.get("email")?.unwrap_or_default().trim();
        let return_to = form.get("return_to")?.unwrap_or_default();
        let refuse = |status, error: &str| {
            Ok(self.registration_form(exchange, status, &Form { return_to, email, error: Some(error) }))
        };
        if !self.is_browser_form(exchange, &form, REGISTER)? {
            return refuse(StatusCode::FORBIDDEN, FORM_EXPIRED);
        }
        let now = exchange.now;
        let user = match User::new(self.new_id(now), email, None, false, false) {
            Ok(user) => user,
            Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &sentence(&error)),
        };
        let password = form.get("password")?.unwrap_or_default();
        let password = match NewPassword::new(password, &self.password_context(&user)) {
            Ok(password) => password.into_password(),
            Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &sentence(&error)),
        };
        let password_hash = self.host.hash(password).await?;
        let token = EmailToken::generate(&self.host);
        let back = [("return_to", return_to)];
        let more = if return_to.is_empty() || return_to.len() > MAX_RETURN { &back[..0] } else { &back };
        let link = self.link(Endpoint::VerifyEmail, &token, more);
        let host = self.config.issuer.host();
        let welcome = Letter::welcome(host, &link);
        let (login, forgotten) = (self.address(Endpoint::Login), self.address(Endpoint::ForgotPassword));
        let known = Letter::already_registered(host, &login, &forgotten);
        let expires_at = now + VERIFICATION_LIFETIME;
        let mail = self.new_id(now);
        let registration = Registration {
            token: NewEmailToken { digest: token.digest(), expires_at },
            welcome: self.seal_mail(mail, &welcome, expires_at),
            known: self.seal_mail(mail, &known, expires_at),
            user,
            password_hash,
            now,
        };
        let is_new = self.store.register(&registration).await?;
        self.note_queued_mail();
        let event = if is_new {
            Event::new(EventType::Registered).user(registration.user.id)
        } else {
            Event::new(EventType::RegistrationRepeated)
        };
        self.audit(exchange, event).await;
        Ok(see_other(&format!("{}?sent=1", self.location(Endpoint::Register))))
    }

    fn registration_form(&self, exchange: &Exchange<'_>, status: StatusCode, form: &Form<'_>) -> Reply {
        let browser = self.browser(exchange);
        let page = RegistrationPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(REGISTER, browser.expose(), ""),
            return_to: form.return_to,
            email: form.email,
            error: form.error,
            login: &with_return(&self.location(Endpoint::Login), form.return_to),
        };
        self.browser_page(status, &page, &browser, None)
    }

    /// Where to make an account and then go on to `return_to`.
    pub(super) fn registration_location(&self, return_to: &str) -> String {
        with_return(&self.location(Endpoint::Register), return_to)
    }

    /// The path of an endpoint, as a page links to it.
    pub(super) fn location(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.config.issuer.path(), endpoint.path())
    }

    /// The whole address of an endpoint, as a mail links to it.
    pub(super) fn address(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.config.issuer, endpoint.path())
    }

    /// What everybody knows about this person and this server: a password must not be little more than that.
    pub(super) fn password_context<'a>(&'a self, user: &'a User) -> [&'a str; 4] {
        ["Authly", self.config.issuer.host(), &user.username, &user.email]
    }
}

fn with_return(location: &str, return_to: &str) -> String {
    if return_to.is_empty() {
        return location.to_owned();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("return_to", return_to);
    format!("{location}?{}", query.finish())
}

/// An error as a sentence for people.
pub(super) fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).chain(['.']).collect()
}
