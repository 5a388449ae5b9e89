//! The person that an access token speaks for.

use http::StatusCode;
use serde::Serialize;

use crate::{
    error::{Error, ProtocolError},
    model::Scopes,
    ports::Host,
    request::bearer_token,
    response::{Reply, json},
    server::{Exchange, Server},
    store::{Store, TokenState},
};

#[derive(Serialize)]
struct Me {
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
}

impl<S: Store, H: Host> Server<S, H> {
    /// The token must be for this server itself; name and address take the scope `profile`.
    pub(crate) async fn me(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let person = self.bearer(exchange).await?;
        Ok(json(StatusCode::OK, &person))
    }

    async fn bearer(&self, exchange: &Exchange<'_>) -> Result<Me, Error> {
        let token = bearer_token(exchange.request.headers()).ok_or_else(no_token)?;
        let token = self.verify_access_token(token, exchange.now).await?.ok_or_else(ProtocolError::invalid_token)?;
        if !token.claims.aud.intersects(std::slice::from_ref(&self.config.audience)) {
            return Err(ProtocolError::invalid_token().into());
        }
        let found = self.store.introspect(None, token.reference().as_ref(), exchange.now).await?;
        let TokenState::ActiveAccess { user: Some(user) } = found.token else {
            return Err(ProtocolError::invalid_token().into());
        };
        let scopes = Scopes::parse(&token.claims.scope).unwrap_or_default();
        let profile = scopes.contains("profile");
        Ok(Me {
            sub: user.id.to_string(),
            username: profile.then_some(user.username),
            email: profile.then_some(user.email),
            email_verified: profile.then_some(user.is_verified),
        })
    }
}

/// Without any token there is no error code in the challenge (RFC 6750 §3.1).
fn no_token() -> ProtocolError {
    ProtocolError { challenge: Some("Bearer realm=\"authly\""), ..ProtocolError::invalid_token() }
}
