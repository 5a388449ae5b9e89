//! In process: a server over the database, of this command alone.

use std::pin::Pin;

use anyhow::{Context as _, anyhow};
use authly_core::{Operator, Server, store::Store};
use authly_native::{Database, NativeConfig, NativeHost, logging, postgres, sqlite::SqliteStore};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};

use crate::failure::Failure;

/// A server that nobody else reaches, for the operator who can reach its database.
pub(crate) struct Local {
    server: AnyServer,
    database: String,
}

enum AnyServer {
    Sqlite(Server<SqliteStore, NativeHost>),
    Postgres(Server<postgres::Store, NativeHost>),
}

impl Local {
    /// Opens the database that the environment names. A file is brought up to date, since nobody coordinates that; a
    /// shared database is not.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let config = NativeConfig::from_environment().map_err(|problems| {
            let lines = problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
            anyhow!("the configuration cannot be used; for a server elsewhere, give its --url:{lines}")
        })?;
        // What the server would log about a fault is for the person who runs this command.
        logging::start("error", config.log_format);
        let database = Database::open(&config).await.map_err(Failure::Unreachable)?;
        if let Database::Sqlite(_) = database {
            database.migrate().await.context("the migration failed")?;
        }
        let host = NativeHost::new(config.core.password_cost, config.hashing);
        let server = match database {
            Database::Sqlite(store) => AnyServer::Sqlite(ready(store, &config, host).await?),
            Database::Postgres(store) => AnyServer::Postgres(ready(store, &config, host).await?),
        };
        Ok(Self { server, database: config.database_url.to_string() })
    }

    /// `DATABASE_URL`, without its password.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        Ok(match &self.server {
            AnyServer::Sqlite(server) => handle(server, request).await?,
            AnyServer::Postgres(server) => handle(server, request).await?,
        })
    }
}

/// Says what is wrong with a database before a request does, for whom only its log would know.
async fn ready<S: Store>(store: S, config: &NativeConfig, host: NativeHost) -> Result<Server<S, NativeHost>, Failure> {
    store
        .ready()
        .await
        .map_err(|error| Failure::Unreachable(anyhow!(error).context(config.database_url.to_string())))?;
    Ok(Server::new(config.core.clone(), store, host))
}

async fn handle<S: Store>(server: &Server<S, NativeHost>, request: Request<Bytes>) -> anyhow::Result<Response<Bytes>> {
    let issuer = &server.config().issuer;
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("{}{}", issuer.path(), parts.uri).parse().context("the request has no valid target")?;
    parts.headers.insert(header::HOST, HeaderValue::from_str(issuer.host())?);
    parts.extensions.insert(Operator);
    // In a box: the types around a future this deep would be too deep for the compiler.
    let handled: Pin<Box<dyn Future<Output = _> + Send + '_>> =
        Box::pin(server.handle(Request::from_parts(parts, body)));
    Ok(handled.await)
}
