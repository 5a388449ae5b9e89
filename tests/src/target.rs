//! What a scenario is given: the address of a server, and the means to put people and clients into its database.

use std::{
    any::Any,
    collections::BTreeSet,
    ops::Deref,
    path::{Path, PathBuf},
};

use authly_core::{
    audit::Record,
    crypto::{
        RootSecret, RootSecrets,
        password::{self, PasswordCost},
    },
    mail,
    model::{
        AuthMethod, ClientId, ClientSecret, ClientSecretHash, CodeVerifier, GrantType, NewClient, NewUser, Password,
        RedirectUri, ScopeDescription, Scopes, Timestamp, User,
    },
    ports::Entropy as _,
    server::new_id,
    store::{AuditFilter, AuditLog as _, Created, Store},
};
use authly_native::{
    host::OsEntropy,
    postgres::{self, PostgresOptions},
    sqlite::SqliteStore,
};
use chrono::Utc;
use http::Method;
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::sync::OnceCell;
use url::Url;
use uuid::Uuid;

use crate::{
    http::{Reply, RequestExt as _, encode},
    postgres::past_pgbouncer,
    server::{JWT_SECRET_KEY, read_from},
    user_agent::UserAgent,
};

/// Where the public client of [`Target::public`] and the confidential one of [`Target::confidential`] receive
/// answers.
pub const REDIRECT_URI: &str = "https://app.example/callback";

/// A server that a scenario talks to, over HTTP and through its database's fixtures.
pub struct Target {
    base: String,
    issuer: String,
    client: Client,
    database_url: String,
    store: AnyStore,
    inspector: OnceCell<App>,
    log: Option<(PathBuf, u64)>,
    is_on_spin: bool,
    has_several_instances: bool,
    paths_are_decoded: bool,
}

/// A server that runs for one scenario alone.
pub struct Running {
    target: Target,
    _keep: Box<dyn Any + Send>,
}

impl Running {
    /// `target` runs for as long as `keep` lives.
    pub fn new(target: Target, keep: impl Any + Send) -> Self {
        Self { target, _keep: Box::new(keep) }
    }
}

impl Deref for Running {
    type Target = Target;

    fn deref(&self) -> &Target {
        &self.target
    }
}

/// Runs the server somewhere, with the tests' own `JWT_SECRET_KEY` and `JWT_REFRESH_SECRET_KEY`
/// ([`crate::server::JWT_SECRET_KEY`]) and a `CACHE_TTL` of five seconds at most. Every host passes the same scenarios.
pub trait Host {
    /// A server with default settings, which scenarios may share.
    fn shared() -> impl Future<Output = Running>;

    /// A server with these variables. `{base}` in a value stands for the server's own base URL.
    fn start(variables: &[(&str, &str)]) -> impl Future<Output = Running>;
}

/// A person with an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// The `sub` of their tokens.
    pub id: Uuid,
    /// Their user name.
    pub username: String,
    /// Their address.
    pub email: String,
    /// Their password.
    pub password: String,
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct App {
    /// The key of its row.
    pub id: Uuid,
    /// Its name in the protocol.
    pub client_id: String,
    /// Its name for people.
    pub name: String,
    /// Its secret, if it is confidential.
    pub secret: Option<String>,
    /// The first of its redirect URIs.
    pub redirect_uri: String,
}

/// An authorization request in the making.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its parameters.
    pub parameters: Vec<(String, String)>,
    /// What belongs to its challenge.
    pub verifier: String,
}

/// An authorization code with what its use needs.
#[derive(Clone, Debug)]
pub struct Code {
    /// The code.
    pub code: String,
    /// The verifier.
    pub verifier: String,
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: String,
}

impl Letter {
    /// The link in it: a line of its own.
    pub fn link(&self) -> &str {
        let link = self.body.lines().find(|line| line.starts_with("http"));
        link.unwrap_or_else(|| panic!("no link in {self:?}"))
    }
}

/// The tokens of a grant.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token.
    pub refresh: String,
}

/// A verified access token, taken apart.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Its header.
    pub header: Value,
    /// Its claims.
    pub claims: Value,
}

/// The store of either kind of database.
pub enum AnyStore {
    /// SQLite.
    Sqlite(SqliteStore),
    /// Postgres.
    Postgres(postgres::Store),
}

/// Calls the same method of whichever store it is.
macro_rules! store {
    ($database:expr, $store:ident => $call:expr) => {
        match $database {
            AnyStore::Sqlite($store) => $call.await,
            AnyStore::Postgres($store) => $call.await,
        }
    };
}

fn now() -> Timestamp {
    Utc::now()
}

/// Letters and digits that nobody used before.
pub fn unique() -> String {
    let mut bytes = [0; 8];
    OsEntropy.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new PKCE verifier.
pub fn new_verifier() -> String {
    let mut bytes = [0; 32];
    OsEntropy.fill(&mut bytes);
    CodeVerifier::from_random(&bytes).expose().to_owned()
}

/// The S256 challenge of a verifier.
pub fn challenge(verifier: &str) -> String {
    CodeVerifier::parse(verifier).expect("a verifier").challenge().to_string()
}

/// What the tests talk with: it follows no redirect and keeps no cookie.
pub fn http_client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // The port is that of the URL.
        .resolve(crate::nginx::HOST, ([127, 0, 0, 1], 0).into())
        .timeout(std::time::Duration::from_secs(60))
        .build()
        .expect("a client without TLS needs nothing")
}

async fn open(database_url: &str) -> AnyStore {
    match database_url.strip_prefix("sqlite://") {
        Some(path) => AnyStore::Sqlite(SqliteStore::connect(Path::new(path)).await.expect("the database opens")),
        None => {
            let options = PostgresOptions { max_connections: 2, ..PostgresOptions::default() };
            AnyStore::Postgres(postgres::connect(database_url, &options).expect("the address of a database"))
        }
    }
}

impl Target {
    /// A server that is reached at `base`, calls itself `issuer`, and keeps its state in this database.
    pub async fn new(base: &str, issuer: &str, database_url: &str) -> Self {
        let is_sqlite = database_url.starts_with("sqlite:");
        let database_url = if is_sqlite { database_url.to_owned() } else { past_pgbouncer(database_url) };
        Self {
            base: base.to_owned(),
            issuer: issuer.to_owned(),
            client: http_client(),
            store: open(&database_url).await,
            database_url,
            inspector: OnceCell::new(),
            log: None,
            is_on_spin: false,
            has_several_instances: false,
            paths_are_decoded: false,
        }
    }

    /// Several instances answer, each with caches of its own.
    #[must_use]
    pub fn on_several_instances(mut self) -> Self {
        self.has_several_instances = true;
        self
    }

    /// The same, behind a gateway that may decode paths.
    #[must_use]
    pub fn on_lambda(mut self, paths_are_decoded: bool) -> Self {
        self.paths_are_decoded = paths_are_decoded;
        self.on_several_instances()
    }

    /// Whether what one instance was told is known to the others seconds later only.
    pub fn has_several_instances(&self) -> bool {
        self.has_several_instances
    }

    /// Whether a path arrives decoded: a segment with a slash in it is two.
    pub fn paths_are_decoded(&self) -> bool {
        self.paths_are_decoded
    }

    /// Spin is in front of it.
    #[must_use]
    pub fn on_spin(mut self) -> Self {
        self.is_on_spin = true;
        self
    }

    /// Whether Spin is in front of it.
    pub fn is_on_spin(&self) -> bool {
        self.is_on_spin
    }

    /// The answer to a request whose Host header is none, or that has another header which is not UTF-8. `None` where
    /// Spin refused that before the server saw it: it ends the connection for the one, and answers an empty 500 to the
    /// other.
    pub async fn reply_to_malformed(&self, request: RequestBuilder) -> Option<Reply> {
        match request.try_reply().await {
            Err(error) if self.is_on_spin && !error.is_timeout() => None,
            Ok(reply) if self.is_on_spin && reply.status == 500 && reply.body.is_empty() => {
                let log = self.log.as_ref().map(|(path, offset)| read_from(path, *offset)).unwrap_or_default();
                assert!(!log.contains("an instance failed"), "{log}");
                None
            }
            result => Some(result.expect("the server answers")),
        }
    }

    /// When the test fails, it shows what was logged from now on.
    #[must_use]
    pub fn with_log(mut self, path: &Path) -> Self {
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        self.log = Some((path.to_owned(), length));
        self
    }

    /// Scheme, host and port.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The path of the issuer; empty at the root.
    pub fn issuer_path(&self) -> String {
        Url::parse(&self.issuer).expect("an issuer is a URL").path().trim_end_matches('/').to_owned()
    }

    /// The database, for what a scenario reads there.
    pub fn store(&self) -> &AnyStore {
        &self.store
    }

    /// The address of this path below the issuer's, on the server itself.
    pub fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.base, self.issuer_path())
    }

    /// A request for a path below the issuer's.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request for any address.
    pub fn request_url(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// GET.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// POST.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A browser that was never here.
    pub fn user_agent(&self) -> UserAgent<'_> {
        UserAgent::new(self)
    }

    // ---- what is in the database

    /// A person.
    pub async fn person(&self) -> Person {
        self.person_who(false).await
    }

    /// An administrator.
    pub async fn admin(&self) -> Person {
        self.person_who(true).await
    }

    async fn person_who(&self, is_admin: bool) -> Person {
        let name = format!("person-{}", unique());
        let password = format!("correct horse {}", unique());
        let email = format!("{name}@example.com");
        let cost = PasswordCost::new(8192, 1, 1).expect("a cost");
        let hash = password::hash(&Password::new(password.as_str()).expect("a password"), cost, &OsEntropy);
        let id = new_id(&OsEntropy, now());
        let user = User::new(id, &email, Some(&name), true, is_admin).expect("an account");
        let user = NewUser { user, password_hash: hash };
        let created = store!(&self.store, store => store.create_user(&user, now(), None));
        assert_eq!(created.expect("the database answers"), Created::Created);
        Person { id, username: name, email, password }
    }

    /// A scope of its own, not a default one.
    pub async fn scope(&self) -> String {
        let name = format!("scope-{}", unique());
        assert_eq!(self.scope_named(&name).await, Created::Created);
        name
    }

    /// This scope, unless another scenario was faster.
    pub async fn scope_named(&self, name: &str) -> Created {
        let scope = ScopeDescription {
            name: name.to_owned(),
            description: format!("Do what {name} allows"),
            is_default: false,
            is_active: true,
        };
        let created = store!(&self.store, store => store.create_scope(new_id(&OsEntropy, now()), &scope, now(), None));
        created.expect("the database answers")
    }

    /// A public client: authorization code and refresh token; scopes `read`, `write` and `profile`.
    pub async fn public(&self) -> App {
        self.public_with(|_| {}).await
    }

    /// The same with changes.
    pub async fn public_with(&self, change: impl FnOnce(&mut NewClient)) -> App {
        let mut client = self.new_client();
        change(&mut client);
        self.register(client, None).await
    }

    /// A confidential client: every grant type; scopes `read`, `write` and `profile`.
    pub async fn confidential(&self) -> App {
        self.confidential_with(|_| {}).await
    }

    /// The same with changes.
    pub async fn confidential_with(&self, change: impl FnOnce(&mut NewClient)) -> App {
        let secret = ClientSecret::generate(&OsEntropy);
        let mut client = self.new_client();
        client.secret_hash = Some(ClientSecretHash::from(secret.digest()));
        client.auth_method = AuthMethod::ClientSecretBasic;
        client.grant_types = GrantType::ALL.iter().copied().collect();
        change(&mut client);
        self.register(client, Some(secret.expose().to_owned())).await
    }

    fn new_client(&self) -> NewClient {
        let name = unique();
        NewClient {
            id: new_id(&OsEntropy, now()),
            client_id: ClientId::parse(&format!("client-{name}")).expect("a client_id"),
            name: format!("The app {name}"),
            secret_hash: None,
            redirect_uris: vec![redirect_uri(REDIRECT_URI)],
            client_uri: None,
            auth_method: AuthMethod::None,
            require_pkce: true,
            grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
            scopes: Scopes::parse("profile read write").expect("scopes"),
            resources: vec![],
            introspect_all: false,
            logo_uri: None,
            is_active: true,
        }
    }

    /// Registers a client as it is.
    pub async fn register(&self, client: NewClient, secret: Option<String>) -> App {
        let created = store!(&self.store, store => store.create_client(&client, now(), None));
        assert_eq!(created.expect("the database answers"), Created::Created);
        App {
            id: client.id,
            client_id: client.client_id.as_str().to_owned(),
            name: client.name,
            secret,
            redirect_uri: client.redirect_uris.first().map(|uri| uri.as_str().to_owned()).unwrap_or_default(),
        }
    }

    /// Runs a statement of each dialect's own. Time as `{past}`: one hour ago, as the database writes it.
    async fn execute(&self, sql: &str) {
        assert!(self.affected(sql).await > 0, "no row was there to change");
    }

    /// How many rows a statement changes. `{past}` in it is an hour ago.
    async fn affected(&self, sql: &str) -> u64 {
        match &self.store {
            AnyStore::Sqlite(_) => {
                let past = (now() - chrono::TimeDelta::hours(1)).timestamp_micros().to_string();
                let sql = sql.replace("{past}", &past);
                let options = sqlx::sqlite::SqliteConnectOptions::new()
                    .filename(self.database_url.trim_start_matches("sqlite://"))
                    .busy_timeout(std::time::Duration::from_secs(30));
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
                let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("it runs");
                connection.close().await.expect("it closes");
                done.rows_affected()
            }
            AnyStore::Postgres(_) => {
                let sql = sql.replace("{past}", "now() - interval '1 hour'");
                let mut connection = sqlx::PgConnection::connect(&self.database_url).await.expect("it connects");
                let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.expect("it runs");
                connection.close().await.expect("it closes");
                done.rows_affected()
            }
        }
    }

    /// Whether there is still a row of anything that a person allowed.
    pub async fn has_grants(&self, person: &Person) -> bool {
        self.affected(&of_person("UPDATE grants SET revoked_at = revoked_at", person)).await > 0
    }

    /// An operator deactivates an account.
    pub async fn deactivate_person(&self, person: &Person) {
        self.execute(&format!("UPDATE users SET is_active = false WHERE username = '{}'", person.username)).await;
    }

    /// An operator deactivates a client.
    pub async fn deactivate_app(&self, app: &App) {
        self.execute(&format!("UPDATE clients SET is_active = false WHERE client_id = '{}'", app.client_id)).await;
    }

    /// The time of all of a person's authorization codes is over.
    pub async fn expire_codes(&self, person: &Person) {
        self.execute(&of_person("UPDATE authorization_codes SET expires_at = {past}", person)).await;
    }

    /// All of a person's refresh tokens were not used for too long.
    pub async fn expire_idle_refresh_tokens(&self, person: &Person) {
        let which = of_person("SELECT id FROM grants", person);
        self.execute(&format!("UPDATE tokens SET idle_expires_at = {{past}} WHERE grant_id IN ({which})")).await;
    }

    /// All of a person's grants have reached their end.
    pub async fn expire_grants(&self, person: &Person) {
        self.execute(&of_person("UPDATE grants SET expires_at = {past}", person)).await;
        self.execute(&of_person("UPDATE tokens SET expires_at = {past}", person)).await;
    }

    /// All of a person's refresh tokens were rotated longer ago than retries are allowed for.
    pub async fn age_rotations(&self, person: &Person) {
        let which = of_person("SELECT id FROM grants", person);
        self.execute(&format!("UPDATE tokens SET rotated_at = {{past}} WHERE grant_id IN ({which})")).await;
    }

    /// All of a person's grants are revoked, as a change of the password does.
    pub async fn revoke_grants(&self, person: &Person) {
        self.execute(&of_person("UPDATE grants SET revoked_at = {past}", person)).await;
    }

    /// All of a person's logins are over.
    pub async fn expire_sessions(&self, person: &Person) {
        self.execute(&of_person("UPDATE sessions SET expires_at = {past}", person)).await;
    }

    /// The time of all links that were sent to a person is over.
    pub async fn expire_links(&self, person: &Person) {
        self.execute(&of_person("UPDATE email_tokens SET expires_at = {past}", person)).await;
    }

    /// Mail that waits is due at once, whatever happened to it before.
    pub async fn hurry_mail(&self) {
        self.execute("UPDATE outbox SET due_at = {past}").await;
    }

    /// The mail that was written to an address and has not gone, oldest first.
    pub async fn mails_to(&self, address: &str) -> Vec<Letter> {
        let sql =
            format!("SELECT id, subject, sealed FROM outbox WHERE recipient = '{address}' ORDER BY created_at, id");
        let rows: Vec<(Uuid, String, Vec<u8>)> = match &self.store {
            AnyStore::Sqlite(_) => {
                let path = self.database_url.trim_start_matches("sqlite://");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("it runs")
            }
            AnyStore::Postgres(_) => {
                let mut connection = sqlx::PgConnection::connect(&self.database_url).await.expect("it connects");
                sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("it runs")
            }
        };
        let root = RootSecrets { current: RootSecret::new(JWT_SECRET_KEY).expect("long enough"), previous: None };
        let letter = |(id, subject, sealed): (Uuid, String, Vec<u8>)| {
            let body = mail::open(&root, id, &sealed).expect("it was sealed with the tests' own key");
            Letter { subject, body: String::from_utf8(body.expose().to_vec()).expect("UTF-8") }
        };
        rows.into_iter().map(letter).collect()
    }

    /// The newest of them.
    pub async fn mail_to(&self, address: &str) -> Letter {
        self.mails_to(address).await.pop().unwrap_or_else(|| panic!("no mail to {address}"))
    }

    /// Whether a column of any row contains this text, as it is or within other bytes.
    pub async fn is_stored(&self, table: &str, column: &str, text: &str) -> bool {
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let rows: Vec<String> = match &self.store {
            AnyStore::Sqlite(_) => {
                let sql = format!("SELECT hex({column}) FROM {table} WHERE {column} IS NOT NULL");
                let path = self.database_url.trim_start_matches("sqlite://");
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
                let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("it opens");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("it runs")
            }
            AnyStore::Postgres(_) => {
                let sql = format!("SELECT CAST({column} AS TEXT) FROM {table} WHERE {column} IS NOT NULL");
                let mut connection = sqlx::PgConnection::connect(&self.database_url).await.expect("it connects");
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("it runs")
            }
        };
        assert!(!rows.is_empty(), "there is nothing in {table}.{column}");
        rows.iter().any(|row| row.contains(text) || row.to_ascii_lowercase().contains(&hex))
    }

    /// The audit log, the newest record first.
    pub async fn audit_log(&self) -> Vec<Record> {
        store!(&self.store, store => store.audit_log(&AuditFilter::default(), None, 1000))
            .expect("the database answers")
    }

    // ---- the protocol, for scenarios about something else

    /// A token request of this client, authenticated as it should be.
    pub fn client_request(&self, app: &App, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        match &app.secret {
            Some(secret) => self.post(path).client_basic(&app.client_id, secret).form_body(parameters),
            None => {
                let parameters = [parameters, &[("client_id", &app.client_id)]].concat();
                self.post(path).form_body(&parameters)
            }
        }
    }

    /// Sends a token request of this client.
    pub async fn token(&self, app: &App, parameters: &[(&str, &str)]) -> Reply {
        self.client_request(app, "/auth/token", parameters).reply().await
    }

    /// A person logs in, allows everything, and this is the code.
    pub async fn code(&self, app: &App, person: &Person) -> Code {
        self.code_for(&app.ask(), person).await
    }

    /// The same for a request of its own.
    pub async fn code_for(&self, ask: &Ask, person: &Person) -> Code {
        let mut browser = self.user_agent();
        browser.log_in(person).await;
        Code { code: browser.code(ask).await, verifier: ask.verifier.clone() }
    }

    /// Uses a code.
    pub async fn exchange(&self, app: &App, code: &Code) -> Reply {
        self.token(app, &code.parameters()).await
    }

    /// The tokens that a person's approval leads to.
    pub async fn tokens(&self, app: &App, person: &Person) -> Tokens {
        let code = self.code(app, person).await;
        Tokens::of(&self.exchange(app, &code).await.expect(200))
    }

    /// Uses a refresh token.
    pub async fn refresh(&self, app: &App, refresh_token: &str) -> Reply {
        self.token(app, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// What introspection tells this client of a token.
    pub async fn introspect(&self, app: &App, token: &str) -> Value {
        self.client_request(app, "/auth/introspect", &[("token", token)]).reply().await.expect(200).json()
    }

    /// Whether a token is good, as a client sees it that may see every token.
    pub async fn is_active(&self, token: &str) -> bool {
        let inspector =
            self.inspector.get_or_init(|| self.confidential_with(|client| client.introspect_all = true)).await;
        self.introspect(inspector, token).await["active"].as_bool().expect("always there")
    }

    /// Revokes a token.
    pub async fn revoke(&self, app: &App, token: &str) -> Reply {
        self.client_request(app, "/auth/revoke", &[("token", token)]).reply().await
    }

    /// The published keys.
    pub async fn jwks(&self) -> JwkSet {
        let reply = self.get("/.well-known/jwks.json").reply().await.expect(200);
        serde_json::from_slice(&reply.body).expect("a JWK Set")
    }

    /// Verifies an access token as a resource server does, by a library of its own: with the published key or, for
    /// HS256, the shared one. `audience` is whom it is for.
    pub async fn verify(&self, access_token: &str, audience: &str) -> AccessToken {
        let header = jsonwebtoken::decode_header(access_token).expect("a JWT");
        let key = match header.alg {
            jsonwebtoken::Algorithm::HS256 => DecodingKey::from_secret(JWT_SECRET_KEY.as_bytes()),
            _ => {
                let jwks = self.jwks().await;
                let key = jwks.find(header.kid.as_deref().expect("a kid")).expect("the key is published");
                DecodingKey::from_jwk(key).expect("a usable key")
            }
        };
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        let token = jsonwebtoken::decode::<Value>(access_token, &key, &validation).expect("a valid access token");
        AccessToken { header: serde_json::to_value(&token.header).expect("JSON"), claims: token.claims }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((path, offset)) = &self.log
            && std::thread::panicking()
        {
            eprintln!("--- log of the server during this test ---\n{}--- end ---", read_from(path, *offset));
        }
    }
}

fn of_person(statement: &str, person: &Person) -> String {
    format!("{statement} WHERE user_id = (SELECT id FROM users WHERE username = '{}')", person.username)
}

/// A redirect URI that can be registered.
pub fn redirect_uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).expect("a redirect URI")
}

impl App {
    /// A complete authorization request of this client, for the scopes `read` and `write`.
    pub fn ask(&self) -> Ask {
        let verifier = new_verifier();
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", "read write"),
            ("state", "a state & more = ü"),
            ("code_challenge", &challenge(&verifier)),
            ("code_challenge_method", "S256"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Ask { parameters, verifier }
    }

    /// Its secret, which it must have.
    pub fn secret(&self) -> &str {
        self.secret.as_deref().expect("a confidential client")
    }
}

impl Ask {
    /// With this value instead of any before.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// With this value besides those before.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self
    }

    /// As a query.
    pub fn query(&self) -> String {
        encode(self.parameters.iter().map(|(name, value)| (name, value)))
    }

    /// As a path with query, below the issuer's.
    pub fn path(&self) -> String {
        format!("/authorize?{}", self.query())
    }

    /// As a list of pairs.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl Code {
    /// The token request.
    pub fn parameters(&self) -> [(&str, &str); 3] {
        [("grant_type", "authorization_code"), ("code", &self.code), ("code_verifier", &self.verifier)]
    }
}

impl Tokens {
    /// Those of a token response.
    pub fn of(reply: &Reply) -> Self {
        Self { access: reply.member("access_token"), refresh: reply.member("refresh_token") }
    }
}
