//! Logging out, and the front page.

use http::StatusCode;

use super::session::{removal_cookie, session_cookie_name};
use crate::{
    audit::{Event, EventType, Record},
    error::{Error, ProtocolError},
    page::{HomePage, LoggedOutPage, LogoutPage},
    ports::Host,
    request::Parameters,
    response::{self, Reply, WithHeader},
    server::{Exchange, Server},
    store::Store,
};

const LOGOUT: &str = "logout";

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn home(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let session = self.session(exchange).await?;
        let page = HomePage {
            base: self.config.issuer.path(),
            issuer: self.config.issuer.as_str(),
            demo: self.config.demo,
            user: session.as_ref().map(|session| session.user.username.as_str()),
        };
        Ok(response::page(StatusCode::OK, &page, None))
    }

    pub(crate) async fn logout_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let base = self.config.issuer.path();
        match (self.session(exchange).await?, self.session_token(exchange)) {
            (Some(session), Some(token)) => {
                let csrf_token = self.form_token(LOGOUT, token.expose(), "");
                let page = LogoutPage { base, user: &session.user.username, csrf_token: &csrf_token };
                Ok(response::page(StatusCode::OK, &page, None))
            }
            _ => Ok(response::page(StatusCode::OK, &LoggedOutPage { base }, None)),
        }
    }

    pub(crate) async fn log_out(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        if let Some(token) = self.session_token(exchange) {
            if !self.is_form_token(form.require("csrf_token")?, LOGOUT, token.expose(), "") {
                let error = ProtocolError::invalid_request("the form was not made for this session");
                return Err(error.with_status(StatusCode::FORBIDDEN).into());
            }
            let record = self.audit_record(exchange, Event::new(EventType::Logout));
            if let Some(user_id) = self.store.end_session(&token.digest(), Some(&record)).await? {
                self.give_back(exchange);
                Record { user_id: Some(user_id), ..record }.log();
            }
        }
        let page = LoggedOutPage { base: self.config.issuer.path() };
        Ok(response::page(StatusCode::OK, &page, None)
            .with_cookie(&removal_cookie(&self.config, session_cookie_name(&self.config))))
    }
}
