//! `client apply`: clients as a file says.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use similar::ChangeTag;

use super::text;
use crate::{
    api::{Api, Object, Target},
    arguments::{Change, Irreversible},
    diff,
    failure::{CHANGED, Failure, fail},
    oauth,
    output::{Format, printable},
    terminal::Progress,
};

/// What the server says about a client, and nobody sets: `client list --output yaml` is a file to apply.
const READ_ONLY: [&str; 3] = ["previous_secret_expires_at", "created_at", "updated_at"];
const COLUMNS: &[&str] = &["client_id", "action", "client_secret"];

#[derive(Args)]
pub(crate) struct Apply {
    /// The file; `-` is standard input.
    #[arg(long, short)]
    file: PathBuf,
    /// Delete the clients that are not in the file, other than this program's own.
    #[arg(long)]
    prune: bool,
    /// Exit with 10 where something was changed, or would be, and with 0 where nothing was.
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    irreversible: Irreversible,
}

/// What is to be done about one client.
enum Step {
    Create { client: Object },
    Update { client_id: String, before: Object, after: Object },
    Delete { client: Object },
}

/// Everything that is to be done; the server has checked each step.
struct Plan {
    steps: Vec<Step>,
    unchanged: usize,
}

pub(crate) async fn run(apply: &Apply, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    let wanted = read(&apply.file)?;
    let plan = Plan::make(api, wanted, apply.prune).await?;
    // For people; standard output is for the result.
    eprint!("{}", plan.shown()?);
    if plan.steps.is_empty() {
        return format.done("Nothing to change.");
    }
    let changed = if apply.exit_code { ExitCode::from(CHANGED) } else { ExitCode::SUCCESS };
    if apply.irreversible.change.dry_run {
        let results: Vec<_> = plan.steps.iter().map(|step| step.result(None)).collect();
        format.many(&results, &COLUMNS[..2])?;
        return Ok(changed);
    }
    apply.irreversible.confirm("Make these changes?")?;
    let progress = Progress::of(plan.steps.len());
    let mut results = Vec::new();
    let mut outcome = Ok(changed);
    for step in &plan.steps {
        progress.step(step.client_id());
        match step.take(api).await {
            Ok(answer) => results.push(step.result(Some(answer))),
            Err(failure) => {
                outcome = Err(failure);
                break;
            }
        }
    }
    drop(progress);
    // Also of what was done before a failure: nobody will see those secrets again.
    format.many(&results, COLUMNS)?;
    if outcome.is_err() {
        eprintln!(
            "Of {} changes {} were made; the rest can be made by applying the file again.",
            plan.steps.len(),
            results.len()
        );
    }
    outcome
}

fn read(path: &Path) -> Result<Vec<Object>, Failure> {
    let here = || format!("cannot read {}", path.display());
    let read = if path == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(path) };
    let clients: Vec<Object> = serde_saphyr::from_str(&read.with_context(here)?).with_context(here)?;
    let mut seen = BTreeSet::new();
    for (number, client) in clients.iter().enumerate() {
        let client_id = text(client, "client_id");
        if client_id.is_empty() {
            fail!("{}: client {} has no client_id, by which it would be known", path.display(), number + 1);
        }
        if !seen.insert(client_id) {
            fail!("{}: {client_id:?} is there twice", path.display());
        }
    }
    Ok(clients)
}

const DRY: Change = Change { dry_run: true };
const REAL: Change = Change { dry_run: false };

impl Plan {
    /// Compares the file with what there is. Each change is tried with `dry_run`: what the server would not take is
    /// said before anything is changed.
    async fn make(api: &Api, wanted: Vec<Object>, prune: bool) -> Result<Self, Failure> {
        let mut there = api.list(&Target::new(&["clients"]), None).await?;
        let mut plan = Self { steps: Vec::new(), unchanged: 0 };
        for mut client in wanted {
            client.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
            let client_id = text(&client, "client_id").to_owned();
            let about = |failure| about(&client_id, failure);
            let position = there.iter().position(|known| text(known, "client_id") == client_id);
            let Some(before) = position.map(|position| there.swap_remove(position)) else {
                client.retain(|_, value| !value.is_null());
                api.post(clients(), client.clone(), DRY).await.map_err(about)?;
                plan.steps.push(Step::Create { client });
                continue;
            };
            if client.get("client_type").is_some_and(|kind| Some(kind) != before.get("client_type")) {
                fail!("{client_id}: client_type cannot be changed; delete the client, and apply the file again");
            }
            let patch = diff::changed(&before, &client);
            let after = match patch.is_empty() {
                true => before.clone(),
                // What it comes to is for the server to say: it may write a value in another way.
                false => api.patch(one(&client_id), patch, DRY).await.map_err(about)?,
            };
            if diff::changed(&before, &after).is_empty() {
                plan.unchanged += 1;
            } else {
                plan.steps.push(Step::Update { client_id, before, after });
            }
        }
        if prune {
            there.retain(|client| text(client, "client_id") != oauth::CLIENT_ID);
            there.sort_by(|one, other| text(one, "client_id").cmp(text(other, "client_id")));
            plan.steps.extend(there.into_iter().map(|client| Step::Delete { client }));
        }
        Ok(plan)
    }

    /// The differences, for people.
    fn shown(&self) -> Result<String, Failure> {
        let mut shown = String::new();
        for step in &self.steps {
            let (sign, lines) = match step {
                Step::Create { client } => ('+', diff::whole(ChangeTag::Insert, client)?),
                Step::Update { before, after, .. } => ('~', diff::lines(before, after)?),
                Step::Delete { client } => ('-', diff::whole(ChangeTag::Delete, client)?),
            };
            shown.push_str(&format!("{sign} client {}\n{lines}", printable(step.client_id())));
        }
        let count = |is: fn(&Step) -> bool| self.steps.iter().filter(|step| is(step)).count();
        shown.push_str(&format!(
            "{} to create, {} to change, {} to delete, {} unchanged\n",
            count(|step| matches!(step, Step::Create { .. })),
            count(|step| matches!(step, Step::Update { .. })),
            count(|step| matches!(step, Step::Delete { .. })),
            self.unchanged
        ));
        Ok(shown)
    }
}

impl Step {
    fn client_id(&self) -> &str {
        match self {
            Self::Create { client } | Self::Delete { client } => text(client, "client_id"),
            Self::Update { client_id, .. } => client_id,
        }
    }

    async fn take(&self, api: &Api) -> Result<Object, Failure> {
        let done = match self {
            Self::Create { client } => api.post(clients(), client.clone(), REAL).await,
            Self::Update { client_id, before, after } => {
                api.patch(one(client_id), diff::changed(before, after), REAL).await
            }
            Self::Delete { client } => api.delete(one(text(client, "client_id")), REAL).await.map(|()| Object::new()),
        };
        done.map_err(|failure| about(self.client_id(), failure))
    }

    /// A line of the result: with the client as it is now, once the step was taken.
    fn result(&self, answer: Option<Object>) -> Object {
        let action = match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
        };
        let mut result = Object::new();
        result.insert("client_id".to_owned(), json!(self.client_id()));
        result.insert("action".to_owned(), json!(action));
        if let Some(secret) = answer.and_then(|mut answer| answer.remove("client_secret")) {
            result.insert("client_secret".to_owned(), secret);
        }
        result
    }
}

fn clients() -> Target {
    Target::new(&["clients"])
}

fn one(client_id: &str) -> Target {
    Target::new(&["clients", client_id])
}

/// Names the client that a refusal is about.
fn about(client_id: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Refused(problem) => Failure::Refused(problem.about(client_id)),
        other => other,
    }
}
