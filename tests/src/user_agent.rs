//! A browser, as far as an authorization server needs one: cookies, redirects within the server, and forms.

use std::collections::BTreeMap;

use cookie::Cookie;
use http::{Method, header};
use reqwest::RequestBuilder;
use url::Url;

use crate::{
    http::{Form, Reply, RequestExt as _, parameters},
    target::{Ask, Person, Target},
};

/// Where a browser comes to a halt.
#[derive(Clone, Debug)]
pub enum Landing {
    /// On a page of the server.
    Page(Box<Reply>),
    /// At a client's redirect URI.
    Client(Url),
}

impl Landing {
    /// The page.
    #[track_caller]
    pub fn page(self) -> Reply {
        match self {
            Self::Page(reply) => *reply,
            Self::Client(url) => panic!("sent to {url} instead of a page"),
        }
    }

    /// The address at the client.
    #[track_caller]
    pub fn client(self) -> Url {
        match self {
            Self::Client(url) => url,
            Self::Page(reply) => panic!("not sent to the client but shown {reply:?}"),
        }
    }

    /// What the client was told.
    #[track_caller]
    pub fn answer(self) -> BTreeMap<String, String> {
        parameters(&self.client())
    }
}

/// A browser with its cookies.
pub struct UserAgent<'a> {
    target: &'a Target,
    cookies: BTreeMap<String, String>,
}

impl<'a> UserAgent<'a> {
    /// One without cookies.
    pub fn new(target: &'a Target) -> Self {
        Self { target, cookies: BTreeMap::new() }
    }

    /// The cookies it has.
    pub fn cookies(&self) -> &BTreeMap<String, String> {
        &self.cookies
    }

    /// Plants or replaces a cookie.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The name and value of the session cookie, if it is logged in.
    pub fn session(&self) -> Option<(&str, &str)> {
        let mut cookies = self.cookies.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        cookies.find(|(name, _)| name.ends_with("authly_session"))
    }

    fn absolute(&self, url: &str) -> Url {
        let base = Url::parse(&self.target.url("/")).expect("a base URL");
        let url = base.join(url).expect("a URL");
        // The issuer's own address leads here, whatever name it has in the world.
        let issuer = Url::parse(self.target.issuer()).expect("an issuer is a URL");
        if url.origin() == issuer.origin() {
            let here = format!("{}{}", self.target.base(), &url[url::Position::BeforePath..]);
            return Url::parse(&here).expect("a URL");
        }
        url
    }

    /// Sends any request with its cookies, and keeps those of the reply.
    pub async fn send(&mut self, request: RequestBuilder) -> Reply {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) };
        let reply = request.reply().await;
        for value in reply.header_values("set-cookie") {
            let cookie = Cookie::parse(value.to_owned()).expect("a well-formed cookie");
            if cookie.max_age().is_some_and(cookie::time::Duration::is_zero) {
                self.cookies.remove(cookie.name());
            } else {
                self.cookies.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
        reply
    }

    /// GET, without following a redirect. A path is below the server's root.
    pub async fn get(&mut self, url: &str) -> Reply {
        let url = self.absolute(url);
        self.send(self.target.request_url(Method::GET, url.as_str())).await
    }

    /// GET, and on until a page is shown or a client is reached.
    pub async fn open(&mut self, url: &str) -> Landing {
        let reply = self.get(url).await;
        self.follow(reply).await
    }

    /// Follows redirects within the server.
    pub async fn follow(&mut self, mut reply: Reply) -> Landing {
        for _ in 0..5 {
            if reply.header("location").is_none() {
                return Landing::Page(Box::new(reply));
            }
            assert_eq!(reply.status, 303, "after POST and everywhere else: {reply:?}");
            let url = self.absolute(reply.location().as_str());
            if !url.as_str().starts_with(&self.target.url("/")) {
                return Landing::Client(url);
            }
            reply = self.get(url.as_str()).await;
        }
        panic!("redirects in a circle: {reply:?}");
    }

    /// Sends a form, without following a redirect.
    pub async fn submit(&mut self, form: &Form) -> Reply {
        assert_eq!(form.method, "post", "{form:?}");
        let url = self.absolute(&form.action);
        let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.send(self.target.request_url(Method::POST, url.as_str()).form_body(&fields)).await
    }

    /// Sends a form, and follows.
    pub async fn submit_and_follow(&mut self, form: &Form) -> Landing {
        let reply = self.submit(form).await;
        self.follow(reply).await
    }

    /// The login form.
    pub async fn login_form(&mut self) -> Form {
        let path = format!("{}/login", self.target.issuer_path());
        self.get(&path).await.expect(200).form()
    }

    /// Logs in, from the login page.
    pub async fn log_in(&mut self, person: &Person) {
        let form = self.login_form().await;
        let reply = self.submit(&fill(form, person)).await;
        assert_eq!(reply.status, 303, "{reply:?}");
        assert!(self.session().is_some(), "{reply:?}");
    }

    /// Brings an authorization request, and goes where it leads.
    pub async fn authorize(&mut self, ask: &Ask) -> Landing {
        let url = format!("{}{}", self.target.issuer_path(), ask.path());
        self.open(&url).await
    }

    /// Presses a button of the consent page: `allow` or `deny`.
    pub async fn decide(&mut self, page: &Reply, decision: &str) -> Landing {
        let form = page.form();
        assert!(form.buttons.contains(&("decision".to_owned(), decision.to_owned())), "no {decision}: {form:?}");
        self.submit_and_follow(&form.fill("decision", decision)).await
    }

    /// Brings an authorization request, allows what it asks for, and returns what the client is told.
    pub async fn approve(&mut self, ask: &Ask) -> BTreeMap<String, String> {
        match self.authorize(ask).await {
            Landing::Client(url) => parameters(&url),
            Landing::Page(page) => self.decide(&page, "allow").await.answer(),
        }
    }

    /// The same, for the code.
    pub async fn code(&mut self, ask: &Ask) -> String {
        let mut answer = self.approve(ask).await;
        answer.remove("code").unwrap_or_else(|| panic!("no code: {answer:?}"))
    }
}

/// The login form with a person's name and password.
pub fn fill(form: Form, person: &Person) -> Form {
    form.fill("username", &person.username).fill("password", &person.password)
}
