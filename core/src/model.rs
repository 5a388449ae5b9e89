//! Validated domain types: a value of one of these types has been checked once, where it came in.

mod client;
mod grant;
mod opaque;
mod origin;
mod password;
mod redirect_uri;
mod scope;
mod secret;
mod user;

pub use client::{
    AuthMethod, Client, ClientId, ClientSecretHash, ClientType, GrantType, InvalidClient, NewClient, PreviousSecret,
};
pub use grant::{CodeChallenge, CodeVerifier, InvalidPkce, Resource};
pub use opaque::{AuthorizationCode, ClientSecret, DeviceToken, Digest, EmailToken, SessionToken};
pub use origin::Origin;
pub use password::{NewPassword, WeakPassword};
pub use redirect_uri::{InvalidRedirectUri, RedirectUri};
pub use scope::{InvalidScope, ScopeDescription, Scopes};
pub use secret::{Password, Secret};
pub use user::{InvalidUser, NewUser, PasswordHash, User, UserCredentials};

/// A moment in time. Stores keep it as microseconds since the Unix epoch or as `timestamptz`.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
