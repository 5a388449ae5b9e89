//! What becomes of an authorization code (RFC 6749 §4.1.3, OAuth 2.1 §4.1.3).

use uuid::Uuid;

use crate::{
    model::Timestamp,
    store::{CodeRedemption, Grant},
};

/// An authorization code with its grant, as stored.
#[derive(Clone, Debug)]
pub struct StoredCode {
    /// The client it was issued to.
    pub client_id: Uuid,
    /// The redirect URI of the request.
    pub redirect_uri: String,
    /// The PKCE challenge of the request.
    pub code_challenge: Option<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was used.
    pub is_redeemed: bool,
    /// The grant it leads to.
    pub grant: Grant,
    /// Whether the grant was revoked, or its user cannot log in any more.
    pub is_revoked: bool,
}

/// What to do with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Mark it used and issue.
    Issue,
    /// Revoke its grant.
    RevokeGrant,
    /// Refuse: too late.
    Expired,
    /// Refuse: not this client's, or not this request's.
    Mismatched,
    /// Refuse: the grant is dead.
    Revoked,
    /// Refuse: a resource was asked for that was not granted.
    TargetExceeded,
}

/// The bindings come first: whoever fails them learns nothing and changes nothing.
pub fn decide(stored: &StoredCode, redemption: &CodeRedemption) -> Decision {
    let challenge = redemption.code_challenge.as_ref().map(ToString::to_string);
    if stored.client_id != redemption.client_id
        || redemption.redirect_uri.as_ref().is_some_and(|uri| *uri != stored.redirect_uri)
        || stored.code_challenge != challenge
    {
        Decision::Mismatched
    } else if stored.is_redeemed {
        Decision::RevokeGrant
    } else if stored.expires_at <= redemption.now {
        Decision::Expired
    } else if stored.is_revoked {
        Decision::Revoked
    } else if redemption.resources.iter().any(|resource| !stored.grant.resources.contains(resource)) {
        Decision::TargetExceeded
    } else {
        Decision::Issue
    }
}
