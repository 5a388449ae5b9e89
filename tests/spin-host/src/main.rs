//! `authly-spin-host`: runs one Spin component, behind one HTTP port, over real Postgres databases.
//!
//! A host for tests, and no laxer than Spin: what a component may do here works there. It has an interface only where
//! Authly needs it (HTTP, `spin:postgres`, `spin:variables`), carries only the types that cross Spin's interface
//! unchanged, and answers, pools, traps and hands on requests as Spin 4.1 does.

mod bindings;
mod guest;
mod manifest;
mod postgres;
mod server;
mod values;
mod variables;

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Parser, ValueEnum};
use wasmtime::{Cache, CacheConfig, Config, Engine, Result, component::Component, error::Context as _};
use wasmtime_wasi_http::handler::ProxyHandler;

use crate::{
    guest::{App, Instances},
    manifest::Application,
    postgres::{AllowedHosts, Pools},
};

/// Runs a Spin application, much as `spin up` does.
#[derive(Parser)]
struct Arguments {
    /// The application's manifest.
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// The component, instead of the manifest's.
    #[arg(long)]
    component: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// `name=value`: a variable of the manifest, instead of `SPIN_VARIABLE_NAME` in the environment.
    #[arg(long = "variable", value_parser = variable)]
    variables: Vec<(String, String)>,
    /// How long an instance lives.
    #[arg(long, value_enum, default_value_t = Lifetime::Reuse)]
    instances: Lifetime,
    /// A directory for compiled components, so that only the first start takes its time.
    #[arg(long)]
    cache: Option<PathBuf>,
    /// An instance traps as soon as this many of its statements have been answered by the database.
    #[arg(long)]
    trap_after_statement: Option<usize>,
    /// Makes so many instances, prints what one takes, and serves nothing.
    #[arg(long)]
    time_instances: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Lifetime {
    /// One request: `spin up --max-instance-reuse-count 1`.
    Fresh,
    /// Spin's default: up to 128 requests, up to 16 of them at once.
    Reuse,
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("it is not name=value")
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("authly-spin-host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(arguments: Arguments) -> Result<()> {
    let mut application = Application::read(&arguments.manifest, &arguments.variables)?;
    if let Some(component) = arguments.component {
        application.component = component;
    }
    let component = compile(&application.component, arguments.cache)?;
    let app = App {
        allowed_hosts: AllowedHosts::parse(&application.allowed_outbound_hosts)?,
        application,
        pools: Pools::default(),
        trap_after_statement: arguments.trap_after_statement,
    };
    let (requests, at_once) = match arguments.instances {
        Lifetime::Fresh => (1, 1),
        Lifetime::Reuse => (128, 16),
    };
    let instances = Instances::new(&component, Arc::new(app), requests, at_once)?;
    if let Some(count) = arguments.time_instances {
        eprintln!("making an instance: {:.1?} (median of {count})", instances.time(count).await?);
        return Ok(());
    }
    server::run(arguments.listen, ProxyHandler::new(instances)).await
}

/// Compiles the component, or takes it from the cache.
fn compile(path: &Path, cache: Option<PathBuf>) -> Result<Component> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    let mut lock = None;
    if let Some(directory) = cache {
        // Of several hosts that start at once, one compiles.
        std::fs::create_dir_all(&directory)?;
        let file = File::create(directory.join("lock"))?;
        file.lock()?;
        lock = Some(file);
        let mut cache = CacheConfig::new();
        cache.with_directory(directory.canonicalize()?);
        config.cache(Some(Cache::new(cache)?));
    }
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, path).with_context(|| format!("{} cannot run", path.display()))?;
    drop(lock);
    Ok(component)
}
