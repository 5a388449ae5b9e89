//! `client …`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Body,
    apply::{self, Apply},
    told, update,
};
use crate::{
    api::{Api, Object, Target},
    arguments::{Change, Irreversible, Paging},
    failure::Failure,
    output::Format,
};

const COLUMNS: &[&str] = &["client_id", "client_name", "client_type", "active", "grant_types", "scope"];

#[derive(Subcommand)]
pub(crate) enum ClientCommand {
    /// List clients.
    List(List),
    /// Show one client.
    Show {
        /// Its client_id.
        client_id: String,
    },
    /// Register a client. The secret of a confidential one is printed once.
    Create(Create),
    /// Change a client. What is given replaces what was there.
    Update(Update),
    /// Make a new secret, printed once. The old one works on for a while.
    RotateSecret(RotateSecret),
    /// Let a client get and use tokens again.
    Activate(Named),
    /// Keep a client from getting and using tokens, for the time being.
    Deactivate(Named),
    /// Delete a client, with all grants, codes and consents.
    Delete {
        /// Its client_id.
        client_id: String,
        #[command(flatten)]
        irreversible: Irreversible,
    },
    /// Make clients be as a file says: create what is missing, change what differs, leave the rest.
    ///
    /// The file is a list of clients, in YAML or JSON, with the members that `client show --output yaml` has; times are
    /// passed over. Each needs client_id, and one that is missing client_name and client_type. What a client of the file
    /// leaves out stays as it is, or takes its default.
    Apply(Apply),
}

#[derive(Args)]
pub(crate) struct List {
    /// Part of the client_id or the name.
    #[arg(long, short)]
    query: Option<String>,
    /// Only those of this type.
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,
    /// Only those that are active, or not.
    #[arg(long)]
    active: Option<bool>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Can keep a secret: a server.
    Confidential,
    /// Cannot: a browser, a phone, a command line.
    Public,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Confidential => "confidential",
            Self::Public => "public",
        }
    }
}

#[derive(Args)]
pub(crate) struct Create {
    /// The name that people see on the consent page.
    #[arg(long)]
    name: String,
    /// Whether it can keep a secret.
    #[arg(long = "type", value_enum)]
    kind: Kind,
    /// The client_id; by default one is made up.
    #[arg(long)]
    client_id: Option<String>,
    #[command(flatten)]
    members: Members,
    /// Let it introspect every token.
    #[arg(long)]
    introspect_all: bool,
    /// Let it do without PKCE, where PKCE_REQUIRED is false. Confidential clients only.
    #[arg(long)]
    no_pkce: bool,
    /// It cannot get tokens yet.
    #[arg(long)]
    inactive: bool,
    #[command(flatten)]
    change: Change,
}

// What `create` and `update` have in common.
#[derive(Args)]
struct Members {
    /// Where answers may be sent: https, a loopback address, or a private-use scheme. Repeat for several.
    #[arg(long = "redirect-uri")]
    redirect_uris: Vec<String>,
    /// A scope it may ask for. Repeat for several; by default those that are granted by default.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// What it may use at the token endpoint: authorization_code, refresh_token, client_credentials. Repeat for
    /// several; by default the first two, or client_credentials for a confidential client without redirect URI.
    #[arg(long = "grant-type")]
    grant_types: Vec<String>,
    /// How a confidential client sends its secret: client_secret_basic, the default, or client_secret_post.
    #[arg(long)]
    auth_method: Option<String>,
    /// Its home page.
    #[arg(long)]
    client_uri: Option<String>,
    /// Its logo.
    #[arg(long)]
    logo_uri: Option<String>,
    /// A resource that it serves: it may introspect tokens meant for it. Repeat for several.
    #[arg(long = "resource")]
    resources: Vec<String>,
}

impl Members {
    fn body(&self) -> Body {
        Body::default()
            .with_list("redirect_uris", &self.redirect_uris)
            .with_words("scope", &self.scopes)
            .with_list("grant_types", &self.grant_types)
            .with("token_endpoint_auth_method", self.auth_method.as_deref())
            .with("client_uri", self.client_uri.as_deref())
            .with("logo_uri", self.logo_uri.as_deref())
            .with_list("resources", &self.resources)
    }
}

#[derive(Args)]
pub(crate) struct Update {
    /// Its client_id.
    client_id: String,
    /// The name that people see on the consent page.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    members: Members,
    /// Whether it may introspect every token.
    #[arg(long)]
    introspect_all: Option<bool>,
    /// Whether it must use PKCE.
    #[arg(long)]
    require_pkce: Option<bool>,
    /// Remove this member. Repeat for several.
    #[arg(long, value_enum)]
    clear: Vec<Removable>,
    #[command(flatten)]
    change: Change,
}

/// What a client need not have.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Removable {
    RedirectUris,
    Scope,
    ClientUri,
    LogoUri,
    Resources,
}

impl Removable {
    fn member(self) -> (&'static str, Value) {
        match self {
            Self::RedirectUris => ("redirect_uris", json!([])),
            Self::Scope => ("scope", json!("")),
            Self::ClientUri => ("client_uri", Value::Null),
            Self::LogoUri => ("logo_uri", Value::Null),
            Self::Resources => ("resources", json!([])),
        }
    }
}

#[derive(Args)]
pub(crate) struct RotateSecret {
    /// Its client_id.
    client_id: String,
    /// For how long the old secret works on: a day by default, 30 days at most. 0: it was stolen.
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=2_592_000))]
    overlap_seconds: Option<u32>,
    #[command(flatten)]
    irreversible: Irreversible,
}

#[derive(Args)]
pub(crate) struct Named {
    /// Its client_id.
    client_id: String,
    #[command(flatten)]
    change: Change,
}

fn client(client_id: &str) -> Target {
    Target::new(&["clients", client_id])
}

pub(crate) async fn run(command: &ClientCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    match command {
        ClientCommand::List(list) => {
            let target = Target::new(&["clients"])
                .with("q", list.query.as_deref())
                .with("client_type", list.kind.map(Kind::name))
                .with("active", list.active);
            format.many(&api.list(&target, list.paging.limit).await?, COLUMNS)
        }
        ClientCommand::Show { client_id } => format.one(&api.get(&client(client_id)).await?),
        ClientCommand::Create(create) => {
            let body = create
                .members
                .body()
                .with("client_name", Some(&create.name))
                .with("client_type", Some(create.kind))
                .with("client_id", create.client_id.as_deref())
                .flag("introspect_all", create.introspect_all)
                .with("require_pkce", create.no_pkce.then_some(false))
                .with("active", create.inactive.then_some(false));
            format.one(&api.post(Target::new(&["clients"]), body.0, create.change).await?)
        }
        ClientCommand::Update(change) => {
            update(api, client(&change.client_id), change.body()?, change.change, format).await
        }
        ClientCommand::RotateSecret(rotate) => {
            if rotate.overlap_seconds == Some(0) {
                let question = format!("Withdraw the secret of {:?} at once?", rotate.client_id);
                rotate.irreversible.confirm(&question)?;
            }
            let body = Body::default().with("overlap_seconds", rotate.overlap_seconds);
            let target = Target::new(&["clients", &rotate.client_id, "secret"]);
            format.one(&api.post(target, body.0, rotate.irreversible.change).await?)
        }
        ClientCommand::Activate(named) => set_active(api, named, true, format).await,
        ClientCommand::Deactivate(named) => set_active(api, named, false, format).await,
        ClientCommand::Delete { client_id, irreversible } => {
            irreversible.confirm(&format!("Delete the client {client_id:?}, with all that people granted it?"))?;
            api.delete(client(client_id), irreversible.change).await?;
            format.done(&told(irreversible.change, "deleted", client_id))
        }
        ClientCommand::Apply(apply) => apply::run(apply, api, format).await,
    }
}

impl Update {
    fn body(&self) -> Result<Object, Failure> {
        let mut body = self
            .members
            .body()
            .with("client_name", self.name.as_deref())
            .with("introspect_all", self.introspect_all)
            .with("require_pkce", self.require_pkce)
            .0;
        for (member, empty) in self.clear.iter().map(|removable| removable.member()) {
            if body.insert(member.to_owned(), empty).is_some() {
                return Err(Failure::Usage(format!("{member} can be given or cleared, not both")));
            }
        }
        Ok(body)
    }
}

async fn set_active(api: &Api, named: &Named, active: bool, format: Format) -> Result<ExitCode, Failure> {
    let body = Body::default().with("active", Some(active));
    update(api, client(&named.client_id), body.0, named.change, format).await
}
