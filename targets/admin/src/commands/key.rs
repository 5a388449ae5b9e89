//! `key …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Body;
use crate::{
    api::{Api, Target},
    arguments::Irreversible,
    failure::Failure,
    output::Format,
};

const COLUMNS: &[&str] = &["kid", "algorithm", "sequence", "state", "activates_at", "retires_at"];

#[derive(Subcommand)]
pub(crate) enum KeyCommand {
    /// List the keys that are published.
    List,
    /// Make the next key now. It is published at once, and signs a day later.
    Rotate(Rotate),
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// A key was stolen: the new one signs at once, and every token of the ones before is refused from now on.
    #[arg(long)]
    immediate: bool,
    #[command(flatten)]
    irreversible: Irreversible,
}

pub(crate) async fn run(command: &KeyCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    let keys = Target::new(&["keys"]);
    match command {
        KeyCommand::List => format.many(&api.all(&keys).await?, COLUMNS),
        KeyCommand::Rotate(rotate) => {
            if rotate.immediate {
                rotate.irreversible.confirm("Withdraw every signing key: all access tokens are refused at once?")?;
            }
            let body = Body::default().flag("immediate", rotate.immediate);
            format.one(&api.post(keys, body.0, rotate.irreversible.change).await?)
        }
    }
}
