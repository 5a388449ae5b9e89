//! Runs a statement of the store for each request, through the executor of the Spin target: the store's conformance
//! suite drives that executor from a native test process.

// Its source, not its crate: a component has one HTTP handler, and that crate has one as well.
#[path = "../../../targets/spin/src/executor.rs"]
pub mod executor;
pub mod wire;

use std::iter;

use authly_core::store::{
    StoreError,
    postgres::{Executor as _, STATEMENTS},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use spin_sdk::{
    http::{IntoResponse, Request},
    http_service,
};

use crate::{
    executor::SpinExecutor,
    wire::{Answer, Failure, Query, Wire},
};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // Whoever only asks whether this runs sends no query.
    let answer = match serde_json::from_slice(&body) {
        Ok(query) => serde_json::to_vec(&run(query).await).unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    http::Response::new(Full::new(Bytes::from(answer)))
}

async fn run(query: Query) -> Answer {
    let statement = STATEMENTS.iter().find(|statement| statement.name == query.statement);
    let statement = statement.ok_or_else(|| Failure(StoreError::Unexpected("no such statement".to_owned())))?;
    let parameters = query.parameters.into_iter().map(|Wire(value)| value).collect();
    let rows = SpinExecutor::new(query.database_url).query(statement, parameters).await.map_err(Failure)?;
    Ok(rows.into_iter().map(|mut row| iter::from_fn(move || row.take().ok()).collect()).collect())
}
