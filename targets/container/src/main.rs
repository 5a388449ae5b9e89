//! `authly`: the server, its migrations and its maintenance, in one program.

mod metrics;
mod serve;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context as _;
use authly_core::{Server, config::Environment, store::Store};
use authly_native::{
    Database, NativeConfig, NativeHost, NativeMailer, config, first_run, health, logging, maintenance,
    metrics::{Metrics, Observed},
    otlp,
};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Authly, an OAuth 2.1 authorization server. It is configured by environment variables; see README.md.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP (the default).
    Serve,
    /// Bring the database's schema up to date.
    Migrate,
    /// Ask the server on this machine whether it is ready, as an image's health check; exit with 1 where it is not.
    Health {
        /// What to ask instead of `/health/ready` at HOST and PORT.
        url: Option<String>,
    },
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Jobs that a running server does by itself, for a scheduler.
    #[command(subcommand)]
    Maintenance(MaintenanceCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the effective configuration, secrets redacted; exit with 1 where it cannot be used.
    Check,
}

#[derive(Subcommand)]
enum MaintenanceCommand {
    /// Rotate signing keys, remove what has ended, and send mail that waits; exit with 1 where a job failed.
    Run,
    /// Show when each job ran last, on whichever instance, and what became of it.
    Status,
}

fn main() -> ExitCode {
    let command = match Arguments::parse().command {
        Some(Command::Health { url }) => return health::check(url),
        command => command.unwrap_or(Command::Serve),
    };
    let config = match NativeConfig::from_environment() {
        Ok(config) => config,
        Err(problems) => return config::report(&problems),
    };
    let done = tokio::runtime::Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        logging::start(&config.log_level, config.log_format);
        let _exporting = otlp::start(config.otlp.as_ref())?;
        runtime.block_on(run(command, config))
    });
    let failed = |error| {
        eprintln!("authly: {error:#}");
        ExitCode::FAILURE
    };
    done.map_or_else(failed, |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "it is what the command is for")]
async fn run(command: Command, config: NativeConfig) -> anyhow::Result<()> {
    if let Command::Config(ConfigCommand::Check) = command {
        print!("{config}");
        return Ok(());
    }
    let database = Database::open(&config).await?;
    if let Command::Migrate = command {
        database.migrate().await.context("the migration failed")?;
        println!("The schema of {} is up to date.", config.database_url);
        return Ok(());
    }
    match database {
        Database::Sqlite(store) => run_with(command, config, store).await,
        Database::Postgres(store) => run_with(command, config, store).await,
    }
}

async fn run_with<S: Store + Observed>(command: Command, mut config: NativeConfig, store: S) -> anyhow::Result<()> {
    config.core.demo = config.core.environment == Environment::Development;
    let metrics = config.metrics_enabled.then(|| Arc::new(Metrics::new()));
    let mut host = NativeHost::new(config.core.password_cost, config.hashing).with_redis(config.redis_url.as_ref());
    if let Some(metrics) = &metrics {
        store.observe(Arc::clone(metrics));
        host = host.with_telemetry(Arc::<Metrics>::clone(metrics));
    }
    let server = Server::new(config.core.clone(), store, host);
    let mailer = NativeMailer::new(&config).context("TLS for the mail server cannot be set up")?;
    NativeMailer::warn_if_missing(mailer.as_ref(), &config.core);
    match command {
        Command::Maintenance(MaintenanceCommand::Run) => maintenance::run(&config, &server, mailer.as_ref()).await,
        Command::Maintenance(MaintenanceCommand::Status) => maintenance::status(&server).await,
        _ => {
            first_run::prepare(&config, &server).await;
            serve::serve(&config, server, metrics, mailer).await
        }
    }
}
