//! How the server is, and its periodic jobs.

use chrono::TimeDelta;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::Call;
use crate::{
    error::Error,
    ports::Host,
    response::{Reply, json as reply},
    server::Server,
    store::{JobOutcome, JobState, Store},
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
    pub(super) async fn show_status(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let now = call.exchange.now;
        self.store.ready().await?;
        let counts = self.store.counts(now).await?;
        let mail = self.store.mail_backlog(now).await?;
        let keys = self.store.signing_keys(now).await?;
        let keys: Vec<_> =
            keys.iter().map(|key| json!({ "kid": key.kid, "algorithm": key.algorithm.name() })).collect();
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "issuer": self.config.issuer.as_str(),
            "healthy": true,
            "now": now,
            "counts": {
                "users": counts.users,
                "clients": counts.clients,
                "scopes": counts.scopes,
                "sessions": counts.sessions,
                "grants": counts.grants,
            },
            "mail": { "waiting": mail.waiting, "failed": mail.failed },
            "signing_keys": keys,
        });
        Ok(reply(StatusCode::OK, &status))
    }

    /// Each job, with what became of it last.
    pub(super) async fn show_maintenance(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let states = self.job_states().await?;
        let item = |state: &JobState| {
            json!({
                "job": state.job.name(),
                "running": state.is_running(call.exchange.now),
                "lease_expires_at": state.lease_expires_at,
                "last_started_at": state.last_started_at,
                "last_finished_at": state.last_finished_at,
                "last_outcome": state.last_outcome.map(JobOutcome::name),
                "last_removed": state.last_removed,
                "last_error": state.last_error,
                "last_success_at": state.last_success_at,
            })
        };
        let items: Vec<_> = states.iter().map(item).collect();
        Ok(reply(StatusCode::OK, &json!({ "items": items, "next_cursor": null })))
    }

    /// Runs the jobs, for hosts that have no timer of their own. Safe to repeat, and from anywhere at once.
    pub(super) async fn run_maintenance(&self) -> Result<Reply, Error> {
        let report = self.maintain_within(TIME).await?;
        tracing::info!(?report, "maintenance");
        let run = MaintenanceRun {
            removed: report.removed(),
            new_signing_key: report.new_signing_key,
            finished: report.is_finished(),
        };
        Ok(reply(StatusCode::OK, &run))
    }
}
