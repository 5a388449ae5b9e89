//! The upgrade of an installation that never removed anything: a million expired tokens are swept while people go on.

use std::{sync::Arc, time::Instant};

use authly_core::maintenance::BATCH;
use authly_tests::{
    container,
    postgres::TestDatabase,
    server::{Database, TestServer},
    storm::{Storm, expect_consistent},
    target::{App, Person},
};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::{
    task::spawn_blocking,
    time::{Duration, sleep},
};

const EXPIRED: i64 = 1_000_000;

/// A million grants that ended over some days, each with its refresh token.
async fn fill(pool: &PgPool, app: &App, person: &Person) {
    let mut transaction = pool.begin().await.expect("a transaction");
    let statements = [
        // The rows refer to each other rightly, which need not be checked for each of them.
        "SET LOCAL session_replication_role = replica".to_owned(),
        "SET LOCAL synchronous_commit = off".to_owned(),
        format!(
            "INSERT INTO grants (id, user_id, client_id, scopes, authenticated_at, created_at, expires_at)
            SELECT ('01000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, u.id, '{}', '{{read}}',
                now() - interval '40 days', now() - interval '40 days', now() - n * interval '0.5 seconds'
            FROM generate_series(1, {EXPIRED}) n, users u
            WHERE u.username = '{}'",
            app.id, person.username
        ),
        format!(
            "INSERT INTO tokens (id, jti, user_id, client_id, token_type, scopes, expires_at, created_at, grant_id,
                generation, digest, rotated_at, idle_expires_at, idle_expires_on)
            SELECT g.id, g.id::text, g.user_id, g.client_id, 'refresh', g.scopes, g.expires_at, g.created_at, g.id,
                0, sha256(g.id::text::bytea), g.created_at, g.created_at + interval '7 days',
                ((g.created_at + interval '7 days') AT TIME ZONE 'UTC')::date
            FROM grants g
            WHERE g.client_id = '{}' AND g.expires_at < now()
            ORDER BY 1",
            app.id
        ),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await.expect("the statement is right");
    }
    transaction.commit().await.expect("it commits");
}

/// All tokens and grants, and those of them that have ended.
async fn count(pool: &PgPool) -> [i64; 4] {
    let (tokens, ended_tokens, grants, ended_grants) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM tokens), (SELECT count(*) FROM tokens WHERE expires_at < now()),
            (SELECT count(*) FROM grants), (SELECT count(*) FROM grants WHERE expires_at < now())",
    )
    .fetch_one(pool)
    .await
    .expect("counts");
    [tokens, ended_tokens, grants, ended_grants]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_expired_tokens_are_swept_while_refreshes_go_on() {
    let database = TestDatabase::new().await;
    let pool = database.pool().clone();
    let by_schedule = [("MAINTENANCE_INTERVAL_MINUTES", "0")];
    let server = Arc::new(TestServer::start(Database::new(database.url(), database), &by_schedule).await);
    let target = container::target(&server).await;
    let (app, person) = (target.public().await, target.person().await);
    let started = Instant::now();
    fill(&pool, &app, &person).await;
    eprintln!("filled in {:?}", started.elapsed());

    let storm = Storm::start_paced(Duration::from_millis(100), &target, &app, &person).await;
    let [tokens, ended_tokens, grants, ended_grants] = count(&pool).await;
    assert_eq!((ended_tokens, ended_grants), (EXPIRED, EXPIRED));
    let run = |server: &Arc<TestServer>| {
        let server = Arc::clone(server);
        spawn_blocking(move || server.run(&["maintenance", "run"]))
    };
    let started = Instant::now();
    let sweep = run(&server);
    sleep(Duration::from_secs(2)).await;
    // Another instance's turn comes: it has nothing to do with it.
    let other = run(&server).await.expect("it ran");
    assert!(other.contains("expired_tokens: skipped: another instance is at it"), "{other}");
    let said = sweep.await.expect("it ran");
    eprintln!("swept in {:?}", started.elapsed());
    assert_eq!(storm.failures(), 0, "no request failed");
    let chains = storm.stop().await;
    let refreshes: usize = chains.iter().map(Vec::len).sum();
    eprintln!("{refreshes} refreshes meanwhile");

    assert!(said.contains("expired_tokens: removed 2000000; done"), "{said}");
    let progress: Vec<u64> = said
        .lines()
        .filter_map(|line| line.strip_prefix("expired_tokens: removed ")?.strip_suffix(" so far")?.parse().ok())
        .collect();
    assert!(progress.len() >= 30, "{said}");
    // A line is due every 50,000 rows, and a batch is late by no more than its own rows, of four kinds.
    let steps = progress.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.into_iter().all(|step| step < 50_000 + 4 * u64::from(BATCH)), "{progress:?}");
    assert_eq!(count(&pool).await, [tokens - EXPIRED, 0, grants - EXPIRED, 0]);
    expect_consistent(&target, &app, chains).await;
    let status = server.run(&["maintenance", "status"]);
    let line = status.lines().find(|line| line.starts_with("expired_tokens ")).expect("it is in the table").to_owned();
    assert!(line.contains("idle") && line.contains("success") && line.contains("2000000"), "{status}");
}
