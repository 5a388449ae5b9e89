use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use url::Url;

use super::Digest;

/// A PKCE parameter is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPkce {
    /// RFC 7636 §4.2: 43 characters of base64url.
    #[error("code_challenge must be the base64url encoding of a SHA-256 hash: 43 characters without padding")]
    Challenge,
    /// RFC 7636 §4.1: 43 to 128 unreserved characters.
    #[error("code_verifier must have 43 to 128 characters of A-Z a-z 0-9 - . _ ~")]
    Verifier,
}

/// `code_challenge` of method S256 (RFC 7636 §4.2): a SHA-256 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeChallenge(Digest);

impl CodeChallenge {
    /// Reads the parameter of an authorization request.
    pub fn parse(text: &str) -> Result<Self, InvalidPkce> {
        Digest::from_base64url(text)
            // An encoding with stray bits in its last character would never match any verifier.
            .filter(|digest| digest.to_base64url() == text)
            .map(Self)
            .ok_or(InvalidPkce::Challenge)
    }
}

impl fmt::Display for CodeChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64url())
    }
}

/// `code_verifier` (RFC 7636 §4.1).
#[derive(Clone)]
pub struct CodeVerifier(String);

impl CodeVerifier {
    /// Reads the parameter of a token request.
    pub fn parse(text: &str) -> Result<Self, InvalidPkce> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        ((43..=128).contains(&text.len()) && text.bytes().all(unreserved))
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidPkce::Verifier)
    }

    /// A fresh one out of 32 random bytes, with the demo's own client.
    pub fn from_random(bytes: &[u8; 32]) -> Self {
        Self(Base64UrlUnpadded::encode_string(bytes))
    }

    /// The S256 challenge of this verifier. It is the challenge that is compared, never the verifier: whoever could
    /// time that comparison would learn a public value.
    pub fn challenge(&self) -> CodeChallenge {
        CodeChallenge(Digest::of(self.0.as_bytes()))
    }

    /// The text, for a token request.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(…)")
    }
}

/// A resource indicator (RFC 8707 §2): an absolute URI without a fragment, which becomes the `aud` of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(String);

impl Resource {
    /// `None` where the text is no such URI.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() <= 2000
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && Url::parse(text).is_ok();
        valid.then(|| Self(text.to_owned()))
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b() {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("valid");
        let challenge = CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").expect("valid");
        assert_eq!(verifier.challenge(), challenge);
        assert_eq!(challenge.to_string(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn malformed_parameters_are_refused() {
        for bad in ["", "abc", &"a".repeat(42), &"a".repeat(44), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"] {
            assert!(CodeChallenge::parse(bad).is_err(), "{bad}");
        }
        for bad in ["", &"a".repeat(42), &"a".repeat(129), &format!("{}+", "a".repeat(43))] {
            assert!(CodeVerifier::parse(bad).is_err(), "{bad}");
        }
        assert!(CodeVerifier::parse(&"~".repeat(128)).is_ok());
    }
}
