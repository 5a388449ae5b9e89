//! The two secrets an operator sets, and the keys derived from them by HKDF-SHA-256 (RFC 5869).

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{model::Secret, ports::Entropy};

const NONCE_LENGTH: usize = 24;

/// A 256-bit key for one purpose.
#[derive(Clone)]
pub struct Keyed(Zeroizing<[u8; 32]>);

impl Keyed {
    /// HMAC-SHA-256 over the parts, each preceded by its length, so that no two lists of parts look alike.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Compares a MAC, which may be truncated, in constant time. The empty MAC is never right.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        let expected = self.mac(parts);
        !mac.is_empty() && mac.len() <= expected.len() && bool::from(expected[..mac.len()].ct_eq(mac))
    }

    /// XChaCha20-Poly1305 with a random nonce, bound to `context`.
    pub fn seal(&self, context: &[u8], plaintext: &[u8], entropy: &impl Entropy) -> Vec<u8> {
        let mut nonce = [0; NONCE_LENGTH];
        entropy.fill(&mut nonce);
        let payload = Payload { msg: plaintext, aad: context };
        let ciphertext = XChaCha20Poly1305::new((&*self.0).into())
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a key is far shorter than the cipher's limit");
        [nonce.as_slice(), &ciphertext].concat()
    }

    /// Opens what [`Self::seal`] made; `None` for another key, another context or damaged bytes.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Secret> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg: ciphertext, aad: context };
        XChaCha20Poly1305::new((&*self.0).into()).decrypt(&XNonce::from(*nonce), payload).ok().map(Secret::new)
    }
}

/// A secret of at least 32 characters, from which keys are derived.
#[derive(Clone, Debug)]
pub struct RootSecret(Secret);

impl RootSecret {
    /// The shortest secret accepted, in bytes.
    pub const MIN_LENGTH: usize = 32;

    /// `None` where it is too short.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() >= Self::MIN_LENGTH).then(|| Self(Secret::new(text.as_bytes())))
    }

    /// The secret itself, which is the HS256 key.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: &str) -> Keyed {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(b"authly"), self.expose())
            .expand(purpose.as_bytes(), &mut *key)
            .expect("32 bytes are a valid length for HKDF-SHA-256");
        Keyed(key)
    }
}

/// A secret in force, and the one before it, which is still honoured while secrets rotate.
#[derive(Clone, Debug)]
pub struct RootSecrets {
    /// What new things are made with.
    pub current: RootSecret,
    /// What old things may have been made with.
    pub previous: Option<RootSecret>,
}

impl RootSecrets {
    /// The keys for one purpose, the current one first.
    pub fn derive(&self, purpose: &str) -> Vec<Keyed> {
        std::iter::once(&self.current).chain(&self.previous).map(|secret| secret.derive(purpose)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn sealed_bytes_open_only_with_the_same_key_and_context() {
        let root = RootSecret::new(&"a".repeat(32)).expect("long enough");
        let sealed = root.derive("one").seal(b"kid", b"private", &Zeros);
        assert_eq!(root.derive("one").open(b"kid", &sealed).expect("opens").expose(), b"private");
        assert!(root.derive("two").open(b"kid", &sealed).is_none());
        assert!(root.derive("one").open(b"other", &sealed).is_none());
        for index in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[index] ^= 1;
            assert!(root.derive("one").open(b"kid", &damaged).is_none());
        }
        assert!(root.derive("one").open(b"kid", &sealed[..10]).is_none());
    }

    #[test]
    fn macs_bind_the_boundaries_of_their_parts() {
        let key = RootSecret::new(&"a".repeat(32)).expect("long enough").derive("mac");
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
        assert!(key.verify(&[b"a"], &key.mac(&[b"a"])[..16]));
        assert!(!key.verify(&[b"a"], &[]));
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(RootSecret::new(&"a".repeat(31)).is_none());
    }
}
