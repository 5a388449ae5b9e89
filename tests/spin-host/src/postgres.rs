//! `spin:postgres`: connections of a pool for each address, which a guest holds until it drops them or ends.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures_util::TryStreamExt as _;
use std::sync::Arc;
use tokio_postgres::{
    NoTls,
    config::{Config, Host as Address, SslMode},
    types::ToSql,
};
use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};
use wasmtime::error::Context as _;

use crate::{
    bindings::spin::postgres::postgres::{
        self as wit, Column, DbError, Error, Host, HostConnection, HostConnectionBuilder,
        HostConnectionBuilderWithStore, HostConnectionWithStore, ParameterValue, QueryError, RowSet,
    },
    guest::Guest,
    values::{self, Parameter},
};

/// Spin's size of a pool.
const POOL_SIZE: usize = 64;

/// What a call of the guest gets: the outer error is a trap.
type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The connections to every address that was asked for.
#[derive(Default)]
pub struct Pools(Mutex<HashMap<String, Pool>>);

impl Pools {
    /// Waits for a connection for as long as it takes, as Spin does.
    async fn connection(&self, address: &str) -> wasmtime::Result<Object> {
        let pool = self.pool(address).context("establishing PostgreSQL connection pool")?;
        Ok(pool.get().await?)
    }

    fn pool(&self, address: &str) -> wasmtime::Result<Pool> {
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(address) {
            return Ok(pool.clone());
        }
        let mut config = address.parse::<Config>().context("parsing Postgres connection string")?;
        if config.get_ssl_mode() == SslMode::Prefer {
            // Tests have no TLS; who requires it is refused.
            config.ssl_mode(SslMode::Disable);
        }
        // Whoever had a connection before, it is cleaned with a round trip; a transaction that was left open stays open.
        let recycling_method = RecyclingMethod::Clean;
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method });
        let pool = Pool::builder(manager).max_size(POOL_SIZE).build()?;
        pools.insert(address.to_owned(), pool.clone());
        Ok(pool)
    }
}

/// The manifest's `allowed_outbound_hosts`, for Postgres: `host:port` each.
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Takes `postgres://host[:port]`.
    pub fn parse(hosts: &[String]) -> wasmtime::Result<Self> {
        let parse = |host: &String| {
            let host = host.strip_prefix("postgres://").with_context(|| format!("{host} is not postgres://host"))?;
            Ok(if host.contains(':') { host.to_owned() } else { format!("{host}:5432") })
        };
        hosts.iter().map(parse).collect::<wasmtime::Result<_>>().map(Self)
    }

    fn check(&self, address: &str) -> Result<(), Error> {
        let config: Config = address.parse().map_err(|error| failed(&error))?;
        for (index, host) in config.get_hosts().iter().enumerate() {
            let Address::Tcp(host) = host else {
                return Err(Error::ConnectionFailed("Unix sockets are not supported on WebAssembly".to_owned()));
            };
            let ports = config.get_ports();
            let port = ports.get(index).or(ports.first().filter(|_| ports.len() == 1)).unwrap_or(&5432);
            let target = format!("{host}:{port}");
            if !self.0.contains(&target) {
                return Err(Error::ConnectionFailed(format!("address postgres://{target} is not permitted")));
            }
        }
        Ok(())
    }
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::ConnectionFailed(error.to_string())
}

/// A connection that a guest has.
#[derive(Clone)]
pub struct Connection(Arc<Object>);

/// For connections with a certificate authority of their own: not here.
pub struct ConnectionBuilder;

impl Connection {
    async fn open(accessor: &Accessor<impl Send, HasSelf<Guest>>, address: &str) -> Answer<Resource<Self>> {
        let app = accessor.with(|mut access| access.get().app());
        if let Err(error) = app.allowed_hosts.check(address) {
            return Ok(Err(error));
        }
        match app.pools.connection(address).await {
            Ok(object) => accessor.with(|mut access| Ok(Ok(access.get().table.push(Self(Arc::new(object)))?))),
            // As much as Spin says, which is more than anybody should be shown.
            Err(error) => Ok(Err(Error::ConnectionFailed(format!("{error:?}")))),
        }
    }

    /// All rows that there are before an error.
    async fn query(
        &self,
        statement: &str,
        parameters: &[ParameterValue],
    ) -> Result<(RowSet, Result<(), Error>), Error> {
        let parameters = convert(parameters).map_err(|error| Error::BadParameter(format!("{error:?}")))?;
        let stream = self.0.query_raw(statement, parameters).await.map_err(|error| query_failed(&error))?;
        let mut stream = std::pin::pin!(stream);
        let mut set = RowSet { columns: Vec::new(), rows: Vec::new() };
        let end = loop {
            let row = match stream.try_next().await {
                Ok(Some(row)) => row,
                Ok(None) => break Ok(()),
                Err(error) => break Err(query_failed(&error)),
            };
            // Without a row, Spin knows of no columns.
            if set.columns.is_empty() {
                set.columns = values::columns(&row);
            }
            match values::values(&row) {
                Ok(values) => set.rows.push(values),
                Err(error) => break Err(Error::QueryFailed(QueryError::Text(format!("{error:?}")))),
            }
        };
        Ok((set, end))
    }

    async fn execute(&self, statement: &str, parameters: &[ParameterValue]) -> Result<u64, Error> {
        let parameters = convert(parameters).map_err(|error| Error::ValueConversionFailed(format!("{error:?}")))?;
        let parameters: Vec<_> = parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect();
        self.0.execute(statement, &parameters).await.map_err(|error| query_failed(&error))
    }
}

fn convert(parameters: &[ParameterValue]) -> wasmtime::Result<Vec<Parameter>> {
    parameters.iter().map(values::parameter).collect()
}

fn query_failed(error: &tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    let Some(error) = error.as_db_error() else {
        return Error::QueryFailed(QueryError::Text(as_text));
    };
    let extras = [
        ("column", error.column()),
        ("constraint", error.constraint()),
        ("hint", error.hint()),
        ("table", error.table()),
        ("schema", error.schema()),
    ];
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text,
        severity: error.severity().to_owned(),
        code: error.code().code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        extras: extras.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned()))).collect(),
    }))
}

impl Host for Guest {}

impl HostConnection for Guest {
    async fn open(&mut self, _: String) -> Answer<Resource<Connection>> {
        not_here("open")
    }

    async fn query(&mut self, _: Resource<Connection>, _: String, _: Vec<ParameterValue>) -> Answer<RowSet> {
        not_here("query")
    }

    async fn execute(&mut self, _: Resource<Connection>, _: String, _: Vec<ParameterValue>) -> Answer<u64> {
        not_here("execute")
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

type Rows = (Vec<Column>, StreamReader<wit::Row>, FutureReader<Result<(), Error>>);

impl<T: Send> HostConnectionWithStore<T> for HasSelf<Guest> {
    async fn open_async(accessor: &Accessor<T, Self>, address: String) -> Answer<Resource<Connection>> {
        Connection::open(accessor, &address).await
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answer<Rows> {
        let connection = accessor.with(|mut access| access.get().table.get(&connection).cloned())?;
        let answer = connection.query(&statement, &parameters).await;
        accessor.with(|mut access| {
            access.get().statement_is_done()?;
            Ok(match answer {
                Ok((RowSet { columns, rows }, end)) => {
                    let rows = StreamReader::new(&mut access, rows)?;
                    let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(end) })?;
                    Ok((columns, rows, end))
                }
                Err(error) => Err(error),
            })
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answer<u64> {
        let connection = accessor.with(|mut access| access.get().table.get(&connection).cloned())?;
        let answer = connection.execute(&statement, &parameters).await;
        accessor.with(|mut access| access.get().statement_is_done())?;
        Ok(answer)
    }
}

impl HostConnectionBuilder for Guest {
    async fn new(&mut self, _: String) -> wasmtime::Result<Resource<ConnectionBuilder>> {
        not_here("connection-builder")
    }

    async fn set_ca_root(&mut self, _: Resource<ConnectionBuilder>, _: String) -> Answer<()> {
        not_here("set-ca-root")
    }

    async fn build(&mut self, _: Resource<ConnectionBuilder>) -> Answer<Resource<Connection>> {
        not_here("build")
    }

    async fn drop(&mut self, _: Resource<ConnectionBuilder>) -> wasmtime::Result<()> {
        not_here("connection-builder")
    }
}

impl<T: Send> HostConnectionBuilderWithStore<T> for HasSelf<Guest> {
    async fn build_async(_: &Accessor<T, Self>, _: Resource<ConnectionBuilder>) -> Answer<Resource<Connection>> {
        not_here("build-async")
    }
}

/// What the SDK has, but no component under test uses.
fn not_here<T>(name: &str) -> wasmtime::Result<T> {
    wasmtime::bail!("this host has no {name}")
}
