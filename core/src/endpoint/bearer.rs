//! Requests with an access token (RFC 6750).

use std::sync::Arc;

use crate::{
    crypto::jwt::AccessToken,
    error::{Error, ProtocolError},
    model::User,
    ports::Host,
    request::bearer_token,
    server::{Exchange, Server},
    store::{Store, TokenState},
};

impl<S: Store, H: Host> Server<S, H> {
    /// Whose request this is, by an access token that was issued for this server itself (RFC 6750 §2.1): a user's, or that of a
    /// client that acts for itself.
    pub(crate) async fn authenticate_bearer(
        &self,
        exchange: &Exchange<'_>,
    ) -> Result<(Arc<AccessToken>, Option<User>), Error> {
        let token = bearer_token(exchange.request.headers()).ok_or_else(no_token)?;
        let (found, token) = self.look_up_token(token, None, exchange.now).await?;
        let for_us =
            |token: &Arc<AccessToken>| token.claims.aud.intersects(std::slice::from_ref(&self.config.audience));
        match (token.filter(for_us), found.token) {
            (Some(token), TokenState::ActiveAccess { user }) => Ok((token, user)),
            _ => Err(ProtocolError::invalid_token().into()),
        }
    }
}

/// Without any token there is no error code in the challenge (RFC 6750 §3.1).
fn no_token() -> ProtocolError {
    ProtocolError { challenge: Some("Bearer realm=\"authly\""), ..ProtocolError::invalid_token() }
}
