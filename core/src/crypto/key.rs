//! Signing keys: made here, sealed for the store, published as a JWK Set, and put to use.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

use super::{
    root::{Keyed, RootSecret, RootSecrets},
    software,
};
use crate::{
    model::{Digest, Secret, Timestamp},
    ports::{Entropy, Signatures},
};

/// A JWS algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with 2048 bits.
    Rs256,
    /// HMAC under `JWT_SECRET_KEY`: no key pair, so no JWK Set.
    Hs256,
}

impl Algorithm {
    /// Every algorithm, the default first.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256];

    /// The `alg` value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm of this `alg` value.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Bytes that are not a key of their algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a key of this algorithm")]
pub struct InvalidKey;

/// Signs messages with one key.
pub trait Signer: Send + Sync {
    /// The JWS signature (RFC 7515 §5.1): for ES256, `r || s`.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

/// Verifies messages with one key.
pub trait Verifier: Send + Sync {
    /// Whether the signature is right.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool;
}

/// A private key: a P-256 scalar, an Ed25519 seed, a PKCS#1 DER document, or the bytes of an HMAC key.
#[derive(Clone, Debug)]
pub struct PrivateKey {
    algorithm: Algorithm,
    bytes: Secret,
}

impl PrivateKey {
    /// A new key pair.
    pub fn generate(algorithm: Algorithm, entropy: &impl Entropy) -> Self {
        Self { algorithm, bytes: software::generate(algorithm, entropy) }
    }

    /// A key read back from where it was kept.
    pub fn new(algorithm: Algorithm, bytes: Secret) -> Self {
        Self { algorithm, bytes }
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The private bytes, for a signer.
    pub fn expose(&self) -> &[u8] {
        self.bytes.expose()
    }

    /// Its public half: an uncompressed SEC 1 point, an Ed25519 public key, or a PKCS#1 DER document.
    pub fn public_bytes(&self) -> Result<Vec<u8>, InvalidKey> {
        software::public_bytes(self)
    }

    /// The members of its public JWK that define the key (RFC 7638 §3.2), in lexical order.
    fn public_members(&self) -> Result<BTreeMap<&'static str, String>, InvalidKey> {
        software::public_members(self)
    }
}

/// A signing key as the store keeps it: the private part is sealed under `JWT_SECRET_KEY`.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Its JWK thumbprint (RFC 7638).
    pub kid: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Numbers all keys: each has one predecessor, and two instances cannot both make the next one.
    pub sequence: u32,
    /// The public JWK, as JSON.
    pub public_jwk: String,
    /// The sealed private key.
    pub sealed: Vec<u8>,
    /// When it begins to sign. It is published before.
    pub activates_at: Timestamp,
    /// When it is no longer published; open while it has no successor.
    pub retires_at: Option<Timestamp>,
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedKey({} #{} {})", self.algorithm.name(), self.sequence, self.kid)
    }
}

const SEALING: &str = "signing key sealing";

impl SealedKey {
    /// Makes and seals a new key.
    pub fn generate(
        algorithm: Algorithm,
        sequence: u32,
        activates_at: Timestamp,
        root: &RootSecrets,
        entropy: &impl Entropy,
    ) -> Result<Self, InvalidKey> {
        let key = PrivateKey::generate(algorithm, entropy);
        let members = key.public_members()?;
        // RFC 7638 §3: the required members, in lexical order, without white space.
        let thumbprint = Digest::of(json!(members).to_string().as_bytes()).to_base64url();
        let mut jwk = json!(members);
        jwk["kid"] = json!(thumbprint);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(algorithm.name());
        Ok(Self {
            sealed: root.current.derive(SEALING).seal(thumbprint.as_bytes(), key.expose(), entropy),
            kid: thumbprint,
            algorithm,
            sequence,
            public_jwk: jwk.to_string(),
            activates_at,
            retires_at: None,
        })
    }

    fn open_with(&self, key: &Keyed) -> Option<PrivateKey> {
        key.open(self.kid.as_bytes(), &self.sealed).map(|bytes| PrivateKey::new(self.algorithm, bytes))
    }

    /// Opens it with the current secret or the one before.
    pub fn open(&self, root: &RootSecrets) -> Option<PrivateKey> {
        root.derive(SEALING).iter().find_map(|key| self.open_with(key))
    }

    /// The same key sealed under the current secret, if it was sealed under the one before.
    pub fn reseal(&self, root: &RootSecrets, entropy: &impl Entropy) -> Option<Vec<u8>> {
        let current = root.current.derive(SEALING);
        if self.open_with(&current).is_some() {
            return None;
        }
        let key = self.open(root)?;
        Some(current.seal(self.kid.as_bytes(), key.expose(), entropy))
    }
}

struct RingKey {
    verifier: Box<dyn Verifier>,
    algorithm: Algorithm,
}

/// The keys that are published at one time, ready for use.
pub struct KeyRing {
    current: (String, Algorithm, Box<dyn Signer>),
    activated_at: Option<Timestamp>,
    keys: BTreeMap<String, RingKey>,
    jwks: String,
}

impl KeyRing {
    /// Opens the keys. `None` where none of them signs with `algorithm` at this time: it has to be made first.
    pub fn open(
        keys: &[SealedKey],
        algorithm: Algorithm,
        now: Timestamp,
        root: &RootSecrets,
        host: &impl Signatures,
    ) -> Result<Option<Self>, InvalidKey> {
        let current = keys
            .iter()
            .filter(|key| key.algorithm == algorithm && key.activates_at <= now)
            .max_by_key(|key| key.sequence);
        let Some(current) = current else {
            return Ok(None);
        };
        let signer = host.signer(&current.open(root).ok_or(InvalidKey)?)?;
        let mut ring = BTreeMap::new();
        let mut jwks = Vec::new();
        for key in keys {
            // A key that was sealed under a lost secret stays published: what it signed is still good.
            jwks.push(serde_json::from_str::<Value>(&key.public_jwk).map_err(|_| InvalidKey)?);
            if let Some(private) = key.open(root) {
                let verifier = host.verifier(&private)?;
                ring.insert(key.kid.clone(), RingKey { verifier, algorithm: key.algorithm });
            }
        }
        let jwks = json!({ "keys": jwks }).to_string();
        Ok(Some(Self {
            current: (current.kid.clone(), algorithm, signer),
            activated_at: Some(current.activates_at),
            keys: ring,
            jwks,
        }))
    }

    /// HS256 under `JWT_SECRET_KEY` itself, the empty JWK Set published.
    pub fn symmetric(root: &RootSecrets, host: &impl Signatures) -> Result<Self, InvalidKey> {
        let private = |secret: &RootSecret| PrivateKey::new(Algorithm::Hs256, Secret::new(secret.expose()));
        // Names the key without telling anything of it.
        let kid = |secret: &RootSecret| Digest::from(secret.derive("HS256 key id").mac(&[])).to_base64url();
        let mut keys = BTreeMap::new();
        for secret in std::iter::once(&root.current).chain(&root.previous) {
            let verifier = host.verifier(&private(secret))?;
            keys.insert(kid(secret), RingKey { verifier, algorithm: Algorithm::Hs256 });
        }
        let signer = host.signer(&private(&root.current))?;
        let jwks = json!({ "keys": [] }).to_string();
        Ok(Self { current: (kid(&root.current), Algorithm::Hs256, signer), activated_at: None, keys, jwks })
    }

    /// Whether a key is published, so that what it signed is good.
    pub fn contains(&self, kid: &str) -> bool {
        self.keys.contains_key(kid)
    }

    /// The `kid`, algorithm and signer of new tokens.
    pub fn current(&self) -> (&str, Algorithm, &dyn Signer) {
        (&self.current.0, self.current.1, &*self.current.2)
    }

    /// Since when the current key signs; `None` for a shared secret.
    pub fn activated_at(&self) -> Option<Timestamp> {
        self.activated_at
    }

    /// The verifier of this `kid`, if it is published and of this algorithm.
    pub fn verifier(&self, kid: &str, algorithm: Algorithm) -> Option<&dyn Verifier> {
        self.keys.get(kid).filter(|key| key.algorithm == algorithm).map(|key| &*key.verifier)
    }

    /// The JWK Set (RFC 7517 §5), as JSON.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({}, {} keys)", self.current.0, self.keys.len())
    }
}
