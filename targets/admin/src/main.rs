//! `authly-admin`: a client of the admin API, in process on the database or over HTTP.
//!
//! Every command builds a request of the API, sends it by one of two transports, and renders the answer. Nothing here
//! knows what a client or a user is beyond that: the rules are the server's, and hold for both ways alike.

mod api;
mod arguments;
mod commands;
mod credentials;
mod diff;
mod failure;
mod http_client;
mod loopback;
mod oauth;
mod output;
mod terminal;
mod transport;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    api::Api,
    arguments::{Arguments, Command},
    failure::Failure,
    transport::Transport,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("authly-admin: {failure}");
            failure.exit_code()
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = arguments.output;
    match &arguments.command {
        Command::Completions { shell } => commands::completions(*shell),
        Command::Login(login) => commands::login::log_in(login, &arguments.server, format).await,
        Command::Logout => commands::login::log_out(&arguments.server, format),
        Command::Status => commands::status::status(connect(arguments).await, format).await,
        Command::Whoami => commands::login::who_am_i(&connect(arguments).await?, format).await,
        Command::Client(command) => commands::client::run(command, &connect(arguments).await?, format).await,
        Command::Scope(command) => commands::scope::run(command, &connect(arguments).await?, format).await,
        Command::User(command) => commands::user::run(command, &connect(arguments).await?, format).await,
        Command::Session(command) => commands::session::run(command, &connect(arguments).await?, format).await,
        Command::Grant(command) => commands::grant::run(command, &connect(arguments).await?, format).await,
        Command::Key(command) => commands::key::run(command, &connect(arguments).await?, format).await,
        Command::Audit(command) => commands::audit::run(command, &connect(arguments).await?, format).await,
        Command::Maintenance(command) => commands::maintenance::run(command, &connect(arguments).await?, format).await,
    }
}

async fn connect(arguments: &Arguments) -> Result<Api, Failure> {
    Transport::open(&arguments.server).await.map(Api::new)
}
