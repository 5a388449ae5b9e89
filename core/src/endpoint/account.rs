//! A person's own account: what is there, and an end to each of it.

mod email;
mod password;

use std::collections::BTreeSet;

use http::StatusCode;
use uuid::Uuid;

use super::{register::VERIFICATION_LIFETIME, session::removal_cookie, session::session_cookie_name};
use crate::{
    audit::{Event, EventType},
    error::{Error, Fault, ProtocolError},
    mail::Letter,
    model::{ClientId, EmailToken, Origin, Password, PasswordHash, Scopes, SessionToken, Timestamp, User},
    page::{
        AccountPage, ApplicationItem, LoggedOutPage, SessionItem, UnverifiedPage, time_for_machines, time_for_people,
    },
    ports::{Host, PasswordCheck},
    request::Parameters,
    response::{self, Reply, WithHeader, see_other},
    router::Endpoint,
    server::{Exchange, Server, seconds_until},
    store::{GrantView, NewEmailToken, Session, Store, VerificationRequest},
};

const ACCOUNT: &str = "account";

/// What a form says that did not come back from the browser that it was made for.
pub(super) const FORM_EXPIRED: &str = "This page was open for too long, or cookies are blocked. Please try again.";

/// What the account page says first. It is named in the address, so it can be nothing but one of these.
const DONE: [(&str, &str); 6] = [
    ("password", "Your password was changed. Other devices and applications were logged out."),
    ("email", "A mail is on its way to the new address. Open the link in it within 24 hours."),
    ("verify", "A mail is on its way. Open the link in it within 24 hours."),
    ("end_session", "That browser was logged out."),
    ("revoke", "The application has no access any more."),
    ("nothing", "It had ended already."),
];

/// An application with access: all of its grants together.
struct Application {
    client: Uuid,
    client_id: ClientId,
    name: String,
    scopes: BTreeSet<String>,
    since: Timestamp,
    /// Of the newest grant.
    origin: Origin,
}

/// Grants by application. They come newest first, and so do the applications.
fn applications(grants: Vec<GrantView>) -> Vec<Application> {
    let mut applications: Vec<Application> = Vec::new();
    for grant in grants {
        match applications.iter_mut().find(|application| application.client == grant.client) {
            Some(application) => {
                application.scopes.extend(grant.scopes.to_vec());
                application.since = application.since.min(grant.created_at);
            }
            None => applications.push(Application {
                client: grant.client,
                client_id: grant.client_id,
                name: grant.client_name,
                scopes: grant.scopes.to_vec().into_iter().collect(),
                since: grant.created_at,
                origin: grant.origin,
            }),
        }
    }
    applications
}

fn words(origin: &Origin) -> String {
    match (&origin.device, &origin.address) {
        (Some(device), Some(address)) => format!("{device} ({address})"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    }
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) async fn account_page(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let parameters = Parameters::from_query(exchange.request)?;
        let done = parameters.get("done")?;
        let (token, session) = match self.person_or_login(exchange, Endpoint::Account).await? {
            Ok(person) => person,
            Err(login) => return Ok(login),
        };
        let user = &session.user;
        let sessions = self.store.sessions_of(user.id, exchange.now).await?;
        let sessions: Vec<_> = sessions
            .into_iter()
            .map(|it| SessionItem {
                id: it.id.to_string(),
                device: it.origin.device.unwrap_or_default(),
                address: it.origin.address.unwrap_or_default(),
                since: time_for_people(it.authenticated_at),
                since_machine: time_for_machines(it.authenticated_at),
                is_this: it.id == session.id,
            })
            .collect();
        let applications: Vec<_> = self
            .applications_of(user.id, exchange.now)
            .await?
            .into_iter()
            .map(|it| ApplicationItem {
                id: it.client.to_string(),
                name: it.name,
                scopes: it.scopes.into_iter().collect::<Scopes>().to_string(),
                since: time_for_people(it.since),
                since_machine: time_for_machines(it.since),
                origin: words(&it.origin),
            })
            .collect();
        let page = AccountPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(ACCOUNT, token.expose(), ""),
            username: &user.username,
            email: &user.email,
            is_verified: user.is_verified,
            done: DONE.iter().find(|(name, _)| Some(*name) == done).map(|(_, text)| *text),
            applications: &applications,
            sessions: &sessions,
        };
        Ok(response::page(StatusCode::OK, &page, None))
    }

    async fn applications_of(&self, user: Uuid, now: Timestamp) -> Result<Vec<Application>, Fault> {
        // The code lives for a while before its access token does.
        let recent = now - self.config.authorization_code_lifetime - self.config.access_token_lifetime;
        Ok(applications(self.store.grants_of(user, recent, now).await?))
    }

    /// The forms of the account page.
    pub(crate) async fn change_account(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        let form = Parameters::from_form(exchange.request)?;
        let (token, session) = match self.person_or_login(exchange, Endpoint::Account).await? {
            Ok(person) => person,
            Err(login) => return Ok(login),
        };
        if !self.is_session_form(&form, ACCOUNT, &token)? {
            let error = ProtocolError::invalid_request("the form was not made for this session");
            return Err(error.with_status(StatusCode::FORBIDDEN).into());
        }
        let id = form.get("id")?.and_then(|id| Uuid::parse_str(id).ok());
        match (form.require("action")?, id) {
            ("verify", _) => self.verify_again(exchange, &session).await,
            ("log_out_everywhere", _) => self.log_out_everywhere(exchange, session.user.id).await,
            ("end_session", Some(id)) => {
                let is_done = self.store.end_own_session(session.user.id, id).await?;
                if is_done {
                    self.audit(exchange, Event::new(EventType::SessionEnded).user(session.user.id)).await;
                }
                Ok(self.account_with(if is_done { "end_session" } else { "nothing" }))
            }
            ("revoke", Some(id)) => self.revoke_application(exchange, session.user.id, id).await,
            _ => Err(ProtocolError::invalid_request("there is no such action").into()),
        }
    }

    /// The account page, saying what was done.
    fn account_with(&self, done: &str) -> Reply {
        see_other(&format!("{}?done={done}", self.location(Endpoint::Account)))
    }

    async fn revoke_application(&self, exchange: &Exchange<'_>, user: Uuid, client: Uuid) -> Result<Reply, Error> {
        let known = self.applications_of(user, exchange.now).await?;
        if !self.store.revoke_application(user, client, exchange.now).await? {
            return Ok(self.account_with("nothing"));
        }
        let event = Event::new(EventType::ApplicationRevoked).user(user);
        let event = match known.iter().find(|application| application.client == client) {
            Some(application) => event.client(&application.client_id),
            None => event,
        };
        self.audit(exchange, event).await;
        Ok(self.account_with("revoke"))
    }

    async fn log_out_everywhere(&self, exchange: &Exchange<'_>, user: Uuid) -> Result<Reply, Error> {
        let audit = self.audit_record(exchange, Event::new(EventType::LoggedOutEverywhere).user(user));
        self.store.end_access(user, exchange.now, Some(&audit)).await?;
        audit.log();
        let page = LoggedOutPage { base: self.config.issuer.path() };
        Ok(response::page(StatusCode::OK, &page, None)
            .with_cookie(&removal_cookie(&self.config, session_cookie_name(&self.config))))
    }

    async fn verify_again(&self, exchange: &Exchange<'_>, session: &Session) -> Result<Reply, Error> {
        if session.user.is_verified {
            return Ok(self.account_with("nothing"));
        }
        self.request_verification(exchange, &session.user, &session.user.email).await?;
        Ok(self.account_with("verify"))
    }

    /// Sends a link to an address that this person says is theirs.
    async fn request_verification(&self, exchange: &Exchange<'_>, user: &User, email: &str) -> Result<(), Error> {
        let now = exchange.now;
        let token = EmailToken::generate(&self.host);
        let host = self.config.issuer.host();
        let letter = Letter::verify(host, &self.link(Endpoint::VerifyEmail, &token, &[]));
        let taken = Letter::address_taken(host, &self.address(Endpoint::Login));
        let (mail, expires_at) = (self.new_id(now), now + VERIFICATION_LIFETIME);
        let request = VerificationRequest {
            user: user.id,
            email: email.to_owned(),
            token: NewEmailToken { digest: token.digest(), expires_at },
            mail: self.seal_mail(mail, &letter, expires_at),
            taken: self.seal_mail(mail, &taken, expires_at),
            now,
        };
        self.store.request_verification(&request).await?;
        self.note_queued_mail();
        self.audit(exchange, Event::new(EventType::VerificationRequested).user(user.id)).await;
        Ok(())
    }

    /// A page instead of going on, for an account whose address was not verified where that is required.
    pub(super) fn unverified(&self, token: &SessionToken, user: &User) -> Option<Reply> {
        if user.is_verified || !self.config.email_verification_required {
            return None;
        }
        let page = UnverifiedPage {
            base: self.config.issuer.path(),
            csrf_token: &self.form_token(ACCOUNT, token.expose(), ""),
            email: &user.email,
        };
        Some(response::page(StatusCode::FORBIDDEN, &page, None))
    }

    /// Whether this is the person's password, asked for once more before something that an open browser or a link alone must
    /// not do. The hash that it was compared with comes along. A wrong one is recorded as `failure`, and counted as at a login:
    /// a stolen cookie is no way to guess on and on.
    pub(super) async fn confirm_password(
        &self,
        exchange: &Exchange<'_>,
        user: &User,
        password: &str,
        failure: EventType,
    ) -> Result<Option<PasswordHash>, Error> {
        let Some(password) = Password::new(password) else {
            return Ok(None);
        };
        let device = self.device_token(exchange);
        let admitted = self.attempt_login(exchange, &user.email, device.as_ref()).await?;
        let admitted =
            admitted.map_err(|until| ProtocolError::too_many_requests(seconds_until(until, exchange.now)))?;
        let hash = admitted.credentials.map(|credentials| credentials.password_hash);
        if self.host.verify(password, hash.clone()).await? == PasswordCheck::Wrong {
            self.audit(exchange, Event::new(failure).user(user.id)).await;
            return Ok(None);
        }
        Ok(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(client: u128, scope: &str, seconds: i64, device: &str) -> GrantView {
        GrantView {
            client: Uuid::from_u128(client),
            client_id: ClientId::parse(&format!("client-{client}")).expect("a client_id"),
            client_name: format!("App {client}"),
            scopes: Scopes::parse(scope).expect("scopes"),
            created_at: Timestamp::from_timestamp(seconds, 0).expect("in range"),
            origin: Origin { address: None, device: Some(device.to_owned()) },
        }
    }

    #[test]
    fn an_application_is_all_of_its_grants() {
        let grants =
            vec![grant(1, "read", 30, "newest"), grant(2, "write", 20, "other"), grant(1, "profile", 10, "oldest")];
        let found = applications(grants);
        let [first, second] = found.as_slice() else { panic!("two applications") };
        assert_eq!(first.scopes.iter().map(String::as_str).collect::<Vec<_>>(), ["profile", "read"]);
        assert_eq!((first.since.timestamp(), words(&first.origin).as_str()), (10, "newest"));
        assert_eq!((second.since.timestamp(), second.name.as_str()), (20, "App 2"));
    }
}
