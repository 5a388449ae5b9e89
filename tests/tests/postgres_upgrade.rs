//! A database that the first release's operators made, with their users and clients in it, becomes one of this release
//! in place.

use std::collections::BTreeSet;

use authly_core::{
    crypto::password::{self, PasswordCost},
    model::{
        AuthMethod, ClientId, ClientSecretHash, ClientType, Digest, GrantType, NewUser, Password, PasswordHash,
        Timestamp, User,
    },
    ports::PasswordCheck,
    store::{
        Administration as _, ClientFilter, CodeOutcome, CodeRedemption, Created, Lookup, RefreshOutcome,
        RefreshRotation, Store as _, TokenReference, TokenState,
    },
};
use authly_native::postgres;
use authly_tests::postgres::TestDatabase;
use chrono::TimeDelta;
use uuid::Uuid;

const SEED: &str = include_str!("../fixtures/seed.sql");
const ROWS: &str = include_str!("../fixtures/seed_rows.sql");

/// The indexes that the deployment guide names.
const SEED_INDEXES: [&str; 19] = [
    "idx_users_email",
    "idx_users_username",
    "idx_users_verified",
    "idx_clients_client_id",
    "idx_clients_active",
    "idx_scopes_name",
    "idx_scopes_active",
    "idx_scopes_default",
    "idx_client_scopes_client_id",
    "idx_client_scopes_scope_id",
    "idx_tokens_jti",
    "idx_tokens_user_id",
    "idx_tokens_client_id",
    "idx_tokens_expires_at",
    "idx_tokens_user_type_active",
    "idx_authorization_codes_code",
    "idx_authorization_codes_expires_at",
    "idx_authorization_codes_client_id",
    "idx_authorization_codes_user_id",
];

fn now() -> Timestamp {
    Timestamp::from_timestamp_micros(1_750_000_000_000_000).expect("in range")
}

fn client_id(text: &str) -> ClientId {
    ClientId::parse(text).expect("valid")
}

async fn run(database: &TestDatabase, sql: &'static str) {
    sqlx::raw_sql(sql).execute(database.pool()).await.expect("the first release's SQL runs");
}

async fn upgraded() -> TestDatabase {
    let database = TestDatabase::empty().await;
    run(&database, SEED).await;
    run(&database, ROWS).await;
    postgres::migrate(database.executor()).await.expect("the migrations apply to the first release's database");
    database
}

/// Columns, indexes and constraints, as the catalogue describes them.
async fn schema(database: &TestDatabase) -> BTreeSet<String> {
    let lines: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', table_name, column_name, ordinal_position, udt_name, character_maximum_length,
                is_nullable, column_default)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', relname, reloptions)
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    .fetch_all(database.pool())
    .await
    .expect("the catalogue can be read");
    lines.into_iter().collect()
}

#[tokio::test]
async fn both_ways_lead_to_the_same_schema() {
    let (upgraded, new) = (upgraded().await, TestDatabase::new().await);
    upgraded.store().ready().await.expect("ready");
    let (upgraded, new) = (schema(&upgraded).await, schema(&new).await);
    let differences: Vec<_> = upgraded.symmetric_difference(&new).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    for index in SEED_INDEXES {
        let definition = format!("INDEX {index} ON");
        assert_eq!(new.iter().filter(|line| line.contains(&definition)).count(), 1, "{index}");
    }
}

/// No two indexes do the same work.
#[tokio::test]
async fn no_index_is_doubled() {
    let database = upgraded().await;
    let doubled: Vec<(String, String)> = sqlx::query_as(
        "SELECT a.indexrelid::regclass::text, b.indexrelid::regclass::text
            FROM pg_index a
            JOIN pg_index b ON a.indrelid = b.indrelid AND a.indexrelid < b.indexrelid
                AND a.indkey::text = b.indkey::text
                AND a.indexprs IS NOT DISTINCT FROM b.indexprs AND a.indpred IS NOT DISTINCT FROM b.indpred
            WHERE a.indrelid::regclass::text !~ '^pg_'",
    )
    .fetch_all(database.pool())
    .await
    .expect("the catalogue can be read");
    assert_eq!(doubled, []);
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = upgraded().await;
    let before = schema(&database).await;
    postgres::migrate(database.executor()).await.expect("nothing is left to do");
    assert_eq!(postgres::pending_migrations(database.executor()).await.expect("asks"), []);
    assert_eq!(schema(&database).await, before);
    assert_eq!(database.store().counts(now()).await.expect("counts").users, 3);
}

/// Several instances that start at once migrate once.
#[tokio::test(flavor = "multi_thread")]
async fn instances_may_migrate_at_the_same_time() {
    let database = TestDatabase::empty().await;
    run(&database, SEED).await;
    let executor = database.executor();
    let (a, b, c) = tokio::join!(postgres::migrate(executor), postgres::migrate(executor), postgres::migrate(executor));
    for outcome in [a, b, c] {
        outcome.expect("migrates, or waits for another to do it");
    }
    database.store().ready().await.expect("ready");
}

#[tokio::test]
async fn people_log_in_with_the_passwords_they_have() {
    let database = upgraded().await;
    let store = database.store();
    for login in ["Ada@Example.com", "ada@example.com", "ada"] {
        let credentials = store.user_by_login(login).await.expect("reads").expect(login);
        assert!(credentials.is_active && credentials.user.is_verified && credentials.user.is_admin);
        let right = Password::new("correct horse").expect("valid");
        let wrong = Password::new("wrong").expect("valid");
        let check = |password| password::verify(password, Some(&credentials.password_hash), PasswordCost::default());
        assert_eq!(check(&right), PasswordCheck::CorrectButOutdated);
        assert_eq!(check(&wrong), PasswordCheck::Wrong);

        let upgraded = PasswordHash::new("$argon2id$…".to_owned());
        store
            .replace_password_hash(credentials.user.id, &credentials.password_hash, &upgraded, now())
            .await
            .expect("replaces");
        let replaced = store.user_by_login(login).await.expect("reads").expect(login);
        assert_eq!(replaced.password_hash, upgraded);
        store
            .replace_password_hash(credentials.user.id, &upgraded, &credentials.password_hash, now())
            .await
            .expect("replaces");
    }
    // Nulls were allowed.
    let credentials = store.user_by_login("eve").await.expect("reads").expect("is there");
    assert!(credentials.is_active && !credentials.user.is_verified && !credentials.user.is_admin);
    // Two addresses that differ in case only: each is found by itself, and else the lower one.
    for (login, name) in [("Bob@example.com", "bob"), ("bob@example.com", "eve"), ("BOB@example.com", "eve")] {
        let credentials = store.user_by_login(login).await.expect("reads").expect(login);
        assert_eq!(credentials.user.username, name, "{login}");
    }
    let again = User::new(Uuid::from_u128(9), "ada@example.com", Some("another"), true, false).expect("valid");
    let again = NewUser { user: again, password_hash: PasswordHash::new(String::new()) };
    assert_eq!(store.create_user(&again, now(), None).await.expect("decides"), Created::Conflict);
}

#[tokio::test]
async fn clients_keep_their_secrets_and_scopes() {
    let database = upgraded().await;
    let store = database.store();

    let client = store.client(&client_id("web-app")).await.expect("reads").expect("is there");
    assert_eq!((client.client_type, client.auth_method), (ClientType::Confidential, AuthMethod::ClientSecretBasic));
    assert!(matches!(&client.secret_hash, Some(ClientSecretHash::Bcrypt(hash)) if hash.starts_with("$2b$04$")));
    assert_eq!(client.redirect_uris, ["https://app.example/callback", "http://localhost:3000/callback"]);
    assert_eq!(client.allowed_scopes().to_string(), "profile read");
    assert_eq!(client.default_scopes().to_string(), "profile read");
    assert_eq!(client.grant_types, BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]));
    assert!(client.is_active && client.require_pkce && !client.introspect_all && client.resources.is_empty());

    // The first release's default method makes no sense for a public client; its nulls meant the defaults.
    let client = store.client(&client_id("mobile-app")).await.expect("reads").expect("is there");
    assert_eq!((client.client_type, client.auth_method), (ClientType::Public, AuthMethod::None));
    assert!(client.secret_hash.is_none() && client.is_active && client.require_pkce);
    assert_eq!(client.allowed_scopes().to_string(), "read", "a scope that was put out of use is gone");

    // A secret that nobody can verify is none.
    let client = store.client(&client_id("odd-app")).await.expect("reads").expect("is there");
    assert_eq!((client.secret_hash, client.auth_method), (None, AuthMethod::ClientSecretBasic));
    assert!(!client.is_active);

    // One is named like a user's id, so it cannot be asked for.
    let all: Vec<_> = store
        .client_records(&ClientFilter::default(), None, 100)
        .await
        .expect("reads")
        .into_iter()
        .map(|client| client.client_id)
        .collect();
    let own_id = "00000000-0000-0000-0000-000000000014";
    assert_eq!(all, [own_id, "authly-admin", "mobile-app", "odd-app", "web-app"]);
    let scopes: Vec<_> = store
        .scopes()
        .await
        .expect("reads")
        .into_iter()
        .map(|scope| scope.name)
        .filter(|name| !name.starts_with("admin:"))
        .collect();
    assert_eq!(scopes, ["admin", "legacy", "profile", "read", "write"]);
}

/// They were issued by other rules; they are refused, and vanish when they end.
#[tokio::test]
async fn old_codes_and_tokens_are_of_no_use() {
    let database = upgraded().await;
    let store = database.store();
    let client = store.client(&client_id("web-app")).await.expect("reads").expect("is there");
    let (id, digest) = (Uuid::from_u128(0x51), Digest::of(b"anything"));
    let redemption = CodeRedemption {
        resources: vec![],
        code: digest,
        client_id: client.id,
        redirect_uri: None,
        code_challenge: None,
        now: now(),
        refresh_token: None,
    };
    // Its row says that its code has this digest.
    assert_eq!(store.redeem_code(&redemption).await.expect("decides"), CodeOutcome::Unknown);
    let rotation = RefreshRotation {
        resources: vec![],
        id,
        generation: 0,
        digest,
        successor: digest,
        client_id: client.id,
        now: now(),
        retry_since: now(),
        idle_expires_at: now() + TimeDelta::days(7),
        scopes: None,
    };
    assert_eq!(store.rotate_refresh_token(&rotation).await.expect("decides"), RefreshOutcome::Unknown);
    let token = TokenReference::Refresh { id, generation: 0, digest };
    store.revoke_token(&token, client.id, now(), None).await.expect("ignores it");
    let lookup = Lookup { token: Some(&token), ..Lookup::default() };
    assert_eq!(store.look_up(lookup, now()).await.expect("it is looked up").token, TokenState::Inactive);

    let swept = store.sweep(now(), 100).await.expect("sweeps");
    assert_eq!((swept.authorization_codes, swept.tokens), (0, 1), "one had ended");
    let swept = store.sweep(now() + TimeDelta::days(30), 100).await.expect("sweeps");
    assert_eq!((swept.authorization_codes, swept.tokens), (1, 1));
}
