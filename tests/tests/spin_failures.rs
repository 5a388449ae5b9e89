//! What happens to a Spin component when its host dies, its instance traps, its client leaves or its database is gone:
//! no operation is half-done, and nobody is shown what the host says.

use std::time::Duration;

use authly_tests::{
    container,
    http::RequestExt as _,
    proxy::Link,
    server::{Database, Program, TestServer},
    spin::Application,
    storm::{Storm, expect_consistent, kill_in_a_storm, outage_by_proxy},
    target::{App, Target, Tokens},
};
use tokio::time::sleep;

/// SIGKILL for the host in a storm of refreshes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_the_host_loses_nothing() {
    kill_in_a_storm(Application::REUSED.start(container::postgres().await, &[]).await).await;
}

/// Two hosts of the same server: one is sound, and the other's instances trap.
struct Twins {
    sound: TestServer,
    target: Target,
    database: Database,
}

/// Both answer for the same issuer.
const ISSUER: [(&str, &str); 2] = [("ISSUER_URL", "http://127.0.0.1:8000"), ("ALLOWED_HOSTS", "127.0.0.1")];

impl Twins {
    async fn new() -> Self {
        let database = container::postgres().await;
        let sound = Application::FRESH.start(database.clone(), &ISSUER).await;
        let target = container::target(&sound).await;
        Self { sound, target, database }
    }

    /// The unsound one.
    async fn trapping(&self, application: Application, statements: usize) -> TestServer {
        application.trap_after(statements).start(self.database.clone(), &ISSUER).await
    }
}

/// Traps all the time, each of which fails every request in its instance.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_in_a_storm_of_refreshes_lose_nothing() {
    let twins = Twins::new().await;
    let (app, person) = (twins.target.public().await, twins.target.person().await);
    let trapping = twins.trapping(Application::REUSED, 25).await;
    let storm = Storm::start_at(&trapping.base(), &twins.target, &app, &person).await;
    sleep(Duration::from_millis(2_500)).await;
    let chains = storm.stop().await;
    let traps = trapping.log().matches("a trap, as was asked for").count();
    eprintln!("{traps} traps, {} refreshes", chains.iter().map(Vec::len).sum::<usize>());
    assert!(traps >= 3, "only {traps} traps");
    assert!(!trapping.has_exited() && !twins.sound.has_exited());
    expect_consistent(&twins.target, &app, chains).await;
}

/// The same request to a host that traps after its first statement, after its second, and so on until it survives.
/// Returns how the server was found each time.
async fn at_every_statement<T>(twins: &Twins, app: &App, mut found: impl AsyncFnMut(&Target) -> (bool, T)) -> Vec<T> {
    let mut all = Vec::new();
    for statements in 1..10 {
        let trapping = twins.trapping(Application::FRESH, statements).await;
        let target = Target::new(&trapping.base(), ISSUER[0].1, twins.database.url()).await;
        let (is_done, what) = found(&target).await;
        all.push(what);
        let has_trapped = trapping.log().contains("a trap, as was asked for");
        assert_eq!(has_trapped, !is_done, "{}: {}", app.client_id, trapping.log());
        if is_done {
            return all;
        }
    }
    panic!("a request of ten statements");
}

/// A code that was used up by an instance that trapped is used up; one that was not is good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_leaves_a_code_used_or_unused() {
    let twins = Twins::new().await;
    let (app, person) = (twins.target.public().await, twins.target.person().await);
    let found = at_every_statement(&twins, &app, async |trapping| {
        let code = twins.target.code(&app, &person).await;
        let lost = trapping.exchange(&app, &code).await;
        if lost.status == 200 {
            assert!(twins.target.is_active(&Tokens::of(&lost).access).await);
            return (true, 200);
        }
        assert_eq!((lost.status, lost.body.len()), (500, 0), "{lost:?}");
        let again = twins.target.exchange(&app, &code).await;
        match again.status {
            200 => assert!(twins.target.is_active(&Tokens::of(&again).refresh).await),
            _ => _ = again.clone().expect_error(400, "invalid_grant"),
        }
        (false, again.status)
    })
    .await;
    let used = found.iter().position(|status| *status == 400).expect("the statement that uses it up");
    assert!(found[..used].iter().all(|status| *status == 200), "it was used up once: {found:?}");
    assert_eq!(found[used..], [400, 200], "nothing comes after it: {found:?}");
}

/// A refresh whose answer was lost by a trap is good for a retry, which continues the same grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_leaves_a_refresh_token_good_for_a_retry() {
    let twins = Twins::new().await;
    let (app, person) = (twins.target.public().await, twins.target.person().await);
    let traps = at_every_statement(&twins, &app, async |trapping| {
        let tokens = twins.target.tokens(&app, &person).await;
        let lost = trapping.refresh(&app, &tokens.refresh).await;
        assert!(lost.status == 200 || (lost.status, lost.body.len()) == (500, 0), "{lost:?}");
        let retried = Tokens::of(&twins.target.refresh(&app, &tokens.refresh).await.expect(200));
        if lost.status == 200 {
            assert_eq!(Tokens::of(&lost).refresh, retried.refresh, "a fork");
        }
        let next = Tokens::of(&twins.target.refresh(&app, &retried.refresh).await.expect(200));
        assert!(twins.target.is_active(&next.access).await);
        twins.target.refresh(&app, &tokens.refresh).await.expect_error(400, "invalid_grant");
        (lost.status == 200, ())
    })
    .await;
    assert!(traps.len() > 1, "no statement to trap after");
}

/// Clients that leave at any moment of their request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_can_come_back() {
    let server = Application::REUSED.start(container::postgres().await, &[]).await;
    let target = container::target(&server).await;
    let (app, person) = (target.public().await, target.person().await);
    let mut tokens = target.tokens(&app, &person).await;
    for milliseconds in 1..25 {
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
        let request = target.client_request(&app, "/auth/token", &parameters);
        let _ = request.timeout(Duration::from_millis(milliseconds)).try_reply().await;
        tokens = Tokens::of(&target.refresh(&app, &tokens.refresh).await.expect(200));
    }
    assert!(target.is_active(&tokens.access).await);
    assert!(!server.log().contains("an instance failed"), "{}", server.log());
}

/// Nobody listens at the database's address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_everything_is_503_and_service_resumes_by_itself() {
    outage_by_proxy(&Program::Spin(Application::REUSED), Link::Down, Duration::from_millis(2_500)).await;
}

/// Spin tells the peer's address in a header that a client may send as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_forge_its_address() {
    let server = Application::FRESH.start(container::postgres().await, &[]).await;
    let target = container::target(&server).await;
    let request =
        target.get("/login").header("spin-client-addr", "203.0.113.7:1").header("x-forwarded-for", "203.0.113.8");
    request.reply().await.expect(200);
    let log = server.log();
    let line = log.lines().find(|line| line.contains("\"/login\"")).expect("a line of the access log");
    assert!(line.contains("\"client_address\":\"127.0.0.1\"") && !log.contains("203.0.113"), "{line}");
}
