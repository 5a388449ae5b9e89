//! Token revocation (RFC 7009).

use http::StatusCode;

use crate::{
    audit::{Event, EventType, Record},
    error::{Error, ErrorCode, ProtocolError},
    model::{AuthorizationCode, ClientSecret, SessionToken},
    ports::Host,
    request::Parameters,
    response::{Reply, empty},
    server::{Exchange, Server},
    store::{Revoked, Store, TokenReference},
};

impl<S: Store, H: Host> Server<S, H> {
    /// 200 for whatever is no live token of this client (RFC 7009 §2.2). `token_type_hint` is read for its form
    /// only: a token tells by itself what it is.
    pub(crate) async fn revoke(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let client = self.authenticate_client(exchange, &form).await?;
        form.get("token_type_hint")?;
        let token = form.require("token")?;
        let others = [AuthorizationCode::PREFIX, ClientSecret::PREFIX, SessionToken::PREFIX];
        if others.iter().any(|prefix| token.starts_with(prefix)) {
            let description = "only access tokens and refresh tokens can be revoked here";
            return Err(ProtocolError::new(ErrorCode::UnsupportedTokenType, description).into());
        }
        // A refresh token tells by its MAC that it was issued here, an access token by its signature.
        let reference = match self.refresh_tokens.authenticate(token) {
            Some(token) => Some(token.reference()),
            None => self.verify_access_token(token, exchange.now).await?.and_then(|token| token.reference()),
        };
        if let Some(reference) = reference {
            let event_type = match reference {
                TokenReference::Access { .. } => EventType::TokenRevoked,
                TokenReference::Refresh { .. } => EventType::GrantRevoked,
            };
            let record = self.audit_record(exchange, Event::new(event_type).client(&client.client.client_id));
            match self.store.revoke_token(&reference, client.client.id, exchange.now, Some(&record)).await? {
                Revoked::Nothing => {}
                Revoked::Token => record.log(),
                Revoked::Grant { id, user_id } => {
                    Record { grant_id: Some(id), user_id: Some(user_id), ..record }.log();
                }
            }
        }
        Ok(empty(StatusCode::OK))
    }
}
