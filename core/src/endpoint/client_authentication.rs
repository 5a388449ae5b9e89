//! Client authentication (RFC 6749 §2.3), the same at every endpoint that needs it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Request;

use crate::{
    audit::{Event, EventType},
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
            && self.check_credentials(exchange, &client, &credentials).await?
        {
            return self.admit(exchange, client).await;
        }
        self.refuse_unknown(exchange, &credentials).await?;
        // It was not read lately, or its secret may have been changed since. Whoever authenticates wants tokens next.
        match self.fresh_client(&credentials.client_id, true, exchange.now).await? {
            Some(client) if self.check_credentials(exchange, &client, &credentials).await? => {
                self.admit(exchange, client).await
            }
            _ => Err(self.authentication_failed(exchange, &credentials.client_id).await),
        }
    }

    /// A client that proved who it is may ask as often as it likes. A public one proves nothing: anybody can send its
    /// name.
    pub(crate) async fn admit(
        &self,
        exchange: &Exchange<'_>,
        client: Arc<CachedClient>,
    ) -> Result<Arc<CachedClient>, Error> {
        if client.client.is_confidential() {
            exchange.counted.trust();
        } else {
            self.permit(exchange).await?;
        }
        Ok(client)
    }

    /// Before the database is asked: out of a flood from this address, only those go on whose secret was right when the
    /// client was read last.
    pub(crate) async fn refuse_unknown(&self, exchange: &Exchange<'_>, credentials: &Credentials) -> Result<(), Error> {
        let known = self.known_client(&credentials.client_id);
        let is_known = known.zip(credentials.secret.as_ref()).is_some_and(|(client, secret)| {
            let digest = Digest::of(secret.as_bytes());
            client.verified_secret.get() == Some(&digest)
                || client.client.secret_hashes(exchange.now).any(|hash| *hash == ClientSecretHash::Sha256(digest))
        });
        if is_known { Ok(()) } else { self.refuse_flood(exchange).await }
    }

    /// Counts it, puts it on record, and tells nothing.
    pub(crate) async fn authentication_failed(&self, exchange: &Exchange<'_>, client_id: &ClientId) -> Error {
        if let Err(refused) = self.permit(exchange).await {
            return refused;
        }
        self.audit(exchange, Event::new(EventType::ClientAuthenticationFailed).client(client_id)).await;
        ProtocolError::invalid_client().into()
    }

    /// Whether the credentials are those of this client. A confidential client always needs its secret, and a public
    /// one that sends any is not who it says it is.
    pub(crate) async fn check_credentials(
        &self,
        exchange: &Exchange<'_>,
        cached: &CachedClient,
        credentials: &Credentials,
    ) -> Result<bool, Error> {
        let client = &cached.client;
        if !client.is_active {
            return Ok(false);
        }
        let secret = match (client.client_type, &credentials.secret) {
            (ClientType::Public, None) => return Ok(true),
            (ClientType::Confidential, Some(secret)) => secret,
            _ => return Ok(false),
        };
        let digest = Digest::of(secret.as_bytes());
        let mut slow_hashes = Vec::new();
        for hash in client.secret_hashes(exchange.now) {
            match hash {
                ClientSecretHash::Sha256(expected) if *expected == digest => return Ok(true),
                ClientSecretHash::Sha256(_) => {}
                ClientSecretHash::Bcrypt(hash) => slow_hashes.push(PasswordHash::new(hash.clone())),
            }
        }
        for hash in slow_hashes {
            if cached.verified_secret.get() == Some(&digest) {
                return Ok(true);
            }
            let Some(password) = Password::new(secret.as_str()) else {
                return Ok(false);
            };
            // Nobody knows how easy it is to guess, and a guess takes long: it is counted beforehand.
            self.permit(exchange).await?;
            if self.host.verify(password, Some(hash)).await? != PasswordCheck::Wrong {
                self.give_back(exchange);
                // A slow hash is compared once per CACHE_TTL; it is not replaced by a fast one, since nobody knows how much
                // entropy a secret has that this server did not make.
                let _ = cached.verified_secret.set(digest);
                return Ok(true);
            }
        }
        Ok(false)
    }
}
