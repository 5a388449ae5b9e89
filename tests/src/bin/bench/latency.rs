//! How long warm hosts take for one request after another, operation by operation. They take turns, so that whatever
//! else the machine does meanwhile meets all of them.

use std::time::{Duration, Instant};

use authly_tests::{
    http::{Reply, RequestExt as _},
    target::{App, Code, Target, Tokens},
    user_agent::fill,
};

/// Requests of each operation.
const ROUNDS: usize = 200;
/// Those before that, which are not counted.
const WARM_UP: usize = 20;

/// What a host measured by itself while requests were sent; `None` where only the client can tell.
pub type Stopwatch<'a> = &'a dyn Fn() -> Option<Vec<Duration>>;

/// What clients do, in their order.
#[derive(Clone, Copy)]
pub enum Operation {
    Discovery,
    ClientCredentials,
    Introspection,
    CodeExchange,
    Refresh,
    Login,
}

impl Operation {
    const ALL: [Self; 6] =
        [Self::Discovery, Self::ClientCredentials, Self::Introspection, Self::CodeExchange, Self::Refresh, Self::Login];

    pub fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::ClientCredentials => "client_credentials",
            Self::Introspection => "introspection",
            Self::CodeExchange => "code exchange",
            Self::Refresh => "refresh",
            Self::Login => "login",
        }
    }
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A host with all that its operations need.
pub struct Subject<'a> {
    target: &'a Target,
    stopwatch: Stopwatch<'a>,
    app: App,
    access_token: String,
    codes: Vec<Code>,
    refresh_token: String,
    login: (String, Vec<(String, String)>),
}

impl<'a> Subject<'a> {
    pub async fn new(target: &'a Target, stopwatch: Stopwatch<'a>) -> Self {
        let (app, person) = (target.confidential().await, target.person().await);
        let token = target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
        let mut browser = target.user_agent();
        browser.log_in(&person).await;
        let mut codes = Vec::new();
        for _ in 0..ROUNDS + WARM_UP {
            let ask = app.ask();
            codes.push(Code { code: browser.code(&ask).await, verifier: ask.verifier });
        }
        let mut browser = target.user_agent();
        let form = fill(browser.login_form().await, &person);
        let cookies: Vec<_> = browser.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let login = (cookies.join("; "), form.fields);
        let access_token = token.member("access_token");
        Self { target, stopwatch, app, access_token, codes, refresh_token: String::new(), login }
    }

    async fn perform(&mut self, operation: Operation) {
        let (target, app) = (self.target, &self.app);
        let metadata = "/.well-known/oauth-authorization-server";
        match operation {
            Operation::Discovery => target.get(metadata).reply().await.expect(200),
            Operation::ClientCredentials => {
                target.token(app, &[("grant_type", "client_credentials")]).await.expect(200)
            }
            Operation::Introspection => {
                let token = [("token", self.access_token.as_str())];
                target.client_request(app, "/auth/introspect", &token).reply().await.expect(200)
            }
            Operation::CodeExchange => {
                let code = self.codes.pop().expect("one for each round");
                let reply = target.exchange(app, &code).await.expect(200);
                self.keep_refresh_token(reply)
            }
            Operation::Refresh => {
                let reply = target.refresh(app, &self.refresh_token).await.expect(200);
                self.keep_refresh_token(reply)
            }
            Operation::Login => {
                let (cookie, fields) = &self.login;
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                target.post("/login").header("cookie", cookie).form_body(&fields).reply().await.expect(303)
            }
        };
    }

    fn keep_refresh_token(&mut self, reply: Reply) -> Reply {
        self.refresh_token = Tokens::of(&reply).refresh;
        reply
    }
}

/// Every operation with the median of each host.
pub async fn of(subjects: &mut [Subject<'_>]) -> Vec<(Operation, Vec<Duration>)> {
    let mut table = Vec::new();
    for operation in Operation::ALL {
        let rounds = if let Operation::Login = operation { ROUNDS / 4 } else { ROUNDS };
        let mut times = vec![Vec::new(); subjects.len()];
        for round in 0..WARM_UP + rounds {
            for (subject, times) in subjects.iter_mut().zip(&mut times) {
                (subject.stopwatch)();
                let started = Instant::now();
                subject.perform(operation).await;
                let elapsed = started.elapsed();
                let time = (subject.stopwatch)().map_or(elapsed, |times| times.into_iter().sum());
                if round >= WARM_UP {
                    times.push(time);
                }
            }
        }
        table.push((operation, times.into_iter().map(median).collect()));
    }
    table
}
