//! Pure-Rust key generation, signatures and public keys, for every host.

use std::{collections::BTreeMap, convert::Infallible};

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, Mac};
use p256::ecdsa::signature::{SignatureEncoding, Signer as _};
use rand_core::{TryCryptoRng, TryRng};
use rsa::{
    pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey, EncodeRsaPublicKey},
    pkcs1v15,
    traits::PublicKeyParts,
};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::key::{Algorithm, InvalidKey, PrivateKey, Signer, Verifier};
use crate::{model::Secret, ports::Entropy};

const RSA_BITS: usize = 2048;

/// The host's entropy as the generator that `rsa` asks for.
struct EntropyRng<'a, E>(&'a E);

impl<E: Entropy> TryRng for EntropyRng<'_, E> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl<E: Entropy> TryCryptoRng for EntropyRng<'_, E> {}

pub(super) fn generate(algorithm: Algorithm, entropy: &impl Entropy) -> Secret {
    match algorithm {
        Algorithm::Es256 => loop {
            let mut scalar = Zeroizing::new([0; 32]);
            entropy.fill(&mut *scalar);
            // All but one in 2^32 draws are below the order of the curve.
            if p256::ecdsa::SigningKey::from_slice(&*scalar).is_ok() {
                return Secret::new(scalar.as_slice());
            }
        },
        Algorithm::EdDsa | Algorithm::Hs256 => {
            let mut seed = Zeroizing::new([0; 32]);
            entropy.fill(&mut *seed);
            Secret::new(seed.as_slice())
        }
        Algorithm::Rs256 => {
            let key = rsa::PrivateKey::new(&mut EntropyRng(entropy), RSA_BITS).expect("2048 bits is a valid size");
            Secret::new(key.to_pkcs1_der().expect("a fresh key encodes").as_bytes())
        }
    }
}

pub(super) fn public_bytes(key: &PrivateKey) -> Result<Vec<u8>, InvalidKey> {
    Ok(match key.algorithm() {
        Algorithm::Es256 => es256(key)?.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        Algorithm::EdDsa => eddsa(key)?.verifying_key().as_bytes().to_vec(),
        Algorithm::Rs256 => {
            let document = rs256(key)?.to_public_key().to_pkcs1_der().map_err(|_| InvalidKey)?;
            document.as_bytes().to_vec()
        }
        Algorithm::Hs256 => return Err(InvalidKey),
    })
}

pub(super) fn public_members(key: &PrivateKey) -> Result<BTreeMap<&'static str, String>, InvalidKey> {
    let encode = |bytes: &[u8]| Base64UrlUnpadded::encode_string(bytes);
    let members = match key.algorithm() {
        Algorithm::Es256 => {
            let point = es256(key)?.verifying_key().to_sec1_point(false);
            let (x, y) = (point.x().ok_or(InvalidKey)?, point.y().ok_or(InvalidKey)?);
            vec![("crv", "P-256".to_owned()), ("kty", "EC".to_owned()), ("x", encode(x)), ("y", encode(y))]
        }
        Algorithm::EdDsa => {
            let x = encode(eddsa(key)?.verifying_key().as_bytes());
            vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", x)]
        }
        Algorithm::Rs256 => {
            let key = rs256(key)?;
            let (e, n) = (key.e().to_be_bytes_trimmed_vartime(), key.n().to_be_bytes_trimmed_vartime());
            vec![("e", encode(&e)), ("kty", "RSA".to_owned()), ("n", encode(&n))]
        }
        Algorithm::Hs256 => return Err(InvalidKey),
    };
    Ok(members.into_iter().collect())
}

fn es256(key: &PrivateKey) -> Result<p256::ecdsa::SigningKey, InvalidKey> {
    p256::ecdsa::SigningKey::from_slice(key.expose()).map_err(|_| InvalidKey)
}

fn eddsa(key: &PrivateKey) -> Result<ed25519_dalek::SigningKey, InvalidKey> {
    key.expose().try_into().map(ed25519_dalek::SigningKey::from_bytes).map_err(|_| InvalidKey)
}

fn rs256(key: &PrivateKey) -> Result<rsa::PrivateKey, InvalidKey> {
    rsa::PrivateKey::from_pkcs1_der(key.expose()).map_err(|_| InvalidKey)
}

/// An HMAC key, which both signs and verifies.
struct Hs256(Secret);

impl Hs256 {
    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(self.0.expose());
        mac.expect("HMAC takes keys of any length").chain_update(message)
    }
}

impl Signer for Hs256 {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.mac(message).finalize().into_bytes().to_vec()
    }
}

impl Verifier for Hs256 {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.mac(message).verify_slice(signature).is_ok()
    }
}

macro_rules! asymmetric {
    ($signing:ty, $verifying:ty, $signature:ty) => {
        impl Signer for $signing {
            fn sign(&self, message: &[u8]) -> Vec<u8> {
                let signature: $signature = self.try_sign(message).expect("signing with a valid key cannot fail");
                signature.to_vec()
            }
        }

        impl Verifier for $verifying {
            fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
                <$signature>::try_from(signature)
                    .is_ok_and(|signature| p256::ecdsa::signature::Verifier::verify(self, message, &signature).is_ok())
            }
        }
    };
}

asymmetric!(p256::ecdsa::SigningKey, p256::ecdsa::VerifyingKey, p256::ecdsa::Signature);
asymmetric!(ed25519_dalek::SigningKey, ed25519_dalek::VerifyingKey, ed25519_dalek::Signature);
asymmetric!(pkcs1v15::SigningKey<Sha256>, pkcs1v15::VerifyingKey<Sha256>, pkcs1v15::Signature);

/// Prepares a key for signing.
pub fn signer(key: &PrivateKey) -> Result<Box<dyn Signer>, InvalidKey> {
    Ok(match key.algorithm() {
        Algorithm::Es256 => Box::new(es256(key)?),
        Algorithm::EdDsa => Box::new(eddsa(key)?),
        Algorithm::Rs256 => Box::new(pkcs1v15::SigningKey::<Sha256>::new(rs256(key)?)),
        Algorithm::Hs256 => Box::new(Hs256(Secret::new(key.expose()))),
    })
}

/// Prepares the public half of a key for verifying.
pub fn verifier(key: &PrivateKey) -> Result<Box<dyn Verifier>, InvalidKey> {
    Ok(match key.algorithm() {
        Algorithm::Es256 => Box::new(*es256(key)?.verifying_key()),
        Algorithm::EdDsa => Box::new(eddsa(key)?.verifying_key()),
        Algorithm::Rs256 => Box::new(pkcs1v15::VerifyingKey::<Sha256>::new(rs256(key)?.to_public_key())),
        Algorithm::Hs256 => Box::new(Hs256(Secret::new(key.expose()))),
    })
}
