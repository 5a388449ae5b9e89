//! What operators' programs do, with access tokens of this server that carry `admin:` scopes.

use chrono::TimeDelta;
use http::StatusCode;
use serde::Serialize;

use crate::{
    error::{Error, ProtocolError},
    model::Scopes,
    ports::Host,
    response::{Reply, json},
    server::{Exchange, Server},
    store::Store,
};

/// A request is done before any host gives it up.
const TIME: TimeDelta = TimeDelta::seconds(10);

#[derive(Serialize)]
struct MaintenanceRun {
    removed: u64,
    new_signing_key: bool,
    /// Where it is false, the next run goes on.
    finished: bool,
}

impl<S: Store, H: Host> Server<S, H> {
    /// `POST /admin/maintenance` with the scope `admin:system:write`: runs the jobs, for hosts that have no timer of their own. Safe
    /// to repeat, and from anywhere at once.
    pub(crate) async fn run_maintenance(&self, exchange: &Exchange<'_>) -> Result<Reply, Error> {
        self.authorize_admin(exchange, "admin:system:write").await?;
        let report = self.maintain_within(TIME).await?;
        tracing::info!(?report, "maintenance");
        let run = MaintenanceRun {
            removed: report.removed(),
            new_signing_key: report.new_signing_key,
            finished: report.is_finished(),
        };
        Ok(json(StatusCode::OK, &run))
    }

    /// A client that acts for itself needs the scope; a client that acts for a person needs an administrator as well.
    async fn authorize_admin(&self, exchange: &Exchange<'_>, scope: &'static str) -> Result<(), Error> {
        let (token, user) = self.authenticate_bearer(exchange).await?;
        let scopes = Scopes::parse(&token.claims.scope).unwrap_or_default();
        if !scopes.contains(scope) || user.is_some_and(|user| !user.is_admin) {
            return Err(ProtocolError::insufficient_scope(scope).into());
        }
        Ok(())
    }
}
