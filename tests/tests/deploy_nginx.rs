//! `deploy/nginx`: a real nginx before two real instances over one Postgres.

use std::{
    fs,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use authly_tests::{
    container,
    http::{RequestExt as _, in_parallel},
    nginx::{Clients, HOST, ISSUER, Nginx},
    server::{Database, TestServer, free_port},
    storm::{Storm, expect_consistent},
    target::{Target, http_client},
};
use http::Method;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
    time::sleep,
};

/// As operators set them, beside what all tests need.
const PRODUCTION: [(&str, &str); 3] =
    [("ENVIRONMENT", "production"), ("ISSUER_URL", ISSUER), ("TRUSTED_PROXIES", "127.0.0.1")];

/// Nobody meets a limit in tests about something else.
const UNLIMITED: (&str, &str) = ("AUTHLY_UNLIMITED_NETWORKS", "127.0.0.0/8");

/// What Authly sends with every response, and nginx with its own.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'"),
];

/// Two instances, and nginx before them.
struct Site {
    instances: [TestServer; 2],
    nginx: Nginx,
    database: Database,
}

impl Site {
    async fn start(variables: &[(&str, &str)]) -> Self {
        let database = container::postgres().await;
        let instances = [
            TestServer::start(database.clone(), &PRODUCTION).await,
            TestServer::start(database.clone(), &PRODUCTION).await,
        ];
        let nginx = Nginx::start(&[instances[0].port(), instances[1].port()], variables).await;
        Self { instances, nginx, database }
    }

    /// Clients at 127.0.0.`last`, and nginx as they see it.
    async fn at(&self, last: u8) -> (Clients, Target) {
        let clients = self.nginx.clients_at([127, 0, 0, last]).await;
        let target = clients.target(self.database.url()).await;
        (clients, target)
    }

    /// How often the instances were asked for a path.
    fn asked_for(&self, path: &str) -> usize {
        let path = format!("\"path\":\"{path}\"");
        self.instances.iter().map(|instance| instance.log().matches(&path).count()).sum()
    }
}

/// Floods are answered by nginx, in the form that whoever asked understands; nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn floods_are_limited_by_address() {
    let limits = [
        ("AUTHLY_AUTH_RATE", "1r/m"),
        ("AUTHLY_AUTH_BURST", "5"),
        ("AUTHLY_API_RATE", "1r/m"),
        ("AUTHLY_API_BURST", "9"),
        ("AUTHLY_UNLIMITED_NETWORKS", "127.0.0.4 127.0.1.0/24"),
    ];
    let site = Site::start(&limits).await;
    let (_flood, flood) = site.at(2).await;
    let app = flood.confidential().await;
    let request = |target: &Target| target.client_request(&app, "/auth/token", &[("grant_type", "client_credentials")]);
    let replies = in_parallel((0..20).map(|_| request(&flood))).await;
    let (served, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 200);
    assert_eq!((served.len(), refused.len()), (6, 14), "one, and a burst of five");
    for reply in refused {
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let body = reply.clone().expect(429).json();
        assert_eq!(body["error"], "temporarily_unavailable");
        assert_eq!(body["request_id"].as_str(), reply.header("x-request-id"));
    }
    assert_eq!(site.asked_for("/auth/token"), 6, "the others did not reach an instance");

    // The same limit, for a person.
    let reply = flood.get("/login").header("accept", "text/html,*/*;q=0.8").reply().await.expect(429);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(reply.header("retry-after").is_some() && reply.text().contains("too many requests"), "{reply:?}");

    // A limit of its own.
    let me = (0..20).map(|_| flood.get("/api/v1/users/me"));
    let statuses: Vec<_> = in_parallel(me).await.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 10, "{statuses:?}");

    // No limit at all.
    for path in ["/health", "/health/ready", "/.well-known/jwks.json", "/assets/authly.css"] {
        for reply in in_parallel((0..30).map(|_| flood.get(path))).await {
            reply.expect(200);
        }
    }

    // Others, and those who are let off.
    let (_other, other) = site.at(3).await;
    request(&other).reply().await.expect(200);
    let (_friend, friend) = site.at(4).await;
    for reply in in_parallel((0..30).map(|_| request(&friend))).await {
        reply.expect(200);
    }
}

/// Discovery and keys are asked for once, and answered although nobody is left to ask.
#[tokio::test(flavor = "multi_thread")]
async fn public_documents_are_cached() {
    let site = Site::start(&[UNLIMITED]).await;
    let (_clients, target) = site.at(1).await;
    let documents = ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/assets/authly.css"];
    for path in documents {
        let first = target.get(path).reply().await.expect(200);
        assert_eq!(first.header("cache-status"), Some("nginx; fwd=miss"), "{path}");
        assert!(first.header("cache-control").is_some_and(|it| it.starts_with("public, max-age=")), "{first:?}");
        for query in ["", "", "?nobody=cares"] {
            let again = target.get(&format!("{path}{query}")).reply().await.expect(200);
            assert_eq!(again.header("cache-status"), Some("nginx; hit"), "{path}");
            assert_eq!(again.header("cache-control"), first.header("cache-control"));
            assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
            assert_eq!(again.body, first.body);
        }
        assert_eq!(site.asked_for(path), 1);
        if first.body.len() >= 500 {
            let small = target.get(path).header("accept-encoding", "gzip").reply().await.expect(200);
            assert_eq!(small.header_values("content-encoding"), ["gzip"], "{path}");
            assert_eq!(small.header_values("vary"), ["Accept-Encoding"], "{path}");
            assert!(small.body.len() < first.body.len());
        }
    }

    // Nothing else is kept, or compressed.
    for path in ["/login", "/health", "/.well-known/nothing", "/api/v1/users/me"] {
        for _ in 0..2 {
            let reply = target.get(path).header("accept-encoding", "gzip").reply().await;
            assert_eq!((reply.header("cache-status"), reply.header("content-encoding")), (None, None), "{path}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
        }
        assert_eq!(site.asked_for(path), 2, "{path}");
    }

    // As if their time were over.
    for file in fs::read_dir(site.nginx.path("cache"))
        .expect("a directory")
        .flat_map(|directory| fs::read_dir(directory.expect("an entry").path()).expect("a directory"))
    {
        expire(&file.expect("a file").path());
    }
    let path = documents[0];
    // The first one is answered with what there is, while nginx asks anew.
    assert_eq!(target.get(path).reply().await.expect(200).header("cache-status"), Some("nginx; hit; detail=STALE"));
    let deadline = Instant::now() + Duration::from_secs(10);
    while target.get(path).reply().await.expect(200).header("cache-status") != Some("nginx; hit") {
        assert!(Instant::now() < deadline, "it is not renewed");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(site.asked_for(path), 2);
    for instance in &site.instances {
        instance.kill9();
    }
    let reply = target.get(documents[1]).reply().await.expect(200);
    assert_eq!(reply.header("cache-status"), Some("nginx; hit; detail=STALE"));
    assert!(!target.jwks().await.keys.is_empty());
}

/// Ends the time of a document in nginx's cache: the second word of its file says when.
fn expire(file: &std::path::Path) {
    let mut bytes = fs::read(file).expect("a file of the cache");
    let read = |bytes: &[u8]| i64::from_ne_bytes(bytes[8..16].try_into().expect("eight bytes"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let now = i64::try_from(now).expect("before the end of time");
    assert!((now..now + 366 * 86_400).contains(&read(&bytes)), "no time: {}", read(&bytes));
    bytes[8..16].copy_from_slice(&(now - 1).to_ne_bytes());
    fs::write(file, bytes).expect("it is written");
}

/// The audit log has the address that nginx saw, whatever the client says about it.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_address_is_right_and_cannot_be_forged() {
    let site = Site::start(&[UNLIMITED]).await;
    for (last, forged) in
        [(5, None), (6, Some("203.0.113.9")), (7, Some("127.0.0.1")), (8, Some("127.0.0.1, 127.0.0.1"))]
    {
        let (_clients, target) = site.at(last).await;
        let name = format!("nobody-{last}");
        let mut request = target.post("/auth/token").client_basic(&name, "a guess");
        if let Some(address) = forged {
            for header in ["x-forwarded-for", "x-real-ip", "forwarded", "true-client-ip", "x-client-ip"] {
                request = request.header(header, address);
            }
            request = request.header("x-forwarded-for", address);
        }
        request.form_body(&[("grant_type", "client_credentials")]).reply().await.expect(401);
        let records = target.audit_log().await;
        let record = records.iter().find(|record| record.client_id.as_deref() == Some(&name)).expect("it is recorded");
        let expected = format!("127.0.0.{last}");
        assert_eq!(record.client_address.as_deref(), Some(expected.as_str()));
        let id = record.request_id.as_deref().expect("it has one");
        let logged = site.nginx.wait_for_requests(1, |request| request["request_id"] == id).await;
        assert_eq!(logged[0]["client_address"], expected.as_str(), "both logs agree");
    }
    // Nor without nginx: whoever is no trusted proxy speaks for nobody.
    let stranger = reqwest::Client::builder().no_proxy().local_address(Some([127, 0, 0, 9].into())).build();
    let request = stranger.expect("a client").post(format!("{}/auth/token", site.instances[0].base()));
    let request = request.header("host", HOST).header("x-forwarded-for", "203.0.113.9").client_basic("stranger", "x");
    request.form_body(&[("grant_type", "client_credentials")]).reply().await.expect(401);
    let (_clients, target) = site.at(1).await;
    let records = target.audit_log().await;
    let record = records.iter().find(|record| record.client_id.as_deref() == Some("stranger")).expect("it is recorded");
    assert_eq!(record.client_address.as_deref(), Some("127.0.0.9"));
}

/// `/admin` is for the operators' networks, however its path is written, and `/metrics` for nobody.
#[tokio::test(flavor = "multi_thread")]
async fn admin_and_metrics_are_out_of_reach() {
    let site = Site::start(&[UNLIMITED, ("AUTHLY_ADMIN_NETWORKS", "127.0.0.9 10.0.0.0/8")]).await;
    let (outside, target) = site.at(2).await;
    let reply = target.post("/admin/maintenance").header("x-forwarded-for", "127.0.0.9").reply().await.expect(403);
    assert_eq!(reply.json()["error"], "access_denied");
    let paths = [
        "/admin",
        "/admin/",
        "/admin/maintenance",
        "//admin/maintenance",
        "/%61dmin/maintenance",
        "/./admin/maintenance",
        "/x/../admin/maintenance",
        "/admin%2Fmaintenance",
        "/health/../admin/maintenance",
        "/admin/maintenance?x=/health",
        "/assets/..%2Fadmin/maintenance",
        "https://auth.example.com/admin/maintenance",
    ];
    for path in paths {
        let request = format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let reply = outside.raw(&request).await;
        assert!(reply.starts_with("HTTP/1.1 403 ") || reply.starts_with("HTTP/1.1 404 "), "{path}: {reply}");
    }
    let (_inside, inside) = site.at(9).await;
    for (target, path) in [(&target, "/metrics"), (&inside, "/metrics"), (&inside, "/metrics/x")] {
        let reply = target.get(path).reply().await.expect(404);
        assert!(!reply.text().contains("authly_requests_total"), "{reply:?}");
    }
    let reached = |path: &str| site.asked_for(path);
    assert_eq!((reached("/admin/maintenance"), reached("/metrics")), (0, 0));

    // Inside, Authly decides. Metrics are there for whoever asks an instance directly.
    let reply = inside.post("/admin/maintenance").reply().await.expect(401);
    assert_eq!(reply.json()["type"], "urn:authly:problem:unauthorized");
    assert_eq!(reached("/admin/maintenance"), 1);
    let metrics = http_client().get(format!("{}/metrics", site.instances[0].base())).reply().await.expect(200);
    assert!(metrics.text().contains("authly_requests_total"));
}

/// Each header once, whoever answers; and what Authly says is left as it is.
#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_every_security_header_once() {
    let site = Site::start(&[("AUTHLY_ADMIN_NETWORKS", "none"), UNLIMITED]).await;
    let (_clients, target) = site.at(1).await;
    let get = async |path: &str| target.get(path).reply().await;
    let mut replies = vec![
        ("page", get("/login").await.expect(200)),
        ("error page", get("/authorize").await.expect(400)),
        ("error", target.post("/auth/token").form_body(&[]).reply().await.expect(400)),
        ("nothing there", get("/nothing").await.expect(404)),
        ("document", get("/.well-known/jwks.json").await.expect(200)),
        ("cached document", get("/.well-known/jwks.json").await.expect(200)),
        ("nginx: 403", get("/admin").await.expect(403)),
        ("nginx: 404", get("/metrics").await.expect(404)),
        ("nginx: 413", target.post("/auth/token").body(vec![b'x'; 1024 * 1024 + 1]).reply().await.expect(413)),
    ];
    // As much as Authly takes, it gets.
    let body = vec![b'x'; 1024 * 1024];
    let full = target.post("/auth/token").typed_body("application/x-www-form-urlencoded", body).reply().await;
    replies.push(("a long body", full.expect_error(400, "invalid_request")));
    let direct = http_client().get(format!("{}/login", site.instances[0].base())).header("host", HOST).reply().await;
    for instance in &site.instances {
        instance.kill9();
    }
    let gone = get("/login").await.expect(502);
    assert_eq!(gone.header("retry-after"), Some("1"));
    assert_eq!(gone.json()["error"], "temporarily_unavailable");
    replies.push(("nginx: 502", gone));
    for (what, reply) in &replies {
        for (name, expected) in SECURITY_HEADERS {
            let values = reply.header_values(name);
            assert!(values.len() == 1 && values[0].starts_with(expected), "{what}: {name}: {values:?}");
        }
        for name in ["cache-control", "x-request-id", "content-type"] {
            assert_eq!(reply.header_values(name).len(), 1, "{what}: {name}");
        }
        assert_eq!(reply.header("server"), Some("nginx"), "no version");
        assert!(reply.header("x-xss-protection").is_none(), "{what}");
        if let Some(body) = reply.header("content-type").filter(|it| it.contains("json")).map(|_| reply.json())
            && let Some(id) = body.get("request_id")
        {
            assert_eq!(id.as_str(), reply.header("x-request-id"), "{what}");
        }
    }
    let policy = |reply: &authly_tests::http::Reply| reply.header("content-security-policy").map(str::to_owned);
    assert_eq!(policy(&replies[0].1), policy(&direct));
    assert!(policy(&direct).is_some_and(|policy| policy.contains("form-action")));
}

/// Without TLS there is nothing but the way to it, and for other names not even that.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_current_and_there_is_no_way_around_it() {
    let nginx = Nginx::start(&[free_port()], &[]).await;
    let plain = format!("http://{HOST}:{}", nginx.plain_port());
    let reply = http_client().get(format!("{plain}/authorize?a=b%20c")).reply().await.expect(301);
    assert_eq!(reply.header("location"), Some("https://auth.example.com/authorize?a=b%20c"));
    assert!(reply.header("strict-transport-security").is_none(), "RFC 6797 §7.2");
    // A secret that was sent in the clear is not asked for again over TLS, as if nothing had happened.
    http_client().post(format!("{plain}/auth/token")).body("client_secret=x").reply().await.expect(403);
    fs::create_dir_all(nginx.path("acme/.well-known/acme-challenge")).expect("a directory");
    fs::write(nginx.path("acme/.well-known/acme-challenge/token"), "token.thumbprint").expect("a file");
    let reply = http_client().get(format!("{plain}/.well-known/acme-challenge/token")).reply().await.expect(200);
    assert_eq!(reply.text(), "token.thumbprint");
    let other = http_client().get(format!("http://127.0.0.1:{}/", nginx.plain_port())).try_reply().await;
    assert!(other.is_err(), "{other:?}");

    // Offered even by an OpenSSL that thinks nothing of them.
    let shake = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(["s_client", "-brief", "-connect", &format!("127.0.0.1:{}", nginx.port())])
            .args(arguments)
            .arg("-CAfile")
            .arg(nginx.path("certificate.pem"))
            .arg("-verify_return_error")
            .stdin(Stdio::null())
            .output()
            .expect("openssl is installed: run deploy/setup.sh");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let name = ["-servername", HOST];
    for version in ["1_2", "1_3"] {
        let (is_ok, text) = shake(&[&name[..], &[&format!("-tls{version}")]].concat());
        assert!(is_ok && text.contains(&format!("TLSv{}", version.replace('_', "."))), "{version}: {text}");
        assert!(text.contains("Verification: OK"), "{text}");
    }
    let weak: [&[&str]; 5] = [
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"],
        // No forward secrecy; no authenticated encryption.
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
    ];
    for arguments in weak {
        let (is_ok, text) = shake(&[&name[..], arguments].concat());
        assert!(!is_ok && text.contains("alert"), "{arguments:?}: {text}");
    }
    for stranger in [&["-servername", "other.example.com"][..], &["-noservername"]] {
        let (is_ok, text) = shake(stranger);
        assert!(!is_ok && text.contains("unrecognized name"), "{stranger:?}: {text}");
    }
}

/// An instance that dies in the middle of requests: what it had taken is lost, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_an_instance_dies_the_other_goes_on() {
    let site = Site::start(&[UNLIMITED]).await;
    let (_clients, target) = site.at(1).await;
    let (app, person) = (target.public().await, target.person().await);
    let storm = Storm::start(&target, &app, &person).await;
    sleep(Duration::from_millis(700)).await;
    site.instances[0].kill9();
    let before = site.nginx.requests().len();
    sleep(Duration::from_millis(1_500)).await;
    let meanwhile = site.nginx.requests().split_off(before);
    site.instances[0].restart().await;
    sleep(Duration::from_millis(3_000)).await;
    let chains = storm.stop().await;

    let requests = site.nginx.requests();
    let served = meanwhile.iter().filter(|request| request["status"] == 200).count();
    assert!(served > 50, "only {served} refreshes while one was dead");
    let lost: Vec<_> =
        requests.iter().filter(|request| request["status"] != 200 && request["method"] == "POST").collect();
    let lost: Vec<_> = lost.into_iter().filter(|request| request["path"] == "/auth/refresh").collect();
    eprintln!("{} requests, {served} while one was dead, {} lost with it", requests.len(), lost.len());
    // Of each of the storm's clients, one was on its way.
    assert!(lost.len() <= 12, "{lost:?}");
    let dead = format!("127.0.0.1:{}", site.instances[0].port());
    for request in lost {
        assert_eq!((&request["status"], &request["upstream"]), (&502.into(), &dead.as_str().into()), "{request}");
    }
    let last = &requests[requests.len() - 50..];
    assert!(last.iter().any(|request| request["upstream"] == dead.as_str()), "it takes part again");
    expect_consistent(&target, &app, chains).await;
}

/// An instance that takes requests and dies of each, keeping what it was sent.
struct Dying {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Dying {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let keep = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = vec![0; 64 * 1024];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                keep.lock().expect("no panic").push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                let _ = stream.shutdown().await;
            }
        });
        Self { port, seen, task }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("no panic"))
    }
}

impl Drop for Dying {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A POST that may have been executed is not repeated; whatever else can be is.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_safe_is_sent_again() {
    let instance = TestServer::start(container::postgres().await, &PRODUCTION).await;
    let dying = Dying::start().await;
    let nginx = Nginx::start(&[dying.port, instance.port()], &[UNLIMITED]).await;
    let clients = nginx.clients_at([127, 0, 0, 1]).await;
    let target = clients.target(instance.database().url()).await;
    let app = target.confidential().await;
    let post = || target.client_request(&app, "/auth/token", &[("grant_type", "client_credentials")]).reply();
    let (mut lost, mut served) = (0, 0);
    for _ in 0..40 {
        match post().await.status {
            200 => served += 1,
            502 => lost += 1,
            other => panic!("{other}"),
        }
        // The dying one is left alone for two seconds when it has failed twice.
        sleep(Duration::from_millis(100)).await;
    }
    assert!(lost >= 2 && served >= 20, "{lost} lost, {served} served");
    let seen = dying.take();
    let posts = seen.iter().filter(|request| request.starts_with("POST "));
    let ids: Vec<_> = posts.map(|request| header(request, "x-request-id").expect("nginx adds it")).collect();
    assert_eq!(ids.len(), lost, "sent there once, answered with 502 each");
    for request in nginx.wait_for_requests(40, |request| request["method"] == "POST").await {
        let is_lost = ids.iter().any(|id| request["request_id"] == id.as_str());
        assert_eq!(is_lost, request["status"] == 502, "{request}");
        assert_eq!(request["upstream"].as_str().expect("text").split(", ").count(), 1, "{request}");
    }
    for id in &ids {
        assert!(!instance.log().contains(id.as_str()), "{id} was sent to another instance as well");
    }

    // Nothing that a stranger wrote about addresses, or to turn the connection into another protocol, gets this far.
    sleep(Duration::from_millis(2_100)).await;
    for _ in 0..8 {
        let request =
            target.request(Method::GET, "/login").header("upgrade", "websocket").header("connection", "upgrade");
        let forged =
            ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-real-ip", "x-request-id"];
        forged.iter().fold(request, |request, name| request.header(*name, "forged")).reply().await.expect(200);
    }
    let gets: Vec<_> = dying.take().into_iter().filter(|request| request.starts_with("GET ")).collect();
    assert!(!gets.is_empty(), "it was tried again");
    for get in gets {
        assert_eq!(header(&get, "x-forwarded-for").as_deref(), Some("127.0.0.1"), "{get}");
        assert_eq!(header(&get, "host").as_deref(), Some(HOST), "{get}");
        assert!(!get.contains("forged") && !get.to_ascii_lowercase().contains("upgrade"), "{get}");
        let id = header(&get, "x-request-id").expect("nginx adds it");
        assert!(instance.log().contains(&id), "a GET is sent again");
    }
}

/// Where an instance refuses the connection nothing was executed: nobody notices, POST or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_costs_nothing() {
    let instance = TestServer::start(container::postgres().await, &PRODUCTION).await;
    let nginx = Nginx::start(&[free_port(), instance.port()], &[UNLIMITED]).await;
    let clients = nginx.clients_at([127, 0, 0, 1]).await;
    let target = clients.target(instance.database().url()).await;
    let app = target.confidential().await;
    for _ in 0..30 {
        target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
        sleep(Duration::from_millis(100)).await;
    }
    let is_repeated = |request: &Value| request["upstream"].as_str().is_some_and(|upstream| upstream.contains(", "));
    let repeated = nginx.wait_for_requests(2, is_repeated).await;
    assert!(repeated.iter().all(|request| request["status"] == 200 && request["upstream_status"] == "502, 200"));
}

/// The first value of a header of a request as it was sent; it must be there once.
fn header(request: &str, name: &str) -> Option<String> {
    let values: Vec<_> = request
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.to_owned())
        .collect();
    assert!(values.len() <= 1, "{name}: {values:?}");
    values.into_iter().next()
}
