//! What the commands print: a table for people, JSON for programs, both from the same values.

use authly_core::model::{Client, ScopeDescription, User};
use clap::ValueEnum;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use serde_json::Value;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

impl Format {
    /// Prints one thing: its fields from top to bottom.
    #[expect(clippy::print_stdout, reason = "it is what the command is for")]
    pub(crate) fn one(self, item: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Json => println!("{}", serde_json::to_string_pretty(item)?),
            Self::Table => {
                let mut table = Table::new();
                table.load_preset(UTF8_BORDERS_ONLY);
                for (name, value) in fields(serde_json::to_value(item)?) {
                    table.add_row([name, cell(&value)]);
                }
                println!("{table}");
            }
        }
        Ok(())
    }

    /// Prints many things, a row each.
    #[expect(clippy::print_stdout, reason = "it is what the command is for")]
    pub(crate) fn many(self, items: &[impl Serialize]) -> anyhow::Result<()> {
        match self {
            Self::Json => println!("{}", serde_json::to_string_pretty(items)?),
            Self::Table => {
                let mut table = Table::new();
                table.load_preset(UTF8_BORDERS_ONLY);
                for item in items {
                    let fields = fields(serde_json::to_value(item)?);
                    if table.header().is_none() {
                        table.set_header(fields.iter().map(|(name, _)| name));
                    }
                    table.add_row(fields.iter().map(|(_, value)| cell(value)));
                }
                println!("{table}");
            }
        }
        Ok(())
    }
}

fn fields(item: Value) -> Vec<(String, Value)> {
    match item {
        Value::Object(fields) => fields.into_iter().collect(),
        other => vec![(String::new(), other)],
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// `status`.
#[derive(Default, Serialize)]
pub(crate) struct StatusView {
    pub(crate) healthy: bool,
    pub(crate) database: String,
    pub(crate) problem: Option<String>,
    pub(crate) users: u64,
    pub(crate) clients: u64,
    pub(crate) scopes: u64,
    pub(crate) sessions: u64,
    pub(crate) grants: u64,
    pub(crate) mail_waiting: u64,
    pub(crate) mail_failed: u64,
    pub(crate) signing_keys: Vec<String>,
}

/// `user create`.
#[derive(Serialize)]
pub(crate) struct CreatedUserView {
    id: String,
    username: String,
    email: String,
    verified: bool,
    admin: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl CreatedUserView {
    pub(crate) fn new(user: &User, password: Option<String>) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.clone(),
            email: user.email.clone(),
            verified: user.is_verified,
            admin: user.is_admin,
            password,
        }
    }
}

/// `client list`, `client show`.
#[derive(Serialize)]
pub(crate) struct ClientView {
    client_id: String,
    name: String,
    #[serde(rename = "type")]
    client_type: &'static str,
    active: bool,
    redirect_uris: Vec<String>,
    grant_types: Vec<&'static str>,
    scopes: Vec<String>,
    auth_method: &'static str,
    resources: Vec<String>,
    introspect_all: bool,
}

impl From<&Client> for ClientView {
    fn from(client: &Client) -> Self {
        Self {
            client_id: client.client_id.as_str().to_owned(),
            name: client.name.clone(),
            client_type: client.client_type.name(),
            active: client.is_active,
            redirect_uris: client.redirect_uris.clone(),
            grant_types: client.grant_types.iter().map(|grant_type| grant_type.name()).collect(),
            scopes: client.scopes.iter().map(|scope| scope.name.clone()).collect(),
            auth_method: client.auth_method.name(),
            resources: client.resources.clone(),
            introspect_all: client.introspect_all,
        }
    }
}

/// `client create`.
#[derive(Serialize)]
pub(crate) struct CreatedClientView {
    #[serde(flatten)]
    client: ClientView,
    /// Shown this once: the database has its digest only.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

impl CreatedClientView {
    pub(crate) fn new(client: &Client, client_secret: Option<String>) -> Self {
        Self { client: client.into(), client_secret }
    }
}

/// `scope list`, `scope create`.
#[derive(Serialize)]
pub(crate) struct ScopeView {
    name: String,
    description: String,
    default: bool,
    active: bool,
}

impl From<&ScopeDescription> for ScopeView {
    fn from(scope: &ScopeDescription) -> Self {
        Self {
            name: scope.name.clone(),
            description: scope.description.clone(),
            default: scope.is_default,
            active: scope.is_active,
        }
    }
}
