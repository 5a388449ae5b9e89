//! The browser's session cookie, and the tokens that bind forms to a browser.

use askama::Template;
use base64ct::{Base64UrlUnpadded, Encoding};
use cookie::Cookie;
use http::{StatusCode, header};

use crate::{
    config::Config,
    error::{Fault, ProtocolError},
    model::{DeviceToken, SessionToken},
    ports::Host,
    request::{Parameters, cookie},
    response::{self, Reply, WithHeader, http_only_cookie, see_other},
    router::Endpoint,
    server::{Exchange, Server},
    store::{Session, Store},
};

/// `__Host-` makes browsers refuse the cookie from any other host, path or scheme; it needs https.
pub(crate) fn session_cookie_name(config: &Config) -> &'static str {
    if config.issuer.is_https() { "__Host-authly_session" } else { "authly_session" }
}

/// Binds the forms of a browser that has no session yet.
pub(crate) fn browser_cookie_name(config: &Config) -> &'static str {
    if config.issuer.is_https() { "__Host-authly_browser" } else { "authly_browser" }
}

/// By this one an account knows a browser again that it was logged in with: whoever tries passwords elsewhere cannot lock
/// its owner out. It is a random number, and says nothing about anybody.
pub(crate) fn device_cookie_name(config: &Config) -> &'static str {
    if config.issuer.is_https() { "__Host-authly_device" } else { "authly_device" }
}

/// The cookie that starts a session.
pub(crate) fn session_cookie<'a>(config: &Config, token: &'a SessionToken) -> Cookie<'a> {
    let seconds = config.session_lifetime.num_seconds();
    http_only_cookie(config, session_cookie_name(config), token.expose(), Some(seconds))
}

/// The cookie that ends one.
pub(crate) fn removal_cookie(config: &Config, name: &'static str) -> Cookie<'static> {
    http_only_cookie(config, name, "", Some(0))
}

impl<S: Store, H: Host> Server<S, H> {
    /// What the browser sent as its session, if it can be one.
    pub(crate) fn session_token(&self, exchange: &Exchange<'_>) -> Option<SessionToken> {
        cookie(exchange.request.headers(), session_cookie_name(&self.config)).and_then(SessionToken::parse)
    }

    /// The session of the browser, if it is good.
    pub(crate) async fn session(&self, exchange: &Exchange<'_>) -> Result<Option<Session>, Fault> {
        let Some(token) = self.session_token(exchange) else {
            return Ok(None);
        };
        let session = self.store.session(&token.digest(), exchange.now).await?;
        if session.is_some() {
            self.give_back(exchange);
        }
        Ok(session)
    }

    /// What the browser sent as the cookie that accounts know it by, if it can be one.
    pub(crate) fn device_token(&self, exchange: &Exchange<'_>) -> Option<DeviceToken> {
        cookie(exchange.request.headers(), device_cookie_name(&self.config)).and_then(DeviceToken::parse)
    }

    /// What binds the forms of a browser without a session: the cookie that it has, or a new one.
    pub(crate) fn browser(&self, exchange: &Exchange<'_>) -> SessionToken {
        let known = cookie(exchange.request.headers(), browser_cookie_name(&self.config)).and_then(SessionToken::parse);
        known.unwrap_or_else(|| SessionToken::generate(&self.host))
    }

    /// Whether a form of such a browser came back from it.
    pub(crate) fn is_browser_form(
        &self,
        exchange: &Exchange<'_>,
        form: &Parameters,
        purpose: &str,
    ) -> Result<bool, ProtocolError> {
        let csrf_token = form.get("csrf_token")?.unwrap_or_default();
        let browser = cookie(exchange.request.headers(), browser_cookie_name(&self.config)).unwrap_or_default();
        Ok(!browser.is_empty() && self.is_form_token(csrf_token, purpose, browser, ""))
    }

    /// A page with a form for such a browser.
    pub(crate) fn browser_page(
        &self,
        status: StatusCode,
        page: &impl Template,
        browser: &SessionToken,
        form_action: Option<&str>,
    ) -> Reply {
        let name = browser_cookie_name(&self.config);
        response::page(status, page, form_action).with_header(header::VARY, "cookie").with_cookie(&http_only_cookie(
            &self.config,
            name,
            browser.expose(),
            None,
        ))
    }

    /// Who is logged in, or the way to the login page, which leads back to `endpoint`.
    pub(crate) async fn person_or_login(
        &self,
        exchange: &Exchange<'_>,
        endpoint: Endpoint,
    ) -> Result<Result<(SessionToken, Session), Reply>, Fault> {
        if let (Some(session), Some(token)) = (self.session(exchange).await?, self.session_token(exchange)) {
            return Ok(Ok((token, session)));
        }
        let base = self.config.issuer.path();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("return_to", &format!("{base}{}", endpoint.path()));
        Ok(Err(see_other(&format!("{base}{}?{}", Endpoint::Login.path(), query.finish()))))
    }

    /// Whether a form came back that was made for this session.
    pub(crate) fn is_session_form(
        &self,
        form: &Parameters,
        purpose: &str,
        token: &SessionToken,
    ) -> Result<bool, ProtocolError> {
        let csrf_token = form.get("csrf_token")?.unwrap_or_default();
        Ok(self.is_form_token(csrf_token, purpose, token.expose(), ""))
    }

    /// A token for a form: an HMAC over the form's purpose, the secret cookie that the browser has and what the form
    /// is about. Another site can neither read nor guess it, and it fits no other form, browser or request.
    pub(crate) fn form_token(&self, purpose: &str, cookie: &str, about: &str) -> String {
        let mac = self.form_keys[0].mac(&[purpose.as_bytes(), cookie.as_bytes(), about.as_bytes()]);
        Base64UrlUnpadded::encode_string(&mac)
    }

    /// Whether a form came back from the browser that it was made for.
    pub(crate) fn is_form_token(&self, token: &str, purpose: &str, cookie: &str, about: &str) -> bool {
        let mut bytes = [0; 32];
        let Ok(mac) = Base64UrlUnpadded::decode(token, &mut bytes) else {
            return false;
        };
        mac.len() == 32
            && self
                .form_keys
                .iter()
                .any(|key| key.verify(&[purpose.as_bytes(), cookie.as_bytes(), about.as_bytes()], mac))
    }
}
