//! `scope …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Body, told, update};
use crate::{
    api::{Api, Target},
    arguments::{Change, Irreversible, Paging},
    failure::Failure,
    output::Format,
};

const COLUMNS: &[&str] = &["name", "description", "default", "active"];

#[derive(Subcommand)]
pub(crate) enum ScopeCommand {
    /// List scopes.
    List(List),
    /// Show one scope.
    Show {
        /// The scope token.
        name: String,
    },
    /// Register a scope.
    Create(Create),
    /// Change a scope.
    Update(Update),
    /// Delete a scope, also from every client that may ask for it.
    Delete {
        /// The scope token.
        name: String,
        #[command(flatten)]
        irreversible: Irreversible,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// Part of the name or the description.
    #[arg(long, short)]
    query: Option<String>,
    /// Only those that are active, or not.
    #[arg(long)]
    active: Option<bool>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Args)]
pub(crate) struct Create {
    /// The scope token.
    name: String,
    /// What it allows, in words for the consent page.
    #[arg(long)]
    description: String,
    /// Give it to clients and requests that name no scope.
    #[arg(long)]
    default: bool,
    /// Nobody can have it yet.
    #[arg(long)]
    inactive: bool,
    #[command(flatten)]
    change: Change,
}

#[derive(Args)]
pub(crate) struct Update {
    /// The scope token.
    name: String,
    /// What it allows, in words for the consent page.
    #[arg(long)]
    description: Option<String>,
    /// Whether clients and requests that name no scope are given it.
    #[arg(long)]
    default: Option<bool>,
    /// Whether anybody can have it.
    #[arg(long)]
    active: Option<bool>,
    #[command(flatten)]
    change: Change,
}

fn scope(name: &str) -> Target {
    Target::new(&["scopes", name])
}

pub(crate) async fn run(command: &ScopeCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    match command {
        ScopeCommand::List(list) => {
            let target = Target::new(&["scopes"]).with("q", list.query.as_deref()).with("active", list.active);
            format.many(&api.list(&target, list.paging.limit).await?, COLUMNS)
        }
        ScopeCommand::Show { name } => format.one(&api.get(&scope(name)).await?),
        ScopeCommand::Create(create) => {
            let body = Body::default()
                .with("name", Some(&create.name))
                .with("description", Some(&create.description))
                .flag("default", create.default)
                .with("active", create.inactive.then_some(false));
            format.one(&api.post(Target::new(&["scopes"]), body.0, create.change).await?)
        }
        ScopeCommand::Update(change) => {
            let body = Body::default()
                .with("description", change.description.as_deref())
                .with("default", change.default)
                .with("active", change.active);
            update(api, scope(&change.name), body.0, change.change, format).await
        }
        ScopeCommand::Delete { name, irreversible } => {
            irreversible.confirm(&format!("Delete the scope {name:?}, also from every client?"))?;
            api.delete(scope(name), irreversible.change).await?;
            format.done(&told(irreversible.change, "deleted", name))
        }
    }
}
