//! Access tokens: JWTs by RFC 9068, put together and taken apart by jwt-compact, signed by the host.

use std::borrow::Cow;

use chrono::DateTime;
use jwt_compact::{AlgorithmExt, AlgorithmSignature, Claims, Header, Token, UntrustedToken};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::key::{Algorithm, KeyRing, Signer, Verifier};
use crate::{
    model::{ClientId, Timestamp},
    store::TokenReference,
};

/// The `typ` of an access token (RFC 9068 §2.1).
const TYPE: &str = "at+jwt";

/// No token of ours is longer, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// `aud`: a string for one audience, as most libraries expect, or a list (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl From<Vec<String>> for Audience {
    fn from(mut audiences: Vec<String>) -> Self {
        if audiences.len() == 1 { Self::One(audiences.remove(0)) } else { Self::Several(audiences) }
    }
}

impl Audience {
    /// Whether any of `resources` is addressed.
    pub fn intersects(&self, resources: &[String]) -> bool {
        match self {
            Self::One(audience) => resources.contains(audience),
            Self::Several(audiences) => audiences.iter().any(|audience| resources.contains(audience)),
        }
    }
}

/// The claims of an access token (RFC 9068 §2.2) but for `iat` and `exp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The issuer.
    pub iss: String,
    /// The user's id or, where a client acts for itself, its `client_id`.
    pub sub: String,
    /// Whom the token is for.
    pub aud: Audience,
    /// Its own id.
    pub jti: String,
    /// The client it was issued to.
    pub client_id: String,
    /// What it allows, possibly nothing in particular.
    pub scope: String,
    /// The grant it came from; it ends with the grant. None where a client acts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<Uuid>,
    /// When the person authenticated, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
}

/// An access token whose signature, type, issuer and lifetime are right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The key that signed it.
    pub kid: String,
    /// Its claims.
    pub claims: AccessClaims,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

impl AccessToken {
    /// How the store finds it; `None` where its `client_id` is none.
    pub fn reference(&self) -> Option<TokenReference> {
        reference(&self.claims, self.expires_at)
    }
}

/// jwt-compact's view of a key that the host works with.
struct Jws<'a>(Algorithm, std::marker::PhantomData<&'a ()>);

struct Signature(Vec<u8>);

impl AlgorithmSignature for Signature {
    fn try_from_slice(slice: &[u8]) -> anyhow::Result<Self> {
        Ok(Self(slice.to_vec()))
    }

    fn as_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.0)
    }
}

impl<'a> jwt_compact::Algorithm for Jws<'a> {
    type SigningKey = &'a dyn Signer;
    type VerifyingKey = &'a dyn Verifier;
    type Signature = Signature;

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.0.name())
    }

    fn sign(&self, signer: &Self::SigningKey, message: &[u8]) -> Signature {
        Signature(signer.sign(message))
    }

    fn verify_signature(&self, signature: &Signature, verifier: &Self::VerifyingKey, message: &[u8]) -> bool {
        verifier.verify(message, &signature.0)
    }
}

/// Signs an access token.
pub fn issue(keys: &KeyRing, claims: AccessClaims, issued_at: Timestamp, expires_at: Timestamp) -> String {
    let (kid, algorithm, signer) = keys.current();
    let header = Header::empty().with_token_type(TYPE).with_key_id(kid);
    let mut claims = Claims::new(claims);
    // jwt-compact writes whole seconds; the store's revocations must not end before the token does.
    claims.issued_at = DateTime::from_timestamp(issued_at.timestamp(), 0);
    claims.expiration = DateTime::from_timestamp(expires_at.timestamp(), 0);
    Jws(algorithm, std::marker::PhantomData)
        .token(&header, &claims, &signer)
        .expect("claims made of strings and numbers serialize")
}

/// Why a text is not an access token of ours that is good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// No JWT, a wrong type, signature or issuer.
    Invalid,
    /// Of a key that is not in the ring, which may be out of date.
    UnknownKey,
    /// Its time has passed.
    Expired,
}

/// How the store would find this token, if it is one: for reading its row along with the keys that verify it. Nothing of it
/// is to be believed.
pub fn unverified_reference(text: &str) -> Option<TokenReference> {
    let untrusted = UntrustedToken::new(text).ok().filter(|_| text.len() <= MAX_LENGTH)?;
    let claims: Claims<AccessClaims> = untrusted.deserialize_claims_unchecked().ok()?;
    reference(&claims.custom, claims.expiration?)
}

fn reference(claims: &AccessClaims, expires_at: Timestamp) -> Option<TokenReference> {
    Some(TokenReference::Access {
        jti: claims.jti.clone(),
        client_id: ClientId::parse(&claims.client_id)?,
        grant_id: claims.grant_id,
        expires_at,
    })
}

/// Verifies an access token: type, key, algorithm, signature, issuer and lifetime. The store knows whether it was
/// revoked.
pub fn verify(keys: &KeyRing, text: &str, issuer: &str, now: Timestamp) -> Result<AccessToken, Rejected> {
    if text.len() > MAX_LENGTH {
        return Err(Rejected::Invalid);
    }
    let untrusted = UntrustedToken::new(text).map_err(|_| Rejected::Invalid)?;
    let header = untrusted.header();
    // RFC 9068 §4; RFC 8725 §3.11 forbids to take one kind of JWT for another.
    if header.token_type.as_deref() != Some(TYPE) {
        return Err(Rejected::Invalid);
    }
    let algorithm = Algorithm::parse(untrusted.algorithm()).ok_or(Rejected::Invalid)?;
    let kid = header.key_id.clone().ok_or(Rejected::Invalid)?;
    let verifier = keys.verifier(&kid, algorithm).ok_or(Rejected::UnknownKey)?;
    let token: Token<AccessClaims> = Jws(algorithm, std::marker::PhantomData)
        .validator(&verifier)
        .validate(&untrusted)
        .map_err(|_| Rejected::Invalid)?;
    let (_, claims) = token.into_parts();
    let (Some(issued_at), Some(expires_at)) = (claims.issued_at, claims.expiration) else {
        return Err(Rejected::Invalid);
    };
    if claims.custom.iss != issuer {
        return Err(Rejected::Invalid);
    }
    if expires_at <= now {
        return Err(Rejected::Expired);
    }
    Ok(AccessToken { kid, claims: claims.custom, issued_at, expires_at })
}
