//! Configuration from Spin's variables: the names of the environment variables, in lower case.

use std::collections::HashMap;

use authly_core::{
    config::{Config, Problem, Reader},
    proxy::TrustedProxies,
};
use spin_sdk::variables::{self, Error};
use tracing_subscriber::filter::Targets;

pub(crate) struct SpinConfig {
    pub(crate) core: Config,
    pub(crate) database_url: String,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) log_level: Targets,
}

impl SpinConfig {
    /// Asks the host for every variable, then reads them as a whole.
    pub(crate) async fn from_variables() -> Result<Self, Vec<Problem>> {
        // Reading nothing tells what there is to ask for.
        let mut reader = Reader::new(&|_| None);
        Self::read(&mut reader);
        let names = reader.settings().iter().map(|setting| setting.variable);
        let mut values = HashMap::new();
        let mut problems = Vec::new();
        for name in names {
            match variables::get(name.to_lowercase()).await {
                Ok(value) => _ = values.insert(name, value),
                Err(Error::Undefined(_)) => {}
                Err(Error::InvalidName(reason) | Error::Provider(reason) | Error::Other(reason)) => {
                    problems.push(Problem { variable: name, problem: format!("the host cannot tell it: {reason}") });
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let lookup = |name: &str| values.get(name).cloned();
        let mut reader = Reader::new(&lookup);
        let config = Self::read(&mut reader);
        reader.finish(config).map(|(config, _)| config)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let core = Config::read(reader);
        let trusted_proxies = TrustedProxies::read(reader);
        let log_level = reader.parsed(
            "LOG_LEVEL",
            Targets::new().with_default(tracing::Level::INFO),
            "a level such as info",
            |text| text.to_ascii_lowercase().parse().ok(),
        );
        let database_url = reader.secret("DATABASE_URL");
        let is_postgres = |url: &String| url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !database_url.as_ref().is_some_and(is_postgres) {
            reader.problem("DATABASE_URL", "it must be postgresql://user:password@host/database");
        }
        Some(Self { core: core?, database_url: database_url?, trusted_proxies, log_level })
    }
}
