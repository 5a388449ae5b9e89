//! Requests and replies, with words for what the tests ask of them.

use std::collections::BTreeMap;

use authly_core::model::Scopes;
use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::{HeaderMap, header};
use reqwest::RequestBuilder;
use serde_json::Value;
use url::{Url, form_urlencoded};

/// A reply, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The URL that was asked.
    pub url: Url,
}

/// Encodes parameters as a form does.
pub fn encode<N: AsRef<str>, V: AsRef<str>>(parameters: impl IntoIterator<Item = (N, V)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// What [`RequestBuilder`] lacks.
pub trait RequestExt: Sized {
    /// A form as the body.
    fn form_body(self, parameters: &[(&str, &str)]) -> Self;
    /// Any bytes as the body, of this type.
    fn typed_body(self, content_type: &str, body: impl Into<Bytes>) -> Self;
    /// Client authentication by `client_secret_basic`: encoded as a form within (RFC 6749 §2.3.1).
    fn client_basic(self, client_id: &str, secret: &str) -> Self;
    /// Sends it.
    fn reply(self) -> impl Future<Output = Reply> + Send;
    /// Sends it, where a failed connection is one of the things that may happen.
    fn try_reply(self) -> impl Future<Output = Result<Reply, reqwest::Error>> + Send;
}

impl RequestExt for RequestBuilder {
    fn form_body(self, parameters: &[(&str, &str)]) -> Self {
        self.typed_body("application/x-www-form-urlencoded", encode(parameters.iter().copied()))
    }

    fn typed_body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.header(header::CONTENT_TYPE, content_type).body(body.into())
    }

    fn client_basic(self, client_id: &str, secret: &str) -> Self {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = format!("{}:{}", encoded(client_id), encoded(secret));
        self.header(header::AUTHORIZATION, format!("Basic {}", Base64::encode_string(credentials.as_bytes())))
    }

    async fn reply(self) -> Reply {
        self.try_reply().await.expect("the server answers")
    }

    async fn try_reply(self) -> Result<Reply, reqwest::Error> {
        let response = self.send().await?;
        let (status, headers, url) = (response.status().as_u16(), response.headers().clone(), response.url().clone());
        Ok(Reply { status, headers, body: response.bytes().await?, url })
    }
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("every body of this server is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        assert!(self.header("content-type").is_some_and(|it| it.contains("json")), "not JSON: {self:?}");
        serde_json::from_slice(&self.body).expect("valid JSON")
    }

    /// A member of the JSON body that is a string.
    pub fn member(&self, name: &str) -> String {
        match self.json().get(name).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("no {name} in {self:?}"),
        }
    }

    /// A header; `None` where it is not there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("readable header values"))
    }

    /// All values of a header.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("readable header values")).collect()
    }

    /// Where it redirects to, as an absolute URL.
    pub fn location(&self) -> Url {
        let Some(location) = self.header("location") else { panic!("no redirect: {self:?}") };
        self.url.join(location).expect("a valid location")
    }

    /// Asserts the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts an error for a program: status, code, and everything that holds for all of them (RFC 6749 §5.2).
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        assert_eq!(body["error"], code, "{self:?}");
        let description = body["error_description"].as_str().expect("a description for the developer");
        let legal = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
        assert!(!description.is_empty() && description.chars().all(legal), "{description:?}");
        assert!(body["request_id"].as_str().is_some_and(|id| Some(id) == self.header("x-request-id")), "{self:?}");
        self.expect_no_store()
    }

    /// Asserts an error page for a person: no redirect, and the code somewhere on it.
    #[track_caller]
    pub fn expect_error_page(self, status: u16, code: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.header("location").is_none(), "{self:?}");
        assert!(self.header("content-type").is_some_and(|it| it.starts_with("text/html")), "{self:?}");
        assert!(self.text().contains(code), "{code} is not on {}", self.text());
        self
    }

    /// Asserts that nobody may keep the reply.
    #[track_caller]
    pub fn expect_no_store(self) -> Self {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("pragma"), Some("no-cache"), "{self:?}");
        self
    }

    /// The forms on the page.
    pub fn forms(&self) -> Vec<Form> {
        Form::all(self.text())
    }

    /// The only form on the page.
    #[track_caller]
    pub fn form(&self) -> Form {
        let mut forms = self.forms();
        assert_eq!(forms.len(), 1, "one form on {}", self.text());
        forms.remove(0)
    }
}

/// The parameters of a URL's query, each of which must be there once.
pub fn parameters(url: &Url) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        let before = parameters.insert(name.clone().into_owned(), value.into_owned());
        assert!(before.is_none(), "{name} is repeated in {url}");
    }
    parameters
}

/// A form of a page, as a browser sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent to.
    pub action: String,
    /// How.
    pub method: String,
    /// Its fields, with the values they have now.
    pub fields: Vec<(String, String)>,
    /// Its buttons that have a name, with their values.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Every form of an HTML page.
    pub fn all(html: &str) -> Vec<Self> {
        let selector = |css| scraper::Selector::parse(css).expect("a valid selector");
        let (form, input, button) = (selector("form"), selector("input[name]"), selector("button[name]"));
        let pair = |element: scraper::ElementRef<'_>| {
            let value = |name| element.attr(name).unwrap_or_default().to_owned();
            (value("name"), value("value"))
        };
        let read = |element: scraper::ElementRef<'_>| Self {
            action: element.attr("action").unwrap_or_default().to_owned(),
            method: element.attr("method").unwrap_or("get").to_ascii_lowercase(),
            fields: element.select(&input).map(pair).collect(),
            buttons: element.select(&button).map(pair).collect(),
        };
        scraper::Html::parse_document(html).select(&form).map(read).collect()
    }

    /// The value of a field.
    #[track_caller]
    pub fn value(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        &field.unwrap_or_else(|| panic!("no field {name} in {self:?}")).1
    }

    /// The same form with a field filled in, or with the button of this name pressed.
    #[must_use]
    pub fn fill(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same form without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }
}

/// Sends requests at the same time.
pub async fn in_parallel(requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<Reply> {
    let running: Vec<_> = requests.into_iter().map(|request| tokio::spawn(request.reply())).collect();
    let mut replies = Vec::new();
    for reply in running {
        replies.push(reply.await.expect("every request is answered"));
    }
    replies
}

/// The names of an object's members, in lexical order.
#[track_caller]
pub fn names(object: &Value) -> Vec<&str> {
    let mut names: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// A scope text as a set, since its order means nothing (RFC 6749 §3.3).
pub fn scope_set(text: &str) -> Scopes {
    Scopes::parse(text).expect("a list of scopes")
}
