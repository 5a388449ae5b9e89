//! `session …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{told, user::find_optional};
use crate::{
    api::{Api, Target},
    arguments::{Irreversible, Paging},
    failure::Failure,
    output::Format,
};

const COLUMNS: &[&str] = &["id", "username", "authenticated_at", "expires_at", "address", "device"];

#[derive(Subcommand)]
pub(crate) enum SessionCommand {
    /// List where people are logged in.
    List(List),
    /// End one session: that browser is logged out.
    End {
        /// The session's id.
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
    #[command(flatten)]
    paging: Paging,
}

pub(crate) async fn run(command: &SessionCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    match command {
        SessionCommand::List(list) => {
            let user = find_optional(api, list.user.as_deref()).await?;
            let target = Target::new(&["sessions"]).with("user_id", user);
            format.many(&api.list(&target, list.paging.limit).await?, COLUMNS)
        }
        SessionCommand::End { id, irreversible } => {
            irreversible.confirm(&format!("End the session {id}?"))?;
            api.delete(Target::new(&["sessions", id]), irreversible.change).await?;
            format.done(&told(irreversible.change, "ended", id))
        }
    }
}
