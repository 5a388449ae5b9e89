//! Security events, without secrets.

use uuid::Uuid;

use crate::{
    model::ClientId,
    ports::Host,
    server::{Exchange, Server},
    store::Store,
};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    /// Somebody asked for an account.
    Registered,
    /// Somebody asked for an account with an address that has one.
    RegistrationRepeated,
    /// A mail to verify an address was asked for.
    VerificationRequested,
    /// An address was verified.
    EmailVerified,
    /// An account has another address.
    EmailChanged,
    /// A link was right and the password with it wrong.
    VerificationFailed,
    /// A mail to reset a password was asked for.
    PasswordResetRequested,
    /// A password was set by such a mail; sessions and grants have ended.
    PasswordReset,
    /// A password was changed; other sessions and grants have ended.
    PasswordChanged,
    /// A person's password was wrong where it was asked for once more.
    PasswordConfirmationFailed,
    /// A person ended one of their sessions.
    SessionEnded,
    /// A person logged out everywhere.
    LoggedOutEverywhere,
    /// A person ended an application's access.
    ApplicationRevoked,
}

impl EventType {
    /// Its name in the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::RegistrationRepeated => "registration_repeated",
            Self::VerificationRequested => "verification_requested",
            Self::EmailVerified => "email_verified",
            Self::EmailChanged => "email_changed",
            Self::VerificationFailed => "verification_failed",
            Self::PasswordResetRequested => "password_reset_requested",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::PasswordConfirmationFailed => "password_confirmation_failed",
            Self::SessionEnded => "session_ended",
            Self::LoggedOutEverywhere => "logged_out_everywhere",
            Self::ApplicationRevoked => "application_revoked",
        }
    }
}

/// An event, with whom it is about.
#[derive(Debug)]
pub(crate) struct Event {
    event_type: EventType,
    user: Option<Uuid>,
    client: Option<ClientId>,
}

impl Event {
    /// An event about nobody yet.
    pub(crate) fn new(event_type: EventType) -> Self {
        Self { event_type, user: None, client: None }
    }

    /// Whose account.
    pub(crate) fn user(self, user: Uuid) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Which client.
    pub(crate) fn client(self, client: &ClientId) -> Self {
        Self { client: Some(client.clone()), ..self }
    }
}

impl<S: Store, H: Host> Server<S, H> {
    /// Records an event.
    pub(crate) async fn audit(&self, exchange: &Exchange<'_>, event: Event) {
        tracing::info!(
            target: "authly::audit",
            request_id = exchange.request_id,
            client_address = exchange.client_address().map(tracing::field::display),
            user_id = event.user.map(tracing::field::display),
            client_id = event.client.as_ref().map(tracing::field::display),
            event = event.event_type.name(),
            "audit"
        );
    }
}
