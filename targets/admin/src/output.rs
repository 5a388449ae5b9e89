//! What commands print: a table for people, JSON or YAML for programs, all from the server's own values.

use std::{borrow::Cow, process::ExitCode};

use anyhow::Context as _;
use clap::ValueEnum;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use serde_json::Value;

use crate::{api::Object, failure::Failure};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

impl Format {
    /// Prints one thing: its members from top to bottom.
    pub(crate) fn one(self, item: &Object) -> Result<ExitCode, Failure> {
        if self != Self::Table {
            return self.document(item);
        }
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        for (name, value) in item {
            table.add_row([Cow::Borrowed(name.as_str()), Cow::Owned(cell(value))]);
        }
        print(&table.to_string())
    }

    /// Prints many things: a row each with these members, or all there is of them.
    pub(crate) fn many(self, items: &[Object], columns: &[&str]) -> Result<ExitCode, Failure> {
        if self != Self::Table {
            return self.document(items);
        }
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY).set_header(columns);
        for item in items {
            table.add_row(columns.iter().map(|column| cell(item.get(*column).unwrap_or(&Value::Null))));
        }
        print(&table.to_string())
    }

    /// Says what was done where the server has no more to say than that. For programs, the exit code says so.
    pub(crate) fn done(self, message: &str) -> Result<ExitCode, Failure> {
        if self == Self::Table { print(message) } else { Ok(ExitCode::SUCCESS) }
    }

    fn document(self, value: &(impl Serialize + ?Sized)) -> Result<ExitCode, Failure> {
        match self {
            Self::Yaml => print(yaml(value)?.trim_end()),
            Self::Json | Self::Table => {
                print(&serde_json::to_string_pretty(value).context("the result cannot be written as JSON")?)
            }
        }
    }
}

/// A line, and success.
#[expect(clippy::print_stdout, reason = "it is what commands are for")]
fn print(text: &str) -> Result<ExitCode, Failure> {
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// As a YAML document.
pub(crate) fn yaml(value: &(impl Serialize + ?Sized)) -> anyhow::Result<String> {
    serde_saphyr::to_string(&value).context("the result cannot be written as YAML")
}

/// Text of others on a terminal: what could move its cursor or change its title is shown, not done.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => printable(text).into_owned(),
        Value::Array(items) => items.iter().map(cell_in_a_list).collect::<Vec<_>>().join("\n"),
        Value::Object(members) => {
            let line = |(name, value): (&String, &Value)| format!("{name}: {}", cell_in_a_list(value));
            members.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

/// In one line.
fn cell_in_a_list(value: &Value) -> String {
    match value {
        Value::Object(members) => members.values().map(cell_in_a_list).collect::<Vec<_>>().join(" "),
        Value::Array(items) => items.iter().map(cell_in_a_list).collect::<Vec<_>>().join(" "),
        other => cell(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_is_not_taken_over() {
        assert_eq!(printable("Firefox\u{1b}]0;x\u{7}"), "Firefox\\u{1b}]0;x\\u{7}");
        assert_eq!(printable("Ünïcode"), "Ünïcode");
    }

    #[test]
    fn cells() {
        assert_eq!(cell(&json!({"users": 3, "mail": null})), "users: 3\nmail: -");
        assert_eq!(cell(&json!([{"kid": "a", "algorithm": "ES256"}, "b"])), "a ES256\nb");
        assert_eq!(cell(&json!(true)), "yes");
    }

    #[test]
    fn yaml_is_read_as_it_was_written() {
        let value = json!([{"client_id": "no", "client_name": "1.0", "active": true, "logo_uri": null,
            "redirect_uris": ["https://a.example/cb?x=1#", "~", "a: b"], "n": 1, "scope": "", "text": "two\nlines"}]);
        let text = yaml(&value).expect("YAML");
        let again: Value = serde_saphyr::from_str(&text).expect("it is YAML");
        assert_eq!(again, value, "{text}");
    }
}
