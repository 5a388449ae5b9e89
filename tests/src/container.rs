//! The container target as a host for the scenarios: the program `authly`.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::{
    postgres::TestDatabase,
    server::{Database, TestServer},
    target::{Host, Running, Target},
};

/// On SQLite.
pub struct OnSqlite;

/// On Postgres.
pub struct OnPostgres;

/// A server that lives for as long as any test of this program uses it: a static is never dropped, and the process
/// would be left behind.
static SQLITE: Mutex<Weak<TestServer>> = Mutex::const_new(Weak::new());
static POSTGRES: Mutex<Weak<TestServer>> = Mutex::const_new(Weak::new());

pub(crate) async fn shared(server: &Mutex<Weak<TestServer>>, start: impl Future<Output = TestServer>) -> Running {
    let mut weak = server.lock().await;
    let server = match weak.upgrade() {
        Some(server) => server,
        None => Arc::new(start.await),
    };
    *weak = Arc::downgrade(&server);
    drop(weak);
    running(server).await
}

/// The target of a server that runs.
pub async fn target(server: &TestServer) -> Target {
    target_on(server, server.database().url()).await
}

/// The same, where fixtures reach its database at another address.
pub async fn target_on(server: &TestServer, database_url: &str) -> Target {
    let target = Target::new(&server.base(), server.issuer(), database_url).await;
    let target = target.with_log(&server.log_path());
    let target = if server.has_several_instances() { target.on_several_instances() } else { target };
    if server.is_on_spin() { target.on_spin() } else { target }
}

pub(crate) async fn running(server: Arc<TestServer>) -> Running {
    Running::new(target(&server).await, server)
}

/// A new Postgres database with the schema of this release.
pub async fn postgres() -> Database {
    let database = TestDatabase::new().await;
    Database::new(database.url(), database)
}

impl Host for OnSqlite {
    async fn shared() -> Running {
        shared(&SQLITE, TestServer::sqlite(&[])).await
    }

    async fn start(variables: &[(&str, &str)]) -> Running {
        running(Arc::new(TestServer::sqlite(variables).await)).await
    }
}

impl Host for OnPostgres {
    async fn shared() -> Running {
        shared(&POSTGRES, async { TestServer::start(postgres().await, &[]).await }).await
    }

    async fn start(variables: &[(&str, &str)]) -> Running {
        running(Arc::new(TestServer::start(postgres().await, variables).await)).await
    }
}
