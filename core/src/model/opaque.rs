//! Opaque bearer strings: authorization codes, client secrets, session tokens and those that travel by e-mail.
//!
//! Each is a recognisable prefix (secret scanners find it), 32 random bytes and a four-byte checksum, so that a
//! truncated or mistyped value is refused without asking the store. Refresh tokens have a form of their own:
//! [`crate::crypto::refresh`].

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::ports::Entropy;

/// SHA-256 of a high-entropy secret: what the store keeps instead of the secret itself.
///
/// Equality takes the same time wherever two digests differ.
#[derive(Clone, Copy, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes, as the store keeps them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A digest read back from the store; `None` where it is not 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// 43 characters of base64url.
    pub fn to_base64url(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.0)
    }

    /// Reads what [`Self::to_base64url`] wrote.
    pub fn from_base64url(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        (Base64UrlUnpadded::decode(text, &mut bytes).ok()?.len() == 32).then_some(Self(bytes))
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

const SECRET_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 4;

fn checksum(prefix: &str, secret: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let hash = Sha256::new().chain_update(prefix).chain_update(secret).finalize();
    let mut checksum = [0; CHECKSUM_LENGTH];
    checksum.copy_from_slice(&hash[..CHECKSUM_LENGTH]);
    checksum
}

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// What every such string starts with.
            pub const PREFIX: &str = $prefix;

            /// A new one, with 256 bits from `entropy`.
            pub fn generate(entropy: &impl Entropy) -> Self {
                let mut bytes = Zeroizing::new([0; SECRET_LENGTH + CHECKSUM_LENGTH]);
                entropy.fill(&mut bytes[..SECRET_LENGTH]);
                let checksum = checksum(Self::PREFIX, &bytes[..SECRET_LENGTH]);
                bytes[SECRET_LENGTH..].copy_from_slice(&checksum);
                Self(Zeroizing::new(format!("{}{}", Self::PREFIX, Base64UrlUnpadded::encode_string(&*bytes))))
            }

            /// `None` where prefix, length or checksum is wrong: such a value was never issued here.
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = Zeroizing::new([0; SECRET_LENGTH + CHECKSUM_LENGTH]);
                let encoded = text.strip_prefix(Self::PREFIX)?;
                let decoded = Base64UrlUnpadded::decode(encoded, &mut *bytes).ok()?;
                let (secret, sum) = decoded.split_at_checked(SECRET_LENGTH)?;
                (sum == checksum(Self::PREFIX, secret)).then(|| Self(Zeroizing::new(text.to_owned())))
            }

            /// The string itself, for the one response or cookie that carries it.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// What the store keeps.
            pub fn digest(&self) -> Digest {
                Digest::of(self.0.as_bytes())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

opaque! {
    /// An authorization code (RFC 6749 §4.1.2).
    AuthorizationCode, "authly_ac_"
}
opaque! {
    /// The secret of a confidential client (RFC 6749 §2.3.1), made by the server and shown once.
    ClientSecret, "authly_cs_"
}
opaque! {
    /// The token in a link that is sent by e-mail.
    EmailToken, "authly_et_"
}
opaque! {
    /// The value of the session cookie.
    SessionToken, "authly_st_"
}
opaque! {
    /// The value of the long-lived cookie by which an account knows a browser again.
    DeviceToken, "authly_dt_"
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter;

    impl Entropy for Counter {
        fn fill(&self, bytes: &mut [u8]) {
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(index % 256).expect("a byte");
            }
        }
    }

    #[test]
    fn generated_tokens_parse_and_every_changed_character_is_refused() {
        let token = AuthorizationCode::generate(&Counter);
        assert_eq!(AuthorizationCode::parse(token.expose()).expect("own token parses").digest(), token.digest());
        for index in 0..token.expose().len() {
            let mut text = token.expose().as_bytes().to_vec();
            text[index] = if text[index] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(text).expect("ASCII");
            assert!(AuthorizationCode::parse(&text).is_none(), "accepted {text}");
        }
        assert!(AuthorizationCode::parse(&token.expose()[..token.expose().len() - 1]).is_none());
        assert!(ClientSecret::parse(token.expose()).is_none());
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let token = SessionToken::generate(&Counter);
        assert_eq!(format!("{token:?} {:?}", token.digest()), "SessionToken(…) Digest(…)");
    }
}
