//! 10,000 malformed requests, over plain TCP: whatever arrives, the answer is a 4xx at worst, and the server serves
//! on. The generator is seeded: `AUTHLY_TEST_SEED` repeats a run.

use std::{sync::Arc, time::Duration};

use authly_core::router::Endpoint;
use authly_tests::{
    container,
    http::encode,
    server::TestServer,
    target::{Target, Tokens},
};
use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

const REQUESTS: u64 = 10_000;
const WORKERS: u64 = 16;
/// After so long without an answer, the sender closes its half: what it has sent is no complete request.
const PATIENCE: Duration = Duration::from_millis(100);
/// After so long, it gives up.
const LIMIT: Duration = Duration::from_secs(2);
/// What the server may have grown by in the meantime, in KiB. A leak of a kilobyte for each request would show.
const GROWTH_KIB: u64 = 48 * 1024;

/// What requests are made of: real ones, so that the wrong ones come close to what is right.
struct Material {
    seed: u64,
    host: String,
    queries: Vec<String>,
    forms: Vec<String>,
    credentials: Vec<String>,
    cookies: Vec<String>,
}

const METHODS: [&str; 14] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "PRI", "GE\0T", "", "\u{e9}",
];
const CONTENT_TYPES: [&str; 8] = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=\"",
    "application/json",
    "multipart/form-data; boundary=",
    "text/plain\0",
    "",
    ";;;",
    "application/x-www-form-urlencoded, application/json",
];
const NASTY: [&[u8]; 16] = [
    b"\0",
    b"%00",
    b"\xFF\xFE",
    b"%FF%FE",
    b"%",
    b"%zz",
    b"\r\n",
    b"\n",
    b"\r",
    b"\xC0\xAF",
    b"../../../../etc/passwd",
    b"' OR 1=1; DROP TABLE users; --",
    b"<script>alert(1)</script>",
    b"${jndi:ldap://x}",
    b"\xF0\x9F\x98\x80",
    b"\x1b[2J",
];

impl Material {
    async fn new(seed: u64, target: &Target) -> Self {
        let (app, person) = (target.confidential().await, target.person().await);
        let code = target.code(&app, &person).await;
        let tokens: Tokens = target.tokens(&app, &person).await;
        let mut browser = target.user_agent();
        browser.log_in(&person).await;
        let session = browser.session().expect("logged in");
        let credentials = [("client_id", app.client_id.as_str()), ("client_secret", app.secret())];
        let with = |parameters: &[(&str, &str)]| encode([parameters, &credentials].concat());
        Self {
            seed,
            host: target.base().trim_start_matches("http://").to_owned(),
            queries: vec![app.ask().query(), encode([("return_to", app.ask().path())]), encode([("error", "x")])],
            forms: vec![
                with(&code.parameters()),
                with(&[("grant_type", "refresh_token"), ("refresh_token", &tokens.refresh), ("scope", "read")]),
                with(&[("grant_type", "client_credentials"), ("resource", target.issuer())]),
                with(&[("token", &tokens.access), ("token_type_hint", "access_token")]),
                app.ask().query(),
                encode([
                    ("username", person.username.as_str()),
                    ("password", "x"),
                    ("csrf_token", "x"),
                    ("return_to", "/"),
                ]),
                encode([("request", app.ask().query().as_str()), ("decision", "allow"), ("csrf_token", "x")]),
            ],
            credentials: vec![format!("Bearer {}", tokens.access), "Basic YTpi".to_owned(), "Basic /w==".to_owned()],
            cookies: vec![format!("{}={}", session.0, session.1), "authly_browser=x; ;=".to_owned()],
        }
    }

    /// Request number `index`: always the same for one seed.
    fn request(&self, index: u64) -> Vec<u8> {
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(1_000_003).wrapping_add(index));
        match rng.u8(..100) {
            0..5 => garbage(&mut rng),
            5..8 => self.http2(&mut rng),
            8..12 => self.framing(&mut rng),
            12..14 => self.oversized(&mut rng),
            _ => {
                let mut request = self.close_to_valid(&mut rng);
                for _ in 0..rng.usize(..4) {
                    mutate(&mut rng, &mut request);
                }
                request
            }
        }
    }

    fn path(&self, rng: &mut Rng) -> String {
        let path = rng.choice(Endpoint::ALL).expect("some").path();
        match rng.u8(..10) {
            0..6 => path.to_owned(),
            6 => format!("{path}/"),
            7 => path.replace('/', "//"),
            8 => path.to_uppercase(),
            _ => format!("http://{}{path}", self.host),
        }
    }

    fn close_to_valid(&self, rng: &mut Rng) -> Vec<u8> {
        let method =
            if rng.bool() { *rng.choice(&METHODS[..2]).expect("some") } else { *rng.choice(&METHODS).expect("some") };
        let query = rng.choice(&self.queries).expect("some");
        let target = if rng.bool() { format!("{}?{query}", self.path(rng)) } else { self.path(rng) };
        let mut body = rng.choice(&self.forms).expect("some").clone().into_bytes();
        for _ in 0..rng.usize(..3) {
            mutate(rng, &mut body);
        }
        let mut headers = vec![("host", self.host.clone()), ("connection", "close".to_owned())];
        let content_type = if rng.u8(..4) > 0 { CONTENT_TYPES[0] } else { rng.choice(CONTENT_TYPES).expect("some") };
        headers.push(("content-type", content_type.to_owned()));
        if rng.bool() {
            headers.push(("authorization", rng.choice(&self.credentials).expect("some").clone()));
        }
        if rng.bool() {
            headers.push(("cookie", rng.choice(&self.cookies).expect("some").clone()));
        }
        if rng.u8(..8) == 0 {
            headers.push(("origin", "https://evil.example".to_owned()));
        }
        if rng.u8(..8) == 0 {
            let twice = rng.choice(&headers).expect("some").clone();
            headers.push(twice);
        }
        let length = if rng.u8(..12) == 0 { rng.usize(..body.len() * 2 + 1) } else { body.len() };
        headers.push(("content-length", length.to_string()));
        rng.shuffle(&mut headers);
        let mut request = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
        for (name, value) in headers {
            request.extend(format!("{name}: {value}\r\n").bytes());
        }
        request.extend(b"\r\n");
        request.extend(body);
        request
    }

    /// What request smuggling is made of (RFC 9112 §11.2).
    fn framing(&self, rng: &mut Rng) -> Vec<u8> {
        let form = rng.choice(&self.forms).expect("some");
        let framing = rng
            .choice([
                "content-length: 5\r\ncontent-length: 6\r\n",
                "content-length: 5, 5\r\n",
                "content-length: -1\r\n",
                "content-length: 99999999999999999999999\r\n",
                "content-length: 0x10\r\n",
                "content-length: 5\r\ntransfer-encoding: chunked\r\n",
                "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
                "transfer-encoding: xchunked\r\n",
                "transfer-encoding: chunked, chunked\r\n",
                "transfer-encoding:\tchunked\r\n",
                "transfer-encoding: chunked\r\n",
                "content-length : 5\r\n",
                " content-length: 5\r\n",
                "host: evil.example\r\n",
                "expect: 200-nothing\r\n",
                "upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
            ])
            .expect("some");
        let body = match rng.u8(..5) {
            0 => format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len()),
            1 => format!("{:x}\r\n{form}\r\n", form.len() + 5),
            2 => "ffffffffffffffffff\r\nx\r\n0\r\n\r\n".to_owned(),
            3 => "zz\r\nx\r\n".to_owned(),
            _ => form.clone(),
        };
        let head = "content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n";
        format!("POST /auth/token HTTP/1.1\r\nhost: {}\r\n{head}{framing}\r\n{body}", self.host).into_bytes()
    }

    /// Too long a target, too many or too long headers, too large a body.
    fn oversized(&self, rng: &mut Rng) -> Vec<u8> {
        let length = 1 << rng.u32(12..21);
        let long = "x".repeat(length);
        let host = &self.host;
        let head = format!("host: {host}\r\nconnection: close\r\n");
        match rng.u8(..4) {
            0 => format!("GET /authorize?{long} HTTP/1.1\r\n{head}\r\n"),
            1 => format!("GET /login HTTP/1.1\r\n{head}x-long: {long}\r\n\r\n"),
            2 => format!("GET /login HTTP/1.1\r\n{head}{}\r\n", "a: b\r\n".repeat(length / 6)),
            _ => {
                let form = "content-type: application/x-www-form-urlencoded\r\n";
                format!("POST /auth/token HTTP/1.1\r\n{head}{form}content-length: {length}\r\n\r\n{long}")
            }
        }
        .into_bytes()
    }

    /// The preface of HTTP/2, and frames that are none.
    fn http2(&self, rng: &mut Rng) -> Vec<u8> {
        let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for _ in 0..rng.usize(..6) {
            let length = rng.u8(..40);
            request.extend([0, 0, length, rng.u8(..12), rng.u8(..), 0, 0, 0, rng.u8(..4)]);
            request.extend((0..length).map(|_| rng.u8(..)));
        }
        request
    }
}

fn garbage(rng: &mut Rng) -> Vec<u8> {
    let length = rng.usize(..4096);
    (0..length).map(|_| rng.u8(..)).collect()
}

/// Breaks something.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.usize(..bytes.len());
    match rng.u8(..7) {
        0 => bytes[at] = rng.u8(..),
        1 => bytes[at] ^= 1 << rng.u8(..8),
        2 => bytes.truncate(at),
        3 => _ = bytes.splice(at..at, NASTY[rng.usize(..NASTY.len())].iter().copied()),
        4 => {
            let end = (at + rng.usize(..64)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => {
            let end = (at + rng.usize(..64)).min(bytes.len());
            let repeated = bytes[at..end].repeat(rng.usize(1..4));
            bytes.splice(at..at, repeated);
        }
        _ => {
            let other = rng.usize(..bytes.len());
            bytes.swap(at, other);
        }
    }
}

/// Sends the bytes, and returns what comes back: nothing, where the server hangs up.
async fn send(address: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut reply = Vec::new();
    let (mut read, mut write) = stream.split();
    let exchange = async {
        let sending = async {
            // The server need not read what it has refused already.
            let _ = timeout(LIMIT, write.write_all(request)).await;
            sleep(PATIENCE).await;
            let _ = write.shutdown().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = sending => {}
            // Resets are how a server hangs up on those who talk on.
            _ = read.read_to_end(&mut reply) => {}
        }
    };
    let _ = timeout(LIMIT, exchange).await;
    Ok(reply)
}

/// Whether any answer to what may have been several requests is the server's own failure.
fn has_failed(reply: &[u8]) -> bool {
    reply.windows(10).any(|window| window == b"HTTP/1.1 5" || window == b"HTTP/1.0 5")
}

/// The status of the first answer, if there is one.
fn status(reply: &[u8]) -> Option<u16> {
    let line = reply.strip_prefix(b"HTTP/1.1 ").or_else(|| reply.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
}

/// One for each thousand, and what they count.
#[derive(Default, Debug)]
struct Tally {
    answered: u64,
    refused: u64,
    silent: u64,
}

async fn storm(material: &Arc<Material>, from: u64, to: u64) -> Tally {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let material = Arc::clone(material);
        workers.spawn(async move {
            let mut tally = Tally::default();
            for index in (from + worker..to).step_by(usize::try_from(WORKERS).expect("a small number")) {
                let request = material.request(index);
                let reply = send(&material.host, &request).await.expect("the server accepts connections");
                assert!(
                    !has_failed(&reply),
                    "request {index} of seed {}: {}\nanswered: {}",
                    material.seed,
                    request[..request.len().min(2000)].escape_ascii(),
                    String::from_utf8_lossy(&reply)
                );
                match status(&reply) {
                    None => tally.silent += 1,
                    Some(status) => {
                        tally.answered += 1;
                        tally.refused += u64::from(status >= 400);
                    }
                }
            }
            tally
        });
    }
    let mut total = Tally::default();
    while let Some(tally) = workers.join_next().await {
        let tally = tally.expect("no worker fails");
        total.answered += tally.answered;
        total.refused += tally.refused;
        total.silent += tally.silent;
    }
    total
}

async fn expect_serving(target: &Target) {
    let (app, person) = (target.confidential().await, target.person().await);
    let tokens = target.tokens(&app, &person).await;
    target.refresh(&app, &tokens.refresh).await.expect(200);
    target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_malformed_requests_do_no_harm() {
    let seed = std::env::var("AUTHLY_TEST_SEED").map_or(20_261_123, |seed| seed.parse().expect("a number"));
    let server = TestServer::sqlite(&[]).await;
    let target = container::target(&server).await;
    let material = Arc::new(Material::new(seed, &target).await);

    // Caches, buffers and threads are there after the first tenth.
    let mut tally = storm(&material, 0, REQUESTS / 10).await;
    let before = server.resident_kib();
    let rest = storm(&material, REQUESTS / 10, REQUESTS).await;
    let after = server.resident_kib();
    tally.answered += rest.answered;
    tally.refused += rest.refused;
    tally.silent += rest.silent;
    eprintln!("seed {seed}: {tally:?}, resident {before} KiB, then {after} KiB");

    assert!(tally.answered > REQUESTS / 2, "most of them are answered: {tally:?}");
    assert!(tally.refused > REQUESTS / 3, "most of them are wrong: {tally:?}");
    assert!(after < before + GROWTH_KIB, "{before} KiB, then {after} KiB");
    assert!(!server.has_exited());
    let log = server.log();
    for bad in ["panicked at", "RUST_BACKTRACE", "overflow"] {
        assert!(!log.contains(bad), "{bad} in the log");
    }
    expect_serving(&target).await;
}

/// The generator does what the others rely on.
#[test]
fn a_seed_repeats_its_requests() {
    let material = |seed| Material {
        seed,
        host: "localhost".to_owned(),
        queries: vec!["a=b".to_owned()],
        forms: vec!["c=d".to_owned()],
        credentials: vec!["Basic YTpi".to_owned()],
        cookies: vec!["e=f".to_owned()],
    };
    let all = |seed| (0..100).map(|index| material(seed).request(index)).collect::<Vec<_>>();
    assert_eq!(all(1), all(1));
    assert_ne!(all(1), all(2));
}
