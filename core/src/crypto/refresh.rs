//! Refresh tokens: `authly_rt_` and 68 bytes of base64url.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | the id of the token's row, the same through every rotation |
//! | 4 | the generation: how many rotations led here, big-endian |
//! | 32 | a secret: random in the first generation, then HMAC(rotation key, id, generation, secret before) |
//! | 16 | HMAC(authentication key, all before), truncated |
//!
//! The MAC shows without the store that a token was issued here, so an old generation is proof of a replay, and a
//! made-up token costs no query. The store keeps SHA-256 of the secret: whoever reads the database cannot use it, and
//! whoever learns the key alone cannot make a token up. The successor follows from the token, so every retry
//! receives the same one, and none is stored.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::root::{Keyed, RootSecrets};
use crate::{model::Digest, ports::Entropy, store::TokenReference};

const SECRET_LENGTH: usize = 32;
const MAC_LENGTH: usize = 16;
const AUTHENTICATED_LENGTH: usize = 16 + 4 + SECRET_LENGTH;
const LENGTH: usize = AUTHENTICATED_LENGTH + MAC_LENGTH;

/// What every refresh token starts with.
pub const PREFIX: &str = "authly_rt_";

/// An authentic refresh token.
#[derive(Clone)]
pub struct RefreshToken {
    id: Uuid,
    generation: u32,
    secret: Zeroizing<[u8; SECRET_LENGTH]>,
    /// Which of the keys authenticated it: its successor is derived with the same one, so that a retry yields the
    /// same secret while secrets rotate.
    key: usize,
}

impl RefreshToken {
    /// The row that it names.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// How many rotations led to it.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the store keeps of its secret.
    pub fn digest(&self) -> Digest {
        Digest::of(&*self.secret)
    }

    /// How the store finds it.
    pub fn reference(&self) -> TokenReference {
        TokenReference::Refresh { id: self.id, generation: self.generation, digest: self.digest() }
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({} generation {})", self.id, self.generation)
    }
}

struct Keys {
    authentication: Keyed,
    rotation: Keyed,
}

/// Issues, authenticates and rotates refresh tokens, under `JWT_REFRESH_SECRET_KEY`.
pub struct RefreshTokens {
    keys: Vec<Keys>,
}

impl RefreshTokens {
    /// Derives the keys.
    pub fn new(secrets: &RootSecrets) -> Self {
        let authentication = secrets.derive("refresh token authentication");
        let rotation = secrets.derive("refresh token rotation");
        let keys = authentication
            .into_iter()
            .zip(rotation)
            .map(|(authentication, rotation)| Keys { authentication, rotation })
            .collect();
        Self { keys }
    }

    /// The first token of a grant.
    pub fn first(&self, id: Uuid, entropy: &impl Entropy) -> RefreshToken {
        let mut secret = Zeroizing::new([0; SECRET_LENGTH]);
        entropy.fill(&mut *secret);
        RefreshToken { id, generation: 0, secret, key: 0 }
    }

    /// The token that follows, always the same.
    pub fn successor(&self, token: &RefreshToken) -> RefreshToken {
        // A token that was refreshed four thousand million times has lived for longer than any grant may.
        let generation = token.generation.saturating_add(1);
        let secret = self.keys[token.key].rotation.mac(&[
            token.id.as_bytes(),
            &generation.to_be_bytes(),
            token.secret.as_slice(),
        ]);
        RefreshToken { id: token.id, generation, secret: Zeroizing::new(secret), key: 0 }
    }

    /// The string for the client.
    pub fn encode(&self, token: &RefreshToken) -> String {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..16].copy_from_slice(token.id.as_bytes());
        bytes[16..20].copy_from_slice(&token.generation.to_be_bytes());
        bytes[20..AUTHENTICATED_LENGTH].copy_from_slice(&*token.secret);
        let mac = self.keys[0].authentication.mac(&[&bytes[..AUTHENTICATED_LENGTH]]);
        bytes[AUTHENTICATED_LENGTH..].copy_from_slice(&mac[..MAC_LENGTH]);
        format!("{PREFIX}{}", Base64UrlUnpadded::encode_string(&*bytes))
    }

    /// `None` where the string was not issued here.
    pub fn authenticate(&self, text: &str) -> Option<RefreshToken> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let decoded = Base64UrlUnpadded::decode(text.strip_prefix(PREFIX)?, &mut *bytes).ok()?;
        let (authenticated, mac) = decoded.split_at_checked(AUTHENTICATED_LENGTH)?;
        if mac.len() != MAC_LENGTH {
            return None;
        }
        let key = self.keys.iter().position(|keys| keys.authentication.verify(&[authenticated], mac))?;
        let (id, rest) = authenticated.split_first_chunk::<16>()?;
        let (generation, secret) = rest.split_first_chunk::<4>()?;
        Some(RefreshToken {
            id: Uuid::from_bytes(*id),
            generation: u32::from_be_bytes(*generation),
            secret: Zeroizing::new(secret.try_into().ok()?),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::RootSecret;

    struct Sevens;

    impl Entropy for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn secrets(current: char, previous: Option<char>) -> RootSecrets {
        let secret = |c: char| RootSecret::new(&String::from(c).repeat(32)).expect("long enough");
        RootSecrets { current: secret(current), previous: previous.map(secret) }
    }

    #[test]
    fn round_trip_and_every_changed_byte_is_refused() {
        let tokens = RefreshTokens::new(&secrets('a', None));
        let text = tokens.encode(&tokens.first(Uuid::from_u128(1), &Sevens));
        let token = tokens.authenticate(&text).expect("own token");
        assert_eq!((token.id(), token.generation()), (Uuid::from_u128(1), 0));
        for index in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[index] = if damaged[index] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).expect("ASCII");
            assert!(tokens.authenticate(&damaged).is_none(), "accepted {damaged}");
        }
    }

    #[test]
    fn the_successor_is_always_the_same_also_while_secrets_rotate() {
        let before = RefreshTokens::new(&secrets('a', None));
        let text = before.encode(&before.first(Uuid::from_u128(1), &Sevens));
        let successor = before.successor(&before.authenticate(&text).expect("own token"));
        let after = RefreshTokens::new(&secrets('b', Some('a')));
        let again = after.successor(&after.authenticate(&text).expect("the previous secret is honoured"));
        assert_eq!(successor.digest(), again.digest());
        assert!(after.authenticate(&after.encode(&again)).is_some());
        assert!(RefreshTokens::new(&secrets('b', None)).authenticate(&text).is_none());
    }
}
