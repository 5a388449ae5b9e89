//! One file per kind of thing.

pub(crate) mod apply;
pub(crate) mod audit;
pub(crate) mod client;
pub(crate) mod grant;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod maintenance;
pub(crate) mod scope;
pub(crate) mod session;
pub(crate) mod status;
pub(crate) mod user;

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{Api, Object, Target},
    arguments::{Arguments, Change},
    diff,
    failure::Failure,
    output::Format,
};

/// A request's body in the making.
#[derive(Default)]
struct Body(Object);

impl Body {
    /// With a member, where it has a value.
    fn with(mut self, name: &str, value: Option<impl Serialize>) -> Self {
        if let Some(value) = value.and_then(|value| serde_json::to_value(value).ok()) {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// With a list, where it has items.
    fn with_list(self, name: &str, items: &[String]) -> Self {
        self.with(name, (!items.is_empty()).then_some(items))
    }

    /// With a list in one text, as OAuth writes scopes.
    fn with_words(self, name: &str, words: &[String]) -> Self {
        self.with(name, (!words.is_empty()).then(|| words.join(" ")))
    }

    fn flag(self, name: &str, is_set: bool) -> Self {
        self.with(name, is_set.then_some(true))
    }
}

/// Changes one thing, and shows it; under `--dry-run`, shows people what would change.
async fn update(api: &Api, target: Target, body: Object, change: Change, format: Format) -> Result<ExitCode, Failure> {
    if body.is_empty() {
        return Err(Failure::Usage("nothing to change was given; see --help".to_owned()));
    }
    if !change.dry_run || format != Format::Table {
        return format.one(&api.patch(target, body, change).await?);
    }
    let before = api.get(&target).await?;
    let after = api.patch(target, body, change).await?;
    let lines = diff::lines(&before, &after)?;
    format.done(if lines.is_empty() { "Nothing would change." } else { lines.trim_end() })
}

/// "Deleted …" or "Would have deleted …".
fn told(change: Change, what: &str, name: &str) -> String {
    let name = crate::output::printable(name);
    if change.dry_run { format!("Would be {what}: {name}") } else { format!("Now {what}: {name}") }
}

/// A member that is text.
fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// `completions`.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    clap_complete::generate(shell, &mut Arguments::command(), "authly-admin", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
