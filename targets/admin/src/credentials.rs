//! Logins, kept in a file that nobody else can read.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use authly_native::data::private_directory;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::failure::Failure;

const FILE: &str = "credentials.json";
const LOCK: &str = "credentials.lock";
/// In seconds: a token that ends sooner might do so on its way.
const MARGIN: i64 = 30;

/// The URL of an issuer, as the server writes it itself: without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerUrl {
    text: String,
    url: Url,
}

impl IssuerUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::Usage(format!("--url {text}: {what}"));
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if !is_secure(text) {
            return Err(wrong("it must be https, or http on a loopback address: it carries credentials"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must be an issuer's URL, without user, query or fragment"));
        }
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), url })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Where its metadata is: the well-known path goes before its own (RFC 8414 §3.1).
    pub(crate) fn metadata(&self) -> String {
        let mut url = self.url.clone();
        let path = format!("/.well-known/oauth-authorization-server{}", self.url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.into()
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether credentials may be sent there.
pub(crate) fn is_secure(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(&url),
        _ => false,
    })
}

/// What `login` got.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Login {
    pub(crate) access_token: String,
    /// In seconds since 1970.
    pub(crate) expires_at: i64,
    #[serde(default)]
    pub(crate) refresh_token: Option<String>,
    pub(crate) scope: String,
}

impl Login {
    pub(crate) fn is_fresh(&self) -> bool {
        Utc::now().timestamp() + MARGIN < self.expires_at
    }
}

type Logins = BTreeMap<String, Login>;

/// `$XDG_CONFIG_HOME/authly/credentials.json`.
pub(crate) struct Credentials {
    directory: PathBuf,
}

/// The same while no other command changes it.
pub(crate) struct Locked<'a> {
    credentials: &'a Credentials,
    logins: Logins,
    /// Locked until it is closed.
    _lock: fs::File,
}

impl Credentials {
    /// Finds the place. Nothing is read or made yet.
    pub(crate) fn open() -> Result<Self, Failure> {
        let configured = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = configured.or_else(|| Some(std::env::home_dir()?.join(".config")));
        let base = base.context("neither XDG_CONFIG_HOME nor HOME says where logins are kept")?;
        Ok(Self { directory: base.join("authly") })
    }

    /// The login at this server.
    pub(crate) fn login(&self, url: &IssuerUrl) -> Result<Login, Failure> {
        find(&self.read()?, url)
    }

    /// Waits until no other command changes the file.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, Failure> {
        let here = || format!("cannot use {}", self.directory.display());
        private_directory(&self.directory).with_context(here)?;
        check_permissions(&self.directory)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(self.directory.join(LOCK)).with_context(here)?;
        lock.lock().with_context(here)?;
        Ok(Locked { credentials: self, logins: self.read()?, _lock: lock })
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn read(&self) -> Result<Logins, Failure> {
        let path = self.path();
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Logins::new()),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        check_permissions(&self.directory)?;
        check_permissions(&path)?;
        let logins = serde_json::from_slice(&text);
        Ok(logins.with_context(|| format!("{} is damaged; remove it, and log in again", path.display()))?)
    }
}

impl Locked<'_> {
    pub(crate) fn login(&self, url: &IssuerUrl) -> Result<Login, Failure> {
        find(&self.logins, url)
    }

    pub(crate) fn keep(&mut self, url: &IssuerUrl, login: Login) -> Result<(), Failure> {
        self.logins.insert(url.as_str().to_owned(), login);
        self.write()
    }

    pub(crate) fn forget(&mut self, url: &IssuerUrl) -> Result<(), Failure> {
        self.logins.remove(url.as_str());
        self.write()
    }

    /// Replaces the file as a whole: who reads it meanwhile sees the old one or the new one.
    fn write(&self) -> Result<(), Failure> {
        let path = self.credentials.path();
        let write = || -> anyhow::Result<()> {
            // Temporary files are private from the start.
            let mut file = tempfile::NamedTempFile::new_in(&self.credentials.directory)?;
            serde_json::to_writer_pretty(&mut file, &self.logins)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        Ok(write().with_context(|| format!("cannot write {}", path.display()))?)
    }
}

fn find(logins: &Logins, url: &IssuerUrl) -> Result<Login, Failure> {
    let login = logins.get(url.as_str()).cloned();
    login.ok_or_else(|| {
        let how = format!("authly-admin login --url {url} (machines: AUTHLY_TOKEN or --token-stdin)");
        Failure::Unauthorized(format!("nobody is logged in at {url}: {how}"))
    })
}

/// Refuses what others could have read or changed.
#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = path.display();
    let mode = fs::metadata(path).with_context(|| format!("cannot look at {shown}"))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::Other(anyhow!(
        "{shown} is open to others (mode {mode:o}): chmod go= {shown}; if others use this machine, log out and in again"
    )))
}

#[cfg(not(unix))]
fn check_permissions(_path: &Path) -> Result<(), Failure> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_safe_places_only() {
        for good in ["https://auth.example.com", "http://127.0.0.1:8000", "http://[::1]:1/", "http://localhost:1/auth"]
        {
            assert!(IssuerUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://auth.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://user:password@auth.example.com",
            "https://auth.example.com/?a=b",
            "https://auth.example.com/#a",
            "file:///etc/passwd",
            "auth.example.com",
            "",
        ] {
            assert!(matches!(IssuerUrl::parse(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn metadata_is_before_the_path_of_the_issuer() {
        let metadata = |url| IssuerUrl::parse(url).expect("a URL").metadata();
        let well_known = "https://a.example/.well-known/oauth-authorization-server";
        assert_eq!(metadata("https://a.example/"), well_known);
        assert_eq!(metadata("https://a.example/auth/"), format!("{well_known}/auth"));
        assert_eq!(IssuerUrl::parse("https://a.example/auth/").expect("a URL").as_str(), "https://a.example/auth");
    }
}
