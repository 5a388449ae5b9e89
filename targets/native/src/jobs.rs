//! The jobs, as a process or a schedule runs them. Several instances may do so at once.

use std::{future, sync::Arc, time::Duration};

use authly_core::{
    Server,
    mail::Delivery,
    maintenance::{Progress, Report},
    model::Timestamp,
    ports::Host,
    store::Store,
};
use tokio::{sync::Notify, time::interval};

use crate::{
    NativeConfig, NativeMailer,
    first_run::{self, FirstRunError},
    metrics::Metrics,
};

/// How often mail that could not be sent before, or was left by another instance, is looked for.
const MAIL_INTERVAL: Duration = Duration::from_secs(30);

/// How often the states of the jobs, whichever instance runs them, and mail are read for the metrics: not when somebody
/// asks for those, which many may do, and when the database hangs.
const STATES_INTERVAL: Duration = Duration::from_secs(60);

/// Everything once, for a schedule: the configured administrator, the maintenance until some time, and the mail that
/// waits. A job that failed keeps nothing else from being done, and is told in the report.
///
/// # Errors
/// Where something else failed. All is safe to repeat.
pub async fn run_once<S: Store, H: Host>(
    config: &NativeConfig,
    server: &Server<S, H>,
    mailer: Option<&NativeMailer>,
    until: Timestamp,
    watch: impl FnMut(Progress<'_>) + Send,
) -> Result<(Report, Delivery), FirstRunError> {
    if let Some(admin) = &config.admin {
        first_run::create_configured_admin(server, admin).await?;
    }
    let report = server.maintain_until(until, watch).await;
    let delivery = match mailer {
        Some(mailer) => server.deliver_mail(mailer).await?,
        None => Delivery::default(),
    };
    tracing::info!(removed = report.removed(), report.new_signing_key, ?delivery, "maintenance");
    Ok((report, delivery))
}

/// The same for a host that ends whatever runs at `deadline`. Half of the time is for the maintenance, with which the
/// next schedule goes on; the rest is for the mail.
///
/// # Errors
/// Where anything failed.
pub async fn run_before<S: Store, H: Host>(
    deadline: Timestamp,
    config: &NativeConfig,
    server: &Server<S, H>,
    mailer: Option<&NativeMailer>,
) -> Result<Report, FirstRunError> {
    let now = server.host().now();
    let until = now + (deadline - now) / 2;
    let (report, _) = run_once(config, server, mailer, until, |_| {}).await?;
    Ok(report.into_result()?)
}

/// Runs the maintenance now and then, if it has a period, and tells the metrics of it, for as long as the process lives.
pub async fn maintain<S: Store, H: Host>(
    period: Option<Duration>,
    server: Arc<Server<S, H>>,
    metrics: Option<Arc<Metrics>>,
) {
    let mut turns = period.map(interval);
    let mut looks = interval(STATES_INTERVAL);
    loop {
        let is_turn = tokio::select! {
            // At first both are due.
            biased;
            () = tick(turns.as_mut()) => true,
            _ = looks.tick(), if metrics.is_some() => false,
        };
        if is_turn {
            // A job that failed was logged, and is tried again at the next turn.
            let _ = server.maintain().await;
        }
        if let Some(metrics) = &metrics {
            match server.job_states().await {
                Ok(states) => metrics.jobs(&states),
                Err(error) => tracing::warn!(%error, "the states of the jobs could not be read"),
            }
        }
    }
}

async fn tick(timer: Option<&mut tokio::time::Interval>) {
    match timer {
        Some(timer) => _ = timer.tick().await,
        None => future::pending().await,
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
    let mut timer = interval(STATES_INTERVAL);
    loop {
        timer.tick().await;
        let backlog = server.store().mail_backlog(server.host().now()).await;
        if let Err(error) = &backlog {
            tracing::debug!(%error, "mail could not be counted");
        }
        metrics.mail(backlog.ok());
    }
}
