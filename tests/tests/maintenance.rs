//! Maintenance jobs: one instance at a time, whatever happens to it, and what operators see of them.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use authly_core::{
    Server,
    config::{Config, Reader},
    crypto::password::PasswordCost,
    maintenance::{BATCH, Ended, LEASE, Progress, Report},
    model::{Digest, NewUser, Origin, Password, PasswordHash, Timestamp, User},
    ports::{Clock, Counters, Entropy, HashingBusy, PasswordCheck, PasswordHashing, Signatures, Telemetry},
    store::{Job, JobLease, JobOutcome, JobState, Jobs as _, NewSession, Store as _},
    testing::{ManualClock, MemoryStore},
};
use authly_native::{
    NativeHost,
    host::{HashingLimits, OsEntropy},
};
use authly_tests::{
    container,
    http::RequestExt as _,
    postgres::TestDatabase,
    server::{Database, JWT_REFRESH_SECRET_KEY, JWT_SECRET_KEY, TestServer},
    target::http_client,
};
use chrono::TimeDelta;
use futures_util::FutureExt as _;
use sqlx::PgPool;
use tokio::time::{Duration, Instant, sleep};
use uuid::Uuid;

/// A host on which so much time passes from one look at the clock to the next.
struct SlowHost {
    native: NativeHost,
    clock: ManualClock,
    step: TimeDelta,
    failures: AtomicU32,
}

impl Clock for SlowHost {
    fn now(&self) -> Timestamp {
        self.clock.advance(self.step);
        self.clock.now()
    }
}

impl Entropy for SlowHost {
    fn fill(&self, bytes: &mut [u8]) {
        OsEntropy.fill(bytes);
    }
}

impl PasswordHashing for SlowHost {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingBusy> {
        self.native.hash(password).await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<PasswordCheck, HashingBusy> {
        self.native.verify(password, hash).await
    }
}

impl Signatures for SlowHost {}

impl Counters for SlowHost {}

impl Telemetry for SlowHost {
    fn count(&self, event: authly_core::telemetry::Event) {
        if event.value() == "failure" {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn config() -> Config {
    let lookup = |name: &str| {
        let value = match name {
            "ISSUER_URL" => "http://localhost:8000",
            "JWT_SECRET_KEY" => JWT_SECRET_KEY,
            "JWT_REFRESH_SECRET_KEY" => JWT_REFRESH_SECRET_KEY,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let mut reader = Reader::new(&lookup);
    let config = Config::read(&mut reader);
    reader.finish(config).expect("a valid configuration").0
}

fn start() -> Timestamp {
    Timestamp::from_timestamp_micros(1_750_000_000_000_000).expect("in range")
}

/// A server on which `step` passes with each look at the clock, and whose sessions, so many, have all ended.
async fn server(step: TimeDelta, sessions: u32) -> Server<MemoryStore, SlowHost> {
    let store = MemoryStore::new();
    let user = User::new(Uuid::from_u128(1), "ada@example.com", Some("ada"), true, false).expect("valid");
    let password_hash = PasswordHash::new("hash".to_owned());
    store.create_user(&NewUser { user: user.clone(), password_hash }, start(), None).await.expect("creates");
    for number in 0..sessions {
        let session = NewSession {
            id: Uuid::from_u128(u128::from(number)),
            digest: Digest::of(&number.to_be_bytes()),
            user_id: user.id,
            authenticated_at: start(),
            expires_at: start(),
            origin: Origin::default(),
            replaces: None,
            effects: None,
            audit: None,
        };
        store.create_session(&session).await.expect("creates");
    }
    let cost = PasswordCost::new(8192, 1, 1).expect("a cost");
    let native = NativeHost::new(cost, HashingLimits::default());
    let host = SlowHost { native, clock: ManualClock::new(start()), step, failures: AtomicU32::new(0) };
    Server::new(config(), store, host)
}

fn ended(report: &Report, job: Job) -> &Ended {
    &report.jobs.iter().find(|report| report.job == job).expect("it is in the report").ended
}

async fn state(server: &Server<MemoryStore, SlowHost>, job: Job) -> JobState {
    let states = server.job_states().await.expect("they are read");
    assert_eq!(states.iter().map(|state| state.job).collect::<Vec<_>>(), Job::ALL);
    states.into_iter().find(|state| state.job == job).expect("all are there")
}

/// Each run does a batch at least, says what is left, and the next goes on; a job with more to do keeps no other waiting.
#[tokio::test]
async fn a_run_without_time_does_its_part() {
    let server = server(TimeDelta::milliseconds(1), 2 * BATCH + 1).await;
    for (removed, outcome) in [(1000, JobOutcome::Partial), (1000, JobOutcome::Partial), (1, JobOutcome::Partial)] {
        let report = server.maintain_within(TimeDelta::zero()).await.expect("no failure");
        assert_eq!((report.removed(), report.is_finished()), (removed, false));
        assert!(matches!(ended(&report, Job::AuditLog), Ended::Success));
        let state = state(&server, Job::ExpiredTokens).await;
        assert_eq!((state.last_outcome, state.last_removed), (Some(outcome), Some(removed)));
        assert_eq!((state.last_success_at, state.lease_expires_at), (None, None));
    }
    let report = server.maintain_within(TimeDelta::zero()).await.expect("no failure");
    assert_eq!((report.removed(), report.is_finished()), (0, true));
    assert!(state(&server, Job::ExpiredTokens).await.last_success_at.is_some());
}

/// For as long as batches go on.
#[tokio::test]
async fn a_long_run_keeps_its_lease() {
    let server = server(TimeDelta::seconds(14), 10 * BATCH).await;
    let mut batches = 0;
    let watch = |progress: Progress<'_>| {
        if let Progress::Removed(job, _) = progress {
            let now = server.host().clock.now();
            let rival = JobLease { job, holder: Uuid::from_u128(7), now, expires_at: now + TimeDelta::minutes(1) };
            let taken = server.store().take_job(&rival).now_or_never().expect("at once");
            assert!(!taken.expect("asks"), "after {batches} batches");
            batches += 1;
        }
    };
    let report = server.maintain_until(Timestamp::MAX_UTC, watch).await;
    assert!(report.is_finished() && report.removed() == u64::from(10 * BATCH), "{report:?}");
    assert_eq!(batches, 10);
    let state = state(&server, Job::ExpiredTokens).await;
    assert!(state.last_finished_at > state.last_started_at.map(|at| at + TimeDelta::minutes(2)), "{state:?}");
    assert_eq!(state.last_outcome, Some(JobOutcome::Success));
}

/// What was too slow stops, and says nothing of the run that took over.
#[tokio::test]
async fn a_run_that_lost_its_lease_stops() {
    let server = server(TimeDelta::seconds(61), 10 * BATCH).await;
    let mut rival = None;
    let watch = |progress: Progress<'_>| {
        if let Progress::Removed(job, _) = progress {
            let now = server.host().clock.now() + LEASE;
            let lease = JobLease { job, holder: Uuid::from_u128(7), now, expires_at: now + TimeDelta::hours(1) };
            assert!(server.store().take_job(&lease).now_or_never().expect("at once").expect("asks"));
            rival = Some(lease);
        }
    };
    let report = server.maintain_until(Timestamp::MAX_UTC, watch).await;
    assert!(matches!(ended(&report, Job::ExpiredTokens), Ended::Skipped), "{report:?}");
    assert_eq!(report.removed(), u64::from(BATCH));
    let state = state(&server, Job::ExpiredTokens).await;
    assert_eq!(state.lease_expires_at, rival.map(|lease| lease.expires_at));
    assert_eq!((state.last_finished_at, state.last_outcome), (None, None));
    assert_eq!(server.host().failures.load(Ordering::Relaxed), 0);
}

/// A server without a timer, on Postgres.
async fn scheduled() -> (TestServer, PgPool) {
    let database = TestDatabase::new().await;
    let pool = database.pool().clone();
    let variables = [("MAINTENANCE_INTERVAL_MINUTES", "0")];
    (TestServer::start(Database::new(database.url(), database), &variables).await, pool)
}

async fn set(pool: &PgPool, sql: &'static str) {
    sqlx::query(sql).execute(pool).await.expect("the statement is right");
}

/// The line of a job in the table.
fn line(status: &str, job: &str) -> String {
    let line = status.lines().find(|line| line.split_whitespace().next() == Some(job));
    line.unwrap_or_else(|| panic!("{job} is not in\n{status}")).to_owned()
}

/// What a CronJob's log says, and what `authly maintenance status` does.
#[tokio::test(flavor = "multi_thread")]
async fn runs_are_shown() {
    let (server, _pool) = scheduled().await;
    let status = server.run(&["maintenance", "status"]);
    assert!(line(&status, "audit_log").contains("never ran"), "{status}");
    let said = server.run(&["maintenance", "run"]);
    let status = server.run(&["maintenance", "status"]);
    for job in Job::ALL {
        assert!(said.contains(&format!("{}: removed 0; done", job.name())), "{said}");
        let line = line(&status, job.name());
        assert!(line.contains("idle") && line.contains("success"), "{status}");
    }
}

/// By its name, at the command line and in the table; the time of its instance over, it runs again.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_instance_is_skipped() {
    let (server, pool) = scheduled().await;
    let target = container::target(&server).await;
    let person = target.person().await;
    target.user_agent().log_in(&person).await;
    target.expire_sessions(&person).await;
    set(
        &pool,
        "INSERT INTO maintenance_jobs (job, holder, lease_expires_at, last_started_at)
        VALUES ('expired_tokens', gen_random_uuid(), now() + interval '1 minute', now())",
    )
    .await;
    let said = server.run(&["maintenance", "run"]);
    assert!(said.contains("expired_tokens: skipped: another instance is at it"), "{said}");
    assert!(said.contains("audit_log: removed 0; done") && said.contains("Removed 0 rows"), "{said}");
    assert!(line(&server.run(&["maintenance", "status"]), "expired_tokens").contains("running"));
    set(&pool, "UPDATE maintenance_jobs SET lease_expires_at = now() - interval '1 second' WHERE holder IS NOT NULL")
        .await;
    assert!(line(&server.run(&["maintenance", "status"]), "expired_tokens").contains("died"));
    let said = server.run(&["maintenance", "run"]);
    assert!(said.contains("expired_tokens: removed 1; done"), "{said}");
}

/// The others run all the same, the exit code tells, and so does the table until it is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_is_shown() {
    let (server, pool) = scheduled().await;
    server.run(&["maintenance", "run"]);
    set(&pool, "ALTER TABLE known_origins RENAME TO away").await;
    let (is_success, said) = server.try_run(&["maintenance", "run"]);
    assert!(!is_success, "{said}");
    assert!(said.contains("rate_limits: removed 0; failed: ") && said.contains("known_origins"), "{said}");
    assert!(said.contains("audit_log: removed 0; done"), "what comes after it runs: {said}");
    let line_of = |server: &TestServer| line(&server.run(&["maintenance", "status"]), "rate_limits");
    assert!(line_of(&server).contains("failure") && line_of(&server).contains("known_origins"));
    let kept: bool = sqlx::query_scalar(
        "SELECT last_success_at < last_finished_at AND lease_expires_at IS NULL AND length(last_error) <= 300
        FROM maintenance_jobs WHERE job = 'rate_limits'",
    )
    .fetch_one(&pool)
    .await
    .expect("it is there");
    assert!(kept, "the last success is remembered");
    set(&pool, "ALTER TABLE away RENAME TO known_origins").await;
    server.run(&["maintenance", "run"]);
    assert!(line_of(&server).contains("success") && !line_of(&server).contains("known_origins"));
}

const GAUGE: &str = "authly_maintenance_last_success_timestamp_seconds";

/// By job; waits until all are there.
async fn gauges(server: &TestServer) -> BTreeMap<String, f64> {
    let started = Instant::now();
    loop {
        let page = http_client().get(format!("{}/metrics", server.base())).reply().await.expect(200);
        let gauge = |line: &str| {
            let (job, value) = line.strip_prefix(GAUGE)?.strip_prefix("{job=\"")?.split_once("\"} ")?;
            Some((job.to_owned(), value.parse().expect("a number")))
        };
        let gauges: BTreeMap<_, _> = page.text().lines().filter_map(gauge).collect();
        if gauges.len() == Job::ALL.len() {
            return gauges;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{}", page.text());
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whichever instance ran the jobs: of this one, nothing is known but what is in the store.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_the_last_success() {
    let (without_timer, pool) = scheduled().await;
    assert!(gauges(&without_timer).await.values().all(|at| *at == 0.0), "never is 0");
    let before = authly_native::host::OsClock.now().timestamp_micros();
    let with_timer = TestServer::start(without_timer.database().clone(), &[]).await;
    let first = gauges(&with_timer).await;
    let seconds = Duration::from_micros(before.unsigned_abs()).as_secs_f64();
    assert!(first.values().all(|at| (seconds..seconds + 60.0).contains(at)), "{first:?} after {seconds}");
    set(
        &pool,
        "UPDATE maintenance_jobs
        SET holder = gen_random_uuid(), lease_expires_at = now() + interval '1 hour',
            last_success_at = to_timestamp(1750000000)
        WHERE job = 'audit_log'",
    )
    .await;
    with_timer.restart().await;
    let second = gauges(&with_timer).await;
    assert_eq!(second["audit_log"], 1_750_000_000.0, "another instance has it");
    assert!(second["rate_limits"] > first["rate_limits"], "{first:?} {second:?}");
}
