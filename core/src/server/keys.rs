//! Signing keys in use: read, made, rotated, and what they verify.

use std::sync::{Arc, PoisonError};

use chrono::TimeDelta;

use super::Server;
use crate::{
    crypto::{
        Algorithm, KeyRing, SealedKey,
        jwt::{self, AccessToken, Rejected},
    },
    error::Fault,
    model::{ClientId, Digest, Timestamp},
    ports::Host,
    store::{Created, Found, Lookup, Store, TokenState},
};

/// A key ring is read again after so long. A new key is published a day before it signs.
const KEY_RING_TTL: TimeDelta = TimeDelta::seconds(60);
/// An unknown `kid` has the ring read again, at most once in so long.
const KEY_RING_MIN_AGE: TimeDelta = TimeDelta::seconds(1);
/// A key is published for so long before it signs, so that every cached JWK Set has it by then. The first one of an
/// algorithm signs at once, and is dated back by as much: instances that start together, with clocks that differ, can
/// all use the one that was stored.
const KEY_LEAD: TimeDelta = TimeDelta::days(1);
/// Clocks and caches of resource servers may lag by so much.
const KEY_MARGIN: TimeDelta = TimeDelta::minutes(10);

const UNUSABLE: Fault = Fault::Internal(
    "a signing key cannot be opened: JWT_SECRET_KEY is not the secret it was sealed under; set JWT_SECRET_KEY_PREVIOUS \
     to that one",
);

/// The keys as they were read lately.
pub(super) struct CachedKeyRing {
    ring: Arc<KeyRing>,
    loaded_at: Timestamp,
}

impl<S: Store, H: Host> Server<S, H> {
    /// The published keys, made if there are none yet.
    pub(crate) async fn key_ring(&self, now: Timestamp) -> Result<Arc<KeyRing>, Fault> {
        if let Some(ring) = self.cached_key_ring(now, KEY_RING_TTL) {
            return Ok(ring);
        }
        self.load_key_ring(now).await
    }

    /// Since when the key signs that is in use; `None` while none was used yet, and under HS256.
    pub fn signing_key_activated_at(&self) -> Option<Timestamp> {
        let cached = self.key_ring.read().unwrap_or_else(PoisonError::into_inner);
        cached.as_ref().and_then(|cached| cached.ring.activated_at())
    }

    fn cached_key_ring(&self, now: Timestamp, max_age: TimeDelta) -> Option<Arc<KeyRing>> {
        let cached = self.key_ring.read().unwrap_or_else(PoisonError::into_inner);
        cached.as_ref().filter(|cached| now - cached.loaded_at < max_age).map(|cached| Arc::clone(&cached.ring))
    }

    /// Whether the keys are at hand, without asking the store.
    pub(crate) fn has_key_ring(&self, now: Timestamp) -> bool {
        self.config.algorithm == Algorithm::Hs256 || self.cached_key_ring(now, KEY_RING_TTL).is_some()
    }

    /// Keeps keys that were read along with something else.
    pub(crate) fn keep_signing_keys(&self, keys: Option<Vec<SealedKey>>, now: Timestamp) -> Result<(), Fault> {
        if let Some(keys) = keys
            && let Some(ring) = self.open_signing_keys(&keys, now)?
        {
            self.keep_key_ring(ring, now);
        }
        Ok(())
    }

    fn keep_key_ring(&self, ring: KeyRing, now: Timestamp) -> Arc<KeyRing> {
        let ring = Arc::new(ring);
        let cached = CachedKeyRing { ring: Arc::clone(&ring), loaded_at: now };
        *self.key_ring.write().unwrap_or_else(PoisonError::into_inner) = Some(cached);
        ring
    }

    /// `None` where no key signs yet.
    fn open_signing_keys(&self, keys: &[SealedKey], now: Timestamp) -> Result<Option<KeyRing>, Fault> {
        KeyRing::open(keys, self.config.algorithm, now, &self.config.root, &self.host).map_err(|_| UNUSABLE)
    }

    async fn load_key_ring(&self, now: Timestamp) -> Result<Arc<KeyRing>, Fault> {
        let ring = if self.config.algorithm == Algorithm::Hs256 {
            KeyRing::symmetric(&self.config.root, &self.host).map_err(|_| UNUSABLE)?
        } else {
            let keys = self.store.signing_keys(now).await?;
            match self.open_signing_keys(&keys, now)? {
                Some(ring) => ring,
                None => {
                    self.create_signing_key(&keys, now - KEY_LEAD, self.last_token_ends(now)).await?;
                    self.open_signing_keys(&self.store.signing_keys(now).await?, now)?.ok_or(UNUSABLE)?
                }
            }
        };
        Ok(self.keep_key_ring(ring, now))
    }

    /// `None` where another instance was faster.
    async fn create_signing_key(
        &self,
        keys: &[SealedKey],
        activates_at: Timestamp,
        predecessors_retire_at: Timestamp,
    ) -> Result<Option<String>, Fault> {
        let sequence = keys.iter().map(|key| key.sequence).max().map_or(1, |last| last + 1);
        let root = &self.config.root;
        let key = SealedKey::generate(self.config.algorithm, sequence, activates_at, root, &self.host)
            .map_err(|_| Fault::Internal("a fresh key is not valid"))?;
        if self.store.create_signing_key(&key, predecessors_retire_at).await? == Created::Conflict {
            return Ok(None);
        }
        tracing::info!(kid = key.kid, algorithm = key.algorithm.name(), %activates_at, "made a signing key");
        Ok(Some(key.kid))
    }

    /// When the last token has ended that a key may have signed until then.
    fn last_token_ends(&self, signs_until: Timestamp) -> Timestamp {
        signs_until + self.config.access_token_lifetime + KEY_MARGIN
    }

    /// Makes the next key before its time. `immediate`: it signs at once, and those before it are withdrawn, with every access
    /// token that they signed. `None` where another instance was faster.
    pub(crate) async fn make_next_signing_key(&self, immediate: bool, now: Timestamp) -> Result<Option<String>, Fault> {
        let keys = self.store.signing_keys(now).await?;
        let (activates_at, retire_at) =
            if immediate { (now - KEY_LEAD, now) } else { (now + KEY_LEAD, self.last_token_ends(now + KEY_LEAD)) };
        let kid = self.create_signing_key(&keys, activates_at, retire_at).await?;
        self.load_key_ring(now).await?;
        Ok(kid)
    }

    /// Makes the next key when the present one nears its end, and seals keys anew after `JWT_SECRET_KEY` was
    /// rotated. Safe to run on every instance at once. Tells whether there is a new key.
    pub async fn rotate_signing_keys(&self, now: Timestamp) -> Result<bool, Fault> {
        if self.config.algorithm == Algorithm::Hs256 {
            return Ok(false);
        }
        let keys = self.store.signing_keys(now).await?;
        for key in &keys {
            if let Some(sealed) = key.reseal(&self.config.root, &self.host) {
                self.store.reseal_signing_key(&key.kid, &key.sealed, &sealed).await?;
                tracing::info!(kid = key.kid, "sealed a signing key anew");
            }
        }
        let newest = keys.iter().filter(|key| key.algorithm == self.config.algorithm).max_by_key(|key| key.sequence);
        let activates_at = match newest {
            None => now - KEY_LEAD,
            Some(newest) => {
                let due = newest.activates_at + self.config.signing_key_lifetime;
                if now < due - KEY_LEAD {
                    return Ok(false);
                }
                // A job that did not run for long must not skip the lead.
                due.max(now + KEY_LEAD)
            }
        };
        let retire_at = self.last_token_ends(activates_at.max(now));
        Ok(self.create_signing_key(&keys, activates_at, retire_at).await?.is_some())
    }

    /// A token with its state in the store and, if its name is given, the client that asks, in one statement. Of an
    /// access token that is good, also what it says.
    pub(crate) async fn look_up_token(
        &self,
        token: &str,
        client: Option<&ClientId>,
        now: Timestamp,
    ) -> Result<(Found, Option<Arc<AccessToken>>), Fault> {
        let lookup = Lookup { client, ..Lookup::default() };
        if let Some(token) = self.refresh_tokens.authenticate(token) {
            let found = self.store.look_up(Lookup { token: Some(&token.reference()), ..lookup }, now).await?;
            return Ok((found, None));
        }
        if self.has_key_ring(now) {
            let verified = self.verify_access_token(token, now).await?;
            let reference = verified.as_ref().and_then(|token| token.reference());
            let found = self.store.look_up(Lookup { token: reference.as_ref(), ..lookup }, now).await?;
            return Ok((found, verified));
        }
        // The keys come along. What is not verified yet is believed no more than this: it tells which row to read.
        let reference = jwt::unverified_reference(token);
        let lookup = Lookup { token: reference.as_ref(), signing_keys: reference.is_some(), ..lookup };
        let mut found = self.store.look_up(lookup, now).await?;
        if reference.is_none() {
            return Ok((found, None));
        }
        self.keep_signing_keys(found.signing_keys.take(), now)?;
        let verified = self.verify_access_token(token, now).await?;
        if verified.is_none() {
            found.token = TokenState::Inactive;
        }
        Ok((found, verified))
    }

    /// Verifies an access token; `None` where it is none of ours or not good any more. A token that was verified
    /// before is not verified again: the signature is the slowest part of an introspection.
    pub(crate) async fn verify_access_token(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<AccessToken>>, Fault> {
        let digest = Digest::of(text.as_bytes());
        let ring = self.key_ring(now).await?;
        if let Some(token) = self.verified_tokens.get(&digest) {
            // Its key may have been withdrawn since.
            if token.expires_at > now && ring.contains(&token.kid) {
                return Ok(Some(token));
            }
            self.verified_tokens.remove(&digest);
            return Ok(None);
        }
        let issuer = self.config.issuer.as_str();
        let mut verified = jwt::verify(&ring, text, issuer, now);
        if verified == Err(Rejected::UnknownKey) && self.cached_key_ring(now, KEY_RING_MIN_AGE).is_none() {
            verified = jwt::verify(&*self.load_key_ring(now).await?, text, issuer, now);
        }
        let Ok(token) = verified else {
            return Ok(None);
        };
        let token = Arc::new(token);
        self.verified_tokens.insert(digest, Arc::clone(&token));
        Ok(Some(token))
    }
}
