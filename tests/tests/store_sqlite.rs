//! The conformance suite over SQLite, and what is special about this backend.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use authly_core::store::{Store as _, StoreError, sqlite as statements};
use authly_native::sqlite::{MIGRATOR, SqliteStore};

authly_core::store_suite!(fresh());

/// A directory of its own, for as long as the case runs.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let name = format!("sqlite-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("the directory can be created");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("authly.db")
    }

    async fn open(&self) -> Arc<SqliteStore> {
        Arc::new(SqliteStore::connect(self.file()).await.expect("the file can be opened"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind is in the way of nobody.
        fs::remove_dir_all(&self.0).ok();
    }
}

async fn fresh() -> (Arc<SqliteStore>, Directory) {
    let directory = Directory::new();
    let store = directory.open().await;
    store.migrate().await.expect("the migrations can be applied");
    (store, directory)
}

mod sqlite {
    use std::{collections::BTreeSet, time::Duration};

    use authly_core::{
        audit::{Event, EventType, Record},
        model::{
            AuthMethod, ClientId, Digest, GrantType, NewClient, NewUser, Origin, PasswordHash, RedirectUri, Scopes,
            User,
        },
        store::{
            AuditFilter, AuditLog as _, CodeOutcome, CodeRedemption, Lookup, NewGrant, NewRefreshToken, NewSession,
            RefreshOutcome, RefreshRotation, TokenReference, TokenState,
        },
    };
    use chrono::{DateTime, TimeDelta, Utc};
    use sqlx::{Connection as _, Executor as _, Row as _, SqlSafeStr as _, SqliteConnection};
    use uuid::Uuid;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_750_000_000, 0).expect("in range")
    }

    fn secret(text: &(impl ToString + ?Sized)) -> Digest {
        Digest::of(text.to_string().as_bytes())
    }

    async fn person_and_client(store: &SqliteStore) -> (Uuid, Uuid) {
        let user = User::new(Uuid::from_u128(1), "ada@example.com", Some("ada"), true, false).expect("valid");
        let new = NewUser { user, password_hash: PasswordHash::new("hash".to_owned()) };
        store.create_user(&new, now(), None).await.expect("the store works");
        let client = NewClient {
            id: Uuid::from_u128(2),
            client_id: ClientId::parse("app").expect("valid"),
            name: "App".to_owned(),
            secret_hash: None,
            redirect_uris: vec![RedirectUri::parse("https://app.example/cb").expect("valid")],
            client_uri: None,
            auth_method: AuthMethod::None,
            require_pkce: false,
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            scopes: Scopes::parse("read").expect("valid"),
            resources: vec![],
            introspect_all: false,
            logo_uri: None,
            is_active: true,
        };
        store.create_client(&client, now(), None).await.expect("the store works");
        (new.user.id, client.id)
    }

    fn grant((user_id, client_id): (Uuid, Uuid), number: u128) -> NewGrant {
        NewGrant {
            id: Uuid::from_u128(1000 + number),
            user_id,
            client_id,
            scopes: Scopes::parse("read").expect("valid"),
            resources: vec![],
            authenticated_at: now(),
            created_at: now(),
            expires_at: now() + TimeDelta::days(7),
            code: secret(&number),
            code_expires_at: now() + TimeDelta::minutes(10),
            redirect_uri: RedirectUri::parse("https://app.example/cb").expect("valid"),
            code_challenge: None,
            origin: Origin::default(),
            remember_consent: true,
            audit: None,
        }
    }

    fn redemption(grant: &NewGrant) -> CodeRedemption {
        CodeRedemption {
            resources: vec![],
            code: grant.code,
            client_id: grant.client_id,
            redirect_uri: None,
            code_challenge: None,
            now: now(),
            refresh_token: Some(NewRefreshToken {
                id: grant.id,
                digest: secret(&0),
                idle_expires_at: now() + TimeDelta::days(1),
            }),
        }
    }

    fn rotation(grant: &NewGrant, generation: u32) -> RefreshRotation {
        RefreshRotation {
            resources: vec![],
            id: grant.id,
            generation,
            digest: secret(&generation),
            successor: secret(&(generation + 1)),
            client_id: grant.client_id,
            now: now(),
            retry_since: now() - TimeDelta::seconds(30),
            idle_expires_at: now() + TimeDelta::days(1),
            scopes: None,
        }
    }

    #[tokio::test]
    async fn a_file_that_was_never_migrated_is_not_ready() {
        let directory = Directory::new();
        let store = directory.open().await;
        let Err(StoreError::Unexpected(error)) = store.ready().await else { panic!("it cannot be ready") };
        assert!(error.contains("never migrated"), "{error}");
        assert_eq!(store.pending_migrations().await.expect("it can be read").len(), statements_needed());
        store.migrate().await.expect("the migrations can be applied");
        store.migrate().await.expect("twice is as good");
        assert_eq!(store.pending_migrations().await.expect("it can be read"), []);
        store.ready().await.expect("it is ready");
    }

    fn statements_needed() -> usize {
        assert_eq!(MIGRATOR.iter().map(|migration| migration.version).max(), Some(statements::SCHEMA_VERSION));
        MIGRATOR.iter().count()
    }

    #[tokio::test]
    async fn what_cannot_be_opened_is_unavailable() {
        let directory = Directory::new();
        let nowhere = SqliteStore::connect(directory.0.join("missing").join("authly.db")).await;
        assert!(matches!(nowhere, Err(StoreError::Unavailable(_))), "{nowhere:?}");
        fs::write(directory.file(), "this is a text file".repeat(100)).expect("it can be written");
        let text = SqliteStore::connect(directory.file()).await;
        assert!(matches!(text, Err(StoreError::Unexpected(_))), "{text:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_can_read_the_files() {
        use std::os::unix::fs::PermissionsExt as _;

        let (store, directory) = fresh().await;
        person_and_client(&store).await;
        let mut names = Vec::new();
        for entry in fs::read_dir(&directory.0).expect("it can be read") {
            let entry = entry.expect("it can be read");
            assert_eq!(entry.metadata().expect("it is there").permissions().mode() & 0o777, 0o600, "{entry:?}");
            names.push(entry.file_name());
        }
        names.sort();
        assert_eq!(names, ["authly.db", "authly.db-shm", "authly.db-wal"]);
    }

    #[tokio::test]
    async fn one_file_is_left_behind_and_holds_everything() {
        let (store, directory) = fresh().await;
        person_and_client(&store).await;
        store.close().await;
        assert!(matches!(store.scopes().await, Err(StoreError::Unavailable(_))));
        let files = fs::read_dir(&directory.0).expect("it can be read").count();
        assert_eq!(files, 1);
        let store = directory.open().await;
        assert_eq!(store.counts(now()).await.expect("the store works").users, 1);
    }

    #[tokio::test]
    async fn the_connections_are_set_up_to_lose_nothing() {
        let (_store, directory) = fresh().await;
        let mut connection = connect(&directory).await;
        let mode: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await.expect("it works");
        assert_eq!(mode, "wal");
        // 2 is FULL: a commit is on disk when it returns.
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut connection).await.expect("it works");
        assert_eq!(synchronous, 2);
    }

    async fn connect(directory: &Directory) -> SqliteConnection {
        let url = format!("sqlite://{}", directory.file().display());
        SqliteConnection::connect(&url).await.expect("the file can be opened")
    }

    #[tokio::test]
    async fn every_statement_fits_the_schema() {
        let (_store, directory) = fresh().await;
        let mut connection = connect(&directory).await;
        for (name, statement) in statements::ALL {
            let prepared = connection.prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{name}: {prepared:?}");
        }
    }

    /// What grows with use is never searched from end to end.
    #[tokio::test]
    async fn every_statement_uses_an_index() {
        let (_store, directory) = fresh().await;
        let mut connection = connect(&directory).await;
        for (name, statement) in statements::ALL {
            // What an operator asks for may match any column, and is read a page at a time.
            if *name == "counts" || name.ends_with("_records") || ["judge_user_change", "delete_user"].contains(name) {
                continue;
            }
            let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            for step in sqlx::raw_sql(explained).fetch_all(&mut connection).await.expect("it can be explained") {
                let step: &str = step.get("detail");
                for table in ["users", "sessions", "consents", "codes", "authorization_codes", "tokens", "grants"] {
                    assert!(!step.split(" USING ").any(|part| part == format!("SCAN {table}")), "{name}: {step}");
                }
            }
        }
    }

    #[tokio::test]
    async fn an_operation_takes_few_statements() {
        let (store, _directory) = fresh().await;
        let grant = grant(person_and_client(&store).await, 1);
        let app = ClientId::parse("app").expect("valid");
        let mut last = store.statements();
        let mut since = |name: &str, expected: u64| {
            let now = store.statements();
            assert_eq!(now - last, expected, "{name}");
            last = now;
        };
        store.client(&app).await.expect("the store works");
        since("client", 1);
        store.create_grant(&grant).await.expect("the store works");
        since("create_grant", 3);
        store.redeem_code(&redemption(&grant)).await.expect("the store works");
        since("redeem_code", 3);
        store.rotate_refresh_token(&rotation(&grant, 0)).await.expect("the store works");
        since("rotate_refresh_token", 2);
        let token = TokenReference::Refresh { id: grant.id, generation: 1, digest: secret(&1) };
        store
            .look_up(Lookup { client: Some(&app), token: Some(&token), signing_keys: false }, now())
            .await
            .expect("the store works");
        since("look_up", 1);
        store.revoke_token(&token, grant.client_id, now(), None).await.expect("the store works");
        since("revoke_token", 2);
    }

    /// Clients hang up: what was begun is done or not done, and the next one finds the connection in order.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_dropped_future_leaves_nothing_half_done() {
        let (store, directory) = fresh().await;
        let owner = person_and_client(&store).await;
        let (mut issued, mut cut_short) = (0, 0);
        for number in 0..400 {
            let grant = grant(owner, number);
            let patience = Duration::from_micros(u64::try_from(number).expect("a small number") * 2);
            let new = NewGrant { remember_consent: false, ..grant.clone() };
            cut_short += u32::from(tokio::time::timeout(patience, store.create_grant(&new)).await.is_err());
            let first = tokio::time::timeout(patience, store.redeem_code(&redemption(&grant))).await;
            cut_short += u32::from(first.is_err());
            let second = store.redeem_code(&redemption(&grant)).await.expect("the store works");
            let rotated = store.rotate_refresh_token(&rotation(&grant, 0)).await.expect("the store works");
            match second {
                CodeOutcome::Issued(_) => {
                    issued += 1;
                    assert!(matches!(rotated, RefreshOutcome::Rotated(_)), "{rotated:?}");
                }
                // The first use took place, and its token was stored and has now been revoked.
                CodeOutcome::Replayed(_) => assert_eq!(rotated, RefreshOutcome::Revoked),
                CodeOutcome::Unknown => assert_eq!(rotated, RefreshOutcome::Unknown),
                outcome => panic!("{outcome:?}"),
            }
        }
        assert!(cut_short > 0 && issued > 0, "{cut_short} were cut short, {issued} were issued");
        let counts = store.counts(now()).await.expect("the store works");
        assert_eq!(counts.grants, issued);
        let mut connection = connect(&directory).await;
        let orphans: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM grants WHERE id NOT IN (SELECT grant_id FROM authorization_codes)",
        )
        .fetch_one(&mut connection)
        .await
        .expect("it works");
        assert_eq!(orphans, 0);
    }

    /// Not recommended, but nothing breaks.
    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_may_share_the_file() {
        let (one, directory) = fresh().await;
        let other = directory.open().await;
        let grant = grant(person_and_client(&one).await, 1);
        one.create_grant(&grant).await.expect("the store works");
        let mut uses = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = Arc::clone(if number % 2 == 0 { &one } else { &other });
            let redemption = redemption(&grant);
            uses.spawn(async move { store.redeem_code(&redemption).await.expect("the store works") });
        }
        let outcomes = uses.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, CodeOutcome::Issued(_))).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, CodeOutcome::Replayed(_))).count(), 15);
    }

    /// A person who cannot log in any more has nothing left, however long it was to last.
    #[tokio::test]
    async fn a_disabled_account_has_nothing_left() {
        let (store, directory) = fresh().await;
        let owner = person_and_client(&store).await;
        let (used, unused) = (grant(owner, 1), grant(owner, 2));
        for grant in [&used, &unused] {
            store.create_grant(grant).await.expect("the store works");
        }
        store.redeem_code(&redemption(&used)).await.expect("the store works");
        let session = NewSession {
            id: Uuid::from_u128(3),
            digest: secret("cookie"),
            user_id: owner.0,
            authenticated_at: now(),
            expires_at: now() + TimeDelta::hours(1),
            origin: Origin::default(),
            replaces: None,
            effects: None,
            audit: None,
        };
        store.create_session(&session).await.expect("the store works");
        let mut connection = connect(&directory).await;
        sqlx::query("UPDATE users SET is_active = 0").execute(&mut connection).await.expect("it works");

        let redeemed = store.redeem_code(&redemption(&unused)).await.expect("the store works");
        assert_eq!(redeemed, CodeOutcome::Revoked);
        let rotated = store.rotate_refresh_token(&rotation(&used, 0)).await.expect("the store works");
        assert_eq!(rotated, RefreshOutcome::Revoked);
        assert_eq!(store.session(&session.digest, now()).await.expect("the store works"), None);
        assert!(!store.user_by_login("ada").await.expect("the store works").expect("it is there").is_active);
        let app = ClientId::parse("app").expect("valid");
        let refresh_token = TokenReference::Refresh { id: used.id, generation: 0, digest: secret(&0) };
        let access_token = TokenReference::Access {
            jti: "jti".to_owned(),
            client_id: app.clone(),
            grant_id: Some(used.id),
            expires_at: now() + TimeDelta::minutes(30),
        };
        for token in [refresh_token, access_token] {
            let found = store
                .look_up(Lookup { client: Some(&app), token: Some(&token), signing_keys: false }, now())
                .await
                .expect("the store works");
            assert_eq!(found.token, TokenState::Inactive);
        }
    }

    /// A client that was disabled has no tokens that are good.
    #[tokio::test]
    async fn a_disabled_client_has_no_active_tokens() {
        let (store, directory) = fresh().await;
        let used = grant(person_and_client(&store).await, 1);
        store.create_grant(&used).await.expect("the store works");
        store.redeem_code(&redemption(&used)).await.expect("the store works");
        let mut connection = connect(&directory).await;
        sqlx::query("UPDATE clients SET is_active = 0").execute(&mut connection).await.expect("it works");
        let app = ClientId::parse("app").expect("valid");
        let refresh_token = TokenReference::Refresh { id: used.id, generation: 0, digest: secret(&0) };
        let access_token = TokenReference::Access {
            jti: "jti".to_owned(),
            client_id: app.clone(),
            grant_id: None,
            expires_at: now() + TimeDelta::minutes(30),
        };
        for token in [refresh_token, access_token] {
            let found = store
                .look_up(Lookup { client: Some(&app), token: Some(&token), signing_keys: false }, now())
                .await
                .expect("the store works");
            assert_eq!(found.token, TokenState::Inactive);
            assert!(found.client.is_some_and(|caller| !caller.is_active));
        }
    }

    #[tokio::test]
    async fn the_audit_log_is_append_only() {
        let (store, directory) = fresh().await;
        // The trigger asks the clock.
        let today = Utc::now();
        let record = |number, hours| {
            let event = Event::new(EventType::LoginFailed);
            Record::new(Uuid::from_u128(number), today - TimeDelta::hours(hours), event)
        };
        for record in [record(2, 1), record(1, 25)] {
            store.record(&record).await.expect("appends");
        }
        let mut connection = connect(&directory).await;
        for statement in ["UPDATE audit_log SET outcome = 'success'", "DELETE FROM audit_log"] {
            let error = sqlx::query(statement).execute(&mut connection).await.expect_err(statement).to_string();
            assert!(error.contains("append-only"), "{error}");
        }
        assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await.expect("reads").len(), 2);
        assert!(store.sweep_audit_log(today, 10).await.is_err(), "not even the retention");
        assert_eq!(store.sweep_audit_log(today - TimeDelta::hours(24), 10).await.expect("sweeps"), 1);
        assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await.expect("reads").len(), 1);
    }
}
