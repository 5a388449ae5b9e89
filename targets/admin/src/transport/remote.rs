//! Over HTTP, with an access token.

use anyhow::Context as _;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};

use crate::{
    credentials::{Credentials, IssuerUrl, Login},
    failure::Failure,
    http_client::HttpClient,
    oauth,
};

/// A server elsewhere.
pub(crate) struct Remote {
    url: IssuerUrl,
    http: HttpClient,
    bearer: Bearer,
}

/// Where access tokens come from.
enum Bearer {
    /// It was given to us, and when it ends, that is that.
    Given(String),
    /// `authly-admin login`.
    Login(Credentials),
}

impl Remote {
    pub(crate) fn open(url: IssuerUrl, http: HttpClient, token: Option<String>) -> Result<Self, Failure> {
        let bearer = match token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()) {
            Some(token) => Bearer::Given(token),
            None => Bearer::Login(Credentials::open()?),
        };
        Ok(Self { url, http, bearer })
    }

    pub(crate) fn url(&self) -> &IssuerUrl {
        &self.url
    }

    /// The access token that the next request would carry.
    pub(crate) fn token(&self) -> Result<String, Failure> {
        match &self.bearer {
            Bearer::Given(token) => Ok(token.clone()),
            Bearer::Login(credentials) => {
                let login = credentials.login(&self.url)?;
                if login.is_fresh() { Ok(login.access_token) } else { self.refresh(credentials, &login) }
            }
        }
    }

    pub(crate) fn send(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let token = self.token()?;
        let response = self.send_as(&token, request)?;
        let Bearer::Login(credentials) = &self.bearer else {
            return Ok(response);
        };
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        // It was good until something happened at the server: the signing keys were withdrawn, say.
        let login = credentials.login(&self.url)?;
        if login.access_token == token {
            let token = self.refresh(credentials, &login)?;
            return self.send_as(&token, request);
        }
        self.send_as(&login.access_token, request)
    }

    fn send_as(&self, token: &str, request: &Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let mut request = request.clone();
        let target = format!("{}{}", self.url, request.uri());
        *request.uri_mut() = target.parse().with_context(|| format!("{target} is no valid address"))?;
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Failure::Usage("the access token has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
        self.http.send(request)
    }

    /// Replaces a token that is of no more use. Of several commands at once one does so, and the others use what it got:
    /// a refresh token is good for one use.
    fn refresh(&self, credentials: &Credentials, stale: &Login) -> Result<String, Failure> {
        let mut locked = credentials.lock()?;
        let login = locked.login(&self.url)?;
        if login.access_token != stale.access_token && login.is_fresh() {
            return Ok(login.access_token);
        }
        match oauth::refresh(&self.http, &self.url, &login) {
            Ok(next) => {
                let token = next.access_token.clone();
                locked.keep(&self.url, next)?;
                Ok(token)
            }
            Err(Failure::Unauthorized(reason)) => {
                locked.forget(&self.url)?;
                Err(Failure::Unauthorized(reason))
            }
            Err(other) => Err(other),
        }
    }
}
