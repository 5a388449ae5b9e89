//! An upgrade without downtime: the schema first, while the instances serve, then one instance after the other, behind
//! nginx and under load.

use std::{
    cell::Cell,
    collections::BTreeMap,
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use authly_tests::{
    http::RequestExt as _,
    nginx::{ISSUER, Nginx},
    postgres::TestDatabase,
    server::{Database, Program, TestServer, program},
    storm::{Storm, expect_consistent},
    target::{App, Person, Target},
};
use serde_json::Value;
use sqlx::migrate::Migrator;
use tokio::time::sleep;

/// The `authly` of an older release, to upgrade from it and from the schema that it makes. Where it is not set, this
/// release plays both parts, and the schema of a next release is made up.
const OLD: &str = "AUTHLY_OLD_BIN";

/// What the next release might bring, by the rules of `migrations/README.md`, to the tables that every request reads. A
/// column more in a view or a table is what breaks prepared statements that are not careful. Each file takes a strong lock
/// on one thing only: a transaction that has locked one table and waits for another deadlocks with requests.
const NEXT_SCHEMA: [&str; 9] = [
    "ALTER TABLE users ADD COLUMN next_release TEXT;",
    "ALTER TABLE clients ADD COLUMN next_release BIGINT NOT NULL DEFAULT 0;",
    "ALTER TABLE grants ADD COLUMN next_release TEXT;",
    "ALTER TABLE sessions ADD COLUMN next_release TEXT;",
    "ALTER TABLE signing_keys ADD COLUMN next_release TEXT;",
    "ALTER TABLE tokens ADD COLUMN next_release TEXT;",
    "CREATE TABLE next_release (user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE);",
    "DO $$
    BEGIN
        EXECUTE 'CREATE OR REPLACE VIEW client_details AS SELECT before.*, NULL::text AS next_release FROM ('
            || rtrim(pg_get_viewdef('client_details'), ';') || ') before';
    END
    $$;",
    "-- no-transaction
    CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_grants_next_release ON grants (next_release);",
];

fn migrate(authly: &Path, database: &TestDatabase) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(authly)
        .arg("migrate")
        .env_clear()
        .env("DATABASE_URL", database.direct_url())
        .current_dir(directory.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Migrates as a next release would, with a few files more than this one has.
async fn next_schema(database: &TestDatabase) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("migrations/postgres");
    for file in fs::read_dir(ours).expect("a directory") {
        let file = file.expect("an entry");
        fs::copy(file.path(), directory.path().join(file.file_name())).expect("it is copied");
    }
    for (number, sql) in (9001..).zip(NEXT_SCHEMA) {
        let timeout = if sql.starts_with("--") { "" } else { "SET LOCAL lock_timeout = '5s';\n" };
        fs::write(directory.path().join(format!("{number}_next.sql")), format!("{timeout}{sql}"))
            .expect("it is written");
    }
    let migrator = Migrator::new(directory.path()).await.expect("migrations");
    migrator.run(database.pool()).await.expect("they apply while the instances serve");
}

async fn migrations(database: &TestDatabase) -> i64 {
    let sql = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    sqlx::query_scalar(sql).fetch_one(database.pool()).await.expect("it is migrated")
}

/// What a confidential client and a resource server do all day.
async fn use_tokens(target: &Target, app: &App, stop: &Cell<bool>) {
    while !stop.get() {
        let token = target.token(app, &[("grant_type", "client_credentials")]).await.expect(200).member("access_token");
        assert_eq!(target.introspect(app, &token).await["active"], true);
        sleep(Duration::from_millis(5)).await;
    }
}

/// What people do: they look at the login page, and some go through with it.
async fn log_in(target: &Target, app: &App, person: &Person, stop: &Cell<bool>) {
    while !stop.get() {
        for _ in 0..5 {
            target.get("/login").reply().await.expect(200);
            sleep(Duration::from_millis(5)).await;
        }
        target.tokens(app, person).await;
    }
}

fn count_by(requests: &[Value], key: impl Fn(&Value) -> String) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts.entry(key(request)).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_fails_no_request_and_loses_no_token() {
    let database = TestDatabase::empty().await;
    let new = program("authly");
    let old = env::var_os(OLD).map(PathBuf::from);
    // The instances are started by a link, which is what changes.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let link = directory.path().join("authly");
    symlink(old.as_ref().unwrap_or(&new), &link).expect("a link");
    migrate(&link, &database);
    let before = migrations(&database).await;

    let variables = [("ENVIRONMENT", "production"), ("ISSUER_URL", ISSUER), ("TRUSTED_PROXIES", "127.0.0.1")];
    let start = || {
        let database = Database::new(database.url(), ());
        TestServer::start_program(Program::File(link.clone()), database, &variables)
    };
    let instances = [start().await, start().await];
    let limits = [("AUTHLY_UNLIMITED_NETWORKS", "127.0.0.1")];
    let nginx = Nginx::start(&[instances[0].port(), instances[1].port()], &limits).await;
    let clients = nginx.clients_at([127, 0, 0, 1]).await;
    let target = clients.target(&database.url()).await;
    let (public, confidential, person) = (target.public().await, target.confidential().await, target.person().await);
    let storm = Storm::start(&target, &public, &person).await;
    let stop = Cell::new(false);

    let upgrade = async {
        sleep(Duration::from_secs(1)).await;
        match &old {
            Some(_) => migrate(&new, &database),
            None => next_schema(&database).await,
        }
        assert!(migrations(&database).await > before);
        sleep(Duration::from_secs(1)).await;
        fs::remove_file(&link).expect("it is there");
        symlink(&new, &link).expect("a link");
        for instance in &instances {
            let started = Instant::now();
            assert!(instance.terminate().await, "it reports success");
            eprintln!("an instance ended after {:?}", started.elapsed());
            sleep(Duration::from_millis(500)).await;
            // It returns when the instance is ready. The next one has its turn at once.
            instance.restart().await;
        }
        sleep(Duration::from_secs(3)).await;
        stop.set(true);
    };
    tokio::join!(upgrade, use_tokens(&target, &confidential, &stop), log_in(&target, &public, &person, &stop));
    let chains = storm.stop().await;

    let requests = nginx.requests();
    eprintln!("{:#?}", count_by(&requests, |request| format!("{} {}", request["path"], request["status"])));
    let elsewhere = requests.iter().filter(|request| request["upstream"].as_str().is_some_and(|it| it.contains(", ")));
    eprintln!("{} of them were refused by an instance and sent to the other", elsewhere.count());
    let failed: Vec<_> = requests.iter().filter(|request| request["status"].as_u64() >= Some(400)).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    // Enough to be in the middle of something all the time, on a machine that has other things to do as well.
    let least =
        [("/auth/refresh", 300), ("/auth/token", 10), ("/auth/introspect", 10), ("/login", 10), ("/authorize", 5)];
    for (path, least) in least {
        let count = requests.iter().filter(|request| request["path"] == path).count();
        assert!(count >= least, "that was no load: {count} of {path}");
    }
    for instance in &instances {
        let address = format!("127.0.0.1:{}", instance.port());
        let last = &requests[requests.len() - 100..];
        assert!(last.iter().any(|request| request["upstream"] == address.as_str()), "{address} serves at the end");
        let log = instance.log();
        assert!(!log.contains("panicked at") && !log.contains("\"level\":\"ERROR\""), "{log}");
    }
    expect_consistent(&target, &public, chains).await;
}
