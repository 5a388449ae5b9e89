//! Limits across processes: over one Postgres, over one Redis, and against somebody with many addresses.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use authly_core::store::{AuditFilter, AuditLog as _};
use authly_tests::{
    container::{postgres, target},
    http::{Reply, RequestExt as _},
    postgres::TestDatabase,
    redis::TestRedis,
    server::{Database, TestServer},
    target::{Person, Target},
    user_agent::fill,
};
use tokio::{task::JoinSet, time::sleep};

const LIMIT: usize = 60;

/// A token request of somebody who is not who they say they are.
async fn impostor(target: &Target) -> u16 {
    let request = target.post("/auth/token").client_basic("nobody", "a guess");
    let reply = request.form_body(&[("grant_type", "client_credentials")]).reply().await;
    assert!(reply.status == 401 || reply.status == 429 && reply.header("retry-after").is_some(), "{reply:?}");
    reply.status
}

/// Asks both, many times at once. Returns how many requests were let pass.
async fn flood(targets: &[Target]) -> usize {
    let mut passed = 0;
    for _ in 0..10 {
        let requests = targets.iter().flat_map(|target| (0..20).map(move |_| impostor(target)));
        let statuses = futures_util::future::join_all(requests).await;
        passed += statuses.iter().filter(|status| **status == 401).count();
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_over_one_postgres_allow_no_more_than_one() {
    let database = postgres().await;
    let variables = [("RATE_LIMIT_REQUESTS_PER_MINUTE", "60")];
    let servers =
        [TestServer::start(database.clone(), &variables).await, TestServer::start(database, &variables).await];
    let targets = [target(&servers[0]).await, target(&servers[1]).await];
    assert_eq!(flood(&targets).await, LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_over_one_redis_allow_no_more_than_one() {
    let redis = TestRedis::start().await;
    let variables = [("RATE_LIMIT_REQUESTS_PER_MINUTE", "60"), ("REDIS_URL", &redis.url())];
    // Each with a database of its own: they have nothing else in common.
    let servers = [TestServer::sqlite(&variables).await, TestServer::sqlite(&variables).await];
    let targets = [target(&servers[0]).await, target(&servers[1]).await];
    for target in &targets {
        health(target, "ok").await;
    }
    assert_eq!(flood(&targets).await, LIMIT);
    let keys = redis.command("KEYS *").await.expect("it answers");
    assert!(keys.contains("authly:limit:") && !keys.contains("127.0.0.1"), "{keys}");
}

/// Waits until the health check says so of Redis.
async fn health(target: &Target, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let body = target.get("/health").reply().await.expect(200).json();
        assert_eq!(body["status"], "ok");
        if body["redis"].as_str().expect("it is configured").starts_with(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{body}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The database counts meanwhile; the log says so once, and the server comes back by itself.
#[tokio::test(flavor = "multi_thread")]
async fn without_its_redis_the_server_keeps_serving_and_limiting() {
    let mut redis = TestRedis::start().await;
    let variables = [("RATE_LIMIT_REQUESTS_PER_MINUTE", "60"), ("REDIS_URL", &redis.url())];
    let server = TestServer::start(postgres().await, &variables).await;
    let target = [target(&server).await];
    health(&target[0], "ok").await;
    assert_eq!(impostor(&target[0]).await, 401);
    let count = |text: &str| server.log().matches(text).count();
    for round in 1..=2 {
        redis.kill();
        for _ in 0..10 {
            assert_eq!(impostor(&target[0]).await, 401);
        }
        health(&target[0], "unreachable").await;
        redis.resume().await;
        health(&target[0], "ok").await;
        assert_eq!((count("Redis does not answer"), count("Redis answers again")), (round, round));
    }
    redis.kill();
    health(&target[0], "unreachable").await;
    let passed = flood(&target).await;
    assert!((1..=LIMIT).contains(&passed), "{passed}");
    assert_eq!(impostor(&target[0]).await, 429);
}

/// Somebody at this address, behind a proxy of ours.
async fn from(target: &Target, address: &str, person: &Person, device: Option<&str>) -> Reply {
    let mut browser = target.user_agent();
    let forwarded = |request: reqwest::RequestBuilder| request.header("x-forwarded-for", address.to_owned());
    let form = browser.send(forwarded(target.get("/login"))).await.expect(200).form();
    if let Some(device) = device {
        browser.set_cookie("authly_device", device);
    }
    let form = fill(form, person);
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.send(forwarded(target.post("/login").form_body(&fields))).await
}

/// 10,000 wrong passwords from 100 addresses on one account: a few are compared, and the owner still gets in from an
/// address or with a browser that the account knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_wrong_passwords_do_not_lock_the_owner_out() {
    let database = TestDatabase::new().await;
    let store = Arc::clone(database.store());
    let variables = [("TRUSTED_PROXIES", "127.0.0.1"), ("LOG_LEVEL", "warn")];
    let server = TestServer::start(Database::new(database.url(), database), &variables).await;
    let target = Arc::new(target(&server).await);
    let person = target.person().await;
    let home = "198.51.100.1";
    let login = from(&target, home, &person, None).await.expect(303);
    let cookies = login.header_values("set-cookie");
    let device = cookies.iter().find_map(|it| it.strip_prefix("authly_device=")).expect("a cookie");
    let device = device.split(';').next().expect("a value").to_owned();

    let started = Instant::now();
    let next = Arc::new(AtomicU32::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..16 {
        let (target, next, person) = (Arc::clone(&target), Arc::clone(&next), person.clone());
        workers.spawn(async move {
            let mut statuses = BTreeMap::new();
            let mut forms = BTreeMap::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= 10_000 {
                    return statuses;
                }
                let address = format!("203.0.113.{}", number % 100);
                let forwarded = |request: reqwest::RequestBuilder| request.header("x-forwarded-for", address.clone());
                let mut browser = target.user_agent();
                if !forms.contains_key(&address) {
                    let form = browser.send(forwarded(target.get("/login"))).await.expect(200).form();
                    forms.insert(address.clone(), (form, browser.cookies()["authly_browser"].clone()));
                }
                let (form, cookie) = &forms[&address];
                browser.set_cookie("authly_browser", cookie);
                let guess = Person { password: format!("guess {number}"), ..person.clone() };
                let form = fill(form.clone(), &guess);
                let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let reply = browser.send(forwarded(target.post("/login").form_body(&fields))).await;
                *statuses.entry(reply.status).or_insert(0) += 1;
            }
        });
    }
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    while let Some(counted) = workers.join_next().await {
        for (status, count) in counted.expect("it does not panic") {
            *statuses.entry(status).or_default() += count;
        }
    }
    let elapsed = started.elapsed();
    eprintln!("{statuses:?} in {elapsed:.1?}");
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [&403, &429], "{statuses:?}");
    // Twenty at once, then one at the end of each wait: of 2, 4, 8, … seconds.
    let waits = 1 + (elapsed.as_secs() / 2 + 1).ilog2();
    assert!((20..=20 + waits).contains(&statuses[&403]), "{statuses:?} in {elapsed:?}");

    // Nobody gets in from elsewhere, not even with the password; the owner does.
    from(&target, "203.0.113.7", &person, None).await.expect(429);
    from(&target, "192.0.2.1", &person, None).await.expect(429);
    from(&target, home, &person, None).await.expect(303);
    from(&target, "192.0.2.1", &person, Some(&device)).await.expect(303);
    // And everybody else.
    from(&target, "203.0.113.7", &target.person().await, None).await.expect(303);

    // The log tells of it without being flooded by it.
    let log = store.audit_log(&AuditFilter::default(), None, 10_000).await.expect("the database answers");
    let count = |event: &str| log.iter().filter(|record| record.event == event).count();
    assert_eq!(count("login.failed"), statuses[&403] as usize);
    // One for each address and wait.
    assert!((1..=1000).contains(&count("rate_limit.exceeded")), "{}", count("rate_limit.exceeded"));
}

/// Whoever asks writes what they like into `X-Forwarded-For`: it counts for nothing but what a trusted proxy added.
#[tokio::test]
async fn nobody_gets_around_a_limit_with_a_forged_address() {
    let ask = async |target: &Target, forwarded: &str| {
        let request = target.post("/auth/token").client_basic("nobody", "a guess").header("x-forwarded-for", forwarded);
        request.form_body(&[("grant_type", "client_credentials")]).reply().await.status
    };
    for (proxies, chain) in [("", ""), ("127.0.0.1,10.0.0.0/8", ", 203.0.113.9"), ("127.0.0.1", ", 203.0.113.9")] {
        let variables = [("RATE_LIMIT_REQUESTS_PER_MINUTE", "5"), ("TRUSTED_PROXIES", proxies)];
        let server = TestServer::sqlite(&variables).await;
        let target = target(&server).await;
        let mut statuses = Vec::new();
        for number in 0..8 {
            statuses.push(ask(&target, &format!("198.51.100.{number}{chain}")).await);
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429], "{proxies}");
        // Another peer is another peer.
        let expected = if proxies.is_empty() { 429 } else { 401 };
        assert_eq!(ask(&target, "198.51.100.1, 203.0.113.10").await, expected, "{proxies}");
        if proxies.contains("10.0.0.0/8") {
            assert_eq!(ask(&target, "198.51.100.1, 203.0.113.9, 10.1.2.3").await, 429, "through two proxies");
            // One network of IPv6 is one customer.
            for (address, expected) in [
                ("2001:db8:1:2::1", 401),
                ("2001:db8:1:2::2", 401),
                ("2001:db8:1:2:3::", 401),
                ("::ffff:203.0.113.9", 429),
            ] {
                assert_eq!(ask(&target, address).await, expected, "{address}");
            }
            for _ in 0..2 {
                assert_eq!(ask(&target, "2001:db8:1:2:ffff::").await, 401);
            }
            assert_eq!(ask(&target, "2001:db8:1:2::99").await, 429);
            assert_eq!(ask(&target, "2001:db8:1:3::1").await, 401);
        }
    }
}
