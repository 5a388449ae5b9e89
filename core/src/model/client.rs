use std::{collections::BTreeSet, fmt};

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{ClientSecret, Digest, RedirectUri, ScopeDescription, Scopes, Timestamp};

/// A `client_id` (RFC 6749 §2.2): 1 to 255 visible ASCII characters, and never in the form of a user's id, so that
/// the `sub` of a client's token cannot be taken for a person (RFC 9068 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// `None` where the text cannot be a client's id.
    pub fn parse(text: &str) -> Option<Self> {
        let visible = !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| (0x20..=0x7E).contains(&b));
        (visible && Uuid::try_parse(text).is_err()).then(|| Self(text.to_owned()))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl $type {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire and in the store.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value of this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

names! {
    /// RFC 6749 §2.1.
    ClientType {
        /// Can keep a secret.
        Confidential = "confidential",
        /// Cannot: a browser, a phone, a command line.
        Public = "public",
    }
}

names! {
    /// How a client authenticates at the token endpoint (RFC 7591 §2, `token_endpoint_auth_method`).
    AuthMethod {
        /// A public client names itself by `client_id` only.
        None = "none",
        /// HTTP Basic.
        ClientSecretBasic = "client_secret_basic",
        /// In the request body.
        ClientSecretPost = "client_secret_post",
    }
}

names! {
    /// The grant types of the token endpoint.
    GrantType {
        /// RFC 6749 §4.1.
        AuthorizationCode = "authorization_code",
        /// RFC 6749 §6.
        RefreshToken = "refresh_token",
        /// RFC 6749 §4.4.
        ClientCredentials = "client_credentials",
    }
}

/// How the store keeps a client's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientSecretHash {
    /// SHA-256 of a secret with 256 bits of entropy, made by this server.
    Sha256(Digest),
    /// The bcrypt hash of an installation that was set up before, verified as a password is.
    Bcrypt(String),
}

impl ClientSecretHash {
    const SHA256: &str = "sha256:";

    /// Reads the text that the store keeps; `None` where it is of no known form.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix(Self::SHA256) {
            Some(digest) => Digest::from_base64url(digest).map(Self::Sha256),
            None => text.starts_with("$2").then(|| Self::Bcrypt(text.to_owned())),
        }
    }

    /// Compares in constant time; `None` where that takes a password hash, off this thread.
    pub fn verify(&self, secret: &str) -> Option<bool> {
        match self {
            Self::Sha256(expected) => {
                let digest = ClientSecret::parse(secret).map_or_else(|| Digest::of(&[]), |secret| secret.digest());
                Some(expected.as_bytes().ct_eq(digest.as_bytes()).into())
            }
            Self::Bcrypt(_) => None,
        }
    }
}

impl From<Digest> for ClientSecretHash {
    fn from(digest: Digest) -> Self {
        Self::Sha256(digest)
    }
}

impl fmt::Display for ClientSecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "{}{}", Self::SHA256, digest.to_base64url()),
            Self::Bcrypt(hash) => f.write_str(hash),
        }
    }
}

/// A client's secret that was replaced, and works for a while beside the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Its hash.
    pub hash: ClientSecretHash,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// A registered client, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The key of its row.
    pub id: Uuid,
    /// Its name in the protocol.
    pub client_id: ClientId,
    /// Its name for people.
    pub name: String,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// Set for confidential clients.
    pub secret_hash: Option<ClientSecretHash>,
    /// The secret before that one, while it still works.
    pub previous_secret: Option<PreviousSecret>,
    /// Registered redirection endpoints, byte for byte.
    pub redirect_uris: Vec<String>,
    /// Its home page.
    pub client_uri: Option<String>,
    /// The method it was registered with; a client with a secret may use either of the two that carry one.
    pub auth_method: AuthMethod,
    /// Whether an authorization request needs a `code_challenge` whatever the server's default is.
    pub require_pkce: bool,
    /// What it may ask for at the token endpoint.
    pub grant_types: BTreeSet<GrantType>,
    /// The active scopes that it may ask for.
    pub scopes: Vec<ScopeDescription>,
    /// The resource identifiers (RFC 8707) which this client serves: it may introspect tokens meant for them.
    pub resources: Vec<String>,
    /// Whether it may introspect every token.
    pub introspect_all: bool,
    /// Whether it may do anything at all.
    pub is_active: bool,
}

impl Client {
    /// Every scope that it may ask for.
    pub fn allowed_scopes(&self) -> Scopes {
        self.scopes.iter().map(|scope| scope.name.clone()).collect()
    }

    /// What a request without `scope` receives.
    pub fn default_scopes(&self) -> Scopes {
        self.scopes.iter().filter(|scope| scope.is_default).map(|scope| scope.name.clone()).collect()
    }

    /// The hashes of the secrets that work at this time, the present one first.
    pub fn secret_hashes(&self, now: Timestamp) -> impl Iterator<Item = &ClientSecretHash> {
        let previous = self.previous_secret.as_ref().filter(|previous| previous.expires_at > now);
        self.secret_hash.iter().chain(previous.map(|previous| &previous.hash))
    }

    /// Whether it can keep a secret.
    pub fn is_confidential(&self) -> bool {
        self.client_type == ClientType::Confidential
    }
}

/// Why a client cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClient {
    /// The id is not 1–255 visible characters, or looks like a user's id.
    #[error("client_id must be 1 to 255 visible ASCII characters and not a UUID")]
    ClientId,
    /// The name is empty or too long.
    #[error("the client's name must have 1 to 255 characters")]
    Name,
    /// One of the redirect URIs is not acceptable.
    #[error("redirect URI {0:?}: {1}")]
    RedirectUri(String, super::InvalidRedirectUri),
    /// The authorization code flow needs one.
    #[error("a client that uses authorization_code needs at least one redirect URI")]
    NoRedirectUri,
    /// RFC 6749 §4.4.
    #[error("client_credentials is for confidential clients only")]
    PublicClientCredentials,
}

/// A client to register; [`NewClient::check`] holds for every stored one.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// The key of its row.
    pub id: Uuid,
    /// Its name in the protocol.
    pub client_id: ClientId,
    /// Its name for people.
    pub name: String,
    /// The hash of its secret: with one it is confidential, without it is public.
    pub secret_hash: Option<ClientSecretHash>,
    /// Redirection endpoints.
    pub redirect_uris: Vec<RedirectUri>,
    /// Its home page.
    pub client_uri: Option<String>,
    /// Its logo.
    pub logo_uri: Option<String>,
    /// How it authenticates.
    pub auth_method: AuthMethod,
    /// Whether PKCE is demanded of it in any case.
    pub require_pkce: bool,
    /// What it may ask for.
    pub grant_types: BTreeSet<GrantType>,
    /// The scopes it may ask for, by name; each must exist.
    pub scopes: Scopes,
    /// Resource identifiers it serves.
    pub resources: Vec<String>,
    /// Whether it may introspect every token.
    pub introspect_all: bool,
    /// Whether it may do anything at all.
    pub is_active: bool,
}

impl NewClient {
    /// Checks what the parts cannot check alone.
    pub fn check(&self) -> Result<(), InvalidClient> {
        if self.name.is_empty() || self.name.chars().count() > 255 {
            return Err(InvalidClient::Name);
        }
        if self.grant_types.contains(&GrantType::AuthorizationCode) && self.redirect_uris.is_empty() {
            return Err(InvalidClient::NoRedirectUri);
        }
        if self.secret_hash.is_none() && self.grant_types.contains(&GrantType::ClientCredentials) {
            return Err(InvalidClient::PublicClientCredentials);
        }
        Ok(())
    }

    /// Confidential with a secret, public without.
    pub fn client_type(&self) -> ClientType {
        if self.secret_hash.is_some() { ClientType::Confidential } else { ClientType::Public }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids_cannot_be_taken_for_user_ids() {
        assert!(ClientId::parse("my-app").is_some());
        assert!(ClientId::parse("01933b7e-0000-7000-8000-000000000000").is_none());
        assert!(ClientId::parse("01933b7e000070008000000000000000").is_none());
        assert!(ClientId::parse("").is_none());
        assert!(ClientId::parse("a\u{0}b").is_none());
        assert!(ClientId::parse(&"a".repeat(256)).is_none());
    }
}
