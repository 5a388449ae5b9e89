//! The store contract. Each method is one protocol transition, atomic on its own, with a named outcome.
//!
//! There is no transaction in the interface: a host whose database interface has none (a Spin component) implements
//! it all the same. A method takes digests, never raw tokens; the time; and successors made beforehand. It returns an
//! outcome, and [`StoreError`] only where the infrastructure failed, in which case the caller does not know whether
//! the transition happened, and every transition is safe to repeat.
//!
//! `testing::suite` (feature `testing`) holds every backend to this contract, races included.

use std::future::Future;

use uuid::Uuid;

use crate::{
    audit::Record,
    crypto::SealedKey,
    model::{
        Client, ClientId, CodeChallenge, Digest, NewClient, NewUser, Origin, PasswordHash, RedirectUri,
        ScopeDescription, Scopes, Timestamp, User, UserCredentials,
    },
};

mod accounts;
mod administration;
mod audit;
mod jobs;
mod limits;
mod outbox;
pub mod postgres;
pub mod sqlite;

pub use accounts::{
    Accounts, EmailPurpose, EmailTokenHolder, GrantView, NewEmailToken, PasswordChange, PasswordReset, Registration,
    ResetRequest, SessionView, Verification, VerificationRequest,
};
pub use administration::{
    Administration, ClientFilter, ClientRecord, GrantFilter, GrantRecord, ScopeFilter, ScopeRecord, SessionFilter,
    SessionRecord, UserChange, UserFilter, UserRecord, UserUpdate,
};
pub use audit::{AuditFilter, AuditLog};
pub use jobs::{Job, JobLease, JobOutcome, JobRun, JobState, Jobs};
pub use limits::{Admission, Ask, AttemptCounters, AttemptOutcome, Limits, LoginAttempt, LoginEffects};
pub use outbox::{Backlog, ClaimedMail, NewMail, Outbox};

/// The infrastructure failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or does not answer in time. The caller is told to retry.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A statement failed, or a row is not what the schema promises. A defect, or a schema that was not migrated.
    #[error("the database refused or returned something unexpected: {0}")]
    Unexpected(String),
}

/// Whether something with a unique name was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was.
    Created,
    /// The name is taken; nothing was changed.
    Conflict,
}

/// A browser's login, to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The key of its row.
    pub id: Uuid,
    /// The digest of the cookie.
    pub digest: Digest,
    /// Who logged in.
    pub user_id: Uuid,
    /// When.
    pub authenticated_at: Timestamp,
    /// When the person has to log in again.
    pub expires_at: Timestamp,
    /// From where.
    pub origin: Origin,
    /// A session that this one replaces in the same browser, which ends.
    pub replaces: Option<Digest>,
    /// What else the login changes.
    pub effects: Option<LoginEffects>,
    /// The event to record with it.
    pub audit: Option<Record>,
}

/// A browser's login that is still good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The key of its row.
    pub id: Uuid,
    /// Who is logged in.
    pub user: User,
    /// When the password was entered.
    pub authenticated_at: Timestamp,
}

/// A person's decision to authorize a client: a grant, with the code that leads to it.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// The key of the grant.
    pub id: Uuid,
    /// Who authorized.
    pub user_id: Uuid,
    /// Whom.
    pub client_id: Uuid,
    /// What for.
    pub scopes: Scopes,
    /// Whom its tokens may be meant for (RFC 8707): at least one.
    pub resources: Vec<String>,
    /// When the person authenticated.
    pub authenticated_at: Timestamp,
    /// When the decision was made.
    pub created_at: Timestamp,
    /// When everything that came of it ends at the latest.
    pub expires_at: Timestamp,
    /// The digest of the authorization code.
    pub code: Digest,
    /// When the code ends.
    pub code_expires_at: Timestamp,
    /// The redirect URI of the request.
    pub redirect_uri: RedirectUri,
    /// The PKCE challenge of the request.
    pub code_challenge: Option<CodeChallenge>,
    /// From where the decision was made.
    pub origin: Origin,
    /// Whether the next request like it needs no consent page.
    pub remember_consent: bool,
    /// The event to record with it.
    pub audit: Option<Record>,
}

/// The use of an authorization code.
#[derive(Clone, Debug)]
pub struct CodeRedemption {
    /// The digest of the presented code.
    pub code: Digest,
    /// The authenticated client.
    pub client_id: Uuid,
    /// Its `redirect_uri` parameter, if sent.
    pub redirect_uri: Option<String>,
    /// The challenge of the presented verifier.
    pub code_challenge: Option<CodeChallenge>,
    /// Resources asked for: others than the grant's leave everything as it was.
    pub resources: Vec<String>,
    /// Now.
    pub now: Timestamp,
    /// The refresh token to issue along with it.
    pub refresh_token: Option<NewRefreshToken>,
}

/// The first refresh token of a grant.
#[derive(Clone, Debug)]
pub struct NewRefreshToken {
    /// Names the row for as long as the grant lives, through every rotation.
    pub id: Uuid,
    /// The digest of the token's secret.
    pub digest: Digest,
    /// When it ends unless it is used.
    pub idle_expires_at: Timestamp,
}

/// A grant that tokens are being issued for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its key, and the `grant_id` of its tokens.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// What for.
    pub scopes: Scopes,
    /// Whom its tokens may be meant for.
    pub resources: Vec<String>,
    /// When the person authenticated.
    pub authenticated_at: Timestamp,
    /// When everything that came of it ends at the latest.
    pub expires_at: Timestamp,
}

/// What became of an authorization code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// This was its one use; the refresh token, if any was given, is stored.
    Issued(Grant),
    /// It had been used before: its grant, with all that was issued, is revoked now. RFC 6749 §4.1.2.
    Replayed(Uuid),
    /// Its time has passed.
    Expired,
    /// Client, redirect URI or verifier are not those of the request. Nothing was changed.
    Mismatched,
    /// A resource was asked for that was not granted. Nothing was changed.
    TargetExceeded,
    /// The grant was revoked, or its user cannot log in any more.
    Revoked,
    /// There is no such code.
    Unknown,
}

/// The use of a refresh token.
#[derive(Clone, Debug)]
pub struct RefreshRotation {
    /// The row that the token names.
    pub id: Uuid,
    /// How many rotations led to the token.
    pub generation: u32,
    /// The digest of its secret.
    pub digest: Digest,
    /// The digest of the secret of its successor, which follows from the token.
    pub successor: Digest,
    /// The authenticated client.
    pub client_id: Uuid,
    /// Now.
    pub now: Timestamp,
    /// Uses of the same token at or after this time are retries, as long as the successor was not used.
    pub retry_since: Timestamp,
    /// When the successor ends unless it is used.
    pub idle_expires_at: Timestamp,
    /// Scopes asked for: wider ones than the grant's leave everything as it was.
    pub scopes: Option<Scopes>,
    /// Resources asked for: others than the grant's leave everything as it was.
    pub resources: Vec<String>,
}

/// What became of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// The successor is valid now, in its place.
    Rotated(Grant),
    /// A retry: the successor that is already valid is handed out once more.
    Repeated(Grant),
    /// An old token, when its time for retries was over or its successor was used: the grant is revoked now.
    /// RFC 9700 §4.14.2.
    Replayed(Uuid),
    /// More scopes were asked for than were granted. Nothing was changed.
    ScopeExceeded,
    /// A resource was asked for that was not granted. Nothing was changed.
    TargetExceeded,
    /// It was not used in time, or the grant is over.
    Expired,
    /// It belongs to another client. Nothing was changed.
    Mismatched,
    /// The grant was revoked, or its user cannot log in any more.
    Revoked,
    /// There is no such token.
    Unknown,
}

/// A token that is to be revoked or introspected, authenticated by its signature or MAC before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenReference {
    /// A refresh token.
    Refresh {
        /// The row that it names.
        id: Uuid,
        /// How many rotations led to it.
        generation: u32,
        /// The digest of its secret.
        digest: Digest,
    },
    /// An access token.
    Access {
        /// Its `jti`.
        jti: String,
        /// Its `client_id`.
        client_id: ClientId,
        /// Its `grant_id`: none where a client acts for itself.
        grant_id: Option<Uuid>,
        /// When it ends, after which its revocation can be forgotten.
        expires_at: Timestamp,
    },
}

/// What a revocation changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Nothing: there was no such token, it was another client's, or it had been revoked before.
    Nothing,
    /// An access token.
    Token,
    /// A grant of this person.
    Grant {
        /// The grant.
        id: Uuid,
        /// Whose it was.
        user_id: Uuid,
    },
}

/// What the store knows of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// A refresh token that can be used.
    ActiveRefresh {
        /// The client it was issued to.
        client_id: ClientId,
        /// Who granted it.
        user: User,
        /// What for.
        scopes: Scopes,
        /// Whom its access tokens may be meant for.
        resources: Vec<String>,
        /// When it was issued.
        issued_at: Timestamp,
        /// When it ends unless it is used.
        expires_at: Timestamp,
    },
    /// An access token that has neither ended nor been revoked, whose client is active and, if it has a grant, whose
    /// grant and user are.
    ActiveAccess {
        /// Who granted it.
        user: Option<User>,
    },
    /// Anything else.
    Inactive,
}

/// What is to be read in one go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lookup<'a> {
    /// A client, by its name.
    pub client: Option<&'a ClientId>,
    /// A token.
    pub token: Option<&'a TokenReference>,
    /// Whether the published signing keys are wanted along with it: a host that keeps nothing between requests would
    /// need a statement more for them.
    pub signing_keys: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The client, if it was asked for and exists.
    pub client: Option<Client>,
    /// The token's state: inactive, if it was not asked for.
    pub token: TokenState,
    /// The published keys, oldest first, if they were asked for.
    pub signing_keys: Option<Vec<SealedKey>>,
}

/// What an authorization request needs to know of the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAndConsent {
    /// The login.
    pub session: Session,
    /// The scopes that this person allowed this client before, if any.
    pub consented: Option<Scopes>,
}

/// How many rows a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Authorization codes that ended.
    pub authorization_codes: u64,
    /// Refresh tokens that ended, and revocations of access tokens that ended.
    pub tokens: u64,
    /// Grants that ended.
    pub grants: u64,
    /// Sessions that ended.
    pub sessions: u64,
}

impl Swept {
    /// All rows together.
    pub fn total(&self) -> u64 {
        self.authorization_codes + self.tokens + self.grants + self.sessions
    }
}

/// Counts for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts.
    pub users: u64,
    /// Registered clients.
    pub clients: u64,
    /// Registered scopes.
    pub scopes: u64,
    /// Sessions that are good at the given time.
    pub sessions: u64,
    /// Grants that are neither revoked nor over.
    pub grants: u64,
}

/// Persistent state, shared by all instances. What belongs to one subject has a trait of its own.
///
/// # Security
/// Implementations compare bindings (client, redirect URI, challenge, digest) inside the atomic step, so that a wrong
/// guess cannot use up what belongs to somebody else.
pub trait Store: Accounts + Administration + Outbox + Limits + AuditLog + Jobs {
    /// Whether the database answers and has the schema that this version needs.
    fn ready(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whatever a request needs to know of a client with its active scopes, a token's state (RFC 7662 §2) and the signing
    /// keys, in any combination.
    fn look_up(&self, lookup: Lookup<'_>, now: Timestamp) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// A client with its active scopes.
    fn client(&self, client_id: &ClientId) -> impl Future<Output = Result<Option<Client>, StoreError>> + Send {
        async move {
            let lookup = Lookup { client: Some(client_id), ..Lookup::default() };
            Ok(self.look_up(lookup, Timestamp::UNIX_EPOCH).await?.client)
        }
    }

    /// Registers a client. Scopes that do not exist are ignored: check them first.
    fn create_client(
        &self,
        client: &NewClient,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Every scope, by name.
    fn scopes(&self) -> impl Future<Output = Result<Vec<ScopeDescription>, StoreError>> + Send;

    /// Registers a scope.
    fn create_scope(
        &self,
        id: Uuid,
        scope: &ScopeDescription,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// The account of this e-mail address (in any case) or user name. Where both exist, an exact match of the
    /// address wins, then the name.
    fn user_by_login(&self, login: &str) -> impl Future<Output = Result<Option<UserCredentials>, StoreError>> + Send;

    /// Makes an account, unless its address or name is taken.
    fn create_user(
        &self,
        user: &NewUser,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Puts `new` in the place of `old`, unless the password was changed since.
    fn replace_password_hash(
        &self,
        user: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Starts a session, and ends the one it replaces.
    fn create_session(&self, session: &NewSession) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The session of this cookie, while it lasts and its user is active.
    fn session(
        &self,
        digest: &Digest,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Session>, StoreError>> + Send;

    /// Ends a session; one that is not there is ended already. Tells whose it was, and has `audit` recorded as theirs.
    fn end_session(
        &self,
        digest: &Digest,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<Option<Uuid>, StoreError>> + Send;

    /// The session of this cookie, and what its user allowed this client before.
    fn session_and_consent(
        &self,
        digest: &Digest,
        client: Uuid,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<SessionAndConsent>, StoreError>> + Send;

    /// Stores a grant with its authorization code and, if so wished, adds its scopes to the remembered consent.
    fn create_grant(&self, grant: &NewGrant) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Uses an authorization code. Of any number of concurrent uses, one succeeds.
    fn redeem_code(&self, redemption: &CodeRedemption) -> impl Future<Output = Result<CodeOutcome, StoreError>> + Send;

    /// Uses a refresh token. Of any number of concurrent uses, one rotates and the others repeat it: there is never
    /// more than one live successor.
    fn rotate_refresh_token(
        &self,
        rotation: &RefreshRotation,
    ) -> impl Future<Output = Result<RefreshOutcome, StoreError>> + Send;

    /// Revokes a token of this client (RFC 7009 §2.1); a foreign one stays as it is. A refresh token of any
    /// generation takes its grant along. Tells whether there was anything to revoke, and has `audit` recorded if so.
    fn revoke_token(
        &self,
        token: &TokenReference,
        client: Uuid,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> impl Future<Output = Result<Revoked, StoreError>> + Send;

    /// Signing keys that are published at this time, oldest first.
    fn signing_keys(&self, now: Timestamp) -> impl Future<Output = Result<Vec<SealedKey>, StoreError>> + Send;

    /// Stores a key as number [`SealedKey::sequence`], and has those before it, of whatever algorithm, retire at
    /// `predecessors_retire_at` at the latest. Where that number is taken, another instance was faster and
    /// nothing is changed.
    fn create_signing_key(
        &self,
        key: &SealedKey,
        predecessors_retire_at: Timestamp,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Puts the same key, sealed anew, in place of `old`, unless it was sealed anew since.
    fn reseal_signing_key(
        &self,
        kid: &str,
        old: &[u8],
        new: &[u8],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes at most `limit` rows of each kind that ended before `now`.
    fn sweep(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<Swept, StoreError>> + Send;

    /// Counts for operators.
    fn counts(&self, now: Timestamp) -> impl Future<Output = Result<Counts, StoreError>> + Send;
}
