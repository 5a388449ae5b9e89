//! The JWK Set (RFC 7517 §5).

use crate::{
    error::Error,
    ports::Host,
    response::{Reply, cacheable},
    server::{Exchange, Server},
    store::Store,
};

/// A new key is published for a day before it signs, and an old one until its last token ended.
const MAX_AGE_SECONDS: u32 = 300;

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn jwks(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let ring = self.key_ring(exchange.now).await?;
        Ok(cacheable("application/jwk-set+json", ring.jwks().to_owned(), MAX_AGE_SECONDS))
    }
}
