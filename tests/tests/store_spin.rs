//! The store on Postgres through the Spin executor: the conformance suite, races included. Each statement is a request
//! to a component in the tests' Spin host, so that what runs at once here runs at once there.

use std::sync::{Arc, Weak};

use authly_core::store::{
    StoreError,
    postgres::{Executor, PostgresStore, Row, Statement, Value},
};
use authly_tests::{
    postgres::TestDatabase,
    server::{Database, TestServer},
    spin::Application,
    target::http_client,
};
use reqwest::Client;
use tokio::sync::Mutex;

use crate::wire::{Answer, Failure, Query, Wire};

#[path = "../spin-guest/src/wire.rs"]
mod wire;

/// Has statements run by the component.
struct RemoteExecutor {
    host: Arc<TestServer>,
    client: Client,
    database_url: String,
}

impl Executor for RemoteExecutor {
    async fn query(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let query = Query {
            database_url: self.database_url.clone(),
            statement: statement.name.to_owned(),
            parameters: parameters.into_iter().map(Wire).collect(),
        };
        let body = serde_json::to_vec(&query).expect("JSON");
        let response = self.client.post(self.host.base()).body(body).send().await.expect("the host answers");
        assert_eq!(response.status(), 200, "the component failed; see the host's log:\n{}", self.host.log());
        let answer: Answer = serde_json::from_slice(&response.bytes().await.expect("a body")).expect("an answer");
        let rows = answer.map_err(|Failure(error)| error)?;
        Ok(rows
            .into_iter()
            .map(|row| Row::new(statement, row.into_iter().map(|Wire(value)| value).collect()))
            .collect())
    }
}

/// One host for all tests, a database for each.
async fn fresh() -> (Arc<PostgresStore<RemoteExecutor>>, TestDatabase) {
    static HOST: Mutex<Weak<TestServer>> = Mutex::const_new(Weak::new());
    let database = TestDatabase::new().await;
    let mut weak = HOST.lock().await;
    let host = match weak.upgrade() {
        Some(host) => host,
        None => Arc::new(Application::STATEMENTS.start(Database::new(database.url(), ()), &[]).await),
    };
    *weak = Arc::downgrade(&host);
    drop(weak);
    let executor = RemoteExecutor { host, client: http_client(), database_url: database.url() };
    (Arc::new(PostgresStore::new(executor)), database)
}

authly_core::store_suite!(fresh());
