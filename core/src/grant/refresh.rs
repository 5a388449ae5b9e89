//! What becomes of a refresh token (OAuth 2.1 §4.3, RFC 9700 §4.14.2).
//!
//! A grant has one row for its refresh token, which keeps the *generation* (how often it was rotated), the digest of
//! the current secret and the digest of the one before. A presented token is authentic when it gets here (its MAC
//! was checked), so a generation older than the current one is a replay, however old it is.

use uuid::Uuid;

use crate::{
    model::{Digest, Timestamp},
    store::{Grant, RefreshRotation},
};

/// A refresh token with its grant, as stored.
#[derive(Clone, Debug)]
pub struct StoredRefreshToken {
    /// The client it was issued to.
    pub client_id: Uuid,
    /// How often it was rotated.
    pub generation: u32,
    /// The digest of the current secret.
    pub digest: Digest,
    /// The digest of the secret before that.
    pub previous_digest: Option<Digest>,
    /// When the current secret came into force.
    pub rotated_at: Timestamp,
    /// When it ends unless it is used.
    pub idle_expires_at: Timestamp,
    /// The grant it belongs to.
    pub grant: Grant,
    /// Whether the grant was revoked, or its user cannot log in any more.
    pub is_revoked: bool,
}

/// What to do with a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Put the successor in its place.
    Rotate,
    /// Hand out the successor that is already there.
    Repeat,
    /// Revoke the grant.
    RevokeGrant,
    /// Refuse: more was asked for than granted.
    ScopeExceeded,
    /// Refuse: a resource was asked for that was not granted.
    TargetExceeded,
    /// Refuse: too late.
    Expired,
    /// Refuse: another client's.
    Mismatched,
    /// Refuse: the grant is dead.
    Revoked,
    /// Refuse: never issued, or issued by a state of the database that was not restored.
    Unknown,
}

/// Decides; the order is the contract.
pub fn decide(stored: &StoredRefreshToken, rotation: &RefreshRotation) -> Decision {
    let is_current = stored.generation == rotation.generation && stored.digest == rotation.digest;
    let is_retry = stored.generation.checked_sub(1) == Some(rotation.generation)
        && stored.previous_digest == Some(rotation.digest)
        && stored.digest == rotation.successor
        && stored.rotated_at >= rotation.retry_since;
    if stored.client_id != rotation.client_id {
        Decision::Mismatched
    } else if stored.is_revoked {
        Decision::Revoked
    } else if rotation.generation < stored.generation && !is_retry {
        Decision::RevokeGrant
    } else if !is_current && !is_retry {
        Decision::Unknown
    } else if stored.idle_expires_at.min(stored.grant.expires_at) <= rotation.now {
        Decision::Expired
    } else if rotation.scopes.as_ref().is_some_and(|scopes| !scopes.is_subset(&stored.grant.scopes)) {
        Decision::ScopeExceeded
    } else if rotation.resources.iter().any(|resource| !stored.grant.resources.contains(resource)) {
        Decision::TargetExceeded
    } else if is_current {
        Decision::Rotate
    } else {
        Decision::Repeat
    }
}
