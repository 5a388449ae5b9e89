//! Accounts of people.
//!
//! Whoever may change an administrator's account could become one: for that, a token needs every `admin:` scope.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    ATTEMPTS, Area, Call, body, body::Problems, changed_meanwhile, conflict, created, no_content, not_found, page,
};
use crate::{
    audit::{Event, EventType},
    error::{Error, ProtocolError},
    model::{ClientSecret, InvalidUser, NewPassword, NewUser, Password, User},
    ports::Host,
    response::Reply,
    router::Endpoint,
    server::Server,
    store::{Created, Store, UserChange, UserFilter, UserRecord, UserUpdate},
};

const MOST: u32 = 200;
const WRITABLE: [&str; 5] = ["email", "username", "verified", "admin", "active"];
/// A password that is made up has so many characters out of 64 kinds.
const MADE_UP: usize = 20;

/// A member of an answer.
type Told = (&'static str, Value);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UserBody {
    email: Option<String>,
    username: Option<String>,
    password: Option<String>,
    verified: Option<bool>,
    admin: Option<bool>,
    active: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PasswordBody {
    password: Option<String>,
}

impl UserBody {
    fn check(&self, id: Uuid) -> Result<User, ProtocolError> {
        let email = self.email.as_deref().unwrap_or_default();
        let (is_verified, is_admin) = (self.verified.unwrap_or(false), self.admin.unwrap_or(false));
        User::new(id, email, self.username.as_deref(), is_verified, is_admin).map_err(|error| {
            let pointer = match error {
                InvalidUser::Email => "/email",
                InvalidUser::Username => "/username",
            };
            unacceptable(pointer, error.to_string())
        })
    }
}

fn unacceptable(pointer: &str, detail: impl Into<String>) -> ProtocolError {
    let mut problems = Problems::default();
    problems.add(pointer, detail);
    problems.finish().err().unwrap_or_else(|| ProtocolError::invalid_request("it is not acceptable"))
}

fn record(user: &User, is_active: bool, known: &UserRecord) -> UserRecord {
    UserRecord {
        email: user.email.clone(),
        username: user.username.clone(),
        verified: user.is_verified,
        admin: user.is_admin,
        active: is_active,
        ..known.clone()
    }
}

fn require_all_scopes(call: &Call<'_>) -> Result<(), ProtocolError> {
    let areas = [Area::Clients, Area::Scopes, Area::Users, Area::System];
    call.require_scopes(areas.into_iter().flat_map(|area| [area.scope(false), area.scope(true)]))
}

fn taken() -> Error {
    conflict("another account has this e-mail address or user name")
}

fn last_administrator() -> Error {
    conflict("this is the last administrator: make another one first")
}

impl<S: Store, H: Host> Server<S, H> {
    pub(super) async fn list_users(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let filter = UserFilter {
            id: None,
            text: call.search()?,
            is_verified: call.flag("verified")?,
            is_admin: call.flag("admin")?,
            is_active: call.flag("active")?,
        };
        let (limit, after) = (call.limit(MOST)?, call.cursor::<Uuid>()?);
        let users = self.store.user_records(&filter, after, limit + 1).await?;
        Ok(page(users, limit, |user| user.id.to_string()))
    }

    pub(super) async fn show_user(&self, id: &str) -> Result<Reply, Error> {
        Ok(crate::response::json(StatusCode::OK, &self.user_record(id).await?))
    }

    async fn user_record(&self, id: &str) -> Result<UserRecord, Error> {
        let id = Uuid::try_parse(id).map_err(|_| not_found("user"))?;
        let filter = UserFilter { id: Some(id), ..UserFilter::default() };
        self.store.user_records(&filter, None, 1).await?.pop().ok_or_else(|| not_found("user"))
    }

    /// What the store would find, for a dry run.
    async fn is_last_administrator(&self, known: &UserRecord) -> Result<bool, Error> {
        if !(known.admin && known.active) {
            return Ok(false);
        }
        let filter = UserFilter { is_admin: Some(true), is_active: Some(true), ..UserFilter::default() };
        Ok(self.store.user_records(&filter, None, 2).await?.len() == 1)
    }

    /// The same: whether another account has one of these names.
    async fn is_taken(&self, user: &User) -> Result<bool, Error> {
        for login in [&user.email, &user.username] {
            if self.store.user_by_login(login).await?.is_some_and(|known| known.user.id != user.id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The password that was sent, or one that is made up, with the member that tells it once.
    fn chosen_password(&self, sent: Option<&str>, user: &User) -> Result<(Password, Option<Told>), ProtocolError> {
        let made_up =
            || ClientSecret::generate(&self.host).expose()[ClientSecret::PREFIX.len()..][..MADE_UP].to_owned();
        let text = sent.map_or_else(made_up, str::to_owned);
        let context = ["Authly", self.config.issuer.host(), &user.username, &user.email];
        let password =
            NewPassword::new(&text, &context).map_err(|error| unacceptable("/password", error.to_string()))?;
        Ok((password.into_password(), sent.is_none().then(|| ("password", text.into()))))
    }

    pub(super) async fn create_user(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let body: UserBody = body::json(call.exchange.request)?;
        let now = call.exchange.now;
        let user = body.check(self.new_id(now))?;
        if body.active == Some(false) {
            return Err(unacceptable("/active", "a new account is active; lock it afterwards").into());
        }
        if user.is_admin {
            require_all_scopes(call)?;
        }
        let (password, made_up) = self.chosen_password(body.password.as_deref(), &user)?;
        let record = UserRecord {
            id: user.id,
            email: user.email.clone(),
            username: user.username.clone(),
            verified: user.is_verified,
            admin: user.is_admin,
            active: true,
            created_at: now,
            updated_at: now,
        };
        if call.is_dry_run {
            if self.is_taken(&user).await? {
                return Err(taken());
            }
            return Ok(call.object(StatusCode::CREATED, &record, &[]));
        }
        let password_hash = self.host.hash(password).await?;
        let audit = self.admin_record(call, Event::new(EventType::UserCreated).user(user.id));
        let id = user.id;
        if self.store.create_user(&NewUser { user, password_hash }, now, Some(&audit)).await? == Created::Conflict {
            return Err(taken());
        }
        audit.log();
        let reply = call.object(StatusCode::CREATED, &record, made_up.as_slice());
        Ok(created(reply, &self.admin_location(Endpoint::AdminUsers, &id.to_string())))
    }

    pub(super) async fn change_user(&self, call: &Call<'_>, id: &str) -> Result<Reply, Error> {
        let now = call.exchange.now;
        for _ in 0..ATTEMPTS {
            let known = self.user_record(id).await?;
            let body: UserBody = body::merged(call.exchange.request, &known, &WRITABLE)?;
            let user = body.check(known.id)?;
            let is_active = body.active.unwrap_or(true);
            if known.admin || user.is_admin {
                require_all_scopes(call)?;
            }
            let changed = UserRecord { updated_at: now, ..record(&user, is_active, &known) };
            if call.is_dry_run {
                if !(user.is_admin && is_active) && self.is_last_administrator(&known).await? {
                    return Err(last_administrator());
                }
                if self.is_taken(&user).await? {
                    return Err(taken());
                }
                return Ok(call.object(StatusCode::OK, &changed, &[]));
            }
            let event_type = match (known.active, is_active) {
                (true, false) => EventType::UserLocked,
                (false, true) => EventType::UserUnlocked,
                _ => EventType::UserChanged,
            };
            let audit = self.admin_record(call, Event::new(event_type).user(user.id));
            let update = UserUpdate { user, is_active };
            match self.store.update_user(&update, known.updated_at, now, Some(&audit)).await? {
                UserChange::Changed => {
                    audit.log();
                    return Ok(call.object(StatusCode::OK, &changed, &[]));
                }
                UserChange::Stale => {}
                UserChange::Taken => return Err(taken()),
                UserChange::LastAdministrator => return Err(last_administrator()),
                UserChange::Unknown => return Err(not_found("user")),
            }
        }
        Err(changed_meanwhile())
    }

    pub(super) async fn delete_user(&self, call: &Call<'_>, id: &str) -> Result<Reply, Error> {
        let known = self.user_record(id).await?;
        if known.admin {
            require_all_scopes(call)?;
        }
        if call.is_dry_run {
            let is_last = self.is_last_administrator(&known).await?;
            return if is_last { Err(last_administrator()) } else { Ok(no_content()) };
        }
        let audit = self.admin_record(call, Event::new(EventType::UserDeleted).user(known.id));
        match self.store.delete_user(known.id, Some(&audit)).await? {
            UserChange::Changed => {
                audit.log();
                Ok(no_content())
            }
            UserChange::LastAdministrator => Err(last_administrator()),
            _ => Err(not_found("user")),
        }
    }

    pub(super) async fn assign_password(&self, call: &Call<'_>, id: &str) -> Result<Reply, Error> {
        let body: PasswordBody = body::optional_json(call.exchange.request)?;
        let known = self.user_record(id).await?;
        if known.admin {
            require_all_scopes(call)?;
        }
        let user = User {
            id: known.id,
            username: known.username.clone(),
            email: known.email.clone(),
            is_verified: known.verified,
            is_admin: known.admin,
        };
        let (password, made_up) = self.chosen_password(body.password.as_deref(), &user)?;
        let now = call.exchange.now;
        let changed = UserRecord { updated_at: now, ..known };
        if call.is_dry_run {
            return Ok(call.object(StatusCode::OK, &changed, &[]));
        }
        let hash = self.host.hash(password).await?;
        let audit = self.admin_record(call, Event::new(EventType::PasswordAssigned).user(user.id));
        if !self.store.assign_password(user.id, &hash, now, Some(&audit)).await? {
            return Err(not_found("user"));
        }
        audit.log();
        Ok(call.object(StatusCode::OK, &changed, made_up.as_slice()))
    }

    pub(super) async fn log_user_out(&self, call: &Call<'_>, id: &str) -> Result<Reply, Error> {
        let known = self.user_record(id).await?;
        if call.is_dry_run {
            return Ok(no_content());
        }
        let audit = self.admin_record(call, Event::new(EventType::LoggedOutEverywhere).user(known.id));
        self.store.end_access(known.id, call.exchange.now, Some(&audit)).await?;
        audit.log();
        Ok(no_content())
    }
}
