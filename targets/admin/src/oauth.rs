//! The few requests of OAuth that a command line makes as a public client.

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use chrono::Utc;
use http::{Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    credentials::{IssuerUrl, Login, is_secure},
    failure::{Failure, Problem, fail},
    http_client::HttpClient,
};

/// The public client that every Authly has for this program.
pub(crate) const CLIENT_ID: &str = "authly-admin";

/// What is needed of a server's metadata (RFC 8414 §2).
#[derive(Deserialize)]
pub(crate) struct Metadata {
    issuer: String,
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: String,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    pub(crate) authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    token_type: String,
    expires_in: i64,
    refresh_token: Option<String>,
    scope: Option<String>,
}

/// Reads the metadata of the server (RFC 8414 §3), and refuses what is another's.
pub(crate) fn discover(http: &HttpClient, url: &IssuerUrl) -> Result<Metadata, Failure> {
    let metadata: Metadata = read(&http.get(&url.metadata())?)?;
    if metadata.issuer != url.as_str() {
        fail!("the server calls itself {:?} and not {url:?}: give --url as its ISSUER_URL says", metadata.issuer);
    }
    let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint];
    if let Some(endpoint) = endpoints.into_iter().chain(&metadata.revocation_endpoint).find(|url| !is_secure(url)) {
        fail!("the server's endpoint {endpoint} is not https");
    }
    if !metadata.code_challenge_methods_supported.iter().any(|method| method == "S256") {
        fail!("the server does not know PKCE with S256");
    }
    Ok(metadata)
}

/// Exchanges a code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub(crate) fn redeem(
    http: &HttpClient,
    metadata: &Metadata,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
) -> Result<Login, Failure> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("client_id", CLIENT_ID),
        ("code_verifier", verifier),
    ];
    login(read(&http.post_form(&metadata.token_endpoint, &fields)?)?, None)
}

/// Takes new tokens for a refresh token (RFC 6749 §6).
pub(crate) fn refresh(http: &HttpClient, url: &IssuerUrl, login_before: &Login) -> Result<Login, Failure> {
    let ended = || Failure::Unauthorized(format!("the login has ended: authly-admin login --url {url}"));
    let refresh_token = login_before.refresh_token.as_deref().ok_or_else(ended)?;
    let metadata = discover(http, url)?;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", CLIENT_ID)];
    let response = http.post_form(&metadata.token_endpoint, &fields)?;
    if matches!(response.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        return Err(ended());
    }
    login(read(&response)?, Some(login_before))
}

/// Revokes a login's grant (RFC 7009).
pub(crate) fn revoke(http: &HttpClient, url: &IssuerUrl, login: &Login) -> Result<(), Failure> {
    let endpoint = discover(http, url)?.revocation_endpoint.context("the server revokes no tokens")?;
    let token = login.refresh_token.as_deref().unwrap_or(&login.access_token);
    let response = http.post_form(&endpoint, &[("token", token), ("client_id", CLIENT_ID)])?;
    if response.status().is_success() { Ok(()) } else { Err(Failure::Refused(Problem::of(&response))) }
}

fn login(tokens: Tokens, before: Option<&Login>) -> Result<Login, Failure> {
    if !tokens.token_type.eq_ignore_ascii_case("bearer") {
        fail!("the server made a token of the unknown type {:?}", tokens.token_type);
    }
    Ok(Login {
        access_token: tokens.access_token,
        expires_at: Utc::now().timestamp().saturating_add(tokens.expires_in),
        refresh_token: tokens.refresh_token.or_else(|| before?.refresh_token.clone()),
        scope: tokens.scope.or_else(|| Some(before?.scope.clone())).unwrap_or_default(),
    })
}

fn read<T: DeserializeOwned>(response: &Response<Bytes>) -> Result<T, Failure> {
    if !response.status().is_success() {
        return Err(Failure::Refused(Problem::of(response)));
    }
    let text = serde_json::from_slice(response.body());
    text.map_err(|error| Failure::Other(anyhow!(error).context("the server's answer is not what OAuth says")))
}
