//! How long a warm host takes for one request after another, operation by operation.

use std::time::{Duration, Instant};

use authly_tests::{
    http::{Reply, RequestExt as _},
    target::{Code, Target, Tokens},
    user_agent::fill,
};

/// Requests of each operation.
const ROUNDS: usize = 200;
/// Those before that, which are not counted.
const WARM_UP: usize = 20;

/// Names and medians.
pub type Latencies = Vec<(&'static str, Duration)>;

/// What a host measured by itself while requests were sent; `None` where only the client can tell.
pub type Stopwatch<'a> = &'a dyn Fn() -> Option<Vec<Duration>>;

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

async fn measure(stopwatch: Stopwatch<'_>, rounds: usize, mut step: impl AsyncFnMut() -> Reply) -> Duration {
    let warm_up = WARM_UP.min(rounds / 4);
    for _ in 0..warm_up {
        step().await;
    }
    stopwatch();
    let mut times = Vec::new();
    for _ in warm_up..rounds {
        let started = Instant::now();
        step().await;
        times.push(started.elapsed());
    }
    median(stopwatch().unwrap_or(times))
}

/// All operations, in the order in which a client meets them.
pub async fn of(target: &Target, stopwatch: Stopwatch<'_>) -> Latencies {
    let (app, person) = (target.confidential().await, target.person().await);
    let mut latencies = Vec::new();
    let metadata = "/.well-known/oauth-authorization-server";
    let discovery = async || target.get(metadata).reply().await.expect(200);
    latencies.push(("discovery", measure(stopwatch, ROUNDS, discovery).await));
    let grant = [("grant_type", "client_credentials")];
    let client_credentials = async || target.token(&app, &grant).await.expect(200);
    latencies.push(("client_credentials", measure(stopwatch, ROUNDS, client_credentials).await));
    let token = target.token(&app, &grant).await.expect(200).member("access_token");
    let introspection =
        async || target.client_request(&app, "/auth/introspect", &[("token", &token)]).reply().await.expect(200);
    latencies.push(("introspection", measure(stopwatch, ROUNDS, introspection).await));

    let mut browser = target.user_agent();
    browser.log_in(&person).await;
    let mut codes = Vec::new();
    for _ in 0..ROUNDS {
        let ask = app.ask();
        codes.push(Code { code: browser.code(&ask).await, verifier: ask.verifier });
    }
    let mut last = None;
    let exchange = async || {
        let code = codes.pop().expect("one for each round");
        let reply = target.exchange(&app, &code).await.expect(200);
        last = Some(Tokens::of(&reply).refresh);
        reply
    };
    latencies.push(("code exchange", measure(stopwatch, ROUNDS, exchange).await));
    let mut refresh_token = last.expect("at least one code was exchanged");
    let refresh = async || {
        let reply = target.refresh(&app, &refresh_token).await.expect(200);
        refresh_token = Tokens::of(&reply).refresh;
        reply
    };
    latencies.push(("refresh", measure(stopwatch, ROUNDS, refresh).await));

    let mut browser = target.user_agent();
    let form = fill(browser.login_form().await, &person);
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let cookies: Vec<_> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let cookie = cookies.join("; ");
    let log_in = async || target.post("/login").header("cookie", &cookie).form_body(&fields).reply().await.expect(303);
    latencies.push(("login", measure(stopwatch, ROUNDS / 4, log_in).await));
    latencies
}
