//! `maintenance …`.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    api::{Api, Object, Target},
    arguments::Change,
    failure::Failure,
    output::Format,
    terminal::Progress,
};

const COLUMNS: &[&str] =
    &["job", "running", "last_started_at", "last_finished_at", "last_outcome", "last_removed", "last_error"];

#[derive(Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Run the jobs until they are done: remove what has ended, and rotate signing keys. Safe to repeat.
    Run,
    /// Show when each job ran last, and how it went.
    Status,
}

pub(crate) async fn run(command: &MaintenanceCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    let target = Target::new(&["maintenance"]);
    match command {
        MaintenanceCommand::Status => format.many(&api.all(&target).await?, COLUMNS),
        MaintenanceCommand::Run => format.one(&run_all(api, target).await?),
    }
}

/// A request does a bounded part of the work, and says whether that was all.
async fn run_all(api: &Api, target: Target) -> Result<Object, Failure> {
    let progress = Progress::counting("rows removed");
    let (mut removed, mut has_new_key) = (0, false);
    loop {
        let mut run = api.post(target.clone(), Object::new(), Change { dry_run: false }).await?;
        let part = run.get("removed").and_then(Value::as_u64).unwrap_or_default();
        removed += part;
        progress.set(removed);
        has_new_key |= run.get("new_signing_key") == Some(&Value::Bool(true));
        // Where another instance has the job, nothing is removed here, and there is nothing to wait for.
        if part == 0 || run.get("finished") != Some(&Value::Bool(false)) {
            run.insert("removed".to_owned(), json!(removed));
            run.insert("new_signing_key".to_owned(), json!(has_new_key));
            return Ok(run);
        }
    }
}
