//! The jobs, as a process or a schedule runs them. Several instances may do so at once.

use std::{sync::Arc, time::Duration};

use authly_core::{Server, mail::Delivery, maintenance::Report, ports::Host, store::Store};
use tokio::{sync::Notify, time::interval};

use crate::{
    NativeConfig, NativeMailer,
    first_run::{self, FirstRunError},
    metrics::Metrics,
};

/// How often mail that could not be sent before, or was left by another instance, is looked for.
const MAIL_INTERVAL: Duration = Duration::from_secs(30);

/// How often mail is counted for operators: not when they ask, which many may do, and when the database hangs.
const MAIL_COUNT_INTERVAL: Duration = Duration::from_secs(60);

/// Everything once, for a schedule: the configured administrator, the maintenance, and the mail that waits.
///
/// # Errors
/// Where a job failed; those before it are done. All are safe to repeat.
pub async fn run_once<S: Store, H: Host>(
    config: &NativeConfig,
    server: &Server<S, H>,
    mailer: Option<&NativeMailer>,
) -> Result<(Report, Delivery), FirstRunError> {
    if let Some(admin) = &config.admin {
        first_run::create_configured_admin(server, admin).await?;
    }
    let report = server.maintain().await?;
    let delivery = match mailer {
        Some(mailer) => server.deliver_mail(mailer).await?,
        None => Delivery::default(),
    };
    tracing::info!(?report, ?delivery, "maintenance");
    Ok((report, delivery))
}

/// Runs the maintenance now and then, for as long as the process lives.
pub async fn maintain_every<S: Store, H: Host>(period: Duration, server: Arc<Server<S, H>>) {
    let mut timer = interval(period);
    loop {
        timer.tick().await;
        match server.maintain().await {
            Ok(report) => tracing::debug!(?report, "maintenance"),
            Err(error) => tracing::warn!(%error, "maintenance failed; it is tried again at the next turn"),
        }
    }
}

/// Sends mail when a request has `queued` some, and now and then.
pub async fn deliver_mail<S: Store, H: Host>(mailer: NativeMailer, server: Arc<Server<S, H>>, queued: Arc<Notify>) {
    let mut timer = interval(MAIL_INTERVAL);
    loop {
        tokio::select! {
            _ = timer.tick() => {}
            () = queued.notified() => {}
        }
        match server.deliver_mail(&mailer).await {
            Ok(delivery) => tracing::debug!(?delivery, "mail"),
            Err(error) => tracing::warn!(%error, "mail could not be read; it is tried again at the next turn"),
        }
    }
}

/// Tells operators now and then how much mail there is.
pub async fn count_mail<S: Store, H: Host>(metrics: Arc<Metrics>, server: Arc<Server<S, H>>) {
    let mut timer = interval(MAIL_COUNT_INTERVAL);
    loop {
        timer.tick().await;
        let backlog = server.store().mail_backlog(server.host().now()).await;
        if let Err(error) = &backlog {
            tracing::debug!(%error, "mail could not be counted");
        }
        metrics.mail(backlog.ok());
    }
}
