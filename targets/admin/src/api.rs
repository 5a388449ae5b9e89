//! The admin API: requests of its contract, and what comes back.

use std::borrow::Cow;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::{
    arguments::Change,
    failure::{Failure, Problem, fail},
    terminal::Progress,
    transport::Transport,
};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// The longest page of a list.
const PAGE: u64 = 200;
/// What may stand in a segment of a path (RFC 3986 §2.3): less than is allowed, and always safe.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The target of a request: a path below `/admin`, and a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    path: String,
    query: Vec<(Cow<'static, str>, String)>,
}

impl Target {
    /// `/admin/…`, each segment percent-encoded.
    pub(crate) fn new(segments: &[&str]) -> Self {
        let segments = segments.iter().map(|segment| format!("/{}", utf8_percent_encode(segment, SEGMENT)));
        Self { path: format!("/admin{}", segments.collect::<String>()), query: Vec::new() }
    }

    /// With a parameter, where it has a value.
    pub(crate) fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (Cow::Borrowed(name), value.to_string())));
        self
    }

    fn changing(self, change: Change) -> Self {
        self.with("dry_run", change.dry_run.then_some(true))
    }

    fn uri(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        format!("{}?{query}", self.path)
    }
}

/// The admin API of one server.
pub(crate) struct Api {
    transport: Transport,
}

impl Api {
    pub(crate) fn new(transport: Transport) -> Self {
        Self { transport }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// GET of one thing.
    pub(crate) async fn get(&self, target: &Target) -> Result<Object, Failure> {
        object(&self.send(Method::GET, &target.uri(), None).await?)
    }

    /// POST.
    pub(crate) async fn post(&self, target: Target, body: Object, change: Change) -> Result<Object, Failure> {
        object(&self.send(Method::POST, &target.changing(change).uri(), Some(body)).await?)
    }

    /// POST that is answered without a body.
    pub(crate) async fn order(&self, target: Target, change: Change) -> Result<(), Failure> {
        self.send(Method::POST, &target.changing(change).uri(), Some(Object::new())).await.map(drop)
    }

    /// PATCH with the members that are to be different.
    pub(crate) async fn patch(&self, target: Target, body: Object, change: Change) -> Result<Object, Failure> {
        object(&self.send(Method::PATCH, &target.changing(change).uri(), Some(body)).await?)
    }

    /// DELETE.
    pub(crate) async fn delete(&self, target: Target, change: Change) -> Result<(), Failure> {
        self.send(Method::DELETE, &target.changing(change).uri(), None).await.map(drop)
    }

    /// GET of a list that comes as a whole.
    pub(crate) async fn all(&self, target: &Target) -> Result<Vec<Object>, Failure> {
        items(&mut self.get(target).await?)
    }

    /// GET of a list, page by page, up to so many items.
    pub(crate) async fn list(&self, target: &Target, limit: Option<u64>) -> Result<Vec<Object>, Failure> {
        let progress = Progress::counting("read");
        let mut read: Vec<Object> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let left = limit.map_or(PAGE, |limit| limit.saturating_sub(read.len() as u64));
            let page = target.clone().with("limit", Some(left.min(PAGE))).with("cursor", cursor.as_deref());
            let mut page = self.get(&page).await?;
            read.append(&mut items(&mut page)?);
            progress.set(read.len() as u64);
            let next = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() || limit.is_some_and(|limit| read.len() as u64 >= limit) {
                return Ok(read);
            }
            if next == cursor {
                fail!("the server's list does not go on after {} items", read.len());
            }
            cursor = next;
        }
    }

    /// GET of records in lines of JSON (NDJSON), and where the next ones are.
    pub(crate) async fn lines(&self, target: &Target) -> Result<(Bytes, Option<Target>), Failure> {
        let request = Request::get(target.uri()).header(header::ACCEPT, "application/x-ndjson");
        let request = request.body(Bytes::new()).map_err(|error| anyhow!(error))?;
        let response = check(self.transport.send(request).await?)?;
        let link = response.headers().get(header::LINK).and_then(|value| value.to_str().ok());
        let next = link.and_then(next_query).map(|query| Target { path: target.path.clone(), query });
        Ok((response.body().clone(), next))
    }

    async fn send(&self, method: Method, uri: &str, body: Option<Object>) -> Result<Response<Bytes>, Failure> {
        let mut request = Request::builder().method(&method).uri(uri).header(header::ACCEPT, "application/json");
        if body.is_some() {
            let is_patch = method == Method::PATCH;
            let content_type = if is_patch { "application/merge-patch+json" } else { "application/json" };
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = body.map(|body| Value::Object(body).to_string()).unwrap_or_default();
        let request = request.body(body.into()).map_err(|error| anyhow!(error))?;
        check(self.transport.send(request).await?)
    }
}

fn check(response: Response<Bytes>) -> Result<Response<Bytes>, Failure> {
    if response.status().is_success() { Ok(response) } else { Err(Failure::Refused(Problem::of(&response))) }
}

fn items(page: &mut Object) -> Result<Vec<Object>, Failure> {
    let Some(Value::Array(items)) = page.remove("items") else {
        fail!("the server's list has no items; is it of another version?");
    };
    let object = |item| if let Value::Object(item) = item { Some(item) } else { None };
    Ok(items.into_iter().filter_map(object).collect())
}

fn object(response: &Response<Bytes>) -> Result<Object, Failure> {
    if response.status() == StatusCode::NO_CONTENT {
        return Ok(Object::new());
    }
    let object = serde_json::from_slice(response.body());
    Ok(object.context("the server's answer is not what the admin API says; is there an Authly at this address?")?)
}

/// The query of the target of a link to the next page (RFC 8288). Only that: where to send it is known already.
fn next_query(link: &str) -> Option<Vec<(Cow<'static, str>, String)>> {
    let next = link.split(',').find(|link| link.contains("rel=\"next\"") || link.contains("rel=next"))?;
    let target = next.split_once('<')?.1.split_once('>')?.0;
    let query = form_urlencoded::parse(target.split_once('?')?.1.as_bytes());
    Some(query.map(|(name, value)| (Cow::Owned(name.into_owned()), value.into_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_and_parameters_are_encoded() {
        let target = Target::new(&["clients", "a/b c?%é"]).with("q", Some("x&y=z")).with("active", None::<bool>);
        assert_eq!(target.uri(), "/admin/clients/a%2Fb%20c%3F%25%C3%A9?q=x%26y%3Dz");
        assert_eq!(Target::new(&["status"]).uri(), "/admin/status");
    }

    #[test]
    fn the_next_page_is_found_in_its_link() {
        let link = "<https://a.example/admin/audit-log?limit=2&cursor=c%3D>; rel=\"next\"";
        let expected = vec![("limit".into(), "2".to_owned()), ("cursor".into(), "c=".to_owned())];
        assert_eq!(next_query(link), Some(expected));
        assert_eq!(next_query("<https://a.example/x?y>; rel=\"prev\""), None);
        assert_eq!(next_query("<https://a.example/x>; rel=\"next\""), None);
    }
}
