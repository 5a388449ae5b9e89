//! `grant …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{told, user::find_optional};
use crate::{
    api::{Api, Target},
    arguments::{Irreversible, Paging},
    failure::Failure,
    output::Format,
};

const COLUMNS: &[&str] = &["id", "username", "client_id", "scope", "created_at", "expires_at", "revoked_at"];

#[derive(Subcommand)]
pub(crate) enum GrantCommand {
    /// List what people let clients do.
    List(List),
    /// Revoke a grant: its tokens are good for nothing any more.
    Revoke {
        /// The grant's id.
        id: String,
        #[command(flatten)]
        irreversible: Irreversible,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// Only this person's: id, e-mail address or user name.
    #[arg(long)]
    user: Option<String>,
    /// Only this client's.
    #[arg(long)]
    client: Option<String>,
    /// Only those that are revoked, or not.
    #[arg(long)]
    revoked: Option<bool>,
    #[command(flatten)]
    paging: Paging,
}

pub(crate) async fn run(command: &GrantCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    match command {
        GrantCommand::List(list) => {
            let user = find_optional(api, list.user.as_deref()).await?;
            let target = Target::new(&["grants"]).with("user_id", user).with("client_id", list.client.as_deref());
            format.many(&api.list(&target.with("revoked", list.revoked), list.paging.limit).await?, COLUMNS)
        }
        GrantCommand::Revoke { id, irreversible } => {
            irreversible.confirm(&format!("Revoke the grant {id}?"))?;
            api.delete(Target::new(&["grants", id]), irreversible.change).await?;
            format.done(&told(irreversible.change, "revoked", id))
        }
    }
}
