//! Logging in with a password. One step of what may become several.

use chrono::TimeDelta;
use http::{StatusCode, header};
use url::Url;

use super::{
    authorize::Destination,
    session::{browser_cookie_name, device_cookie_name, removal_cookie, session_cookie},
};
use crate::{
    audit::{Event, EventType, Record},
    error::{Error, ProtocolError, in_words},
    model::{DeviceToken, Digest, Password, SessionToken, UserCredentials},
    page::LoginPage,
    ports::{Host, PasswordCheck},
    request::{Parameters, cookie},
    response::{self, Reply, WithHeader, http_only_cookie, see_other},
    router::Endpoint,
    server::{Admitted, Exchange, Server, seconds_until},
    store::{LoginEffects, NewSession, Store},
    telemetry,
};

const LOGIN: &str = "login";
const WRONG: &str = "The user name or the password is wrong. Check both and try again.";
const FORM_EXPIRED: &str = "This page was open for too long, or cookies are blocked. Please try again.";

/// An account knows an address or a browser for so long after the last login there.
const KNOWN_FOR: TimeDelta = TimeDelta::days(90);

/// What the form shows besides its fields.
struct Form<'a> {
    return_to: &'a str,
    login: &'a str,
    error: Option<&'a str>,
    status: StatusCode,
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn login_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        self.permit(exchange).await?;
        let parameters = Parameters::from_query(exchange.request)?;
        let return_to = parameters.get("return_to")?.unwrap_or_default();
        if self.session(exchange).await?.is_some() {
            return Ok(see_other(&self.local_target(return_to)));
        }
        self.login_form(exchange, &Form { return_to, login: "", error: None, status: StatusCode::OK }).await
    }

    pub(crate) async fn log_in(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let login = form.get("username")?.unwrap_or_default().trim();
        let return_to = form.get("return_to")?.unwrap_or_default();
        let csrf_token = form.get("csrf_token")?.unwrap_or_default();
        let refuse = |error, status| Form { return_to, login, error: Some(error), status };
        let browser = cookie(exchange.request.headers(), browser_cookie_name(&self.config)).unwrap_or_default();
        if browser.is_empty() || !self.is_form_token(csrf_token, LOGIN, browser, "") {
            self.permit(exchange).await?;
            // The form was open in a second tab while the first one logged in.
            if self.session(exchange).await?.is_some() {
                return Ok(see_other(&self.local_target(return_to)));
            }
            return self.login_form(exchange, &refuse(FORM_EXPIRED, StatusCode::FORBIDDEN)).await;
        }
        let password = form.get("password")?.unwrap_or_default();
        let Some(password) = Password::new(password).filter(|_| !login.is_empty()) else {
            self.permit(exchange).await?;
            let error = "Enter your e-mail address or user name, and your password.";
            return self.login_form(exchange, &refuse(error, StatusCode::UNPROCESSABLE_ENTITY)).await;
        };
        let device = self.device_token(exchange);
        let Admitted { forget, credentials } = match self.attempt_login(exchange, login, device.as_ref()).await? {
            Ok(admitted) => admitted,
            Err(until) => {
                let seconds = seconds_until(until, exchange.now);
                let error = format!("There were too many attempts. Wait {}, then try again.", in_words(seconds));
                let form = refuse(&error, StatusCode::TOO_MANY_REQUESTS);
                let reply = self.login_form(exchange, &form).await?;
                return Ok(reply.with_header(header::RETRY_AFTER, &seconds.to_string()));
            }
        };
        // The same work whether or not there is such an account.
        let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
        let check = self.host.verify(password.clone(), hash).await?;
        let user_id = credentials.as_ref().map(|credentials| credentials.user.id);
        match credentials.filter(|credentials| check != PasswordCheck::Wrong && credentials.is_active) {
            Some(credentials) => {
                if check == PasswordCheck::CorrectButOutdated {
                    self.upgrade_password(exchange, &credentials, password).await;
                }
                self.start_session(exchange, &credentials, return_to, forget).await
            }
            None => {
                self.host.count(telemetry::Event::Login(telemetry::Login::Failure));
                let event = Event::new(EventType::LoginFailed);
                self.audit(exchange, user_id.into_iter().fold(event, Event::user)).await;
                self.login_form(exchange, &refuse(WRONG, StatusCode::FORBIDDEN)).await
            }
        }
    }

    /// Replaces a bcrypt or weaker hash. The login does not depend on it: at worst it happens next time.
    async fn upgrade_password(&self, exchange: &Exchange<'_>, credentials: &UserCredentials, password: Password) {
        let Ok(new) = self.host.hash(password).await else {
            return;
        };
        let (user, old) = (credentials.user.id, &credentials.password_hash);
        if let Err(error) = self.store.replace_password_hash(user, old, &new, exchange.now).await {
            tracing::warn!(request_id = exchange.request_id, %error, "could not upgrade a password hash");
        }
    }

    /// Logs somebody in who has proved who they are. The account knows the address and the browser from now on, and the
    /// counters of attempts in `forget` start anew.
    pub(super) async fn start_session(
        &self,
        exchange: &Exchange<'_>,
        credentials: &UserCredentials,
        return_to: &str,
        forget: [Option<Digest>; 2],
    ) -> Result<Reply, Error> {
        // A new token at every login: one that was planted before is worth nothing.
        let token = SessionToken::generate(&self.host);
        let device = self.device_token(exchange).unwrap_or_else(|| DeviceToken::generate(&self.host));
        let effects = LoginEffects {
            forget,
            address: self.origin(exchange),
            device: Some(self.device(&device)),
            known_until: exchange.now + KNOWN_FOR,
        };
        let session = NewSession {
            id: self.new_id(exchange.now),
            digest: token.digest(),
            user_id: credentials.user.id,
            authenticated_at: exchange.now,
            expires_at: exchange.now + self.config.session_lifetime,
            origin: exchange.origin(),
            replaces: self.session_token(exchange).map(|token| token.digest()),
            effects: Some(effects),
            audit: Some(self.audit_record(exchange, Event::new(EventType::LoginSucceeded).user(credentials.user.id))),
        };
        self.store.create_session(&session).await?;
        self.host.count(telemetry::Event::Login(telemetry::Login::Success));
        session.audit.iter().for_each(Record::log);
        let name = device_cookie_name(&self.config);
        let known = http_only_cookie(&self.config, name, device.expose(), Some(KNOWN_FOR.num_seconds()));
        Ok(see_other(&self.local_target(return_to))
            .with_cookie(&session_cookie(&self.config, &token))
            .with_cookie(&known)
            .with_cookie(&removal_cookie(&self.config, browser_cookie_name(&self.config))))
    }

    async fn login_form(&self, exchange: &Exchange<'_>, form: &Form<'_>) -> Result<Reply, Error> {
        let name = browser_cookie_name(&self.config);
        // A browser with the form open in two tabs keeps one cookie for both.
        let known = cookie(exchange.request.headers(), name).and_then(SessionToken::parse);
        let browser = known.unwrap_or_else(|| SessionToken::generate(&self.host));
        let destination = self.return_destination(exchange, form.return_to).await?;
        let form_action = destination.as_ref().map(Destination::csp_source);
        let register = self.config.registration_enabled.then(|| self.registration_location(form.return_to));
        let page = LoginPage {
            base: self.config.issuer.path(),
            client_name: destination.as_ref().map(|destination| destination.client().name.as_str()),
            csrf_token: &self.form_token(LOGIN, browser.expose(), ""),
            return_to: form.return_to,
            login: form.login,
            error: form.error,
            register: register.as_deref(),
        };
        Ok(response::page(form.status, &page, form_action.as_deref())
            .with_header(header::VARY, "cookie")
            .with_cookie(&http_only_cookie(&self.config, name, browser.expose(), None)))
    }

    /// The client that the person is on the way to: it is named on the form, which may lead there.
    pub(super) async fn return_destination(
        &self,
        exchange: &Exchange<'_>,
        return_to: &str,
    ) -> Result<Option<Destination>, Error> {
        let Some(parameters) = self.authorization_target(return_to) else {
            return Ok(None);
        };
        match self.destination(&parameters, exchange).await {
            Ok(destination) => Ok(Some(destination)),
            Err(Error::Protocol(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Where to go after the login: a path of this server, or its front page. Never another site.
    fn local_target(&self, return_to: &str) -> String {
        let home = format!("{}/", self.config.issuer.path());
        let origin = self.config.issuer.origin();
        let target = return_to
            .starts_with('/')
            .then(|| Url::parse(origin).ok()?.join(return_to).ok())
            .flatten()
            // A path that starts with two slashes, as `/x/..//evil.example` comes to, would name another host.
            .filter(|url| url.origin().ascii_serialization() == origin && !url.path().starts_with("//"));
        match target {
            Some(url) => match url.query() {
                Some(query) => format!("{}?{query}", url.path()),
                None => url.path().to_owned(),
            },
            None => home,
        }
    }

    /// The authorization request that a login leads to.
    fn authorization_target(&self, return_to: &str) -> Option<Parameters> {
        let path = format!("{}{}?", self.config.issuer.path(), Endpoint::Authorize.path());
        Parameters::parse(return_to.strip_prefix(&path)?.as_bytes()).map_err(|_: ProtocolError| ()).ok()
    }
}
