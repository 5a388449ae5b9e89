//! Signatures by ring, whose P-256 is an order of magnitude faster than pure Rust.

use authly_core::crypto::{Algorithm, InvalidKey, PrivateKey, Signer, Verifier, software};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
    },
};

struct Es256(EcdsaKeyPair, SystemRandom);

impl Signer for Es256 {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(&self.1, message).expect("the operating system gives random bytes").as_ref().to_vec()
    }
}

struct EdDsa(Ed25519KeyPair);

impl Signer for EdDsa {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

struct Rs256(RsaKeyPair, SystemRandom);

impl Signer for Rs256 {
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &self.1, message, &mut signature)
            .expect("the buffer has the length of the modulus");
        signature
    }
}

struct PublicKey(UnparsedPublicKey<Vec<u8>>);

impl Verifier for PublicKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature).is_ok()
    }
}

/// Prepares a key for signing.
pub fn signer(key: &PrivateKey) -> Result<Box<dyn Signer>, InvalidKey> {
    let random = SystemRandom::new();
    Ok(match key.algorithm() {
        Algorithm::Es256 => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let public = key.public_bytes()?;
            let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, key.expose(), &public, &random);
            Box::new(Es256(pair.map_err(|_| InvalidKey)?, random))
        }
        Algorithm::EdDsa => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(key.expose(), &key.public_bytes()?);
            Box::new(EdDsa(pair.map_err(|_| InvalidKey)?))
        }
        Algorithm::Rs256 => Box::new(Rs256(RsaKeyPair::from_der(key.expose()).map_err(|_| InvalidKey)?, random)),
        Algorithm::Hs256 => software::signer(key)?,
    })
}

/// Prepares the public half of a key for verifying.
pub fn verifier(key: &PrivateKey) -> Result<Box<dyn Verifier>, InvalidKey> {
    let algorithm: &'static dyn VerificationAlgorithm = match key.algorithm() {
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::EdDsa => &ED25519,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Hs256 => return software::verifier(key),
    };
    Ok(Box::new(PublicKey(UnparsedPublicKey::new(algorithm, key.public_bytes()?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::OsEntropy;

    /// What one library signs, the other verifies, and nothing else.
    #[test]
    fn ring_and_pure_rust_agree() {
        for algorithm in Algorithm::ALL {
            let key = PrivateKey::generate(algorithm, &OsEntropy);
            let signers = [signer(&key), software::signer(&key)].map(|signer| signer.expect("a fresh key"));
            let verifiers = [verifier(&key), software::verifier(&key)].map(|verifier| verifier.expect("a fresh key"));
            for signer in &signers {
                let signature = signer.sign(b"message");
                for verifier in &verifiers {
                    assert!(verifier.verify(b"message", &signature), "{}", algorithm.name());
                    assert!(!verifier.verify(b"massage", &signature), "{}", algorithm.name());
                    assert!(!verifier.verify(b"message", &signature[1..]), "{}", algorithm.name());
                    assert!(!verifier.verify(b"message", b""), "{}", algorithm.name());
                }
            }
        }
    }
}
