//! The audit log: who did what, when, from where, and how it ended. No secrets, bounded texts.
//!
//! Each event is appended to the store and written once to the tracing target `authly::audit`. Where a change of
//! state costs one statement, its event is part of that statement: there is no such change without its record. What
//! stands for itself (a failed login, say) is a statement of its own; where that one fails, the request goes on, for
//! what it did is done already, and an audit log that takes the service down with it would hand every attacker a
//! switch. The failure is logged as an error, and the event is in the log all the same.

use std::{borrow::Cow, net::IpAddr};

use http::header;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    model::{ClientId, Timestamp},
    ports::Host,
    server::{Exchange, Server},
    store::Store,
    telemetry,
};

/// The longest text of a record, in characters.
const MAX_TEXT: usize = 256;

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $outcome:ident;)+) => {
        /// What happened. The names are stable: they are stored, and people search for them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $($(#[$doc])* $variant,)+
        }

        impl EventType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// How it ended.
            pub const fn outcome(self) -> Outcome {
                match self {
                    $(Self::$variant => Outcome::$outcome,)+
                }
            }
        }
    };
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What was asked for was done.
    Success,
    /// It was refused.
    Failure,
    /// It was refused, and somebody may be up to something.
    Alert,
}

impl Outcome {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Alert => "alert",
        }
    }

    /// The outcome of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Success, Self::Failure, Self::Alert].into_iter().find(|outcome| outcome.name() == name)
    }
}

event_types! {
    /// A person logged in.
    LoginSucceeded = "login.succeeded", Success;
    /// The name or the password was wrong, or the account is not active.
    LoginFailed = "login.failed", Failure;
    /// A person logged out.
    Logout = "logout", Success;
    /// A person allowed a client what it asked for.
    ConsentGranted = "consent.granted", Success;
    /// A person denied a client what it asked for.
    ConsentDenied = "consent.denied", Failure;
    /// A client's credentials were wrong.
    ClientAuthenticationFailed = "client_authentication.failed", Failure;
    /// An authorization code was used a second time; its grant was revoked.
    CodeReplayed = "code.replayed", Alert;
    /// An old refresh token was used; its grant was revoked.
    RefreshTokenReplayed = "refresh_token.replayed", Alert;
    /// A client revoked an access token.
    TokenRevoked = "token.revoked", Success;
    /// A grant was revoked, with all tokens that came of it.
    GrantRevoked = "grant.revoked", Success;
    /// A signing key was made.
    SigningKeyCreated = "signing_key.created", Success;
    /// A signing key was made to take over from another.
    SigningKeyRotated = "signing_key.rotated", Success;
    /// An operator withdrew every signing key, and another one took over at once.
    SigningKeysReplaced = "signing_key.replaced", Success;
    /// An operator made an account.
    UserCreated = "user.created", Success;
    /// An operator changed an account.
    UserChanged = "user.changed", Success;
    /// An operator locked an account: nobody can log in to it.
    UserLocked = "user.locked", Success;
    /// An operator let a locked account be used again.
    UserUnlocked = "user.unlocked", Success;
    /// An operator removed an account.
    UserDeleted = "user.deleted", Success;
    /// An operator set a person's password; sessions and grants have ended.
    PasswordAssigned = "password.assigned", Success;
    /// An operator registered a client.
    ClientCreated = "client.created", Success;
    /// An operator changed a client.
    ClientChanged = "client.changed", Success;
    /// An operator gave a client another secret.
    ClientSecretRotated = "client.secret_rotated", Success;
    /// An operator removed a client.
    ClientDeleted = "client.deleted", Success;
    /// An operator made a scope.
    ScopeCreated = "scope.created", Success;
    /// An operator changed a scope.
    ScopeChanged = "scope.changed", Success;
    /// An operator removed a scope.
    ScopeDeleted = "scope.deleted", Success;
    /// Somebody asked for an account.
    Registered = "user.registered", Success;
    /// Somebody asked for an account with an address that has one.
    RegistrationRepeated = "user.registration_repeated", Failure;
    /// A mail to verify an address was asked for.
    VerificationRequested = "email.verification_requested", Success;
    /// An address was verified.
    EmailVerified = "email.verified", Success;
    /// An account has another address.
    EmailChanged = "email.changed", Success;
    /// A link was right and the password with it wrong.
    VerificationFailed = "email.verification_failed", Failure;
    /// A mail to reset a password was asked for.
    PasswordResetRequested = "password.reset_requested", Success;
    /// A password was set by such a mail; sessions and grants have ended.
    PasswordReset = "password.reset", Success;
    /// A password was changed; other sessions and grants have ended.
    PasswordChanged = "password.changed", Success;
    /// A person's password was wrong where it was asked for once more.
    PasswordConfirmationFailed = "password.confirmation_failed", Failure;
    /// A person ended one of their sessions.
    SessionEnded = "session.ended", Success;
    /// A person logged out everywhere.
    LoggedOutEverywhere = "logout.everywhere", Success;
    /// A person ended an application's access.
    ApplicationRevoked = "application.revoked", Success;
    /// Too many requests or attempts.
    RateLimitExceeded = "rate_limit.exceeded", Alert;
}

/// An event as the code that notices it tells of it.
#[derive(Clone, Debug)]
pub struct Event {
    event_type: EventType,
    user_id: Option<Uuid>,
    actor: Option<String>,
    client_id: Option<String>,
    grant_id: Option<Uuid>,
    detail: Option<String>,
}

impl Event {
    /// An event of this type.
    pub fn new(event_type: EventType) -> Self {
        Self { event_type, user_id: None, actor: None, client_id: None, grant_id: None, detail: None }
    }

    /// The person it is about.
    #[must_use]
    pub fn user(self, user_id: Uuid) -> Self {
        Self { user_id: Some(user_id), ..self }
    }

    /// Who did it, where that is not the person it is about.
    #[must_use]
    pub fn actor(self, actor: impl std::fmt::Display) -> Self {
        Self { actor: Some(actor.to_string()), ..self }
    }

    /// The client it is about.
    #[must_use]
    pub fn client(self, client_id: &ClientId) -> Self {
        Self { client_id: Some(client_id.as_str().to_owned()), ..self }
    }

    /// The grant it is about.
    #[must_use]
    pub fn grant(self, grant_id: Uuid) -> Self {
        Self { grant_id: Some(grant_id), ..self }
    }

    /// What else there is to say, in a few words. Never a secret, and nothing that somebody typed.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its key, which sorts by time.
    pub id: Uuid,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// [`EventType::name`].
    pub event: Cow<'static, str>,
    /// [`Outcome::name`].
    pub outcome: Cow<'static, str>,
    /// Who did it, where that is not the person it is about: `user:…`, `client:…` or `operator`.
    pub actor: Option<String>,
    /// The person it is about.
    pub user_id: Option<Uuid>,
    /// The client it is about, by its name in the protocol.
    pub client_id: Option<String>,
    /// The grant it is about.
    pub grant_id: Option<Uuid>,
    /// Where the request came from.
    pub client_address: Option<String>,
    /// By which program.
    pub user_agent: Option<String>,
    /// The request's id, which is in the other logs as well.
    pub request_id: Option<String>,
    /// What else there is to say.
    pub detail: Option<String>,
}

/// No longer than a record's texts are, and on one line.
fn bounded(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect()
}

impl Record {
    /// An event that no request led to: a job's, or an operator's at the command line.
    pub fn new(id: Uuid, occurred_at: Timestamp, event: Event) -> Self {
        let Event { event_type, user_id, actor, client_id, grant_id, detail } = event;
        Self {
            id,
            occurred_at,
            event: event_type.name().into(),
            outcome: event_type.outcome().name().into(),
            actor: actor.as_deref().map(bounded),
            user_id,
            client_id: client_id.as_deref().map(bounded),
            grant_id,
            client_address: None,
            user_agent: None,
            request_id: None,
            detail: detail.as_deref().map(bounded),
        }
    }

    /// The same, with where it came from.
    #[must_use]
    fn of(self, exchange: &Exchange<'_>) -> Self {
        let user_agent = exchange.request.headers().get(header::USER_AGENT);
        Self {
            client_address: exchange.client_address().map(|address: IpAddr| address.to_canonical().to_string()),
            user_agent: user_agent.map(|value| bounded(&String::from_utf8_lossy(value.as_bytes()))),
            request_id: Some(bounded(exchange.request_id)),
            ..self
        }
    }

    /// Writes it to the tracing target `authly::audit`: for a record that a change of state took along, once that
    /// change is done.
    pub fn log(&self) {
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: "authly::audit",
                    event = &*self.event,
                    outcome = &*self.outcome,
                    actor = self.actor,
                    user_id = self.user_id.map(tracing::field::display),
                    client_id = self.client_id,
                    grant_id = self.grant_id.map(tracing::field::display),
                    client_address = self.client_address,
                    user_agent = self.user_agent,
                    request_id = self.request_id,
                    detail = self.detail,
                    "audit"
                )
            };
        }
        if self.outcome == Outcome::Alert.name() { log!(warn) } else { log!(info) }
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// Records an event.
    pub(crate) async fn audit(&self, exchange: &Exchange<'_>, event: Event) {
        let outcome = event.event_type.outcome();
        self.keep(&self.audit_record(exchange, event), outcome).await;
    }

    /// Records an event that no request led to.
    pub async fn audit_job(&self, now: Timestamp, event: Event) {
        let outcome = event.event_type.outcome();
        self.keep(&Record::new(self.new_id(now), now, event), outcome).await;
    }

    /// A record for a change of state to take along. It goes to the log when that is done: [`Record::log`].
    pub(crate) fn audit_record(&self, exchange: &Exchange<'_>, event: Event) -> Record {
        Record::new(self.new_id(exchange.now), exchange.now, event).of(exchange)
    }

    async fn keep(&self, record: &Record, outcome: Outcome) {
        record.log();
        if let Err(error) = self.store.record(record).await {
            self.host.count(telemetry::Event::AuditRecordLost(outcome));
            tracing::error!(
                request_id = record.request_id,
                event = &*record.event,
                %error,
                "an event is missing from the audit log of the database"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = EventType::ALL.iter().map(|event_type| event_type.name()).collect();
        assert_eq!(names.len(), EventType::ALL.len());
    }

    #[test]
    fn texts_are_bounded_and_on_one_line() {
        let now = Timestamp::from_timestamp_micros(0).expect("in range");
        let event = Event::new(EventType::LoginFailed).detail("a\nb\0".repeat(1000));
        let record = Record::new(Uuid::nil(), now, event);
        assert_eq!(record.detail, Some("ab".repeat(MAX_TEXT / 2)));
    }
}
