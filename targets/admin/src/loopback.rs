//! Receives the answer to an authorization request, on a loopback address (RFC 8252 §7.3).

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{RawQuery, State},
    routing::get,
};
use http::{StatusCode, header};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
    time::timeout,
};
use url::form_urlencoded;

use crate::failure::{Failure, fail};

/// The parameters of an answer, each of which may be there once (RFC 6749 §3.1).
type Answer = BTreeMap<String, String>;

/// Waits at a port of its own.
pub(crate) struct Loopback {
    listener: TcpListener,
    redirect_uri: String,
}

struct Waiting {
    state: String,
    answers: mpsc::Sender<Answer>,
}

impl Loopback {
    /// Takes a free port.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let listen = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let redirect_uri = format!("http://127.0.0.1:{}/callback", listener.local_addr()?.port());
            std::io::Result::Ok(Self { listener, redirect_uri })
        };
        Ok(listen.await.context("cannot listen on 127.0.0.1")?)
    }

    pub(crate) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits for the answer that carries this state. Whatever else comes here is turned away, and ends nothing.
    pub(crate) async fn receive(self, state: &str, patience: Duration) -> Result<Answer, Failure> {
        let (answers, mut received) = mpsc::channel(1);
        let end = Arc::new(Notify::new());
        let waiting = Arc::new(Waiting { state: state.to_owned(), answers });
        let router = Router::new().route("/callback", get(answer)).with_state(waiting);
        let ended = Arc::clone(&end);
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(async move { ended.notified().await });
        let serving = tokio::spawn(async move { serving.await });
        let answer = timeout(patience, received.recv()).await;
        end.notify_one();
        // The browser has its page before anything else happens; one that keeps its connection open is not waited for.
        let _ = timeout(Duration::from_secs(1), serving).await;
        match answer {
            Ok(Some(answer)) => Ok(answer),
            _ => fail!("nobody has logged in within {} seconds", patience.as_secs()),
        }
    }
}

async fn answer(
    State(waiting): State<Arc<Waiting>>,
    RawQuery(query): RawQuery,
) -> (StatusCode, [(header::HeaderName, &'static str); 3], &'static str) {
    let (status, page) = match parse(query.as_deref().unwrap_or_default()) {
        Some(answer) if answer.get("state") == Some(&waiting.state) => {
            let page = if answer.contains_key("code") { ALLOWED } else { DENIED };
            // A second answer, after a reload, changes nothing.
            let _ = waiting.answers.try_send(answer);
            (StatusCode::OK, page)
        }
        _ => (StatusCode::BAD_REQUEST, NOT_OURS),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, page)
}

const ALLOWED: &str = "Go back to the terminal: authly-admin goes on there. This window can be closed.\n";
const DENIED: &str = "You were not logged in; the terminal says why. This window can be closed.\n";
const NOT_OURS: &str = "This is not the answer that authly-admin waits for.\n";

fn parse(query: &str) -> Option<Answer> {
    let mut answer = Answer::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if answer.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(answer)
}
