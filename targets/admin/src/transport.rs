//! The two ways to the admin API.

mod local;
mod remote;

use authly_native::config::environment_variable;
use bytes::Bytes;
use http::{Request, Response};

use self::{local::Local, remote::Remote};
use crate::{arguments::Server, credentials, failure::Failure, http_client::HttpClient, terminal::line_of_stdin};

/// Carries requests whose target is a path below the issuer's, such as `/admin/clients`.
pub(crate) enum Transport {
    /// In this process, on the database.
    Local(Box<Local>),
    /// Over HTTP.
    Remote(Box<Remote>),
}

impl Transport {
    pub(crate) async fn open(server: &Server) -> Result<Self, Failure> {
        let Some(url) = &server.url else {
            if server.token_stdin {
                return Err(Failure::Usage("--token-stdin is for a server: give its --url as well".to_owned()));
            }
            return Local::open().await.map(Box::new).map(Self::Local);
        };
        let url = credentials::IssuerUrl::parse(url)?;
        let http = HttpClient::new(&url, server.ca_file.as_deref())?;
        let token = if server.token_stdin {
            Some(line_of_stdin("the access token")?)
        } else {
            environment_variable("AUTHLY_TOKEN").map_err(|error| Failure::Usage(format!("AUTHLY_TOKEN: {error}")))?
        };
        Remote::open(url, http, token).map(Box::new).map(Self::Remote)
    }

    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        match self {
            Self::Local(local) => local.send(request).await,
            Self::Remote(remote) => remote.send(&request),
        }
    }
}
