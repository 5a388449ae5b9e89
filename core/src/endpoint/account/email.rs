//! Changing the address. It stays the old one until the link that goes to the new one was used.

use http::StatusCode;

use super::{super::register::sentence, FORM_EXPIRED};
use crate::{
    audit::EventType,
    error::Error,
    model::{SessionToken, User},
    page::EmailPage,
    ports::Host,
    request::Parameters,
    response::{self, Reply},
    router::Endpoint,
    server::{Exchange, Server},
    store::{Session, Store},
};

const EMAIL: &str = "change e-mail";

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn email_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        match self.person_or_login(exchange, Endpoint::AccountEmail).await? {
            Ok((token, session)) => Ok(self.email_form(StatusCode::OK, &token, &session, "", None)),
            Err(login) => Ok(login),
        }
    }

    /// The answer is the same whether or not the new address is another account's.
    pub(crate) async fn change_email(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let new = form.get("email")?.unwrap_or_default().trim();
        let current = form.get("current")?.unwrap_or_default();
        let (token, session) = match self.person_or_login(exchange, Endpoint::AccountEmail).await? {
            Ok(person) => person,
            Err(login) => return Ok(login),
        };
        let refuse = |status, error: &str| Ok(self.email_form(status, &token, &session, new, Some(error)));
        if !self.is_session_form(&form, EMAIL, &token)? {
            return refuse(StatusCode::FORBIDDEN, FORM_EXPIRED);
        }
        let email = match User::new(session.user.id, new, None, false, false) {
            Ok(user) => user.email,
            Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &sentence(&error)),
        };
        if email == session.user.email {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, "That is your address already.");
        }
        if self
            .confirm_password(exchange, &session.user, current, EventType::PasswordConfirmationFailed)
            .await?
            .is_none()
        {
            return refuse(StatusCode::FORBIDDEN, "The current password is wrong.");
        }
        self.request_verification(exchange, &session.user, &email).await?;
        Ok(self.account_with("email"))
    }

    fn email_form(
        &self,
        status: StatusCode,
        token: &SessionToken,
        session: &Session,
        new_email: &str,
        error: Option<&str>,
    ) -> Reply {
        let page = EmailPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(EMAIL, token.expose(), ""),
            email: &session.user.email,
            new_email,
            error,
        };
        response::page(status, &page, None)
    }
}
