//! Token introspection (RFC 7662).

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use super::client_authentication::Credentials;
use crate::{
    crypto::jwt::{AccessToken, Audience},
    error::{Error, ProtocolError},
    model::{Client, Timestamp, User},
    ports::Host,
    request::Parameters,
    response::{Reply, json},
    server::{CachedClient, Exchange, Server},
    store::{Store, TokenState},
};

/// RFC 7662 §2.2. An inactive token is `{"active":false}` and nothing else.
#[derive(Default, Serialize)]
struct IntrospectionResponse {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
}

impl<S: Store, H: Host> Server<S, H> {
    /// One statement, whether or not the caller is known already.
    pub(crate) async fn introspect(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let credentials = Credentials::read(exchange.request, &form)?;
        form.get("token_type_hint")?;
        let token = form.require("token")?;
        let (caller, token, access_token) = self.caller_and_token(exchange, &credentials, token).await?;
        // RFC 7662 §2.1: the endpoint answers to nobody without credentials.
        if !caller.client.is_confidential() {
            return Err(ProtocolError::invalid_client().into());
        }
        let caller = &caller.client;
        let response = match (token, access_token) {
            (TokenState::ActiveAccess { user }, Some(token)) if may_see(caller, &token) => {
                access_response(&token, user.as_ref())
            }
            (TokenState::ActiveRefresh { client_id, user, scopes, issued_at, expires_at, resources }, None)
                if client_id == caller.client_id || caller.introspect_all =>
            {
                IntrospectionResponse {
                    active: true,
                    scope: Some(scopes.to_string()),
                    client_id: Some(client_id.as_str().to_owned()),
                    username: Some(user.username),
                    exp: Some(expires_at.timestamp()),
                    iat: Some(issued_at.timestamp()),
                    sub: Some(user.id.to_string()),
                    aud: Some(Audience::from(resources)),
                    iss: Some(self.config.issuer.as_str().to_owned()),
                    ..IntrospectionResponse::default()
                }
            }
            _ => IntrospectionResponse::default(),
        };
        Ok(json(StatusCode::OK, &response))
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// The authenticated caller, the token's state and, of an access token, what it says: read in one statement.
    async fn caller_and_token(
        &self,
        exchange: &Exchange<'_>,
        credentials: &Credentials,
        token: &str,
    ) -> Result<(Arc<CachedClient>, TokenState, Option<Arc<AccessToken>>), Error> {
        let client_id = &credentials.client_id;
        if let Some(caller) = self.recent_client(client_id, exchange.now)
            && self.check_credentials(exchange, &caller, credentials).await?
        {
            let caller = self.admit(exchange, caller).await?;
            let (found, access_token) = self.look_up_token(token, None, exchange.now).await?;
            return Ok((caller, found.token, access_token));
        }
        self.refuse_unknown(exchange, credentials).await?;
        let (found, access_token) = self.look_up_token(token, Some(client_id), exchange.now).await?;
        let Some(caller) = found.client else {
            return Err(self.authentication_failed(exchange, client_id).await);
        };
        let caller = self.remember_client(caller, exchange.now);
        if !self.check_credentials(exchange, &caller, credentials).await? {
            return Err(self.authentication_failed(exchange, client_id).await);
        }
        Ok((self.admit(exchange, caller).await?, found.token, access_token))
    }
}

/// A client sees its own tokens and those meant for a resource it serves.
fn may_see(caller: &Client, token: &AccessToken) -> bool {
    caller.introspect_all
        || token.claims.client_id == caller.client_id.as_str()
        || token.claims.aud.intersects(&caller.resources)
}

fn access_response(token: &AccessToken, user: Option<&User>) -> IntrospectionResponse {
    let seconds = |time: Timestamp| Some(time.timestamp());
    let claims = &token.claims;
    IntrospectionResponse {
        active: true,
        scope: Some(claims.scope.clone()),
        client_id: Some(claims.client_id.clone()),
        username: user.map(|user| user.username.clone()),
        token_type: Some("Bearer"),
        exp: seconds(token.expires_at),
        iat: seconds(token.issued_at),
        sub: Some(claims.sub.clone()),
        aud: Some(claims.aud.clone()),
        iss: Some(claims.iss.clone()),
        jti: Some(claims.jti.clone()),
    }
}
