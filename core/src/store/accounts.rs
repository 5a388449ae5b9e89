//! Accounts of people: what they do with their own.
//!
//! Where an answer must not tell whether there is an account, the same statement runs and writes as much either way.

use std::future::Future;

use uuid::Uuid;

use super::{NewMail, StoreError};
use crate::{
    audit::Record,
    model::{ClientId, Digest, Origin, PasswordHash, Scopes, Timestamp, User, UserCredentials},
};

/// What the link in a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EmailPurpose {
    /// The address is the person's, who has it or wants to have it from now on.
    Verify,
    /// The person has forgotten the password.
    Reset,
}

impl EmailPurpose {
    /// Its name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }
}

/// The token of such a link, to be stored. It takes the place of an older one of the same person and purpose.
#[derive(Clone, Debug)]
pub struct NewEmailToken {
    /// Its digest.
    pub digest: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Somebody who wants an account.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The account, its address not verified. Its name is the address, or the id where that name is taken.
    pub user: User,
    /// The hash of its password.
    pub password_hash: PasswordHash,
    /// Verifies the address.
    pub token: NewEmailToken,
    /// The mail with the token.
    pub welcome: NewMail,
    /// The mail instead of it, to an address that has an account.
    pub known: NewMail,
    /// Now.
    pub now: Timestamp,
}

/// A person who wants to show that an address is theirs.
#[derive(Clone, Debug)]
pub struct VerificationRequest {
    /// Whose account.
    pub user: Uuid,
    /// The address, in lower case: the one that they have, or another one.
    pub email: String,
    /// The token.
    pub token: NewEmailToken,
    /// The mail with the token.
    pub mail: NewMail,
    /// The mail instead of it, to an address that is another account's.
    pub taken: NewMail,
    /// Now.
    pub now: Timestamp,
}

/// Somebody who says that they have forgotten the password.
#[derive(Clone, Debug)]
pub struct ResetRequest {
    /// The address that was typed.
    pub email: String,
    /// The token.
    pub token: NewEmailToken,
    /// The mail with the token.
    pub mail: NewMail,
    /// Now.
    pub now: Timestamp,
}

/// What a link stands for, while it is good.
#[derive(Clone, Debug)]
pub struct EmailTokenHolder {
    /// Whose account.
    pub credentials: UserCredentials,
    /// The address that it was sent to.
    pub email: String,
}

/// What became of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The account has this address now, verified. It had another one before, which was told.
    Changed(User),
    /// The account's address is verified.
    Verified(User),
    /// Another account has the address by now. The token is used up.
    Taken,
    /// There is no such token any more.
    Unknown,
}

/// A new password for somebody who knows the old one.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// Whose.
    pub user: Uuid,
    /// The hash that the old one was compared with.
    pub old: PasswordHash,
    /// The hash of the new one.
    pub new: PasswordHash,
    /// The session that goes on; every other one ends.
    pub keep: Digest,
    /// Tells the person.
    pub notice: NewMail,
    /// Now.
    pub now: Timestamp,
}

/// A new password for somebody who followed a link.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    /// The token of the link.
    pub token: Digest,
    /// The hash of the new password.
    pub new: PasswordHash,
    /// Tells the person.
    pub notice: NewMail,
    /// Now.
    pub now: Timestamp,
}

/// A session as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The key of its row.
    pub id: Uuid,
    /// When the password was entered.
    pub authenticated_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// From where.
    pub origin: Origin,
}

/// A grant as the person who made it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantView {
    /// The key of the client's row.
    pub client: Uuid,
    /// The client's name in the protocol.
    pub client_id: ClientId,
    /// Its name for people.
    pub client_name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Since when.
    pub created_at: Timestamp,
    /// From where it was allowed.
    pub origin: Origin,
}

/// Accounts, as their owners use them.
pub trait Accounts: Send + Sync + 'static {
    /// Makes an account with a mail to verify its address; where the address has one already, sends the other mail to
    /// it and changes nothing. Whether it made one.
    fn register(&self, registration: &Registration) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Stores a token for the address, and the mail with it; where the address is another account's, no token, and the
    /// other mail. Whether it stored one.
    fn request_verification(
        &self,
        request: &VerificationRequest,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Stores a token for the active account of this address (in any case), and the mail with it to the address as the
    /// account has it. Without such an account, it stores a mail to nobody. Whose account it is.
    fn request_reset(&self, request: &ResetRequest) -> impl Future<Output = Result<Option<Uuid>, StoreError>> + Send;

    /// Whose link this is, while it is good and the account active. It changes nothing: programs open links too.
    fn email_token(
        &self,
        token: &Digest,
        purpose: EmailPurpose,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<EmailTokenHolder>, StoreError>> + Send;

    /// Uses a token of [`EmailPurpose::Verify`]. Where the address is a new one, the name follows it if it was the
    /// address, links to reset the password end, and `notice` goes to the old address.
    fn verify_email(
        &self,
        token: &Digest,
        notice: &NewMail,
        now: Timestamp,
    ) -> impl Future<Output = Result<Verification, StoreError>> + Send;

    /// Uses a token of [`EmailPurpose::Reset`]: sets the password, verifies the address that the link went to, and ends
    /// every session, grant and other link of the person. Whose account it is; none: there is no such token any more.
    fn reset_password(&self, reset: &PasswordReset) -> impl Future<Output = Result<Option<User>, StoreError>> + Send;

    /// Sets the password, unless it was changed since it was compared, and ends every other session and every grant and
    /// link of the person. Whether it did so.
    fn change_password(&self, change: &PasswordChange) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// What a login of this account compares.
    fn credentials(&self, user: Uuid) -> impl Future<Output = Result<Option<UserCredentials>, StoreError>> + Send;

    /// The person's sessions that last, newest first, at most 100.
    fn sessions_of(
        &self,
        user: Uuid,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<SessionView>, StoreError>> + Send;

    /// The person's grants that something can still be done with, newest first, at most 500: that have a refresh token
    /// which is good, or were made after `recent`, so that an access token may be.
    fn grants_of(
        &self,
        user: Uuid,
        recent: Timestamp,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<GrantView>, StoreError>> + Send;

    /// Ends one session of this person. Whether there was such a one.
    fn end_own_session(&self, user: Uuid, session: Uuid) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Revokes every grant of this person to a client, and forgets the consent. Whether there was any.
    fn revoke_application(
        &self,
        user: Uuid,
        client: Uuid,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Ends every session of this person, and revokes every grant.
    fn end_access(
        &self,
        user: Uuid,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes at most `limit` tokens of links that ended before `now`.
    fn sweep_email_tokens(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
