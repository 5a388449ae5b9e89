//! `user …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Body, text, told, update};
use crate::{
    api::{Api, Target},
    arguments::{Change, Irreversible, Paging},
    failure::Failure,
    output::Format,
    terminal::PasswordSource,
};

const COLUMNS: &[&str] = &["id", "email", "username", "verified", "admin", "active"];

#[derive(Subcommand)]
pub(crate) enum UserCommand {
    /// List accounts.
    List(List),
    /// Show one account.
    Show(Named),
    /// Make an account. Asks for the password unless told otherwise.
    Create(Create),
    /// Change an account.
    Update(Update),
    /// Vouch for the e-mail address of an account.
    Verify(ChangeNamed),
    /// Lock an account: its person is logged out everywhere, and cannot log in.
    Lock(ChangeNamed),
    /// Let the person of a locked account log in again.
    Unlock(ChangeNamed),
    /// Give an account another password, and log its person out everywhere. Asks for it unless told otherwise.
    SetPassword(SetPassword),
    /// End every session of a person, and revoke every grant.
    Logout(EndNamed),
    /// Delete an account, and all that belongs to it.
    Delete(EndNamed),
}

// An account, by any of its names.
#[derive(Args)]
pub(crate) struct Named {
    /// Id, e-mail address or user name.
    user: String,
}

#[derive(Args)]
pub(crate) struct ChangeNamed {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
pub(crate) struct EndNamed {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    irreversible: Irreversible,
}

#[derive(Args)]
pub(crate) struct List {
    /// Part of the e-mail address or the user name.
    #[arg(long, short)]
    query: Option<String>,
    /// Only those whose address is known to be theirs, or not.
    #[arg(long)]
    verified: Option<bool>,
    /// Only administrators, or everybody else.
    #[arg(long)]
    admin: Option<bool>,
    /// Only those that can log in, or locked ones.
    #[arg(long)]
    active: Option<bool>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Args)]
pub(crate) struct Create {
    /// The e-mail address.
    #[arg(long)]
    email: String,
    /// The user name; by default the e-mail address.
    #[arg(long)]
    username: Option<String>,
    /// Allow `admin` scopes to be granted by this person.
    #[arg(long)]
    admin: bool,
    /// The address is known to be theirs.
    #[arg(long)]
    verified: bool,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
pub(crate) struct Update {
    #[command(flatten)]
    named: Named,
    /// The e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// The user name.
    #[arg(long)]
    username: Option<String>,
    /// Whether the address is known to be theirs.
    #[arg(long)]
    verified: Option<bool>,
    /// Whether `admin` scopes can be granted by this person.
    #[arg(long)]
    admin: Option<bool>,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
pub(crate) struct SetPassword {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    change: Change,
}

/// The id of an account: names are looked up.
async fn find(api: &Api, name: &str) -> Result<String, Failure> {
    if let Ok(id) = name.parse::<Uuid>() {
        return Ok(id.to_string());
    }
    let users = api.list(&Target::new(&["users"]).with("q", Some(name)), None).await?;
    let is = |member| users.iter().find(|user| text(user, member).eq_ignore_ascii_case(name));
    let found = is("email").or_else(|| is("username")).map(|user| text(user, "id").to_owned());
    found.ok_or_else(|| Failure::NotFound(format!("there is no user {name:?}")))
}

/// The same where none need be named.
pub(super) async fn find_optional(api: &Api, name: Option<&str>) -> Result<Option<String>, Failure> {
    match name {
        Some(name) => find(api, name).await.map(Some),
        None => Ok(None),
    }
}

async fn user(api: &Api, named: &Named, more: &[&str]) -> Result<Target, Failure> {
    let id = find(api, &named.user).await?;
    Ok(Target::new(&[&["users", &id], more].concat()))
}

pub(crate) async fn run(command: &UserCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    match command {
        UserCommand::List(list) => {
            let target = Target::new(&["users"])
                .with("q", list.query.as_deref())
                .with("verified", list.verified)
                .with("admin", list.admin)
                .with("active", list.active);
            format.many(&api.list(&target, list.paging.limit).await?, COLUMNS)
        }
        UserCommand::Show(named) => format.one(&api.get(&user(api, named, &[]).await?).await?),
        UserCommand::Create(create) => {
            let body = Body::default()
                .with("email", Some(&create.email))
                .with("username", create.username.as_deref())
                .with("password", create.password.read()?)
                .flag("verified", create.verified)
                .flag("admin", create.admin);
            format.one(&api.post(Target::new(&["users"]), body.0, create.change).await?)
        }
        UserCommand::Update(change) => {
            let body = Body::default()
                .with("email", change.email.as_deref())
                .with("username", change.username.as_deref())
                .with("verified", change.verified)
                .with("admin", change.admin);
            update(api, user(api, &change.named, &[]).await?, body.0, change.change, format).await
        }
        UserCommand::Verify(named) => set(api, named, "verified", true, format).await,
        UserCommand::Lock(named) => set(api, named, "active", false, format).await,
        UserCommand::Unlock(named) => set(api, named, "active", true, format).await,
        UserCommand::SetPassword(set) => {
            let target = user(api, &set.named, &["password"]).await?;
            let body = Body::default().with("password", set.password.read()?);
            format.one(&api.post(target, body.0, set.change).await?)
        }
        UserCommand::Logout(EndNamed { named, irreversible }) => {
            let target = user(api, named, &["logout"]).await?;
            irreversible.confirm(&format!("Log {:?} out everywhere, and revoke all that it granted?", named.user))?;
            api.order(target, irreversible.change).await?;
            format.done(&told(irreversible.change, "logged out", &named.user))
        }
        UserCommand::Delete(EndNamed { named, irreversible }) => {
            let target = user(api, named, &[]).await?;
            irreversible.confirm(&format!("Delete the user {:?}?", named.user))?;
            api.delete(target, irreversible.change).await?;
            format.done(&told(irreversible.change, "deleted", &named.user))
        }
    }
}

async fn set(api: &Api, named: &ChangeNamed, member: &str, to: bool, format: Format) -> Result<ExitCode, Failure> {
    let target = user(api, &named.named, &[]).await?;
    update(api, target, Body::default().with(member, Some(to)).0, named.change, format).await
}
