//! Clients that were read lately.

use std::sync::{Arc, OnceLock};

use chrono::TimeDelta;

use super::Server;
use crate::{
    error::Fault,
    model::{Client, ClientId, Digest, Timestamp},
    ports::Host,
    store::{Lookup, Store},
};

/// A client that was read lately.
pub(crate) struct CachedClient {
    pub(crate) client: Client,
    loaded_at: Timestamp,
    /// The digest of the secret that a slow hash was found to belong to, for as long as this entry lives.
    pub(crate) verified_secret: OnceLock<Digest>,
}

impl<S: Store, H: Host> Server<S, H> {
    /// A client, possibly as it was up to `CACHE_TTL` ago.
    pub(crate) async fn cached_client(
        &self,
        client_id: &ClientId,
        now: Timestamp,
    ) -> Result<Option<Arc<CachedClient>>, Fault> {
        match self.recent_client(client_id, now) {
            Some(cached) => Ok(Some(cached)),
            None => self.fresh_client(client_id, false, now).await,
        }
    }

    /// A client that was read less than `CACHE_TTL` ago.
    pub(crate) fn recent_client(&self, client_id: &ClientId, now: Timestamp) -> Option<Arc<CachedClient>> {
        self.clients.get(client_id).filter(|cached| now - cached.loaded_at < self.config.cache_ttl)
    }

    /// A client as it was when it was read last, however long ago.
    pub(crate) fn known_client(&self, client_id: &ClientId) -> Option<Arc<CachedClient>> {
        self.clients.get(client_id)
    }

    /// A client was changed: what is known of it is out of date.
    pub(crate) fn forget_client(&self, client_id: &ClientId) {
        self.clients.remove(client_id);
    }

    /// Something was changed that clients share.
    pub(crate) fn forget_clients(&self) {
        self.clients.clear();
    }

    /// Keeps a client that was just read.
    pub(crate) fn remember_client(&self, client: Client, now: Timestamp) -> Arc<CachedClient> {
        let client_id = client.client_id.clone();
        let cached = Arc::new(CachedClient { client, loaded_at: now, verified_secret: OnceLock::new() });
        if self.config.cache_ttl > TimeDelta::zero() {
            self.clients.insert(client_id, Arc::clone(&cached));
        }
        cached
    }

    /// A client as it is now. Where signing keys are needed next and are not at hand, they come along.
    pub(crate) async fn fresh_client(
        &self,
        client_id: &ClientId,
        keys_are_needed: bool,
        now: Timestamp,
    ) -> Result<Option<Arc<CachedClient>>, Fault> {
        let signing_keys = keys_are_needed && !self.has_key_ring(now);
        let lookup = Lookup { client: Some(client_id), signing_keys, ..Lookup::default() };
        let found = self.store.look_up(lookup, now).await?;
        self.keep_signing_keys(found.signing_keys, now)?;
        let Some(client) = found.client else {
            self.clients.remove(client_id);
            return Ok(None);
        };
        Ok(Some(self.remember_client(client, now)))
    }
}
