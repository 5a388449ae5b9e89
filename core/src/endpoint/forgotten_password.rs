//! Asking for a link to choose a new password. The answer and the work are the same whether or not there is an account.

use chrono::TimeDelta;
use http::StatusCode;

use super::account::FORM_EXPIRED;
use crate::{
    audit::{Event, EventType},
    error::Error,
    mail::Letter,
    model::EmailToken,
    page::{ForgottenPasswordPage, NoticePage},
    ports::Host,
    request::Parameters,
    response::{self, Reply, see_other},
    router::Endpoint,
    server::{Exchange, Server},
    store::{NewEmailToken, ResetRequest, Store},
};

const FORGOTTEN: &str = "forgotten password";

/// How long the link is good.
const RESET_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// No address is longer.
const MAX_EMAIL: usize = 255;

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) fn forgotten_password_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let parameters = Parameters::from_query(exchange.request)?;
        if parameters.get("sent")?.is_none() {
            return Ok(self.forgotten_password_form(exchange, StatusCode::OK, "", None));
        }
        let page = NoticePage {
            base: self.config.issuer.path(),
            title: "Look into your mail",
            paragraphs: &[
                "If there is an account with the address that you entered, a mail is on its way there. The link in it \
                 is good for an hour.",
                "If nothing arrives within a few minutes, look into the spam folder, or check the address and try \
                 again.",
            ],
            href: &self.location(Endpoint::Login),
            label: "Log in",
        };
        Ok(response::page(StatusCode::OK, &page, None))
    }

    pub(crate) async fn request_reset(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let email = form.get("email")?.unwrap_or_default().trim();
        let refuse = |status, error| Ok(self.forgotten_password_form(exchange, status, email, Some(error)));
        if !self.is_browser_form(exchange, &form, FORGOTTEN)? {
            return refuse(StatusCode::FORBIDDEN, FORM_EXPIRED);
        }
        if !email.contains('@') || email.chars().count() > MAX_EMAIL {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Enter an address such as name@example.com.");
        }
        let now = exchange.now;
        let token = EmailToken::generate(&self.host);
        let link = self.link(Endpoint::ResetPassword, &token, &[]);
        let expires_at = now + RESET_LIFETIME;
        let request = ResetRequest {
            email: email.to_owned(),
            token: NewEmailToken { digest: token.digest(), expires_at },
            mail: self.seal_mail(self.new_id(now), &Letter::reset(self.config.issuer.host(), &link), expires_at),
            now,
        };
        let user = self.store.request_reset(&request).await?;
        self.note_queued_mail();
        let event = Event::new(EventType::PasswordResetRequested);
        self.audit(exchange, user.into_iter().fold(event, Event::user)).await;
        Ok(see_other(&format!("{}?sent=1", self.location(Endpoint::ForgotPassword))))
    }

    fn forgotten_password_form(
        &self,
        exchange: &Exchange<'_>,
        status: StatusCode,
        email: &str,
        error: Option<&str>,
    ) -> Reply {
        let browser = self.browser(exchange);
        let csrf_token = self.form_token(FORGOTTEN, browser.expose(), "");
        let page = ForgottenPasswordPage { base: self.config.issuer.path(), csrf_token: &csrf_token, email, error };
        self.browser_page(status, &page, &browser, None)
    }
}
