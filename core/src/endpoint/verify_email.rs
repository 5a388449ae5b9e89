//! The link that shows that an address is somebody's. The link proves the address and the password proves the account:
//! a stranger who entered it gets nothing out of a hasty click. A GET changes nothing, since mail filters open links.

use http::StatusCode;

use super::{account::FORM_EXPIRED, authorize::Destination};
use crate::{
    audit::{Event, EventType},
    error::Error,
    mail::{Letter, NOTICE_LIFETIME},
    model::EmailToken,
    page::{NoticePage, VerificationPage},
    ports::Host,
    request::Parameters,
    response::{self, Reply},
    router::Endpoint,
    server::{Exchange, Server},
    store::{EmailPurpose, EmailTokenHolder, Store, Verification},
};

const VERIFY: &str = "verify e-mail";

struct Form<'a> {
    token: &'a EmailToken,
    holder: &'a EmailTokenHolder,
    return_to: &'a str,
    error: Option<&'a str>,
    status: StatusCode,
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn verification_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let parameters = Parameters::from_query(exchange.request)?;
        let return_to = parameters.get("return_to")?.unwrap_or_default();
        let Some((token, holder)) = self.email_token(exchange, &parameters, EmailPurpose::Verify).await? else {
            return Ok(self.link_is_over(EmailPurpose::Verify));
        };
        let form = Form { token: &token, holder: &holder, return_to, error: None, status: StatusCode::OK };
        self.verification_form(exchange, &form).await
    }

    pub(crate) async fn verify_email(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let return_to = form.get("return_to")?.unwrap_or_default();
        let is_own_form = self.is_browser_form(exchange, &form, VERIFY)?;
        let password = form.get("password")?.unwrap_or_default();
        let Some((token, holder)) = self.email_token(exchange, &form, EmailPurpose::Verify).await? else {
            return Ok(self.link_is_over(EmailPurpose::Verify));
        };
        let refuse = |error, status| Form { token: &token, holder: &holder, return_to, error: Some(error), status };
        if !is_own_form {
            return self.verification_form(exchange, &refuse(FORM_EXPIRED, StatusCode::FORBIDDEN)).await;
        }
        if password.is_empty() {
            let error = "Enter the password of your account.";
            return self.verification_form(exchange, &refuse(error, StatusCode::UNPROCESSABLE_ENTITY)).await;
        }
        let user = &holder.credentials.user;
        if self.confirm_password(exchange, user, password, EventType::VerificationFailed).await?.is_none() {
            let error = "The password is wrong. Try again, or choose a new one.";
            return self.verification_form(exchange, &refuse(error, StatusCode::FORBIDDEN)).await;
        }
        let now = exchange.now;
        let letter = Letter::email_changed(self.config.issuer.host());
        let notice = self.seal_mail(self.new_id(now), &letter, now + NOTICE_LIFETIME);
        let (event, user) = match self.store.verify_email(&token.digest(), &notice, now).await? {
            Verification::Verified(user) => (EventType::EmailVerified, user),
            Verification::Changed(user) => {
                self.note_queued_mail();
                (EventType::EmailChanged, user)
            }
            Verification::Taken | Verification::Unknown => return Ok(self.link_is_over(EmailPurpose::Verify)),
        };
        self.audit(exchange, Event::new(event).user(user.id)).await;
        let target = if return_to.is_empty() { self.location(Endpoint::Account) } else { return_to.to_owned() };
        self.start_session(exchange, &holder.credentials, &target, [None, None]).await
    }

    /// The token of a link, with whose it is.
    pub(super) async fn email_token(
        &self,
        exchange: &Exchange<'_>,
        parameters: &Parameters,
        purpose: EmailPurpose,
    ) -> Result<Option<(EmailToken, EmailTokenHolder)>, Error> {
        let Some(token) = parameters.get("token")?.and_then(EmailToken::parse) else {
            return Ok(None);
        };
        let holder = self.store.email_token(&token.digest(), purpose, exchange.now).await?;
        Ok(holder.map(|holder| (token, holder)))
    }

    /// One answer for what was used, is too old, was replaced by a newer one, or never was.
    pub(super) fn link_is_over(&self, purpose: EmailPurpose) -> Reply {
        let (next, label, advice) = match purpose {
            EmailPurpose::Verify => {
                (Endpoint::Account, "Your account", "Log in and ask for a new one where you need it.")
            }
            EmailPurpose::Reset => (Endpoint::ForgotPassword, "Send a new link", "Ask for a new one."),
        };
        let page = NoticePage {
            base: self.config.issuer.path(),
            title: "This link is not good any more",
            paragraphs: &["It was used before, is too old, or a newer one was sent since.", advice],
            href: &self.location(next),
            label,
        };
        response::page(StatusCode::GONE, &page, None)
    }

    async fn verification_form(&self, exchange: &Exchange<'_>, form: &Form<'_>) -> Result<Reply, Error> {
        let browser = self.browser(exchange);
        let destination = self.return_destination(exchange, form.return_to).await?;
        let page = VerificationPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(VERIFY, browser.expose(), ""),
            token: form.token.expose(),
            return_to: form.return_to,
            email: &form.holder.email,
            username: &form.holder.credentials.user.username,
            error: form.error,
        };
        let form_action = destination.as_ref().map(Destination::csp_source);
        Ok(self.browser_page(form.status, &page, &browser, form_action.as_deref()))
    }
}
