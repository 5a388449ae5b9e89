//! Databases of a PostgreSQL server that `tests/postgres.sh` or `tests/run.sh` started, one for each test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use authly_native::postgres::{self, PostgresOptions, SqlxExecutor, Store};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};

/// The variable with the address of the server's administrator.
pub const ADMIN_URL: &str = "AUTHLY_TEST_DATABASE_URL";

/// The variable with the `host:port` of a PgBouncer in transaction mode before that server. Where it is set, stores
/// go through it, without prepared statements; migrations and the administrator do not.
pub const PGBOUNCER: &str = "AUTHLY_TEST_PGBOUNCER";

/// A fresh database, dropped at the end.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    admin_url: String,
    store: Arc<Store>,
    direct: Arc<Store>,
    pool: PgPool,
}

impl TestDatabase {
    /// An empty database with the schema of this release.
    ///
    /// # Panics
    /// Without [`ADMIN_URL`], and where anything fails.
    pub async fn new() -> Self {
        let database = Self::empty().await;
        postgres::migrate(database.executor()).await.expect("the migrations apply to an empty database");
        database
    }

    /// A database without any schema.
    ///
    /// # Panics
    /// Without [`ADMIN_URL`], and where anything fails.
    pub async fn empty() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let admin_url = std::env::var(ADMIN_URL).unwrap_or_else(|_| {
            panic!("{ADMIN_URL} is not set: run tests/run.sh, or start a server with tests/postgres.sh start")
        });
        let name = format!("authly_test_{}_{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        // One that a run with the same process id left behind.
        administer(&admin_url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        administer(&admin_url, &format!("CREATE DATABASE {name}")).await;
        let direct = store(&url_of(&admin_url, &name), &PostgresOptions::default());
        let store = store(&pooled_url_of(&admin_url, &name), &PostgresOptions::default());
        let pool = PgPool::connect_lazy(&url_of(&admin_url, &name)).expect("the address of a database");
        Self { name, admin_url, store, direct, pool }
    }

    /// Its address, for a store.
    pub fn url(&self) -> String {
        pooled_url_of(&self.admin_url, &self.name)
    }

    /// Its address past any PgBouncer, for migrations.
    pub fn direct_url(&self) -> String {
        url_of(&self.admin_url, &self.name)
    }

    /// Its store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Past any PgBouncer, for migrations.
    pub fn executor(&self) -> &SqlxExecutor {
        self.direct.executor()
    }

    /// Connections of the test's own.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Another store of the same database.
///
/// # Panics
/// Where the address is malformed.
pub fn store(url: &str, options: &PostgresOptions) -> Arc<Store> {
    Arc::new(postgres::connect(url, options).expect("the address of a database"))
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let admin_url = self.admin_url.clone();
        // The test's runtime cannot be waited for from here. What fails is left to `tests/postgres.sh stop`.
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(administer(&admin_url, &sql));
        });
        let _ = dropping.join();
    }
}

/// The same database, past any PgBouncer: for what a test does in it on its own.
pub fn past_pgbouncer(database_url: &str) -> String {
    let url = url::Url::parse(database_url).expect("the address of a database");
    match (std::env::var(PGBOUNCER), std::env::var(ADMIN_URL)) {
        (Ok(_), Ok(admin_url)) => url_of(&admin_url, url.path()),
        _ => database_url.to_owned(),
    }
}

fn url_of(admin_url: &str, database: &str) -> String {
    let mut url = url::Url::parse(admin_url).expect("the administrator's address is a URL");
    url.set_path(database);
    url.into()
}

fn pooled_url_of(admin_url: &str, database: &str) -> String {
    let mut url = url::Url::parse(&url_of(admin_url, database)).expect("it was one before");
    if let Ok(pooler) = std::env::var(PGBOUNCER) {
        let (host, port) = pooler.rsplit_once(':').expect("host:port");
        url.set_host(Some(host)).expect("a host");
        url.set_port(port.parse().ok()).expect("a port");
        url.set_query(Some("statement-cache-capacity=0"));
    }
    url.into()
}

async fn administer(admin_url: &str, sql: &str) {
    let options: PgConnectOptions = admin_url.parse().expect("the administrator's address is that of a Postgres");
    let mut connection: PgConnection = options.connect().await.expect("the administrator can connect");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the administrator may do so");
    let _ = connection.close().await;
}
