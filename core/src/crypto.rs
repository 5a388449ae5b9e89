//! Keys, signatures, sealed storage, refresh tokens and password hashes.
//!
//! Primitives come from RustCrypto and jwt-compact; what is decided here is which key does what.

pub mod jwt;
mod key;
pub mod password;
pub mod refresh;
mod root;
pub mod software;

pub use key::{Algorithm, InvalidKey, KeyRing, PrivateKey, SealedKey, Signer, Verifier};
pub use root::{Keyed, RootSecret, RootSecrets};
