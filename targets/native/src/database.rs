//! The database that `DATABASE_URL` names.

use anyhow::Context as _;
use sqlx::migrate::MigrateError;

use crate::{
    config::{DatabaseUrl, NativeConfig},
    data::private_directory,
    postgres::{self, PostgresOptions},
    sqlite::SqliteStore,
};

/// A store of either kind. Who uses it matches once and stays generic from there.
pub enum Database {
    /// One file, one node.
    Sqlite(SqliteStore),
    /// Shared by all instances.
    Postgres(postgres::Store),
}

impl Database {
    /// Opens it. A file is made where it is missing, in a directory that nobody else can read, and its schema is brought up to
    /// date: nobody else uses it. A server need not be there yet.
    pub async fn open(config: &NativeConfig) -> anyhow::Result<Self> {
        match &config.database_url {
            DatabaseUrl::Sqlite(path) => {
                if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
                    private_directory(directory).with_context(|| format!("cannot make {}", directory.display()))?;
                }
                let store = SqliteStore::connect(path).await;
                let store = store.with_context(|| format!("cannot open {}", path.display()))?;
                store.migrate().await.context("the migration failed")?;
                Ok(Self::Sqlite(store))
            }
            DatabaseUrl::Postgres(url) => {
                let options =
                    PostgresOptions { max_connections: config.database_pool_size, ..PostgresOptions::default() };
                postgres::connect(url, &options).map(Self::Postgres).context("DATABASE_URL")
            }
        }
    }

    /// Brings the schema up to date. Safe to run from several instances at once: one does the work.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        match self {
            Self::Sqlite(store) => store.migrate().await,
            Self::Postgres(store) => postgres::migrate(store.executor()).await,
        }
    }
}
