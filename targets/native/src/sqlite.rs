//! The embedded database: one file, one node, nothing to set up.

mod accounts;
mod administration;
mod audit;
mod jobs;
mod limits;
mod outbox;

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use authly_core::{
    audit::Record,
    crypto::{Algorithm, SealedKey},
    grant::{
        code::{self, StoredCode},
        refresh::{self, StoredRefreshToken},
    },
    limit::LocalCounters,
    model::{
        AuthMethod, Client, ClientId, ClientSecretHash, ClientType, Digest, GrantType, NewClient, NewUser, Origin,
        PasswordHash, PreviousSecret, ScopeDescription, Scopes, Timestamp, User, UserCredentials,
    },
    store::{
        CodeOutcome, CodeRedemption, Counts, Created, Found, Grant, Lookup, NewGrant, NewSession, RefreshOutcome,
        RefreshRotation, Revoked, Session, SessionAndConsent, Store, StoreError, Swept, TokenReference, TokenState,
        UserChange, sqlite as statements,
    },
};
use sqlx::{
    ConnectOptions as _, Decode, Row as _, Sqlite, SqliteExecutor, SqlitePool, Transaction, Type,
    error::DatabaseError,
    migrate::{Migrate as _, MigrateError, Migrator},
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
    types::Json,
};
use uuid::Uuid;

use crate::metrics::{Observed, PoolLoad};

/// The migrations of `migrations/sqlite`.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// How long to wait for the file when another process writes to it, and for a connection when all are busy.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Connections for what only reads. Each is a thread.
const READERS: u32 = 4;

/// A store in one SQLite file.
///
/// One connection writes, in short `BEGIN IMMEDIATE` transactions that are on disk when they are committed; readers
/// neither wait for it nor stop it (WAL). A future that is dropped rolls back what it began.
///
/// A second process may open the same file (a backup, the administrator's tool, by mistake a second server): SQLite's
/// locks keep every promise of [`Store`], but writers wait for each other by polling, for five seconds at most. The
/// file must not be on a network file system, where those locks do not work.
#[derive(Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    statements: AtomicU64,
    /// Nobody else counts: they need not be on disk.
    counters: LocalCounters,
}

impl SqliteStore {
    /// Opens the file, and creates it where there is none, for its owner only. Its directory must exist, and be
    /// writable: two more files beside it come and go.
    ///
    /// # Errors
    /// Where the file cannot be opened, or is no SQLite database.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        // SQLite has names that are no files, but they do not begin with a slash.
        let path = std::path::absolute(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        create(&path).map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(true)
            .busy_timeout(TIMEOUT)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().acquire_timeout(TIMEOUT).test_before_acquire(false);
        let writer = pool
            .clone()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_with(options.clone().journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full))
            .await
            .map_err(failure)?;
        let readers = pool.max_connections(READERS).connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers, statements: AtomicU64::new(0), counters: LocalCounters::default() })
    }

    /// Applies the migrations that are pending.
    ///
    /// # Errors
    /// Where a migration fails (it leaves nothing behind), or the file was migrated by a newer release or with files
    /// that were changed since.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        MIGRATOR.run(&self.writer).await
    }

    /// The migrations that [`Self::migrate`] would apply, by number and name. Changes nothing.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn pending_migrations(&self) -> Result<Vec<(i64, String)>, MigrateError> {
        let mut connection = self.readers.acquire().await?;
        let is_migrated: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations')")
                .fetch_one(&mut *connection)
                .await?;
        let applied =
            if is_migrated { connection.list_applied_migrations(&MIGRATOR.table_name).await? } else { Vec::new() };
        Ok(MIGRATOR
            .iter()
            .filter(|migration| applied.iter().all(|applied| applied.version != migration.version))
            .map(|migration| (migration.version, migration.description.to_string()))
            .collect())
    }

    /// How many statements were run since the start, `BEGIN` and `COMMIT` not counted.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Waits for what is under way, and leaves one file behind that holds everything.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    fn query<'q>(&self, statement: &'static str) -> Query<'q, Sqlite, SqliteArguments> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        sqlx::query(statement)
    }

    /// Waits for its turn to write. What is dropped without [`commit`] is rolled back.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failure)
    }

    async fn client_where(&self, client_id: &ClientId) -> Result<Option<Client>, StoreError> {
        let query = self.query(statements::CLIENT).bind(client_id.as_str());
        optional(&self.readers, query).await?.map(|row| row.client()).transpose()
    }
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    // SQLite gives the files beside it the same permissions.
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().append(true).create(true).open(path).map(drop)
}

/// Primary result codes (<https://www.sqlite.org/rescode.html>) of what may be over when it is tried again, or when the
/// operator has made room: not the fault of a statement.
const UNAVAILABLE: [u32; 7] = [
    5,  // SQLITE_BUSY
    6,  // SQLITE_LOCKED
    7,  // SQLITE_NOMEM
    10, // SQLITE_IOERR
    13, // SQLITE_FULL
    14, // SQLITE_CANTOPEN
    15, // SQLITE_PROTOCOL
];

fn failure(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreError::Unavailable(text),
        sqlx::Error::Database(error) if primary_code(&*error).is_some_and(|code| UNAVAILABLE.contains(&code)) => {
            StoreError::Unavailable(text)
        }
        _ => StoreError::Unexpected(text),
    }
}

fn primary_code(error: &dyn DatabaseError) -> Option<u32> {
    let extended: u32 = error.code()?.parse().ok()?;
    Some(extended & 0xFF)
}

fn unexpected(what: &str) -> StoreError {
    StoreError::Unexpected(format!("{what} is not what the schema promises"))
}

async fn optional<'c>(
    executor: impl SqliteExecutor<'c>,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> Result<Option<Row>, StoreError> {
    Ok(query.fetch_optional(executor).await.map_err(failure)?.map(Row))
}

async fn one<'c>(
    executor: impl SqliteExecutor<'c>,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> Result<Row, StoreError> {
    optional(executor, query).await?.ok_or_else(|| unexpected("a result without rows"))
}

async fn all<'c>(
    executor: impl SqliteExecutor<'c>,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> Result<Vec<Row>, StoreError> {
    Ok(query.fetch_all(executor).await.map_err(failure)?.into_iter().map(Row).collect())
}

/// How many rows it changed. Never run a statement with `RETURNING` outside of a transaction: sqlx stops after the row
/// it wants, and does not hear then that a commit failed.
async fn execute<'c>(
    executor: impl SqliteExecutor<'c>,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> Result<u64, StoreError> {
    Ok(query.execute(executor).await.map_err(failure)?.rows_affected())
}

async fn commit(transaction: Transaction<'_, Sqlite>) -> Result<(), StoreError> {
    transaction.commit().await.map_err(failure)
}

fn created(is_created: bool) -> Created {
    if is_created { Created::Created } else { Created::Conflict }
}

/// A row, read by column name.
struct Row(SqliteRow);

impl Row {
    fn get<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(&'r self, column: &str) -> Result<T, StoreError> {
        self.0.try_get(column).map_err(failure)
    }

    fn count(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|_| unexpected(column))
    }

    fn number(&self, column: &str) -> Result<u32, StoreError> {
        u32::try_from(self.get::<i64>(column)?).map_err(|_| unexpected(column))
    }

    fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let micros: Option<i64> = self.get(column)?;
        micros.map(|micros| Timestamp::from_timestamp_micros(micros).ok_or_else(|| unexpected(column))).transpose()
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.optional_time(column)?.ok_or_else(|| unexpected(column))
    }

    fn optional_digest(&self, column: &str) -> Result<Option<Digest>, StoreError> {
        let bytes: Option<&[u8]> = self.get(column)?;
        bytes.map(|bytes| Digest::from_bytes(bytes).ok_or_else(|| unexpected(column))).transpose()
    }

    fn digest(&self, column: &str) -> Result<Digest, StoreError> {
        self.optional_digest(column)?.ok_or_else(|| unexpected(column))
    }

    fn list(&self, column: &str) -> Result<Vec<String>, StoreError> {
        self.get::<Json<_>>(column).map(|Json(list)| list)
    }

    fn scopes(&self, column: &str) -> Result<Scopes, StoreError> {
        self.list(column).map(Scopes::from_iter)
    }

    fn client_id(&self, column: &str) -> Result<ClientId, StoreError> {
        ClientId::parse(self.get(column)?).ok_or_else(|| unexpected(column))
    }

    /// As named in `client.sql`.
    fn client(&self) -> Result<Client, StoreError> {
        let secret_hash: Option<&str> = self.get("client_secret_hash")?;
        let previous_hash: Option<&str> = self.get("previous_secret_hash")?;
        let previous_hash = previous_hash.and_then(ClientSecretHash::parse);
        let Json(scopes) = self.get::<Json<Vec<(String, String, u8)>>>("scopes")?;
        Ok(Client {
            id: self.get("id")?,
            client_id: self.client_id("client_id")?,
            name: self.get("client_name")?,
            client_type: ClientType::parse(self.get("client_type")?).ok_or_else(|| unexpected("client_type"))?,
            secret_hash: secret_hash
                .map(|text| ClientSecretHash::parse(text).ok_or_else(|| unexpected("client_secret_hash")))
                .transpose()?,
            previous_secret: previous_hash
                .zip(self.optional_time("previous_secret_expires_at")?)
                .map(|(hash, expires_at)| PreviousSecret { hash, expires_at }),
            redirect_uris: self.list("redirect_uris")?,
            client_uri: self.get("client_uri")?,
            auth_method: AuthMethod::parse(self.get("auth_method")?).ok_or_else(|| unexpected("auth_method"))?,
            require_pkce: self.get("require_pkce")?,
            // A newer release may know more of them.
            grant_types: self.list("grant_types")?.iter().filter_map(|name| GrantType::parse(name)).collect(),
            scopes: scopes
                .into_iter()
                .map(|(name, description, is_default)| ScopeDescription {
                    name,
                    description,
                    is_default: is_default != 0,
                    is_active: true,
                })
                .collect(),
            resources: self.list("resources")?,
            introspect_all: self.get("introspect_all")?,
            is_active: self.get("is_active")?,
        })
    }

    fn user(&self) -> Result<User, StoreError> {
        Ok(User {
            id: self.get("user_id")?,
            username: self.get("username")?,
            email: self.get("email")?,
            is_verified: self.get("is_verified")?,
            is_admin: self.get("is_admin")?,
        })
    }

    /// As named in `credentials.sql`.
    fn credentials(&self) -> Result<UserCredentials, StoreError> {
        Ok(UserCredentials {
            user: self.user()?,
            password_hash: PasswordHash::new(self.get("password_hash")?),
            is_active: self.get("is_active")?,
        })
    }

    /// As named in `judge_user_change.sql`.
    fn user_change(&self) -> Result<UserChange, StoreError> {
        UserChange::parse(self.get("outcome")?).ok_or_else(|| unexpected("outcome"))
    }

    fn origin(&self) -> Result<Origin, StoreError> {
        Ok(Origin { address: self.get("address")?, device: self.get("device")? })
    }

    fn session(&self) -> Result<Session, StoreError> {
        let user = self.user()?;
        Ok(Session { id: self.get("session_id")?, user, authenticated_at: self.time("authenticated_at")? })
    }

    /// As named in `load_code.sql` and `load_refresh_token.sql`.
    fn grant(&self) -> Result<Grant, StoreError> {
        Ok(Grant {
            id: self.get("grant_id")?,
            user_id: self.get("user_id")?,
            scopes: self.scopes("scopes")?,
            resources: self.list("resources")?,
            authenticated_at: self.time("authenticated_at")?,
            expires_at: self.time("grant_expires_at")?,
        })
    }

    fn stored_code(&self) -> Result<StoredCode, StoreError> {
        Ok(StoredCode {
            client_id: self.get("client_id")?,
            redirect_uri: self.get("redirect_uri")?,
            code_challenge: self.get("code_challenge")?,
            expires_at: self.time("expires_at")?,
            is_redeemed: self.get("is_redeemed")?,
            grant: self.grant()?,
            is_revoked: self.get("is_revoked")?,
        })
    }

    fn stored_refresh_token(&self) -> Result<StoredRefreshToken, StoreError> {
        Ok(StoredRefreshToken {
            client_id: self.get("client_id")?,
            generation: self.number("generation")?,
            digest: self.digest("digest")?,
            previous_digest: self.optional_digest("previous_digest")?,
            rotated_at: self.time("rotated_at")?,
            idle_expires_at: self.time("idle_expires_at")?,
            grant: self.grant()?,
            is_revoked: self.get("is_revoked")?,
        })
    }

    /// As named in `introspect_refresh_token.sql`.
    fn refresh_token_state(&self) -> Result<TokenState, StoreError> {
        if !self.get("token_is_active")? {
            return Ok(TokenState::Inactive);
        }
        Ok(TokenState::ActiveRefresh {
            client_id: self.client_id("owner_client_id")?,
            user: self.user()?,
            scopes: self.scopes("token_scopes")?,
            resources: self.list("token_resources")?,
            issued_at: self.time("rotated_at")?,
            expires_at: self.time("ends_at")?,
        })
    }

    /// As named in `introspect_access_token.sql`.
    fn access_token_state(&self) -> Result<TokenState, StoreError> {
        if !self.get("token_is_active")? {
            return Ok(TokenState::Inactive);
        }
        let has_user = self.get::<Option<Uuid>>("user_id")?.is_some();
        Ok(TokenState::ActiveAccess { user: has_user.then(|| self.user()).transpose()? })
    }

    fn signing_key(&self) -> Result<SealedKey, StoreError> {
        Ok(SealedKey {
            kid: self.get("kid")?,
            algorithm: Algorithm::parse(self.get("algorithm")?).ok_or_else(|| unexpected("algorithm"))?,
            sequence: self.number("sequence")?,
            public_jwk: self.get("public_jwk")?,
            sealed: self.get("sealed")?,
            activates_at: self.time("activates_at")?,
            retires_at: self.optional_time("retires_at")?,
        })
    }
}

impl Observed for SqliteStore {
    fn pool_load(&self) -> PoolLoad {
        let active = |pool: &SqlitePool| pool.size() as usize - pool.num_idle().min(pool.size() as usize);
        PoolLoad { active: active(&self.writer) + active(&self.readers), max: 1 + READERS as usize, waiting: 0 }
    }
}

impl Store for SqliteStore {
    async fn ready(&self) -> Result<(), StoreError> {
        let version: i64 = match one(&self.readers, self.query(statements::READY)).await {
            Ok(row) => row.get("version")?,
            Err(StoreError::Unexpected(error)) => {
                return Err(StoreError::Unexpected(format!("the database was never migrated: {error}")));
            }
            Err(unavailable) => return Err(unavailable),
        };
        if version < statements::SCHEMA_VERSION {
            return Err(StoreError::Unexpected(format!(
                "the schema has version {version}, and this release needs {}: run the migrations",
                statements::SCHEMA_VERSION
            )));
        }
        Ok(())
    }

    async fn look_up(&self, lookup: Lookup<'_>, now: Timestamp) -> Result<Found, StoreError> {
        // Keys only ever come and go: it does not matter that they are read a moment before.
        let signing_keys = if lookup.signing_keys { Some(self.signing_keys(now).await?) } else { None };
        let caller = lookup.client;
        let now = now.timestamp_micros();
        let (row, token) = match lookup.token {
            None => {
                let client = match caller {
                    Some(client_id) => self.client_where(client_id).await?,
                    None => None,
                };
                return Ok(Found { client, token: TokenState::Inactive, signing_keys });
            }
            Some(TokenReference::Refresh { id, generation, digest }) => {
                let query = self
                    .query(statements::INTROSPECT_REFRESH_TOKEN)
                    .bind(caller.map(ClientId::as_str))
                    .bind(id)
                    .bind(generation)
                    .bind(digest.as_bytes().as_slice())
                    .bind(now);
                let row = one(&self.readers, query).await?;
                let token = row.refresh_token_state()?;
                (row, token)
            }
            Some(TokenReference::Access { jti, client_id, grant_id, expires_at }) => {
                let query = self
                    .query(statements::INTROSPECT_ACCESS_TOKEN)
                    .bind(caller.map(ClientId::as_str))
                    .bind(client_id.as_str())
                    .bind(jti)
                    .bind(grant_id)
                    .bind(expires_at.timestamp_micros())
                    .bind(now);
                let row = one(&self.readers, query).await?;
                let token = row.access_token_state()?;
                (row, token)
            }
        };
        let exists = row.get::<Option<Uuid>>("id")?.is_some();
        Ok(Found { client: exists.then(|| row.client()).transpose()?, token, signing_keys })
    }

    async fn create_client(
        &self,
        client: &NewClient,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Created, StoreError> {
        let mut transaction = self.begin().await?;
        let redirect_uris: Vec<_> = client.redirect_uris.iter().map(ToString::to_string).collect();
        let grant_types: Vec<_> = client.grant_types.iter().map(|grant_type| grant_type.name()).collect();
        let query = self
            .query(statements::CREATE_CLIENT)
            .bind(client.id)
            .bind(client.client_id.as_str())
            .bind(&client.name)
            .bind(client.secret_hash.as_ref().map(ToString::to_string))
            .bind(client.client_type().name())
            .bind(Json(redirect_uris))
            .bind(&client.client_uri)
            .bind(client.auth_method.name())
            .bind(client.require_pkce)
            .bind(Json(grant_types))
            .bind(Json(&client.resources))
            .bind(client.introspect_all)
            .bind(now.timestamp_micros())
            .bind(&client.logo_uri)
            .bind(client.is_active);
        let created = created(execute(&mut *transaction, query).await? > 0);
        if created == Created::Created {
            let query = self
                .query(statements::CREATE_CLIENT_SCOPES)
                .bind(client.client_id.as_str())
                .bind(Json(client.scopes.to_vec()));
            execute(&mut *transaction, query).await?;
            self.record_with(&mut transaction, audit).await?;
            commit(transaction).await?;
        }
        Ok(created)
    }

    async fn scopes(&self) -> Result<Vec<ScopeDescription>, StoreError> {
        let scope = |row: &Row| {
            Ok(ScopeDescription {
                name: row.get("scope_name")?,
                description: row.get("description")?,
                is_default: row.get("is_default")?,
                is_active: row.get("is_active")?,
            })
        };
        all(&self.readers, self.query(statements::SCOPES)).await?.iter().map(scope).collect()
    }

    async fn create_scope(
        &self,
        id: Uuid,
        scope: &ScopeDescription,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Created, StoreError> {
        let query = self
            .query(statements::CREATE_SCOPE)
            .bind(id)
            .bind(&scope.name)
            .bind(&scope.description)
            .bind(scope.is_default)
            .bind(scope.is_active)
            .bind(now.timestamp_micros());
        self.change(query, audit).await.map(created)
    }

    async fn user_by_login(&self, login: &str) -> Result<Option<UserCredentials>, StoreError> {
        let query = self.query(statements::USER_BY_LOGIN).bind(login).bind(login.to_lowercase());
        let Some(row) = optional(&self.readers, query).await? else {
            return Ok(None);
        };
        Ok(Some(UserCredentials {
            user: row.user()?,
            password_hash: PasswordHash::new(row.get("password_hash")?),
            is_active: row.get("is_active")?,
        }))
    }

    async fn create_user(&self, new: &NewUser, now: Timestamp, audit: Option<&Record>) -> Result<Created, StoreError> {
        let query = self
            .query(statements::CREATE_USER)
            .bind(new.user.id)
            .bind(&new.user.email)
            .bind(&new.user.username)
            .bind(new.password_hash.as_str())
            .bind(new.user.is_verified)
            .bind(new.user.is_admin)
            .bind(now.timestamp_micros());
        self.change(query, audit).await.map(created)
    }

    async fn replace_password_hash(
        &self,
        user: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = self
            .query(statements::REPLACE_PASSWORD_HASH)
            .bind(user)
            .bind(old.as_str())
            .bind(new.as_str())
            .bind(now.timestamp_micros());
        execute(&self.writer, query).await.map(drop)
    }

    async fn create_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        if let Some(replaced) = &session.replaces {
            let query = self.query(statements::END_SESSION).bind(replaced.as_bytes().as_slice());
            execute(&mut *transaction, query).await?;
        }
        let query = self
            .query(statements::CREATE_SESSION)
            .bind(session.id)
            .bind(session.digest.as_bytes().as_slice())
            .bind(session.user_id)
            .bind(session.authenticated_at.timestamp_micros())
            .bind(session.expires_at.timestamp_micros())
            .bind(&session.origin.address)
            .bind(&session.origin.device);
        execute(&mut *transaction, query).await?;
        if let Some(effects) = &session.effects {
            for origin in [effects.address, effects.device].into_iter().flatten() {
                let query = self
                    .query(statements::REMEMBER_ORIGIN)
                    .bind(session.user_id)
                    .bind(origin.as_bytes().to_vec())
                    .bind(effects.known_until.timestamp_micros());
                execute(&mut *transaction, query).await?;
            }
        }
        self.record_with(&mut transaction, session.audit.as_ref()).await?;
        commit(transaction).await?;
        session.effects.iter().flat_map(|effects| &effects.forget).flatten().for_each(|key| self.counters.forget(key));
        Ok(())
    }

    async fn session(&self, digest: &Digest, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let query = self.query(statements::SESSION).bind(digest.as_bytes().as_slice()).bind(now.timestamp_micros());
        optional(&self.readers, query).await?.map(|row| row.session()).transpose()
    }

    async fn end_session(&self, digest: &Digest, audit: Option<&Record>) -> Result<Option<Uuid>, StoreError> {
        let digest = digest.as_bytes().as_slice();
        let mut transaction = self.begin().await?;
        let query = self.query(statements::SESSION_OWNER).bind(digest);
        let Some(row) = optional(&mut *transaction, query).await? else {
            return Ok(None);
        };
        let user_id = Some(row.get("user_id")?);
        execute(&mut *transaction, self.query(statements::END_SESSION).bind(digest)).await?;
        let record = audit.map(|record| Record { user_id, ..record.clone() });
        self.record_with(&mut transaction, record.as_ref()).await?;
        commit(transaction).await?;
        Ok(user_id)
    }

    async fn session_and_consent(
        &self,
        digest: &Digest,
        client: Uuid,
        now: Timestamp,
    ) -> Result<Option<SessionAndConsent>, StoreError> {
        let query = self
            .query(statements::SESSION_AND_CONSENT)
            .bind(digest.as_bytes().as_slice())
            .bind(client)
            .bind(now.timestamp_micros());
        let Some(row) = optional(&self.readers, query).await? else {
            return Ok(None);
        };
        let consented = row.get::<Option<Json<Vec<String>>>>("consented")?;
        let consented = consented.map(|Json(scopes)| Scopes::from_iter(scopes));
        Ok(Some(SessionAndConsent { session: row.session()?, consented }))
    }

    async fn create_grant(&self, grant: &NewGrant) -> Result<(), StoreError> {
        let scopes = Json(grant.scopes.to_vec());
        let mut transaction = self.begin().await?;
        let query = self
            .query(statements::CREATE_GRANT)
            .bind(grant.id)
            .bind(grant.user_id)
            .bind(grant.client_id)
            .bind(&scopes)
            .bind(Json(&grant.resources))
            .bind(grant.authenticated_at.timestamp_micros())
            .bind(grant.created_at.timestamp_micros())
            .bind(grant.expires_at.timestamp_micros())
            .bind(&grant.origin.address)
            .bind(&grant.origin.device);
        execute(&mut *transaction, query).await?;
        let query = self
            .query(statements::CREATE_CODE)
            .bind(grant.id)
            .bind(grant.code.as_bytes().as_slice())
            .bind(grant.code_challenge.as_ref().map(ToString::to_string))
            .bind(grant.redirect_uri.as_str())
            .bind(grant.code_expires_at.timestamp_micros());
        execute(&mut *transaction, query).await?;
        if grant.remember_consent {
            let query = self
                .query(statements::REMEMBER_CONSENT)
                .bind(grant.user_id)
                .bind(grant.client_id)
                .bind(&scopes)
                .bind(grant.created_at.timestamp_micros());
            execute(&mut *transaction, query).await?;
        }
        self.record_with(&mut transaction, grant.audit.as_ref()).await?;
        commit(transaction).await
    }

    async fn redeem_code(&self, redemption: &CodeRedemption) -> Result<CodeOutcome, StoreError> {
        let now = redemption.now.timestamp_micros();
        let code = redemption.code.as_bytes().as_slice();
        let mut transaction = self.begin().await?;
        let query = self.query(statements::LOAD_CODE).bind(code);
        let Some(row) = optional(&mut *transaction, query).await? else {
            return Ok(CodeOutcome::Unknown);
        };
        let stored = row.stored_code()?;
        let outcome = match code::decide(&stored, redemption) {
            code::Decision::Issue => {
                let query = self.query(statements::MARK_CODE_REDEEMED).bind(code).bind(now);
                execute(&mut *transaction, query).await?;
                if let Some(new) = &redemption.refresh_token {
                    let query = self
                        .query(statements::CREATE_REFRESH_TOKEN)
                        .bind(new.id)
                        .bind(new.id.to_string())
                        .bind(stored.grant.id)
                        .bind(new.digest.as_bytes().as_slice())
                        .bind(new.idle_expires_at.timestamp_micros())
                        .bind(now);
                    execute(&mut *transaction, query).await?;
                }
                CodeOutcome::Issued(stored.grant)
            }
            code::Decision::RevokeGrant => {
                let query = self.query(statements::REVOKE_GRANT).bind(stored.grant.id).bind(now);
                execute(&mut *transaction, query).await?;
                CodeOutcome::Replayed(stored.grant.id)
            }
            code::Decision::Expired => CodeOutcome::Expired,
            code::Decision::Mismatched => CodeOutcome::Mismatched,
            code::Decision::Revoked => CodeOutcome::Revoked,
            code::Decision::TargetExceeded => CodeOutcome::TargetExceeded,
        };
        commit(transaction).await?;
        Ok(outcome)
    }

    async fn rotate_refresh_token(&self, rotation: &RefreshRotation) -> Result<RefreshOutcome, StoreError> {
        let now = rotation.now.timestamp_micros();
        let mut transaction = self.begin().await?;
        let query = self.query(statements::LOAD_REFRESH_TOKEN).bind(rotation.id);
        let Some(row) = optional(&mut *transaction, query).await? else {
            return Ok(RefreshOutcome::Unknown);
        };
        let stored = row.stored_refresh_token()?;
        let outcome = match refresh::decide(&stored, rotation) {
            refresh::Decision::Rotate => {
                let query = self
                    .query(statements::ROTATE_REFRESH_TOKEN)
                    .bind(rotation.id)
                    .bind(rotation.successor.as_bytes().as_slice())
                    .bind(now)
                    .bind(rotation.idle_expires_at.timestamp_micros());
                execute(&mut *transaction, query).await?;
                RefreshOutcome::Rotated(stored.grant)
            }
            refresh::Decision::RevokeGrant => {
                let query = self.query(statements::REVOKE_GRANT).bind(stored.grant.id).bind(now);
                execute(&mut *transaction, query).await?;
                RefreshOutcome::Replayed(stored.grant.id)
            }
            refresh::Decision::Repeat => RefreshOutcome::Repeated(stored.grant),
            refresh::Decision::ScopeExceeded => RefreshOutcome::ScopeExceeded,
            refresh::Decision::TargetExceeded => RefreshOutcome::TargetExceeded,
            refresh::Decision::Expired => RefreshOutcome::Expired,
            refresh::Decision::Mismatched => RefreshOutcome::Mismatched,
            refresh::Decision::Revoked => RefreshOutcome::Revoked,
            refresh::Decision::Unknown => RefreshOutcome::Unknown,
        };
        commit(transaction).await?;
        Ok(outcome)
    }

    async fn revoke_token(
        &self,
        token: &TokenReference,
        client: Uuid,
        now: Timestamp,
        audit: Option<&Record>,
    ) -> Result<Revoked, StoreError> {
        let now = now.timestamp_micros();
        let mut transaction = self.begin().await?;
        let revoked = match token {
            TokenReference::Refresh { id, .. } => {
                let query = self.query(statements::GRANT_OF_TOKEN).bind(id).bind(client);
                let Some(row) = optional(&mut *transaction, query).await? else {
                    return Ok(Revoked::Nothing);
                };
                let (id, user_id): (Uuid, Uuid) = (row.get("grant_id")?, row.get("user_id")?);
                execute(&mut *transaction, self.query(statements::REVOKE_GRANT).bind(id).bind(now)).await?;
                let about = |record: &Record| Record { grant_id: Some(id), user_id: Some(user_id), ..record.clone() };
                self.record_with(&mut transaction, audit.map(about).as_ref()).await?;
                Revoked::Grant { id, user_id }
            }
            TokenReference::Access { jti, client_id, expires_at, .. } => {
                let query = self
                    .query(statements::REVOKE_ACCESS_TOKEN)
                    .bind(jti)
                    .bind(client_id.as_str())
                    .bind(expires_at.timestamp_micros())
                    .bind(client)
                    .bind(now);
                if execute(&mut *transaction, query).await? == 0 {
                    return Ok(Revoked::Nothing);
                }
                self.record_with(&mut transaction, audit).await?;
                Revoked::Token
            }
        };
        commit(transaction).await?;
        Ok(revoked)
    }

    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedKey>, StoreError> {
        let query = self.query(statements::SIGNING_KEYS).bind(now.timestamp_micros());
        all(&self.readers, query).await?.iter().map(Row::signing_key).collect()
    }

    async fn create_signing_key(
        &self,
        key: &SealedKey,
        predecessors_retire_at: Timestamp,
    ) -> Result<Created, StoreError> {
        let mut transaction = self.begin().await?;
        let query = self
            .query(statements::CREATE_SIGNING_KEY)
            .bind(&key.kid)
            .bind(key.algorithm.name())
            .bind(key.sequence)
            .bind(&key.public_jwk)
            .bind(&key.sealed)
            .bind(key.activates_at.timestamp_micros())
            .bind(key.retires_at.map(|time| time.timestamp_micros()));
        let created = created(execute(&mut *transaction, query).await? > 0);
        if created == Created::Created {
            let query = self
                .query(statements::RETIRE_SIGNING_KEYS)
                .bind(key.sequence)
                .bind(predecessors_retire_at.timestamp_micros());
            execute(&mut *transaction, query).await?;
            commit(transaction).await?;
        }
        Ok(created)
    }

    async fn reseal_signing_key(&self, kid: &str, old: &[u8], new: &[u8]) -> Result<(), StoreError> {
        let query = self.query(statements::RESEAL_SIGNING_KEY).bind(kid).bind(old).bind(new);
        execute(&self.writer, query).await.map(drop)
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Result<Swept, StoreError> {
        let mut transaction = self.begin().await?;
        let mut removed = [0; 4];
        // Grants come after what refers to them.
        let sweeps =
            [statements::SWEEP_CODES, statements::SWEEP_TOKENS, statements::SWEEP_GRANTS, statements::SWEEP_SESSIONS];
        for (statement, removed) in sweeps.into_iter().zip(&mut removed) {
            let query = self.query(statement).bind(now.timestamp_micros()).bind(limit);
            *removed = execute(&mut *transaction, query).await?;
        }
        commit(transaction).await?;
        let [authorization_codes, tokens, grants, sessions] = removed;
        Ok(Swept { authorization_codes, tokens, grants, sessions })
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        let row = one(&self.readers, self.query(statements::COUNTS).bind(now.timestamp_micros())).await?;
        Ok(Counts {
            users: row.count("users")?,
            clients: row.count("clients")?,
            scopes: row.count("scopes")?,
            sessions: row.count("sessions")?,
            grants: row.count("grants")?,
        })
    }
}
