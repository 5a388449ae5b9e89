//! The life of signing keys, with a clock that the test sets: published before they sign, kept until their last token
//! has ended, and sealed anew when `JWT_SECRET_KEY` changes.

use authly_core::{
    Server,
    config::{Config, Reader},
    crypto::{InvalidKey, PrivateKey, Signer, Verifier, password::PasswordCost},
    model::{
        AuthMethod, ClientId, ClientSecret, ClientSecretHash, GrantType, NewClient, Password, PasswordHash, Scopes,
        Timestamp,
    },
    ports::{Clock, Counters, Entropy, HashingBusy, PasswordCheck, PasswordHashing, Signatures, Telemetry},
    server::new_id,
    store::Store as _,
    testing::ManualClock,
};
use authly_native::{
    NativeHost,
    host::{HashingLimits, OsEntropy},
    sqlite::SqliteStore,
};
use authly_tests::http::encode;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use http::{Request, Response, StatusCode, header};
use jsonwebtoken::{decode_header, jwk::JwkSet};
use serde_json::Value;
use tempfile::TempDir;

const ONE: &str = "the first root secret of this test, long enough";
const TWO: &str = "the second root secret of this test, long enough";

/// The native ports, with a clock that is set by hand.
struct TestHost {
    clock: ManualClock,
    native: NativeHost,
}

impl Clock for TestHost {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Entropy for TestHost {
    fn fill(&self, bytes: &mut [u8]) {
        self.native.fill(bytes);
    }
}

impl PasswordHashing for TestHost {
    async fn hash(&self, password: Password) -> Result<PasswordHash, HashingBusy> {
        self.native.hash(password).await
    }

    async fn verify(&self, password: Password, hash: Option<PasswordHash>) -> Result<PasswordCheck, HashingBusy> {
        self.native.verify(password, hash).await
    }
}

impl Counters for TestHost {}

impl Signatures for TestHost {
    fn signer(&self, key: &PrivateKey) -> Result<Box<dyn Signer>, InvalidKey> {
        self.native.signer(key)
    }

    fn verifier(&self, key: &PrivateKey) -> Result<Box<dyn Verifier>, InvalidKey> {
        self.native.verifier(key)
    }
}

impl Telemetry for TestHost {}

/// A database, a clock and a client's secret; servers come and go.
struct World {
    directory: TempDir,
    clock: ManualClock,
    secret: ClientSecret,
}

type TestServer = Server<SqliteStore, TestHost>;

impl World {
    async fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            clock: ManualClock::new(Utc::now()),
            secret: ClientSecret::generate(&OsEntropy),
        };
        let store = world.store().await;
        store.migrate().await.expect("migrates");
        let now = world.clock.now();
        let client = NewClient {
            id: new_id(&OsEntropy, now),
            client_id: ClientId::parse("service").expect("valid"),
            name: "Service".to_owned(),
            secret_hash: Some(ClientSecretHash::from(world.secret.digest())),
            redirect_uris: vec![],
            client_uri: None,
            auth_method: AuthMethod::ClientSecretPost,
            require_pkce: true,
            grant_types: [GrantType::ClientCredentials].into(),
            scopes: Scopes::default(),
            resources: vec![],
            introspect_all: false,
            logo_uri: None,
            is_active: true,
        };
        store.create_client(&client, now, None).await.expect("creates");
        world
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::connect(self.directory.path().join("authly.db")).await.expect("opens")
    }

    /// A server with this root secret, and perhaps the one before it.
    async fn server(&self, secret: &str, previous: Option<&str>) -> TestServer {
        let lookup = |name: &str| match name {
            "ISSUER_URL" => Some("https://auth.test".to_owned()),
            "JWT_SECRET_KEY" => Some(secret.to_owned()),
            "JWT_SECRET_KEY_PREVIOUS" => previous.map(str::to_owned),
            "JWT_REFRESH_SECRET_KEY" => Some("another secret of this test, long enough too".to_owned()),
            _ => None,
        };
        let mut reader = Reader::new(&lookup);
        let config = Config::read(&mut reader);
        let config = reader.finish(config).expect("a valid configuration").0;
        let native = NativeHost::new(PasswordCost::default(), HashingLimits::default());
        Server::new(config, self.store().await, TestHost { clock: self.clock.clone(), native })
    }

    async fn ask(&self, server: &TestServer, path: &str, form: Option<&[(&str, &str)]>) -> Response<Bytes> {
        let credentials = [("client_id", "service"), ("client_secret", self.secret.expose())];
        let builder = Request::builder().uri(path).header(header::HOST, "auth.test");
        let request = match form {
            None => builder.body(Bytes::new()),
            Some(form) => builder
                .method("POST")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encode([form, &credentials].concat()).into()),
        };
        server.handle(request.expect("a request")).await
    }

    async fn token(&self, server: &TestServer) -> Response<Bytes> {
        self.ask(server, "/auth/token", Some(&[("grant_type", "client_credentials")])).await
    }

    /// The key that signs now.
    async fn signing(&self, server: &TestServer) -> (String, String) {
        let reply = json(&self.token(server).await);
        let token = reply["access_token"].as_str().expect("a token").to_owned();
        (decode_header(&token).expect("a JWT").kid.expect("a kid"), token)
    }

    /// The keys that are published now.
    async fn published(&self, server: &TestServer) -> Vec<String> {
        let reply = self.ask(server, "/.well-known/jwks.json", None).await;
        let set: JwkSet = serde_json::from_slice(reply.body()).expect("a JWK Set");
        set.keys.into_iter().map(|key| key.common.key_id.expect("a kid")).collect()
    }

    async fn is_active(&self, server: &TestServer, token: &str) -> bool {
        json(&self.ask(server, "/auth/introspect", Some(&[("token", token)])).await)["active"] == true
    }
}

fn json(reply: &Response<Bytes>) -> Value {
    serde_json::from_slice(reply.body()).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_with_overlap() {
    let world = World::new().await;
    let server = world.server(ONE, None).await;
    let start = world.clock.now();
    let (first, _) = world.signing(&server).await;
    assert_eq!(world.published(&server).await, std::slice::from_ref(&first));

    // It signs for 90 days, of which it was dated back by one; a day before the end the next one is published.
    let end = start + TimeDelta::days(89);
    world.clock.set(end - TimeDelta::days(1) - TimeDelta::minutes(1));
    assert!(!server.rotate_signing_keys(world.clock.now()).await.expect("works"), "too early");
    world.clock.set(end - TimeDelta::days(1));
    assert!(server.rotate_signing_keys(world.clock.now()).await.expect("works"));
    assert!(!server.rotate_signing_keys(world.clock.now()).await.expect("works"), "once is enough");
    world.clock.advance(TimeDelta::minutes(2));
    let published = world.published(&server).await;
    assert_eq!((published.len(), &published[0]), (2, &first));
    assert_eq!(world.signing(&server).await.0, first, "the next one is known before it signs");

    // Then it takes over, and what its predecessor signed last is good until it ends.
    world.clock.set(end - TimeDelta::seconds(1));
    let (kid, last) = world.signing(&server).await;
    assert_eq!(kid, first);
    world.clock.set(end + TimeDelta::minutes(2));
    assert_eq!(world.signing(&server).await.0, published[1]);
    world.clock.set(end + TimeDelta::minutes(29));
    assert_eq!(world.published(&server).await, published);
    assert!(world.is_active(&server, &last).await);
    world.clock.set(end + TimeDelta::minutes(31));
    assert!(!world.is_active(&server, &last).await, "its time is over");

    // Nobody can have such a token any more: the old key is gone.
    world.clock.set(end + TimeDelta::minutes(42));
    assert_eq!(world.published(&server).await, published[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_sealed_anew_when_the_root_secret_changes() {
    let world = World::new().await;
    let (kid, token) = world.signing(&world.server(ONE, None).await).await;

    let without = world.server(TWO, None).await;
    assert_eq!(world.token(&without).await.status(), StatusCode::INTERNAL_SERVER_ERROR, "it cannot be opened");

    let both = world.server(TWO, Some(ONE)).await;
    assert_eq!(world.signing(&both).await.0, kid);
    assert!(world.is_active(&both, &token).await);
    both.rotate_signing_keys(world.clock.now()).await.expect("works");

    let alone = world.server(TWO, None).await;
    assert_eq!(world.signing(&alone).await.0, kid, "the old secret is not needed any more");
    assert!(world.is_active(&alone, &token).await);
}

/// Instances that start at the same time on an empty database, with clocks that differ, use one key.
#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_together_agree_on_a_key() {
    let world = World::new().await;
    let start = world.clock.now();
    let ahead = world.server(ONE, None).await;
    world.clock.set(start + TimeDelta::seconds(5));
    let (kid, _) = world.signing(&ahead).await;
    world.clock.set(start);
    let behind = world.server(ONE, None).await;
    assert_eq!(world.signing(&behind).await.0, kid);
}
