//! The person that an access token speaks for.

use http::StatusCode;
use serde::Serialize;

use crate::{
    error::{Error, ProtocolError},
    model::Scopes,
    ports::Host,
    response::{Reply, json},
    server::{Exchange, Server},
    store::Store,
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
    /// Name and address take the scope `profile`.
    pub(crate) async fn me(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let (token, user) = self.authenticate_bearer(exchange).await?;
        let user = user.ok_or_else(ProtocolError::invalid_token)?;
        let scopes = Scopes::parse(&token.claims.scope).unwrap_or_default();
        let profile = scopes.contains("profile");
        let me = Me {
            sub: user.id.to_string(),
            username: profile.then_some(user.username),
            email: profile.then_some(user.email),
            email_verified: profile.then_some(user.is_verified),
        };
        Ok(json(StatusCode::OK, &me))
    }
}
