//! `authly maintenance`: the jobs for a person at a terminal, or the log of a CronJob.

use anyhow::Context as _;
use authly_core::{
    Server,
    maintenance::{Ended, JobReport, Progress},
    model::Timestamp,
    ports::Host,
    store::{JobOutcome, JobState, Store},
};
use chrono::SecondsFormat;
use comfy_table::{Table, presets::NOTHING};

use crate::{NativeConfig, NativeMailer, jobs};

/// Rows between two lines of progress.
const PROGRESS_ROWS: u64 = 50_000;

/// Runs every job once, to its end, and says what they do while they do it.
///
/// # Errors
/// Where a job failed. The others are done, and all are safe to repeat.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub async fn run<S: Store, H: Host>(
    config: &NativeConfig,
    server: &Server<S, H>,
    mailer: Option<&NativeMailer>,
) -> anyhow::Result<()> {
    let mut printer = Printer::default();
    let watch = |progress: Progress<'_>| printer.print(progress);
    let (report, mail) = jobs::run_once(config, server, mailer, Timestamp::MAX_UTC, watch).await?;
    println!("Removed {} rows that had ended.", report.removed());
    if report.new_signing_key {
        println!("Made the next signing key.");
    }
    if mailer.is_some() {
        println!("Mail: {} sent, {} to be tried again, {} given up.", mail.sent, mail.deferred, mail.given_up);
    }
    report.into_result().map(drop).context("the maintenance failed")
}

/// Shows when each job ran last, on whichever instance, and what became of it.
///
/// # Errors
/// Where the database cannot be read.
#[expect(clippy::print_stdout, reason = "it is what the command is for")]
pub async fn status<S: Store, H: Host>(server: &Server<S, H>) -> anyhow::Result<()> {
    let now = server.host().now();
    for line in table(&server.job_states().await?, now).lines() {
        println!("{}", line.trim_end());
    }
    Ok(())
}

#[derive(Default)]
struct Printer {
    /// The number of rows at which the job's next line of progress is due.
    due: u64,
}

impl Printer {
    #[expect(clippy::print_stdout, reason = "it is for a person")]
    fn print(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Removed(job, removed) => {
                if removed >= self.due.max(PROGRESS_ROWS) {
                    println!("{}: removed {removed} so far", job.name());
                    self.due = removed + PROGRESS_ROWS;
                }
            }
            Progress::Ended(JobReport { job, removed, ended }) => {
                self.due = 0;
                match ended {
                    Ended::Skipped => println!("{}: {ended}", job.name()),
                    _ => println!("{}: removed {removed}; {ended}", job.name()),
                }
            }
        }
    }
}

fn table(states: &[JobState], now: Timestamp) -> Table {
    let time = |time: Option<Timestamp>| {
        time.map_or_else(|| "-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(["JOB", "STATE", "STARTED", "FINISHED", "OUTCOME", "REMOVED", "LAST SUCCESS", "ERROR"]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for state in states {
        let what = match state.lease_expires_at {
            Some(_) if state.is_running(now) => "running",
            Some(_) => "died",
            None if state.last_started_at.is_none() => "never ran",
            None => "idle",
        };
        table.add_row([
            state.job.name().to_owned(),
            what.to_owned(),
            time(state.last_started_at),
            time(state.last_finished_at),
            state.last_outcome.map_or("-", JobOutcome::name).to_owned(),
            state.last_removed.map_or_else(|| "-".to_owned(), |removed| removed.to_string()),
            time(state.last_success_at),
            state.last_error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}
