//! `audit …`.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand};

use super::user::find_optional;
use crate::{
    api::{Api, Target},
    arguments::Paging,
    failure::{Failure, fail},
    output::Format,
    terminal::Progress,
};

const COLUMNS: &[&str] =
    &["occurred_at", "event", "outcome", "actor", "user_id", "client_id", "client_address", "detail"];
/// The longest page of lines.
const PAGE: u64 = 10_000;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// List events, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        paging: Paging,
    },
    /// Write events as lines of JSON (NDJSON), newest first.
    Export(Export),
}

#[derive(Args)]
pub(crate) struct Filter {
    /// Only events of this name.
    #[arg(long)]
    event: Option<String>,
    /// Only those with this outcome: success, failure or alert.
    #[arg(long)]
    outcome: Option<String>,
    /// Only those about this person: id, e-mail address or user name.
    #[arg(long)]
    user: Option<String>,
    /// Only those about this client.
    #[arg(long)]
    client: Option<String>,
    /// Only what happened since then: 2026-11-27T12:00:00Z, 2026-11-27 (UTC), or so long ago: 90m, 24h, 7d.
    #[arg(long, value_parser = time)]
    since: Option<String>,
    /// Only what happened before then, written alike.
    #[arg(long, value_parser = time)]
    until: Option<String>,
}

#[derive(Args)]
pub(crate) struct Export {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    paging: Paging,
    /// Into this file, which appears when it is complete, readable by you alone; by default to standard output.
    #[arg(long, short)]
    file: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, requires = "file")]
    force: bool,
}

impl Filter {
    async fn target(&self, api: &Api) -> Result<Target, Failure> {
        Ok(Target::new(&["audit-log"])
            .with("event", self.event.as_deref())
            .with("outcome", self.outcome.as_deref())
            .with("user_id", find_optional(api, self.user.as_deref()).await?)
            .with("client_id", self.client.as_deref())
            .with("since", self.since.as_deref())
            .with("until", self.until.as_deref()))
    }
}

pub(crate) async fn run(command: &AuditCommand, api: &Api, format: Format) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::List { filter, paging } => {
            format.many(&api.list(&filter.target(api).await?, paging.limit).await?, COLUMNS)
        }
        AuditCommand::Export(export) => {
            let target = export.filter.target(api).await?;
            match &export.file {
                None => {
                    let mut stdout = io::stdout().lock();
                    write_all(api, target, export.paging.limit, &mut stdout).await?;
                    stdout.flush().context("cannot write to standard output")?;
                    Ok(ExitCode::SUCCESS)
                }
                Some(path) => {
                    let count = to_file(api, target, export, path).await?;
                    format.done(&format!("{count} events are in {}", path.display()))
                }
            }
        }
    }
}

/// A file that is incomplete is none.
async fn to_file(api: &Api, target: Target, export: &Export, path: &Path) -> Result<u64, Failure> {
    if !export.force && fs::exists(path).unwrap_or_default() {
        fail!("{} is there already; --force replaces it", path.display());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let here = || format!("cannot write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(here)?;
    let count = write_all(api, target, export.paging.limit, &mut file).await?;
    file.as_file().sync_all().with_context(here)?;
    let kept = if export.force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.with_context(here)?;
    Ok(count)
}

/// Page after page, until there is no more or enough of it.
async fn write_all(api: &Api, filter: Target, limit: Option<u64>, to: &mut impl Write) -> Result<u64, Failure> {
    let progress = Progress::counting("events");
    let mut count = 0;
    let mut target = filter.with("limit", Some(limit.map_or(PAGE, |limit| limit.min(PAGE))));
    loop {
        let (page, next) = api.lines(&target).await?;
        for line in page.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            to.write_all(line).context("cannot write the events")?;
            count += 1;
            if Some(count) == limit {
                return Ok(count);
            }
        }
        progress.set(count);
        match next {
            None => return Ok(count),
            Some(next) if next == target => fail!("the server's log does not go on after {count} events"),
            Some(next) => target = next,
        }
    }
}

/// A point in time, or how long ago it was.
fn time(text: &str) -> Result<String, String> {
    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(written(time.to_utc()));
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Ok(written(date.and_time(chrono::NaiveTime::MIN).and_utc()));
    }
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number = number.parse::<u32>().ok()?.into();
        match unit {
            "s" => TimeDelta::try_seconds(number),
            "m" => TimeDelta::try_minutes(number),
            "h" => TimeDelta::try_hours(number),
            "d" => TimeDelta::try_days(number),
            "w" => TimeDelta::try_weeks(number),
            _ => None,
        }
    };
    let time = ago().and_then(|ago| Utc::now().checked_sub_signed(ago));
    time.map(written).ok_or_else(|| "write 2026-11-27T12:00:00Z, 2026-11-27, or 90m, 24h, 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time("2026-11-27T13:00:00+01:00").as_deref(), Ok("2026-11-27T12:00:00.000000Z"));
        assert_eq!(time("2026-11-27").as_deref(), Ok("2026-11-27T00:00:00.000000Z"));
        let day_ago = time("24h").expect("a time").parse::<DateTime<Utc>>().expect("it is RFC 3339");
        let age = Utc::now() - day_ago;
        assert!(age >= TimeDelta::hours(24) && age < TimeDelta::hours(25), "{age}");
        for wrong in ["", "h", "5", "5x", "-5h", "yesterday", "99999999999d", "4294967295w", "é"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
