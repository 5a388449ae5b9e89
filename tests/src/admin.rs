//! An operator's program: it calls the admin API, and holds every answer against the API's description.

use std::fmt::Display;

use authly_core::model::Scopes;
use chrono::{DateTime, Utc};
use http::{Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::RequestBuilder;
use serde_json::Value;

use crate::{
    http::{Reply, RequestExt as _},
    openapi::Document,
    target::{App, Target},
};

/// Every scope of the admin API.
pub const SCOPES: [&str; 8] = [
    "admin:clients:read",
    "admin:clients:write",
    "admin:scopes:read",
    "admin:scopes:write",
    "admin:users:read",
    "admin:users:write",
    "admin:system:read",
    "admin:system:write",
];

/// All that is not unreserved (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as a part of a path.
pub fn path_part(value: impl Display) -> String {
    utf8_percent_encode(&value.to_string(), RESERVED).to_string()
}

/// A time in an answer (RFC 3339).
#[track_caller]
pub fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no time"))
}

/// A caller of the admin API.
pub struct Operator<'a> {
    target: &'a Target,
    /// Its access token.
    pub token: String,
    /// The client that it is.
    pub app: App,
}

/// A client that may ask for these scopes.
pub async fn client(target: &Target, scopes: &[&str]) -> App {
    for scope in scopes {
        target.scope_named(scope).await;
    }
    target.confidential_with(|client| client.scopes = Scopes::parse(&scopes.join(" ")).expect("scopes")).await
}

impl<'a> Operator<'a> {
    /// A client that acts for itself, with every scope.
    pub async fn new(target: &'a Target) -> Self {
        Self::with(target, &SCOPES).await
    }

    /// The same with these scopes only.
    pub async fn with(target: &'a Target, scopes: &[&str]) -> Self {
        let app = client(target, scopes).await;
        let grant = [("grant_type", "client_credentials"), ("scope", &scopes.join(" "))];
        let token = target.token(&app, &grant).await.expect(200).member("access_token");
        Self { target, token, app }
    }

    /// Whoever has this token.
    #[must_use]
    pub fn bearing(&self, token: &str) -> Self {
        Self { target: self.target, token: token.to_owned(), app: self.app.clone() }
    }

    /// A request below `/admin`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.target
            .request(method, &format!("/admin{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    /// Calls, and checks the answer.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let request = self.request(method.clone(), path);
        let content_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let request = match body {
            Some(body) => request.typed_body(content_type, body.to_string()),
            None => request,
        };
        let reply = request.reply().await;
        Document::get().check(&method, &format!("/admin{path}"), body, &reply);
        reply
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PATCH, as a merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None).await
    }

    /// Every item of a list, page after page.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None;
        for _ in 0..1000 {
            let (page, next) = self.page(path, cursor.as_deref()).await;
            items.extend(page);
            cursor = next;
            if cursor.is_none() {
                return items;
            }
        }
        panic!("the list {path} has no end");
    }

    /// One page of a list, and the cursor of the next.
    pub async fn page(&self, path: &str, cursor: Option<&str>) -> (Vec<Value>, Option<String>) {
        let path = match cursor {
            Some(cursor) => {
                let separator = if path.contains('?') { '&' } else { '?' };
                format!("{path}{separator}cursor={}", path_part(cursor))
            }
            None => path.to_owned(),
        };
        let page = self.get(&path).await.expect(200).json();
        let items = page["items"].as_array().expect("a list").clone();
        (items, page["next_cursor"].as_str().map(str::to_owned))
    }
}

impl Reply {
    /// Asserts a problem (RFC 9457): status, type, and everything that holds for all of them.
    #[track_caller]
    pub fn expect_problem(self, status: u16, name: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], format!("urn:authly:problem:{name}"), "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        for member in ["title", "detail"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {self:?}");
        }
        assert!(body["request_id"].as_str().is_some_and(|id| Some(id) == self.header("x-request-id")), "{self:?}");
        self.expect_no_store()
    }

    /// The same, where it says which member of the body is wrong (RFC 6901).
    #[track_caller]
    pub fn expect_problem_at(self, status: u16, name: &str, pointer: &str) -> Self {
        let reply = self.expect_problem(status, name);
        let errors = reply.json()["errors"].clone();
        let is_named = errors.as_array().into_iter().flatten().any(|error| error["pointer"] == pointer);
        assert!(is_named, "{pointer} is not named: {reply:?}");
        reply
    }
}
