//! The command line: what all commands share, and the list of them. Each command's own arguments are beside it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    commands::{
        audit::AuditCommand, client::ClientCommand, grant::GrantCommand, key::KeyCommand, login::Login,
        maintenance::MaintenanceCommand, scope::ScopeCommand, session::SessionCommand, user::UserCommand,
    },
    output::Format,
};

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed: the server refused a value, or something broke; `status`: not healthy
   2  the command line is wrong, or a confirmation was not given
   3  what was named does not exist
   4  conflict: a name is taken, it was changed meanwhile, or the last administrator would go
   5  not authorized: no login, an expired one, or a scope or the administrator's role is missing
   6  the server or the database cannot be reached, or asks to come back later
  10  `client apply --exit-code`: something was changed, or would be under --dry-run";

/// Administer Authly: straight on its database, or with --url over HTTP.
///
/// On the database it reads the same variables as the server (DATABASE_URL, …). With --url it uses the login that
/// `authly-admin login` made, or an access token from AUTHLY_TOKEN or --token-stdin, as machines do.
#[derive(Parser)]
#[command(version, after_long_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// How results are printed.
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Which server, and who asks it. (Comments of arguments that are flattened into others would become their help.)
#[derive(Args)]
pub(crate) struct Server {
    /// Administer the server of this issuer URL over HTTP, rather than the database.
    #[arg(long, env = "AUTHLY_URL", global = true, help_heading = "Server")]
    pub(crate) url: Option<String>,
    /// Read an access token from standard input, up to the end of the first line; else AUTHLY_TOKEN (or AUTHLY_TOKEN_FILE), else the
    /// login.
    #[arg(long, global = true, help_heading = "Server")]
    pub(crate) token_stdin: bool,
    /// Trust the certificate authorities of this file (PEM), rather than Mozilla's.
    #[arg(long, env = "AUTHLY_CA_FILE", global = true, help_heading = "Server")]
    pub(crate) ca_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show whether the server is healthy, and what is in its database. Exits with 1 where it is not.
    Status,
    /// OAuth clients.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Scopes that clients can ask for.
    #[command(subcommand)]
    Scope(ScopeCommand),
    /// Accounts of people.
    #[command(subcommand)]
    User(UserCommand),
    /// Where people are logged in.
    #[command(subcommand)]
    Session(SessionCommand),
    /// What people let clients do.
    #[command(subcommand)]
    Grant(GrantCommand),
    /// The keys that sign access tokens.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The log of security events.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The periodic jobs.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
    /// Log in at the server of --url, in a browser, and keep the tokens for further commands.
    Login(Login),
    /// Revoke the login at the server of --url, and forget it.
    Logout,
    /// Show on whose behalf commands run.
    Whoami,
    /// Print a script that completes commands; see your shell's manual for where it goes.
    Completions {
        /// For this shell.
        shell: Shell,
    },
}

// Of commands that change something.
#[derive(Args, Clone, Copy)]
pub(crate) struct Change {
    /// Check everything and show what would change, but change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

// Of commands whose effect cannot be taken back.
#[derive(Args, Clone, Copy)]
pub(crate) struct Irreversible {
    #[command(flatten)]
    pub(crate) change: Change,
    /// Do not ask. Needed where there is no terminal to ask on.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

// Of commands that list.
#[derive(Args, Clone, Copy)]
pub(crate) struct Paging {
    /// No more than so many; by default all.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}
