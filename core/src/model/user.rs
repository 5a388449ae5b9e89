use std::fmt;

use uuid::Uuid;

/// A password hash in PHC form, or the bcrypt hash of an older installation.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes what a hasher or the store returned.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the store and the hasher.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A person with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The key of the row, and the `sub` of the person's tokens.
    pub id: Uuid,
    /// Unique, chosen by the person.
    pub username: String,
    /// Unique.
    pub email: String,
    /// Whether the address was shown to be theirs.
    pub is_verified: bool,
    /// Whether `admin` scopes can be granted by this person.
    pub is_admin: bool,
}

/// What a login compares.
#[derive(Clone, Debug)]
pub struct UserCredentials {
    /// The account.
    pub user: User,
    /// The stored hash.
    pub password_hash: PasswordHash,
    /// Whether it may log in.
    pub is_active: bool,
}

/// Why an account cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUser {
    /// Not of the form `local@domain`.
    #[error("the e-mail address must look like name@example.com, at most 255 characters")]
    Email,
    /// Empty, too long, or with control characters.
    #[error("the user name must have 1 to 255 characters, without control characters")]
    Username,
}

/// An account to make.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The account; its e-mail address is lower case.
    pub user: User,
    /// The hash of its password.
    pub password_hash: PasswordHash,
}

impl User {
    /// A checked account. The address is kept in lower case; without a user name, the address is the name.
    pub fn new(
        id: Uuid,
        email: &str,
        username: Option<&str>,
        is_verified: bool,
        is_admin: bool,
    ) -> Result<Self, InvalidUser> {
        let email = email.trim().to_lowercase();
        let (local, domain) = email.rsplit_once('@').ok_or(InvalidUser::Email)?;
        let plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if !plain(local) || !plain(domain) || email.chars().count() > 255 {
            return Err(InvalidUser::Email);
        }
        let username = username.map_or(email.as_str(), str::trim).to_owned();
        if username.is_empty() || username.chars().count() > 255 || username.chars().any(char::is_control) {
            return Err(InvalidUser::Username);
        }
        Ok(Self { id, username, email, is_verified, is_admin })
    }
}
