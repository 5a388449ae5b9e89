//! The link to choose a new password. A GET changes nothing, since mail filters open links.

use http::StatusCode;

use super::{account::FORM_EXPIRED, register::sentence};
use crate::{
    audit::{Event, EventType},
    error::Error,
    mail::{Letter, NOTICE_LIFETIME},
    model::{EmailToken, NewPassword},
    page::{NoticePage, ResetPage},
    ports::Host,
    request::Parameters,
    response::{self, Reply, see_other},
    router::Endpoint,
    server::{Exchange, Server},
    store::{EmailPurpose, EmailTokenHolder, PasswordReset, Store},
};

const RESET: &str = "reset password";

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn reset_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let parameters = Parameters::from_query(exchange.request)?;
        if parameters.get("done")?.is_some() {
            let page = NoticePage {
                base: self.config.issuer.path(),
                title: "Your password was changed",
                paragraphs: &["Every device and application was logged out. Log in with the new password."],
                href: &self.location(Endpoint::Login),
                label: "Log in",
            };
            return Ok(response::page(StatusCode::OK, &page, None));
        }
        let Some((token, holder)) = self.email_token(exchange, &parameters, EmailPurpose::Reset).await? else {
            return Ok(self.link_is_over(EmailPurpose::Reset));
        };
        Ok(self.reset_form(exchange, StatusCode::OK, &token, &holder, None))
    }

    pub(crate) async fn reset_password(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let is_own_form = self.is_browser_form(exchange, &form, RESET)?;
        let password = form.get("password")?.unwrap_or_default();
        let Some((token, holder)) = self.email_token(exchange, &form, EmailPurpose::Reset).await? else {
            return Ok(self.link_is_over(EmailPurpose::Reset));
        };
        let refuse = |status, error: &str| Ok(self.reset_form(exchange, status, &token, &holder, Some(error)));
        if !is_own_form {
            return refuse(StatusCode::FORBIDDEN, FORM_EXPIRED);
        }
        let password = match NewPassword::new(password, &self.password_context(&holder.credentials.user)) {
            Ok(password) => password.into_password(),
            Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &sentence(&error)),
        };
        let now = exchange.now;
        let letter = Letter::password_changed(self.config.issuer.host(), &self.address(Endpoint::ForgotPassword));
        let reset = PasswordReset {
            token: token.digest(),
            new: self.host.hash(password).await?,
            notice: self.seal_mail(self.new_id(now), &letter, now + NOTICE_LIFETIME),
            now,
        };
        let Some(user) = self.store.reset_password(&reset).await? else {
            return Ok(self.link_is_over(EmailPurpose::Reset));
        };
        self.note_queued_mail();
        self.audit(exchange, Event::new(EventType::PasswordReset).user(user.id)).await;
        Ok(see_other(&format!("{}?done=1", self.location(Endpoint::ResetPassword))))
    }

    fn reset_form(
        &self,
        exchange: &Exchange<'_>,
        status: StatusCode,
        token: &EmailToken,
        holder: &EmailTokenHolder,
        error: Option<&str>,
    ) -> Reply {
        let browser = self.browser(exchange);
        let page = ResetPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(RESET, browser.expose(), ""),
            token: token.expose(),
            username: &holder.credentials.user.username,
            error,
        };
        self.browser_page(status, &page, &browser, None)
    }
}
