//! Health checks for load balancers and orchestrators.

use http::{StatusCode, header};
use serde_json::json;

use crate::{
    ports::Host,
    response::{Reply, WithHeader, json},
    server::{Exchange, Server},
    store::{Store, StoreError},
};

/// `/health/live`: the process answers. It never asks the database: a restart would not bring that back.
pub(crate) fn live() -> Reply {
    json(StatusCode::OK, &json!({ "status": "ok" }))
}

impl<S: Store, H: Host> Server<S, H> {
    /// `/health` and `/health/ready`: the server can do its work; 503 with the reason where it cannot.
    pub(crate) async fn ready(&self, exchange: &Exchange<'_>) -> Reply {
        let reason = match self.store.ready().await {
            Ok(()) => {
                let mut body = json!({ "status": "ok", "database": "ok" });
                if let Some((name, is_there)) = self.host.counters_health() {
                    // The server serves without.
                    body[name] = if is_there { "ok" } else { "unreachable; limits are counted in the database" }.into();
                }
                return json(StatusCode::OK, &body);
            }
            Err(error) => {
                tracing::warn!(request_id = exchange.request_id, %error, "not ready");
                match error {
                    StoreError::Unavailable(_) => "unreachable",
                    StoreError::Unexpected(_) => "not migrated or not usable; run `authly migrate` and see the log",
                }
            }
        };
        json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "unavailable", "database": reason }))
            .with_header(header::RETRY_AFTER, "1")
    }
}
