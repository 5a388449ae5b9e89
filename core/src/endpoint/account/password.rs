//! Changing the password.

use http::StatusCode;

use super::{super::register::sentence, FORM_EXPIRED};
use crate::{
    audit::{Event, EventType},
    error::Error,
    mail::{Letter, NOTICE_LIFETIME},
    model::{NewPassword, SessionToken},
    page::PasswordPage,
    ports::Host,
    request::Parameters,
    response::{self, Reply},
    router::Endpoint,
    server::{Exchange, Server},
    store::{PasswordChange, Session, Store},
};

const PASSWORD: &str = "change password";

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn password_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        match self.person_or_login(exchange, Endpoint::AccountPassword).await? {
            Ok((token, session)) => Ok(self.password_form(StatusCode::OK, &token, &session, None)),
            Err(login) => Ok(login),
        }
    }

    pub(crate) async fn change_password(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let (current, new) = (form.get("current")?.unwrap_or_default(), form.get("password")?.unwrap_or_default());
        let (token, session) = match self.person_or_login(exchange, Endpoint::AccountPassword).await? {
            Ok(person) => person,
            Err(login) => return Ok(login),
        };
        let refuse = |status, error: &str| Ok(self.password_form(status, &token, &session, Some(error)));
        if !self.is_session_form(&form, PASSWORD, &token)? {
            return refuse(StatusCode::FORBIDDEN, FORM_EXPIRED);
        }
        let new = match NewPassword::new(new, &self.password_context(&session.user)) {
            Ok(password) => password.into_password(),
            Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &sentence(&error)),
        };
        let Some(old) =
            self.confirm_password(exchange, &session.user, current, EventType::PasswordConfirmationFailed).await?
        else {
            return refuse(StatusCode::FORBIDDEN, "The current password is wrong.");
        };
        let now = exchange.now;
        let letter = Letter::password_changed(self.config.issuer.host(), &self.address(Endpoint::ForgotPassword));
        let change = PasswordChange {
            user: session.user.id,
            old,
            new: self.host.hash(new).await?,
            keep: token.digest(),
            notice: self.seal_mail(self.new_id(now), &letter, now + NOTICE_LIFETIME),
            now,
        };
        if !self.store.change_password(&change).await? {
            return refuse(
                StatusCode::CONFLICT,
                "The password was changed elsewhere at this moment. Please try again.",
            );
        }
        self.note_queued_mail();
        self.audit(exchange, Event::new(EventType::PasswordChanged).user(session.user.id)).await;
        Ok(self.account_with("password"))
    }

    fn password_form(&self, status: StatusCode, token: &SessionToken, session: &Session, error: Option<&str>) -> Reply {
        let page = PasswordPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(PASSWORD, token.expose(), ""),
            username: &session.user.username,
            error,
        };
        response::page(status, &page, None)
    }
}
