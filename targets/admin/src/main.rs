//! `authly-admin`: administration straight on the database, configured by the same variables as the server.

mod output;

use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use authly_core::{
    audit::{Event, EventType, Record},
    model::{
        AuthMethod, ClientId, ClientSecret, ClientSecretHash, GrantType, NewClient, NewPassword, NewUser, RedirectUri,
        ScopeDescription, Scopes, User,
    },
    ports::{Clock as _, PasswordHashing as _},
    server::new_id,
    store::{ClientFilter, Created, Store},
};
use authly_native::{Database, NativeConfig, NativeHost, host::OsEntropy, logging};
use clap::{Args, Parser, Subcommand, ValueEnum};
use output::{ClientView, CreatedClientView, CreatedUserView, Format, ScopeView, StatusView};

/// Administer Authly, straight on its database. Reads the same variables as the server (DATABASE_URL, …).
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How results are printed.
    #[arg(long, value_enum, default_value = "table", global = true)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show whether the database can be used, and what is in it. Exits with 1 where it cannot.
    Status,
    /// Accounts of people.
    #[command(subcommand)]
    User(UserCommand),
    /// OAuth clients.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Scopes that clients can ask for.
    #[command(subcommand)]
    Scope(ScopeCommand),
}

#[derive(Subcommand)]
enum UserCommand {
    /// Make an account. Asks for the password unless told otherwise.
    Create(CreateUser),
}

#[derive(Args)]
struct CreateUser {
    /// The e-mail address.
    #[arg(long)]
    email: String,
    /// The user name; by default the e-mail address.
    #[arg(long)]
    username: Option<String>,
    /// Allow `admin` scopes to be granted by this person.
    #[arg(long)]
    admin: bool,
    /// The address is known to be theirs.
    #[arg(long)]
    verified: bool,
    /// Read the password from standard input, up to the end of the first line.
    #[arg(long, conflicts_with = "generate_password")]
    password_stdin: bool,
    /// Make a password up, and print it once.
    #[arg(long)]
    generate_password: bool,
}

#[derive(Subcommand)]
enum ClientCommand {
    /// Register a client. The secret of a confidential one is printed once.
    Create(CreateClient),
    /// List every client.
    List,
    /// Show one client.
    Show {
        /// Its client_id.
        client_id: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Can keep a secret: a server.
    Confidential,
    /// Cannot: a browser, a phone, a command line.
    Public,
}

#[derive(Args)]
struct CreateClient {
    /// The name that people see on the consent page.
    #[arg(long)]
    name: String,
    /// Whether it can keep a secret.
    #[arg(long = "type", value_enum)]
    kind: Kind,
    /// The client_id; by default one is made up.
    #[arg(long)]
    client_id: Option<String>,
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
    /// How a confidential client sends its secret.
    #[arg(long, default_value = "client_secret_basic")]
    auth_method: String,
    /// Its home page.
    #[arg(long)]
    client_uri: Option<String>,
    /// A resource that it serves: it may introspect tokens meant for it. Repeat for several.
    #[arg(long = "resource")]
    resources: Vec<String>,
    /// Let it introspect every token.
    #[arg(long)]
    introspect_all: bool,
}

#[derive(Subcommand)]
enum ScopeCommand {
    /// Register a scope.
    Create {
        /// The scope token.
        name: String,
        /// What it allows, in words for the consent page.
        #[arg(long)]
        description: String,
        /// Grant it to requests that name no scope.
        #[arg(long)]
        default: bool,
    },
    /// List every scope.
    List,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match NativeConfig::from_environment() {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("The configuration cannot be used:");
            for problem in &problems {
                eprintln!("  {problem}");
            }
            return ExitCode::FAILURE;
        }
    };
    logging::start("error", config.log_format);
    match run(&arguments, &config).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("authly-admin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments, config: &NativeConfig) -> anyhow::Result<ExitCode> {
    let database = Database::open(config).await?;
    if let Database::Sqlite(_) = database {
        database.migrate().await.context("the migration failed")?;
    }
    match database {
        Database::Sqlite(store) => run_on(arguments, config, &store).await,
        Database::Postgres(store) => run_on(arguments, config, &store).await,
    }
}

async fn run_on<S: Store>(arguments: &Arguments, config: &NativeConfig, store: &S) -> anyhow::Result<ExitCode> {
    let format = arguments.output;
    match &arguments.command {
        Command::Status => return status(format, config, store).await,
        Command::User(UserCommand::Create(user)) => format.one(&create_user(user, config, store).await?),
        Command::Client(ClientCommand::Create(client)) => format.one(&create_client(client, config, store).await?),
        Command::Client(ClientCommand::List) => {
            let mut clients = Vec::new();
            for record in store.client_records(&ClientFilter::default(), None, u32::MAX).await? {
                if let Some(client_id) = ClientId::parse(&record.client_id) {
                    clients.extend(store.client(&client_id).await?);
                }
            }
            format.many(&clients.iter().map(ClientView::from).collect::<Vec<_>>())
        }
        Command::Client(ClientCommand::Show { client_id }) => {
            let known = ClientId::parse(client_id);
            let client = match &known {
                Some(client_id) => store.client(client_id).await?,
                None => None,
            };
            format.one(&ClientView::from(&client.with_context(|| format!("there is no client {client_id:?}"))?))
        }
        Command::Scope(ScopeCommand::Create { name, description, default }) => {
            format.one(&create_scope(name, description, *default, config, store).await?)
        }
        Command::Scope(ScopeCommand::List) => {
            let scopes = store.scopes().await?;
            format.many(&scopes.iter().map(ScopeView::from).collect::<Vec<_>>())
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

fn host(config: &NativeConfig) -> NativeHost {
    NativeHost::new(config.core.password_cost, config.hashing)
}

async fn status<S: Store>(format: Format, config: &NativeConfig, store: &S) -> anyhow::Result<ExitCode> {
    let database = config.database_url.to_string();
    if let Err(error) = store.ready().await {
        format.one(&StatusView { healthy: false, database, problem: Some(error.to_string()), ..Default::default() })?;
        return Ok(ExitCode::FAILURE);
    }
    let now = host(config).now();
    let counts = store.counts(now).await?;
    let keys = store.signing_keys(now).await?;
    let mail = store.mail_backlog(now).await?;
    format.one(&StatusView {
        healthy: true,
        database,
        problem: None,
        users: counts.users,
        clients: counts.clients,
        scopes: counts.scopes,
        sessions: counts.sessions,
        grants: counts.grants,
        mail_waiting: mail.waiting,
        mail_failed: mail.failed,
        signing_keys: keys.iter().map(|key| format!("{} {}", key.algorithm.name(), key.kid)).collect(),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn create_user<S: Store>(
    arguments: &CreateUser,
    config: &NativeConfig,
    store: &S,
) -> anyhow::Result<CreatedUserView> {
    let host = host(config);
    let now = host.now();
    let (email, username) = (&arguments.email, arguments.username.as_deref());
    let user = User::new(new_id(&host, now), email, username, arguments.verified, arguments.admin)?;
    let (text, generated) = if arguments.generate_password {
        let secret = ClientSecret::generate(&host);
        let text = secret.expose()[ClientSecret::PREFIX.len()..][..20].to_owned();
        (text.clone(), Some(text))
    } else if arguments.password_stdin {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("cannot read the password")?;
        (line.trim_end_matches(['\r', '\n']).to_owned(), None)
    } else {
        let text = rpassword::prompt_password("Password: ").context("no terminal to ask on; use --password-stdin")?;
        ensure!(text == rpassword::prompt_password("Again: ")?, "the two passwords differ");
        (text, None)
    };
    let context = ["Authly", config.core.issuer.host(), &user.username, &user.email];
    let password = NewPassword::new(&text, &context)?.into_password();
    let password_hash = host.hash(password).await?;
    let view = CreatedUserView::new(&user, generated);
    let id = user.id;
    match store.create_user(&NewUser { user, password_hash }, now, None).await? {
        Created::Created => {
            let event = Event::new(EventType::UserCreated).user(id).detail("authly-admin");
            let record = Record::new(new_id(&host, now), now, event);
            record.log();
            store.record(&record).await.context("the account was made, but not written to the audit log")?;
            Ok(view)
        }
        Created::Conflict => bail!("the e-mail address or the user name is taken"),
    }
}

async fn create_client<S: Store>(
    arguments: &CreateClient,
    config: &NativeConfig,
    store: &S,
) -> anyhow::Result<CreatedClientView> {
    let host = host(config);
    let now = host.now();
    let id = new_id(&host, now);
    let client_id = arguments.client_id.clone().unwrap_or_else(|| format!("client-{}", id.simple()));
    let known = store.scopes().await?;
    let scopes: Scopes = if arguments.scopes.is_empty() {
        known.iter().filter(|scope| scope.is_default).map(|scope| scope.name.clone()).collect()
    } else {
        arguments.scopes.iter().cloned().collect()
    };
    for scope in scopes.iter() {
        ensure!(known.iter().any(|known| known.name == scope), "there is no scope {scope:?}; see `scope list`");
    }
    let secret = (arguments.kind == Kind::Confidential).then(|| ClientSecret::generate(&OsEntropy));
    let grant_types = match arguments.grant_types.as_slice() {
        [] if secret.is_some() && arguments.redirect_uris.is_empty() => [GrantType::ClientCredentials].into(),
        [] => [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        names => names
            .iter()
            .map(|name| GrantType::parse(name).with_context(|| format!("there is no grant type {name:?}")))
            .collect::<anyhow::Result<_>>()?,
    };
    let auth_method = match &secret {
        None => AuthMethod::None,
        Some(_) => AuthMethod::parse(&arguments.auth_method)
            .filter(|method| *method != AuthMethod::None)
            .context("--auth-method must be client_secret_basic or client_secret_post")?,
    };
    let redirect_uri = |uri: &String| RedirectUri::parse(uri).with_context(|| format!("redirect URI {uri:?}"));
    let client = NewClient {
        id,
        client_id: ClientId::parse(&client_id).context("client_id must be visible ASCII, and not a UUID")?,
        name: arguments.name.clone(),
        secret_hash: secret.as_ref().map(|secret| ClientSecretHash::from(secret.digest())),
        redirect_uris: arguments.redirect_uris.iter().map(redirect_uri).collect::<anyhow::Result<_>>()?,
        client_uri: arguments.client_uri.clone(),
        auth_method,
        require_pkce: true,
        grant_types,
        scopes,
        resources: arguments.resources.clone(),
        introspect_all: arguments.introspect_all,
        logo_uri: None,
        is_active: true,
    };
    client.check()?;
    match store.create_client(&client, now, None).await? {
        Created::Created => {
            let stored = store.client(&client.client_id).await?.context("the client is gone already")?;
            Ok(CreatedClientView::new(&stored, secret.as_ref().map(|secret| secret.expose().to_owned())))
        }
        Created::Conflict => bail!("the client_id {client_id:?} is taken"),
    }
}

async fn create_scope<S: Store>(
    name: &str,
    description: &str,
    is_default: bool,
    config: &NativeConfig,
    store: &S,
) -> anyhow::Result<ScopeView> {
    ensure!(
        Scopes::is_token(name) && name.len() <= 255,
        "a scope is one word of at most 255 printable ASCII characters, without quotes or backslashes"
    );
    let host = host(config);
    let now = host.now();
    let scope =
        ScopeDescription { name: name.to_owned(), description: description.to_owned(), is_default, is_active: true };
    match store.create_scope(new_id(&host, now), &scope, now, None).await? {
        Created::Created => Ok(ScopeView::from(&scope)),
        Created::Conflict => bail!("the scope {name:?} exists already"),
    }
}
