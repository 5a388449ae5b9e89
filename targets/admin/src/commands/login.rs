//! `login`, `logout`, `whoami`.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use authly_core::{model::CodeVerifier, ports::Entropy as _};
use authly_native::host::OsEntropy;
use clap::Args;
use serde_json::{Value, json};
use url::Url;

use super::text;
use crate::{
    api::{Api, Object, Target},
    arguments::Server,
    credentials::{Credentials, IssuerUrl},
    failure::{Failure, fail},
    http_client::HttpClient,
    loopback::Loopback,
    oauth::{self, CLIENT_ID, Metadata},
    output::{Format, printable},
    transport::Transport,
};

/// All that this program can use.
const SCOPES: [&str; 8] = [
    "admin:clients:read",
    "admin:clients:write",
    "admin:scopes:read",
    "admin:scopes:write",
    "admin:system:read",
    "admin:system:write",
    "admin:users:read",
    "admin:users:write",
];

#[derive(Args)]
pub(crate) struct Login {
    /// Ask for this scope only. Repeat for several; by default everything that an administrator may do.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// Open the link in a browser of this machine.
    #[arg(long)]
    browser: bool,
    /// Wait so many seconds for the person to log in.
    #[arg(long, default_value = "300", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

fn server(server: &Server) -> Result<(IssuerUrl, HttpClient), Failure> {
    let Some(url) = &server.url else {
        return Err(Failure::Usage("--url (or AUTHLY_URL) must say at which server".to_owned()));
    };
    let url = IssuerUrl::parse(url)?;
    let http = HttpClient::new(&url, server.ca_file.as_deref())?;
    Ok((url, http))
}

fn random() -> CodeVerifier {
    let mut bytes = [0; 32];
    OsEntropy.fill(&mut bytes);
    CodeVerifier::from_random(&bytes)
}

/// The authorization code flow with PKCE of a native application (RFC 8252).
pub(crate) async fn log_in(arguments: &Login, to: &Server, format: Format) -> Result<ExitCode, Failure> {
    let (url, http) = server(to)?;
    let metadata = oauth::discover(&http, &url)?;
    let credentials = Credentials::open()?;
    // Where the tokens cannot be kept, nobody need log in.
    drop(credentials.lock()?);
    let loopback = Loopback::open().await?;
    let (verifier, state) = (random(), random());
    let scope = if arguments.scopes.is_empty() { SCOPES.join(" ") } else { arguments.scopes.join(" ") };
    let redirect_uri = loopback.redirect_uri().to_owned();
    let mut link = Url::parse(&metadata.authorization_endpoint).context("the server's authorization endpoint")?;
    link.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("scope", &scope)
        .append_pair("state", state.expose())
        .append_pair("code_challenge", &verifier.challenge().to_string())
        .append_pair("code_challenge_method", "S256");
    eprintln!("Open this link in a browser on this machine, and log in as an administrator:\n\n{link}\n");
    if arguments.browser {
        open::that_detached(link.as_str()).context("no browser could be opened; open the link yourself")?;
    }
    let answer = loopback.receive(state.expose(), Duration::from_secs(arguments.timeout)).await?;
    let code = check(&answer, &metadata, &url)?;
    let login = oauth::redeem(&http, &metadata, code, &redirect_uri, verifier.expose())?;
    let mut locked = credentials.lock()?;
    let before = locked.login(&url).ok();
    let granted = login.scope.clone();
    locked.keep(&url, login)?;
    drop(locked);
    // One login for each server: the one before would only lie around.
    if let Some(before) = before {
        let _ = oauth::revoke(&http, &url, &before);
    }
    format.done(&format!("Logged in at {url}, for: {}", printable(&granted)))
}

/// The code of an answer that is this server's own.
fn check<'a>(
    answer: &'a std::collections::BTreeMap<String, String>,
    metadata: &Metadata,
    url: &IssuerUrl,
) -> Result<&'a str, Failure> {
    // Another server's answer may be an attempt to have its code, or ours, sent to the wrong place (RFC 9207 §2.4).
    match answer.get("iss") {
        Some(issuer) if issuer != url.as_str() => fail!("the answer is of {issuer:?}, not of {url}"),
        None if metadata.authorization_response_iss_parameter_supported => {
            fail!("the answer does not say which server it is of")
        }
        _ => {}
    }
    match (answer.get("code"), answer.get("error")) {
        (Some(code), None) => Ok(code),
        (None, Some(error)) => {
            let why = answer.get("error_description").map_or_else(String::new, |why| format!(": {}", printable(why)));
            Err(Failure::Unauthorized(format!("the login was refused: {}{why}", printable(error))))
        }
        _ => fail!("the server's answer has no code"),
    }
}

/// Forgets the login in any case: where the server cannot be reached, it ends by itself.
pub(crate) fn log_out(to: &Server, format: Format) -> Result<ExitCode, Failure> {
    let (url, http) = server(to)?;
    let credentials = Credentials::open()?;
    let mut locked = credentials.lock()?;
    let login = locked.login(&url)?;
    locked.forget(&url)?;
    drop(locked);
    match oauth::revoke(&http, &url, &login) {
        Ok(()) => format.done(&format!("Logged out at {url}")),
        Err(Failure::Unreachable(error)) => Err(Failure::Unreachable(
            error.context("the login is forgotten here, but not revoked: an administrator can revoke its grant"),
        )),
        Err(other) => Err(other),
    }
}

/// `whoami`: what the token says, once the server has shown that it believes it.
pub(crate) async fn who_am_i(api: &Api, format: Format) -> Result<ExitCode, Failure> {
    let mut me = Object::new();
    let mut set = |name: &str, value: Value| me.insert(name.to_owned(), value);
    let remote = match api.transport() {
        Transport::Local(local) => {
            set("operator", json!(true));
            set("database", json!(local.database()));
            return format.one(&me);
        }
        Transport::Remote(remote) => remote,
    };
    // A token without this scope is good all the same.
    match api.get(&Target::new(&["status"])).await {
        Err(Failure::Refused(problem)) if problem.status == http::StatusCode::FORBIDDEN => {}
        other => drop(other?),
    }
    let claims = claims(&remote.token()?).unwrap_or_default();
    let subject = text(&claims, "sub");
    set("url", json!(remote.url().as_str()));
    set("client_id", json!(text(&claims, "client_id")));
    set("sub", json!(subject));
    // Who may not read accounts does without the name.
    if let Ok(user) = api.get(&Target::new(&["users", subject])).await {
        set("username", json!(text(&user, "username")));
        set("admin", user.get("admin").cloned().unwrap_or_default());
    }
    set("scope", json!(text(&claims, "scope")));
    if let Some(end) =
        claims.get("exp").and_then(Value::as_i64).and_then(|end| chrono::DateTime::from_timestamp(end, 0))
    {
        set("expires_at", json!(end.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
    }
    format.one(&me)
}

/// The claims of an access token (RFC 9068), for show.
fn claims(token: &str) -> Option<Object> {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let payload = Base64UrlUnpadded::decode_vec(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}
