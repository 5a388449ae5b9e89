//! Client authentication (RFC 6749 §2.3), the same at every endpoint that needs it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Request;

use crate::{
    error::{Error, ProtocolError},
    model::{ClientId, ClientSecretHash, ClientType, Digest, Password, PasswordHash},
    ports::{Host, PasswordCheck},
    request::{Parameters, basic_credentials},
    server::{CachedClient, Exchange, Server},
    store::Store,
};

/// What a client presents.
pub(crate) struct Credentials {
    pub(crate) client_id: ClientId,
    secret: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.client_id)
    }
}

impl Credentials {
    /// By exactly one method (RFC 6749 §2.3). Whose id cannot be a client's is nobody.
    pub(crate) fn read(request: &Request<Bytes>, form: &Parameters) -> Result<Self, ProtocolError> {
        let client_id = form.get("client_id")?;
        let secret = form.get("client_secret")?;
        let (client_id, secret) = match basic_credentials(request.headers())? {
            Some(_) if secret.is_some() => {
                return Err(ProtocolError::invalid_request("use one client authentication method, not two"));
            }
            Some((user, _)) if client_id.is_some_and(|client_id| client_id != user) => {
                return Err(ProtocolError::invalid_request("client_id is not that of the Authorization header"));
            }
            Some((user, password)) => (user, Some(password)),
            None => {
                let client_id = client_id.ok_or_else(|| ProtocolError {
                    description: "no client authentication".to_owned(),
                    ..ProtocolError::invalid_client()
                })?;
                (client_id.to_owned(), secret.map(str::to_owned))
            }
        };
        let client_id = ClientId::parse(&client_id).ok_or_else(ProtocolError::invalid_client)?;
        Ok(Self { client_id, secret })
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// The client that made this request.
    pub(crate) async fn authenticate_client(
        &self,
        exchange: &Exchange<'_>,
        form: &Parameters,
    ) -> Result<Arc<CachedClient>, Error> {
        let credentials = Credentials::read(exchange.request, form)?;
        if let Some(client) = self.recent_client(&credentials.client_id, exchange.now)
            && self.check_credentials(&client, &credentials).await?
        {
            return Ok(client);
        }
        // Never read, or its secret was changed since. Whoever authenticates wants tokens next.
        let client = self.fresh_client(&credentials.client_id, true, exchange.now).await?;
        match client {
            Some(client) if self.check_credentials(&client, &credentials).await? => Ok(client),
            _ => Err(self.authentication_failed(exchange, &credentials.client_id).into()),
        }
    }

    /// Puts it on record, and tells nothing.
    pub(crate) fn authentication_failed(&self, exchange: &Exchange<'_>, client_id: &ClientId) -> ProtocolError {
        tracing::info!(
            target: "authly::audit",
            request_id = exchange.request_id,
            client_address = exchange.client_address().map(tracing::field::display),
            client_id = client_id.as_str(),
            "client authentication failed"
        );
        ProtocolError::invalid_client()
    }

    /// Whether the credentials are those of this client. A confidential client always needs its secret, and a public
    /// one that sends any is not who it says it is.
    pub(crate) async fn check_credentials(
        &self,
        cached: &CachedClient,
        credentials: &Credentials,
    ) -> Result<bool, Error> {
        let client = &cached.client;
        if !client.is_active {
            return Ok(false);
        }
        match (client.client_type, &client.secret_hash, &credentials.secret) {
            (ClientType::Public, _, None) => Ok(true),
            (ClientType::Confidential, Some(ClientSecretHash::Sha256(expected)), Some(secret)) => {
                Ok(*expected == Digest::of(secret.as_bytes()))
            }
            (ClientType::Confidential, Some(ClientSecretHash::Bcrypt(hash)), Some(secret)) => {
                let digest = Digest::of(secret.as_bytes());
                if cached.verified_secret.get() == Some(&digest) {
                    return Ok(true);
                }
                let Some(password) = Password::new(secret.as_str()) else {
                    return Ok(false);
                };
                let check = self.host.verify(password, Some(PasswordHash::new(hash.clone()))).await?;
                if check == PasswordCheck::Wrong {
                    return Ok(false);
                }
                // A slow hash is compared once per CACHE_TTL; it is not replaced by a fast one, since nobody knows
                // how much entropy a secret has that this server did not make.
                let _ = cached.verified_secret.set(digest);
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
