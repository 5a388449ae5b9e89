//! Postgres through sqlx: the executor of [`PostgresStore`], and migrations.

use std::{
    str::FromStr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use authly_core::store::{
    StoreError,
    postgres::{Executor, PostgresStore, Row, Statement, Value, sqlstate},
};
use deadpool::managed::{self, Metrics, Object, PoolError, RecycleError, RecycleResult};
use sqlx::{
    Column as _, ConnectOptions as _, Connection as _, PgConnection, Postgres, Row as _, TypeInfo as _, ValueRef as _,
    migrate::{Migrate as _, MigrateError, Migrator},
    postgres::{PgArguments, PgConnectOptions, PgRow},
    query::Query,
};
use url::Url;

use crate::{
    metrics::{Metrics as Observations, Observed, PoolLoad},
    otlp,
};

/// The store of the native targets, where `DATABASE_URL` names a Postgres.
pub type Store = PostgresStore<SqlxExecutor>;

/// The migrations of `migrations/postgres`.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How the pool of connections behaves.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// The most connections that are open at once. With several instances, their sum has to stay below the server's
    /// `max_connections`.
    pub max_connections: u32,
    /// How long a request waits for a connection, new or free again.
    pub acquire_timeout: Duration,
    /// How long a statement may take, waiting for the connection included.
    pub query_timeout: Duration,
    /// Whether connections keep prepared statements. Without, each statement is prepared anew inside a transaction
    /// of its own, at the cost of three more round trips: for a PgBouncer in transaction mode that does not know of
    /// prepared statements. `statement-cache-capacity=0` in the database's address has the same effect.
    pub prepared_statements: bool,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            max_connections: 16,
            // A database that does not even accept connections is reported within a second.
            acquire_timeout: Duration::from_millis(900),
            query_timeout: Duration::from_secs(5),
            prepared_statements: true,
        }
    }
}

/// The address of the database is not understood.
#[derive(Debug, thiserror::Error)]
#[error("it is not the address of a Postgres (postgresql://user:password@host:port/database): {0}")]
pub struct InvalidAddress(String);

/// A connection that was idle for longer is asked whether it still works before it is used again.
const TRUSTED_IDLE_TIME: Duration = Duration::from_secs(1);

/// A connection that is older is replaced, so that a change of address or role is noticed, and memory that the server
/// keeps for it is returned.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Makes connections, and looks after those that come back. Not sqlx's own pool: that one sends a ping after every use,
/// one more round trip for each statement.
#[derive(Debug)]
struct Connections(PgConnectOptions);

impl managed::Manager for Connections {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        self.0.connect().await
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > LIFETIME {
            return Err(RecycleError::message("it is old"));
        }
        if metrics.last_used() > TRUSTED_IDLE_TIME {
            connection.ping().await?;
        }
        Ok(())
    }
}

/// Makes a store that connects when it is first used, so that a server starts although its database is down.
///
/// # Errors
/// Where the address is malformed. The error does not repeat it, for it holds a password.
pub fn connect(database_url: &str, options: &PostgresOptions) -> Result<Store, InvalidAddress> {
    let url = Url::parse(database_url).map_err(|error| InvalidAddress(error.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(InvalidAddress("the scheme is another".to_owned()));
    }
    let cache_is_off = url.query_pairs().any(|(name, value)| name == "statement-cache-capacity" && value == "0");
    let connect_options = PgConnectOptions::from_str(database_url)
        .map_err(|error| InvalidAddress(error.to_string()))?
        // No float is ever read, and PgBouncer does not know this parameter.
        .extra_float_digits(None)
        .disable_statement_logging();
    let connections = Connections(connect_options);
    let pool = managed::Pool::builder(connections).max_size(options.max_connections as usize).build();
    let pool = pool.map_err(|error| InvalidAddress(error.to_string()))?;
    Ok(PostgresStore::new(SqlxExecutor {
        pool,
        acquire_timeout: options.acquire_timeout,
        query_timeout: options.query_timeout,
        prepared_statements: options.prepared_statements && !cache_is_off,
        statements: AtomicU64::new(0),
        observations: OnceLock::new(),
    }))
}

/// Applies the migrations that are pending. Of several instances that do so at once, one does the work and the others
/// wait for it. It needs a session of its own: not one that PgBouncer shares out by transactions.
///
/// # Errors
/// Where the database cannot be reached, a migration fails (it leaves nothing behind), or the database was migrated by
/// a newer release or with files that were changed since.
pub async fn migrate(executor: &SqlxExecutor) -> Result<(), MigrateError> {
    MIGRATOR.run(&mut executor.connect().await?).await
}

/// The migrations that [`migrate`] would apply, by number and name. Changes nothing.
///
/// # Errors
/// Where the database cannot be reached.
pub async fn pending_migrations(executor: &SqlxExecutor) -> Result<Vec<(i64, String)>, MigrateError> {
    let mut connection = executor.connect().await?;
    let is_migrated: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut connection).await?;
    let applied =
        if is_migrated { connection.list_applied_migrations(&MIGRATOR.table_name).await? } else { Vec::new() };
    Ok(MIGRATOR
        .iter()
        .filter(|migration| applied.iter().all(|applied| applied.version != migration.version))
        .map(|migration| (migration.version, migration.description.to_string()))
        .collect())
}

/// Runs the store's statements on a pool of connections.
#[derive(Debug)]
pub struct SqlxExecutor {
    pool: managed::Pool<Connections>,
    acquire_timeout: Duration,
    query_timeout: Duration,
    prepared_statements: bool,
    statements: AtomicU64,
    observations: OnceLock<Arc<Observations>>,
}

impl SqlxExecutor {
    /// A connection past the pool.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.pool.manager().0.connect().await
    }

    /// How many statements were run since the start.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    async fn run(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Vec<PgRow>, Failure> {
        let object = tokio::time::timeout(self.acquire_timeout, self.pool.get()).await;
        let object = object.map_err(|_| Failure::NoConnection)?.map_err(Failure::Connection)?;
        let mut checkout = Checkout(Some(object));
        let connection = checkout.connection();
        let query = parameters
            .into_iter()
            .try_fold(sqlx::query(statement.sql), bind)
            .map_err(|error| Failure::Statement(sqlx::Error::Encode(error.into())))?;
        let rows = if self.prepared_statements {
            query.fetch_all(connection).await
        } else {
            let mut transaction = connection.begin().await.map_err(Failure::Statement)?;
            let rows = query.persistent(false).fetch_all(&mut *transaction).await.map_err(Failure::Statement)?;
            transaction.commit().await.map(|()| rows)
        };
        let rows = rows.map_err(Failure::Statement)?;
        checkout.give_back();
        Ok(rows)
    }
}

impl Executor for SqlxExecutor {
    async fn query(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let started = self.observations.get().map(|observations| (observations, Instant::now()));
        let began = otlp::statement_begins();
        let rows = tokio::time::timeout(self.query_timeout, self.run(statement, parameters))
            .await
            .unwrap_or(Err(Failure::Timeout));
        if let Some((observations, started)) = started {
            observations.statement(statement.name, started.elapsed(), rows.is_ok());
        }
        otlp::statement(statement.name, began, rows.is_ok());
        let rows = rows.map_err(|failure| failure.into_store_error(statement))?;
        rows.iter()
            .map(|row| {
                let columns = (0..row.len()).map(|index| decode(row, index)).collect::<Result<_, _>>();
                Ok(Row::new(statement, columns?))
            })
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::Statement(error).into_store_error(statement))
    }
}

impl Observed for Store {
    fn observe(&self, observations: Arc<Observations>) {
        // A second observer is one too many.
        let _ = self.executor().observations.set(observations);
    }

    fn pool_load(&self) -> PoolLoad {
        let status = self.executor().pool.status();
        PoolLoad { active: status.size.saturating_sub(status.available), max: status.max_size, waiting: status.waiting }
    }
}

/// A connection in use. One whose statement was not seen to end (it failed, took too long, or its request is gone) is
/// closed: given back, it would keep its place in the pool for as long as a hung server is silent.
struct Checkout(Option<Object<Connections>>);

impl Checkout {
    fn connection(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("it is there until it is given back")
    }

    fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// Why a statement has no result.
enum Failure {
    /// No connection could be made to run it on.
    Connection(PoolError<sqlx::Error>),
    /// There was none in time: the server does not answer, or all are in use.
    NoConnection,
    /// It took too long.
    Timeout,
    /// The database or the driver gave up on it.
    Statement(sqlx::Error),
}

impl Failure {
    fn into_store_error(self, statement: &Statement) -> StoreError {
        let name = statement.name;
        match self {
            Self::Connection(error) => StoreError::Unavailable(format!("{name}: no connection: {error}")),
            Self::NoConnection => StoreError::Unavailable(format!("{name}: no connection in time")),
            Self::Timeout => StoreError::Unavailable(format!("{name}: no answer in time")),
            Self::Statement(sqlx::Error::Database(error)) => {
                sqlstate::store_error(name, &error.code().unwrap_or_default(), error.message())
            }
            Self::Statement(
                error @ (sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::BeginFailed),
            ) => StoreError::Unavailable(format!("{name}: {error}")),
            Self::Statement(error) => StoreError::Unexpected(format!("{name}: {error}")),
        }
    }
}

type PgQuery = Query<'static, Postgres, PgArguments>;

fn bind(query: PgQuery, value: Value) -> Result<PgQuery, serde_json::Error> {
    Ok(match value {
        Value::Bool(value) => query.bind(value),
        Value::Int4(value) => query.bind(value),
        Value::Int8(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytea(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
        Value::Jsonb(value) => {
            query.bind(value.map(|document| serde_json::from_str::<serde_json::Value>(&document)).transpose()?)
        }
        Value::TextArray(value) => query.bind(value),
    })
}

fn decode(row: &PgRow, index: usize) -> Result<Value, sqlx::Error> {
    let column = row.column(index);
    Ok(match column.type_info().name() {
        "BOOL" => Value::Bool(row.try_get(index)?),
        "INT4" => Value::Int4(row.try_get(index)?),
        "INT8" => Value::Int8(row.try_get(index)?),
        "TEXT" | "VARCHAR" => Value::Text(row.try_get(index)?),
        "BYTEA" => Value::Bytea(row.try_get(index)?),
        "UUID" => Value::Uuid(row.try_get(index)?),
        "JSONB" => Value::Jsonb(document(row, index)?),
        "TEXT[]" => Value::TextArray(row.try_get(index)?),
        other => return Err(sqlx::Error::Decode(format!("column {} is {other}", column.name()).into())),
    })
}

/// The text of a `jsonb` value, which in Postgres's binary format follows a version number.
fn document(row: &PgRow, index: usize) -> Result<Option<String>, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(None);
    }
    match value.as_bytes().map_err(sqlx::Error::Decode)?.split_first() {
        Some((1, document)) => {
            String::from_utf8(document.to_vec()).map(Some).map_err(|error| sqlx::Error::Decode(error.into()))
        }
        _ => Err(sqlx::Error::Decode("the format of jsonb is unknown".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_checked_and_not_repeated() {
        let options = PostgresOptions::default();
        for bad in ["", "authly", "mysql://u:hunter2@h/d", "postgresql://u:hunter2@h:port/d"] {
            let error = connect(bad, &options).expect_err(bad).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let store = connect("postgresql://u:p@h/d", &options).expect("valid");
        assert!(store.executor().prepared_statements);
        let store = connect("postgres://u:p@h/d?statement-cache-capacity=0", &options).expect("valid");
        assert!(!store.executor().prepared_statements);
    }
}
