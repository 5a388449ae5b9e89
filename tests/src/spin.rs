//! The Spin target as a host for the scenarios: the component, run by the tests' own host (`spin-host`) by what the
//! top-level `spin.toml` says.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Weak},
};

use tokio::sync::Mutex;
use url::Url;

use crate::{
    container::{postgres, running, shared},
    server::{Database, Program, TestServer, program},
    target::{Host, Running},
};

/// A Spin application and how it is run.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its manifest, within the workspace.
    manifest: &'static str,
    /// The file name of its component.
    component: &'static str,
    /// `fresh` or `reuse`.
    instances: &'static str,
    trap_after_statement: Option<usize>,
}

impl Application {
    /// Whether an instance takes many requests.
    pub fn is_reused(&self) -> bool {
        self.instances == Self::REUSED.instances
    }

    /// Authly, with an instance for each request.
    pub const FRESH: Self =
        Self { manifest: "spin.toml", component: "authly_spin.wasm", instances: "fresh", trap_after_statement: None };

    /// Authly, with instances that take up to 128 requests, 16 of them at once.
    pub const REUSED: Self = Self { instances: "reuse", ..Self::FRESH };

    /// The component that runs statements for the store's suite.
    pub const STATEMENTS: Self =
        Self { manifest: "tests/spin-guest/spin.toml", component: "authly_spin_guest.wasm", ..Self::REUSED };

    /// Every instance traps when the database has answered this many of its statements.
    #[must_use]
    pub const fn trap_after(self, statements: usize) -> Self {
        Self { trap_after_statement: Some(statements), ..self }
    }

    /// Starts it. `variables` are as for [`TestServer::start`], the environment's names.
    pub async fn start(self, database: Database, variables: &[(&str, &str)]) -> TestServer {
        TestServer::start_program(Program::Spin(self), database, variables).await
    }

    /// What answers 200 once it runs: Spin itself where instances trap, which a statement of the server's own would
    /// lead to.
    pub(crate) fn readiness(&self) -> &'static str {
        if self.trap_after_statement.is_some() { "/.well-known/spin/health" } else { "/health/ready" }
    }

    pub(crate) fn command(&self, port: u16, variables: &[(String, String)]) -> Command {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace");
        let host = program("authly-spin-host");
        let target = host.ancestors().nth(2).expect("target/debug/authly-spin-host");
        let mut command = Command::new(&host);
        command.env_clear().envs(variables.iter().map(|(name, value)| (format!("SPIN_VARIABLE_{name}"), value)));
        if let Some((_, url)) = variables.iter().find(|(name, _)| name == "DATABASE_URL") {
            let url = Url::parse(url).expect("the address of a database");
            let address = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
            command.env("SPIN_VARIABLE_DATABASE_HOST", address);
        }
        command
            .args(["--instances", self.instances, "--listen", &format!("127.0.0.1:{port}")])
            .arg("--manifest")
            .arg(workspace.join(self.manifest))
            .arg("--component")
            .arg(component(target, self.component))
            .arg("--cache")
            .arg(target.join("spin-cache"));
        if let Some(statements) = self.trap_after_statement {
            command.args(["--trap-after-statement", &statements.to_string()]);
        }
        command
    }
}

fn component(target: &Path, name: &str) -> PathBuf {
    let path = target.join("wasm32-wasip2").join("component").join(name);
    assert!(
        path.is_file(),
        "{} is not there: build it first (`cargo build -p authly-spin -p authly-spin-guest --target wasm32-wasip2 \
         --profile component`), or use tests/run.sh",
        path.display()
    );
    path
}

/// On Postgres, with an instance for each request.
pub struct OnSpin;

/// On Postgres, with instances that are used again.
pub struct OnSpinReused;

macro_rules! host {
    ($host:ident, $application:expr) => {
        impl Host for $host {
            async fn shared() -> Running {
                static SHARED: Mutex<Weak<TestServer>> = Mutex::const_new(Weak::new());
                shared(&SHARED, async { $application.start(postgres().await, &[]).await }).await
            }

            async fn start(variables: &[(&str, &str)]) -> Running {
                running(Arc::new($application.start(postgres().await, variables).await)).await
            }
        }
    };
}

host!(OnSpin, Application::FRESH);
host!(OnSpinReused, Application::REUSED);
