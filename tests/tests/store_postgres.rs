//! The store on Postgres, through sqlx: the conformance suite, and what only Postgres can get wrong.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use authly_core::{
    audit::{Event, EventType, Record},
    model::{
        AuthMethod, ClientId, CodeVerifier, Digest, GrantType, NewClient, NewUser, Origin, PasswordHash, RedirectUri,
        Scopes, Timestamp, User,
    },
    store::{
        AuditFilter, AuditLog as _, CodeOutcome, CodeRedemption, Lookup, NewGrant, NewRefreshToken, NewSession,
        RefreshOutcome, RefreshRotation, Store as _, StoreError, TokenReference, TokenState,
        postgres::{Executor as _, SCHEMA_VERSION, STATEMENTS, Statement, Value},
    },
};
use authly_native::postgres::{self, MIGRATOR, PostgresOptions, Store};
use authly_tests::postgres::{TestDatabase, store};
use chrono::TimeDelta;
use sqlx::{Column as _, Either, Executor as _, Statement as _, TypeInfo as _};
use tokio::{net::TcpListener, task::JoinSet};
use uuid::Uuid;

async fn fresh() -> (Arc<Store>, TestDatabase) {
    let database = TestDatabase::new().await;
    (Arc::clone(database.store()), database)
}

mod suite {
    use super::fresh;

    authly_core::store_suite!(fresh());
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(1_750_000_000_654_321).expect("in range") + TimeDelta::seconds(seconds)
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).expect("scopes")
}

/// One person and one client of one database, which tests can set what the store cannot.
struct World {
    database: TestDatabase,
    store: Arc<Store>,
    user: User,
    client: NewClient,
}

impl World {
    async fn new() -> Self {
        let (store, database) = fresh().await;
        let user = User::new(Uuid::from_u128(1), "ada@example.com", Some("ada"), true, false).expect("valid");
        let password_hash = PasswordHash::new("hash".to_owned());
        store.create_user(&NewUser { user: user.clone(), password_hash }, at(0), None).await.expect("creates");
        let client = NewClient {
            id: Uuid::from_u128(2),
            client_id: ClientId::parse("client").expect("valid"),
            name: "A client".to_owned(),
            secret_hash: None,
            redirect_uris: vec![RedirectUri::parse("https://app.example/cb").expect("valid")],
            client_uri: None,
            auth_method: AuthMethod::None,
            require_pkce: true,
            grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
            scopes: scopes("read write"),
            resources: vec![],
            introspect_all: false,
            logo_uri: None,
            is_active: true,
        };
        store.create_client(&client, at(0), None).await.expect("creates");
        Self { database, store, user, client }
    }

    async fn set(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.database.pool()).await.expect("the statement is right");
    }

    /// A grant with a code and what redeems it.
    async fn granted(&self, number: u128) -> CodeRedemption {
        let verifier = CodeVerifier::parse(&"v".repeat(43)).expect("valid");
        let grant = NewGrant {
            id: Uuid::from_u128(0x1000 + number),
            user_id: self.user.id,
            client_id: self.client.id,
            scopes: scopes("read write"),
            resources: vec![],
            authenticated_at: at(0),
            created_at: at(0),
            expires_at: at(1_000_000),
            code: digest(&format!("code {number}")),
            code_expires_at: at(600),
            redirect_uri: self.client.redirect_uris[0].clone(),
            code_challenge: Some(verifier.challenge()),
            origin: Origin::default(),
            remember_consent: true,
            audit: None,
        };
        self.store.create_grant(&grant).await.expect("creates");
        CodeRedemption {
            resources: vec![],
            code: grant.code,
            client_id: self.client.id,
            redirect_uri: Some(grant.redirect_uri.to_string()),
            code_challenge: grant.code_challenge,
            now: at(1),
            refresh_token: Some(NewRefreshToken {
                id: Uuid::from_u128(0x2000 + number),
                digest: secret(number, 0),
                idle_expires_at: at(86_400),
            }),
        }
    }

    /// A grant whose code was redeemed.
    async fn family(&self, number: u128) {
        let outcome = self.store.redeem_code(&self.granted(number).await).await.expect("redeems");
        assert!(matches!(outcome, CodeOutcome::Issued(_)), "{outcome:?}");
    }

    fn rotation(&self, number: u128, generation: u32) -> RefreshRotation {
        RefreshRotation {
            resources: vec![],
            id: Uuid::from_u128(0x2000 + number),
            generation,
            digest: secret(number, generation),
            successor: secret(number, generation + 1),
            client_id: self.client.id,
            now: at(2),
            retry_since: at(0),
            idle_expires_at: at(86_400),
            scopes: None,
        }
    }

    fn refresh_token(&self, number: u128, generation: u32) -> TokenReference {
        let digest = secret(number, generation);
        TokenReference::Refresh { id: Uuid::from_u128(0x2000 + number), generation, digest }
    }

    fn access_token(&self, number: u128) -> TokenReference {
        TokenReference::Access {
            jti: format!("access {number}"),
            client_id: self.client.client_id.clone(),
            grant_id: Some(Uuid::from_u128(0x1000 + number)),
            expires_at: at(1800),
        }
    }

    async fn state(&self, token: &TokenReference) -> TokenState {
        self.store
            .look_up(Lookup { token: Some(token), ..Lookup::default() }, at(3))
            .await
            .expect("it is looked up")
            .token
    }
}

fn secret(number: u128, generation: u32) -> Digest {
    digest(&format!("secret {number} {generation}"))
}

/// What replaces sqlx's compile-time check, for every host: each statement fits the schema, is one statement, and
/// takes and returns only types that a Spin component can use.
#[tokio::test]
async fn every_statement_prepares() {
    const PORTABLE: [&str; 8] = ["BOOL", "INT4", "INT8", "TEXT", "BYTEA", "UUID", "JSONB", "TEXT[]"];
    let (_, database) = fresh().await;
    let mut connection = database.pool().acquire().await.expect("connects");
    for statement in STATEMENTS {
        assert!(statement.sql.starts_with("-- "), "{} says what it decides", statement.name);
        let code = statement.sql.lines().filter(|line| !line.starts_with("--"));
        assert!(code.into_iter().all(|line| !line.contains(';')), "{} is one statement", statement.name);
        let prepared = (&mut *connection).prepare(sqlx::SqlSafeStr::into_sql_str(statement.sql)).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{}: {error}", statement.name));
        let Some(Either::Left(parameters)) = prepared.parameters() else { panic!("Postgres tells the types") };
        for (index, parameter) in parameters.iter().enumerate() {
            assert!(PORTABLE.contains(&parameter.name()), "{} ${}: {parameter}", statement.name, index + 1);
        }
        for column in prepared.columns() {
            let name = column.type_info().name();
            assert!(PORTABLE.contains(&name), "{} {}: {name}", statement.name, column.name());
        }
    }
}

#[test]
fn the_newest_migration_is_the_version_that_is_needed() {
    assert_eq!(MIGRATOR.iter().map(|migration| migration.version).max(), Some(SCHEMA_VERSION));
}

/// To the microsecond, also on Postgres 13, which computes `extract` as `date_part`, with floating point numbers. Those
/// are exact enough until 2106.
#[tokio::test]
async fn times_are_exact() {
    static ROUND_TRIP: Statement = Statement {
        name: "round_trip",
        sql: "WITH moment AS MATERIALIZED (SELECT to_timestamp(0) + $1::int8 * interval '1 microsecond' AS t)
            SELECT (extract(epoch FROM t) * 1000000)::int8, (date_part('epoch', t) * 1000000)::int8 FROM moment",
    };
    let (store, _database) = fresh().await;
    let mut micros: i64 = 1_750_000_000_000_001;
    for _ in 0..2000 {
        micros = micros.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1).rem_euclid((1 << 32) * 1_000_000);
        let mut rows = store.executor().query(&ROUND_TRIP, vec![Value::from(micros)]).await.expect("runs");
        let mut row = rows.pop().expect("a row");
        let read: (i64, i64) = (row.take().expect("int8"), row.take().expect("int8"));
        assert_eq!(read, (micros, micros));
    }
}

/// A rotation changes no index: Postgres reuses the space on the page at once, and nothing waits for vacuum. With one
/// indexed column among those that change, none would be heap-only; that some are not is due to transactions of other
/// tests on the same server, which hold up the reuse of space.
#[tokio::test]
async fn rotations_are_heap_only_updates() {
    const FAMILIES: u128 = 50;
    const ROTATIONS: u32 = 20;
    let world = World::new().await;
    for number in 0..FAMILIES {
        world.family(number).await;
    }
    for generation in 0..ROTATIONS {
        for number in 0..FAMILIES {
            let outcome = world.store.rotate_refresh_token(&world.rotation(number, generation)).await;
            assert!(matches!(outcome, Ok(RefreshOutcome::Rotated(_))), "{outcome:?}");
        }
    }
    let expected = i64::try_from(FAMILIES).expect("few") * i64::from(ROTATIONS);
    let started = Instant::now();
    // Statistics arrive when a connection has been idle for a moment.
    let (updates, heap_only) = loop {
        let counted: (i64, i64) =
            sqlx::query_as("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tokens'")
                .fetch_one(world.database.pool())
                .await
                .expect("statistics");
        if counted.0 >= expected {
            break counted;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{counted:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(updates, expected);
    assert!(heap_only * 2 >= updates, "{heap_only} of {updates} updates were heap-only");
}

/// What a request costs is counted in statements.
#[tokio::test]
async fn every_operation_is_one_statement() {
    let world = World::new().await;
    let store = &world.store;
    let session = NewSession {
        id: Uuid::from_u128(3),
        digest: digest("cookie"),
        user_id: world.user.id,
        authenticated_at: at(0),
        expires_at: at(3600),
        origin: Origin::default(),
        replaces: Some(digest("another")),
        effects: None,
        audit: None,
    };
    macro_rules! counted {
        ($($operation:expr),+ $(,)?) => {
            $(
                let before = store.executor().statements();
                $operation.await.expect(stringify!($operation));
                assert_eq!(store.executor().statements() - before, 1, stringify!($operation));
            )+
        };
    }
    let redemption = world.granted(0).await;
    let (refresh_token, access_token) = (world.refresh_token(0, 1), world.access_token(0));
    // Everything at once.
    let lookup = |token| Lookup { client: Some(&world.client.client_id), token, signing_keys: true };
    counted!(
        store.ready(),
        store.client(&world.client.client_id),
        store.user_by_login("ada"),
        store.create_session(&session),
        store.session(&session.digest, at(1)),
        store.session_and_consent(&session.digest, world.client.id, at(1)),
        store.redeem_code(&redemption),
        store.rotate_refresh_token(&world.rotation(0, 0)),
        store.look_up(lookup(Some(&refresh_token)), at(3)),
        store.look_up(lookup(Some(&access_token)), at(3)),
        store.look_up(lookup(None), at(3)),
        store.revoke_token(&world.access_token(0), world.client.id, at(3), None),
        store.revoke_token(&world.refresh_token(0, 1), world.client.id, at(3), None),
        store.sweep(at(4), 100),
        store.counts(at(4)),
    );
}

/// What nearly every request reads is planned once and not each time, whatever is null: to plan it costs many times what it
/// costs to run it.
#[tokio::test]
async fn what_every_request_reads_is_planned_once() {
    let database = TestDatabase::new().await;
    let mut connection = database.pool().acquire().await.expect("a connection");
    for (name, types, arguments) in [
        ("client", "text, int8", "'authly-admin', NULL"),
        ("client", "text, int8", "NULL, 1"),
        ("introspect_access_token", "text, text, uuid, int8, int8, text, int8", "'j', 'a', NULL, 2, 1, 'a', NULL"),
        ("introspect_access_token", "text, text, uuid, int8, int8, text, int8", "'j', 'a', NULL, 2, 1, NULL, NULL"),
        ("introspect_refresh_token", "text, uuid, int8, bytea, int8, int8", "NULL, gen_random_uuid(), 1, 'x', 1, NULL"),
        ("introspect_refresh_token", "text, uuid, int8, bytea, int8, int8", "'a', gen_random_uuid(), 1, 'x', 1, NULL"),
    ] {
        let statement = STATEMENTS.iter().find(|statement| statement.name == name).expect("a statement");
        let prepare = format!("PREPARE looked_at ({types}) AS {}", statement.sql);
        // The first five times Postgres tries a plan for each.
        let execute = format!("EXECUTE looked_at ({arguments});").repeat(10);
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{prepare};{execute}"))).execute(&mut *connection).await.expect(name);
        let (custom,): (i64,) =
            sqlx::query_as("SELECT custom_plans FROM pg_prepared_statements WHERE name = 'looked_at'")
                .fetch_one(&mut *connection)
                .await
                .expect("Postgres counts");
        assert_eq!(custom, 5, "{name} ({arguments})");
        sqlx::raw_sql("DEALLOCATE looked_at").execute(&mut *connection).await.expect("it was prepared");
    }
}

/// Two instances, one of them behind a PgBouncer that knows of no prepared statements.
#[tokio::test(flavor = "multi_thread")]
async fn instances_race_for_one_token() {
    let world = World::new().await;
    let options = PostgresOptions { prepared_statements: false, ..PostgresOptions::default() };
    let other = store(&world.database.url(), &options);
    for number in 0..8 {
        let redemption = world.granted(number).await;
        let mut racers = JoinSet::new();
        for racer in 0..32 {
            let (store, redemption) = (Arc::clone([&world.store, &other][racer % 2]), redemption.clone());
            racers.spawn(async move { store.redeem_code(&redemption).await.expect("redeems") });
        }
        let outcomes = racers.join_all().await;
        let issued = outcomes.iter().filter(|outcome| matches!(outcome, CodeOutcome::Issued(_))).count();
        let replayed = outcomes.iter().filter(|outcome| matches!(outcome, CodeOutcome::Replayed(_))).count();
        assert_eq!((issued, replayed), (1, 31));
        let revoked = world.store.rotate_refresh_token(&world.rotation(number, 0)).await.expect("decides");
        assert_eq!(revoked, RefreshOutcome::Revoked);
    }
    for number in 8..16 {
        world.family(number).await;
        let mut racers = JoinSet::new();
        for racer in 0..32 {
            let (store, rotation) = (Arc::clone([&world.store, &other][racer % 2]), world.rotation(number, 0));
            racers.spawn(async move { store.rotate_refresh_token(&rotation).await.expect("rotates") });
        }
        let outcomes = racers.join_all().await;
        let rotated = outcomes.iter().filter(|outcome| matches!(outcome, RefreshOutcome::Rotated(_))).count();
        let repeated = outcomes.iter().filter(|outcome| matches!(outcome, RefreshOutcome::Repeated(_))).count();
        assert_eq!((rotated, repeated), (1, 31));
        assert!(matches!(world.state(&world.refresh_token(number, 1)).await, TokenState::ActiveRefresh { .. }));
    }
}

/// Whatever it is that ended: the person's account, the client, or the row, by an operator's hand.
#[tokio::test]
async fn what_is_not_active_any_more_has_no_live_tokens() {
    let world = World::new().await;
    for number in 0..3 {
        world.family(number).await;
    }
    let unredeemed = world.granted(3).await;
    let live = |state: &TokenState| !matches!(state, TokenState::Inactive);
    for token in [world.refresh_token(0, 0), world.access_token(0)] {
        assert!(live(&world.state(&token).await));
    }

    world.set("UPDATE users SET is_active = false").await;
    for token in [world.refresh_token(0, 0), world.access_token(0)] {
        assert!(!live(&world.state(&token).await));
    }
    let rotated = world.store.rotate_refresh_token(&world.rotation(0, 0)).await.expect("decides");
    assert_eq!(rotated, RefreshOutcome::Revoked);
    assert_eq!(world.store.redeem_code(&unredeemed).await.expect("decides"), CodeOutcome::Revoked);
    let credentials = world.store.user_by_login("ada").await.expect("reads").expect("is there");
    assert!(!credentials.is_active);
    world.set("UPDATE users SET is_active = true").await;

    world.set("UPDATE clients SET is_active = false").await;
    for token in [world.refresh_token(0, 0), world.access_token(0)] {
        assert!(!live(&world.state(&token).await));
    }
    let client = world.store.client(&world.client.client_id).await.expect("reads").expect("is there");
    assert!(!client.is_active);
    world.set("UPDATE clients SET is_active = NULL").await;
    assert!(live(&world.state(&world.refresh_token(0, 0)).await), "the first schema allowed nulls");

    world.set("UPDATE tokens SET invalidated = true").await;
    assert!(!live(&world.state(&world.refresh_token(0, 0)).await));
    let rotated = world.store.rotate_refresh_token(&world.rotation(0, 0)).await.expect("decides");
    assert_eq!(rotated, RefreshOutcome::Revoked);
}

/// Tokens and codes refer to their grant only: it takes them along.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_deleted_takes_grants_tokens_and_codes_along() {
    for sql in ["DELETE FROM users", "DELETE FROM clients"] {
        let world = World::new().await;
        world.family(1).await;
        world.set(sql).await;
        let left: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM grants) + (SELECT count(*) FROM tokens)
                + (SELECT count(*) FROM authorization_codes) + (SELECT count(*) FROM consents)",
        )
        .fetch_one(world.database.pool())
        .await
        .expect("counts");
        assert_eq!(left, 0, "{sql}");
        let outcome = world.store.rotate_refresh_token(&world.rotation(1, 0)).await.expect("asks");
        assert_eq!(outcome, RefreshOutcome::Unknown, "{sql}");
    }
}

/// A person's or client's rows go along with them, and a sweep with its plan leaves nothing of a revoked grant behind
/// after a day.
#[tokio::test]
async fn nothing_is_left_behind() {
    let world = World::new().await;
    world.family(0).await;
    world.family(1).await;
    world.store.revoke_token(&world.refresh_token(0, 0), world.client.id, at(10), None).await.expect("revokes");
    let swept = world.store.sweep(at(86_000), 100).await.expect("sweeps");
    assert_eq!((swept.tokens, swept.grants), (0, 0));
    world
        .store
        .rotate_refresh_token(&RefreshRotation { idle_expires_at: at(200_000), ..world.rotation(1, 0) })
        .await
        .expect("rotates");
    let swept = world.store.sweep(at(86_420), 100).await.expect("sweeps");
    assert_eq!((swept.tokens, swept.grants), (1, 1));

    world.set("DELETE FROM users").await;
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM grants) + (SELECT count(*) FROM tokens)
            + (SELECT count(*) FROM authorization_codes) + (SELECT count(*) FROM consents)",
    )
    .fetch_one(world.database.pool())
    .await
    .expect("counts");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_database_that_is_not_migrated_is_told_from_one_that_is_away() {
    let database = TestDatabase::empty().await;
    let not_migrated = |outcome| matches!(outcome, Err(StoreError::Unexpected(reason)) if reason.contains("migrate"));
    assert_eq!(postgres::pending_migrations(database.executor()).await.expect("asks").len(), MIGRATOR.iter().count());
    assert!(not_migrated(database.store().ready().await));
    MIGRATOR.run_to(1, database.pool()).await.expect("migrates");
    assert!(not_migrated(database.store().ready().await));
    postgres::migrate(database.executor()).await.expect("migrates");
    assert_eq!(postgres::pending_migrations(database.executor()).await.expect("asks"), []);
    database.store().ready().await.expect("ready");
}

fn is_unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

#[tokio::test]
async fn a_database_that_is_away_is_reported_within_a_second() {
    // One port where nobody listens, one where somebody listens and says nothing.
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("binds").local_addr().expect("bound");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    for address in [closed, silent.local_addr().expect("bound")] {
        let store = store(&format!("postgresql://postgres@{address}/postgres"), &PostgresOptions::default());
        let started = Instant::now();
        let outcome = store.ready().await;
        assert!(is_unavailable(&outcome), "{outcome:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

/// A statement that does not end gives its place in the pool back.
#[tokio::test]
async fn a_database_that_hangs_is_given_up_on() {
    let world = World::new().await;
    world.family(0).await;
    let options =
        PostgresOptions { max_connections: 1, query_timeout: Duration::from_millis(300), ..PostgresOptions::default() };
    let store = store(&world.database.url(), &options);
    let mut lock = world.database.pool().begin().await.expect("begins");
    sqlx::query("LOCK TABLE tokens").execute(&mut *lock).await.expect("locks");
    for _ in 0..2 {
        let started = Instant::now();
        let outcome = store.rotate_refresh_token(&world.rotation(0, 0)).await;
        assert!(is_unavailable(&outcome), "{outcome:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        store.ready().await.expect("other tables answer");
    }
    lock.rollback().await.expect("unlocks");
    store.counts(at(0)).await.expect("it answers again");
}

/// Such as after a restart: the first requests do not have to fail.
#[tokio::test]
async fn connections_that_were_cut_while_idle_are_replaced() {
    let (store, database) = fresh().await;
    store.ready().await.expect("ready");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut other = database.pool().acquire().await.expect("connects").detach();
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .execute(&mut other)
    .await
    .expect("terminates");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    store.ready().await.expect("ready");
}

/// Whoever has the password of the database cannot cover their tracks with it, short of taking the table apart.
#[tokio::test]
async fn the_audit_log_is_append_only() {
    let database = TestDatabase::new().await;
    let store = database.store();
    let now = chrono::Utc::now();
    let record = |number, hours| {
        let time = now - TimeDelta::hours(hours);
        Record::new(Uuid::from_u128(number), time, Event::new(EventType::LoginFailed))
    };
    let (fresh, old) = (record(2, 1), record(1, 25));
    for record in [&fresh, &old] {
        store.record(record).await.expect("appends");
    }
    for statement in [
        "UPDATE audit_log SET outcome = 'success'",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE occurred_at > now() - interval '2 hours'",
        "TRUNCATE audit_log",
    ] {
        let error = sqlx::query(statement).execute(database.pool()).await.expect_err(statement).to_string();
        assert!(error.contains("append-only"), "{error}");
    }
    assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await.expect("reads").len(), 2);
    assert!(store.sweep_audit_log(now, 10).await.is_err(), "not even the retention");
    let a_day_ago = now - TimeDelta::hours(24);
    assert_eq!(store.sweep_audit_log(a_day_ago, 10).await.expect("sweeps"), 1);
    assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await.expect("reads").len(), 1);
}
