use std::fmt;

use url::Url;

/// A redirection endpoint (RFC 6749 §3.1.2), kept byte for byte as it was registered or sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUri(String);

/// Why a URI cannot be a redirection endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedirectUri {
    /// Not an absolute URI.
    #[error("it is not an absolute URI")]
    NotAbsolute,
    /// RFC 6749 §3.1.2.
    #[error("it has a fragment")]
    Fragment,
    /// It names a user or password.
    #[error("it has a user name or password")]
    Credentials,
    /// OAuth 2.1 §2.3.1: cleartext only to the person's own machine.
    #[error("http is allowed only for 127.0.0.1, [::1] and localhost; use https")]
    Cleartext,
    /// RFC 8252 §7.1.
    #[error("a private-use scheme is a domain name in reverse, such as com.example.app, so it contains a dot")]
    Scheme,
    /// Longer than any browser would carry.
    #[error("it is longer than {} characters", RedirectUri::MAX_BYTES)]
    TooLong,
}

impl RedirectUri {
    /// The longest URI that can be registered.
    pub const MAX_BYTES: usize = 2000;

    /// Checks a URI that is being registered or asked for.
    pub fn parse(text: &str) -> Result<Self, InvalidRedirectUri> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidRedirectUri::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidRedirectUri::NotAbsolute);
        }
        let url = Url::parse(text).map_err(|_| InvalidRedirectUri::NotAbsolute)?;
        if text.contains('#') {
            return Err(InvalidRedirectUri::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidRedirectUri::Credentials);
        }
        match url.scheme() {
            "https" => {}
            "http" => {
                let host = url.host_str().unwrap_or_default();
                if !matches!(host, "127.0.0.1" | "[::1]" | "localhost") {
                    return Err(InvalidRedirectUri::Cleartext);
                }
            }
            scheme if scheme.contains('.') => {}
            _ => return Err(InvalidRedirectUri::Scheme),
        }
        Ok(Self(text.to_owned()))
    }

    /// One that was registered before, perhaps under other rules.
    pub(crate) fn registered(text: String) -> Self {
        Self(text)
    }

    /// Whether a request for `self` is covered by the registered `other`: the same string or, on a loopback IP
    /// literal, the same but for the port (RFC 8252 §7.3, OAuth 2.1 §8.4.2).
    pub fn matches(&self, registered: &str) -> bool {
        self.0 == registered
            || match (loopback_without_port(&self.0), loopback_without_port(registered)) {
                (Some(asked), Some(registered)) => asked == registered,
                _ => false,
            }
    }

    /// The string itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether no other application can receive what is sent there: an https URI is claimed by whoever owns the
    /// domain, a loopback port or a private-use scheme by whoever comes first (RFC 8252 §8.6).
    pub fn is_claimed_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// What a person can recognise: the host, or the scheme of an application's own.
    pub fn display_host(&self) -> String {
        Url::parse(&self.0).map_or_else(
            |_| self.0.clone(),
            |url| url.host_str().map_or_else(|| format!("{}:", url.scheme()), str::to_owned),
        )
    }

    /// The CSP source expression which lets a form's redirect reach this URI (`form-action`, CSP 3 §6.4.1).
    pub fn csp_source(&self) -> String {
        match Url::parse(&self.0) {
            // CSP's grammar of hosts has no IPv6 literals.
            Ok(url) if matches!(url.host(), Some(url::Host::Domain(_) | url::Host::Ipv4(_))) => {
                url.origin().ascii_serialization()
            }
            Ok(url) => format!("{}:", url.scheme()),
            Err(_) => "'none'".to_owned(),
        }
    }

    /// The URI with further query parameters (RFC 6749 §4.1.2: a query that it already has stays).
    pub fn with_query(&self, parameters: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        let separator = match self.0.find('?') {
            None => "?",
            Some(index) if index + 1 == self.0.len() => "",
            Some(_) => "&",
        };
        format!("{}{separator}{}", self.0, query.finish())
    }
}

/// For `http` on a loopback IP literal: host, and what follows the port.
fn loopback_without_port(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("http://")?;
    let host = ["127.0.0.1", "[::1]"].into_iter().find(|host| rest.starts_with(host))?;
    let rest = &rest[host.len()..];
    let after_port = match rest.strip_prefix(':') {
        None => rest,
        Some(port) => {
            let end = port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len());
            if end == 0 {
                return None;
            }
            &port[end..]
        }
    };
    (after_port.is_empty() || after_port.starts_with(['/', '?'])).then_some((host, after_port))
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_registered() {
        use InvalidRedirectUri::*;
        for (uri, expected) in [
            ("https://app.example/cb", Ok(())),
            ("https://app.example/cb?x=1", Ok(())),
            ("http://127.0.0.1/cb", Ok(())),
            ("http://[::1]:8080/cb", Ok(())),
            ("http://localhost:3000/cb", Ok(())),
            ("com.example.app:/cb", Ok(())),
            ("myapp:/cb", Err(Scheme)),
            ("javascript:alert(1)", Err(Scheme)),
            ("data:text/html,x", Err(Scheme)),
            ("http://app.example/cb", Err(Cleartext)),
            ("http://127.0.0.1.evil.example/cb", Err(Cleartext)),
            ("https://app.example/cb#x", Err(Fragment)),
            ("https://app.example/cb#", Err(Fragment)),
            ("https://user@app.example/cb", Err(Credentials)),
            ("/cb", Err(NotAbsolute)),
            ("https://app.example/a b", Err(NotAbsolute)),
            ("https://app.example/\r\nx: y", Err(NotAbsolute)),
            ("", Err(NotAbsolute)),
        ] {
            assert_eq!(RedirectUri::parse(uri).map(|_| ()), expected, "{uri}");
        }
    }

    #[test]
    fn only_the_port_of_a_loopback_literal_may_differ() {
        for (asked, registered, expected) in [
            ("https://a.example/cb", "https://a.example/cb", true),
            ("https://a.example/cb/", "https://a.example/cb", false),
            ("https://a.example:444/cb", "https://a.example:443/cb", false),
            ("https://A.example/cb", "https://a.example/cb", false),
            ("http://127.0.0.1:49152/cb", "http://127.0.0.1/cb", true),
            ("http://127.0.0.1:49152/cb", "http://127.0.0.1:8000/cb", true),
            ("http://127.0.0.1/cb", "http://127.0.0.1:8000/cb", true),
            ("http://[::1]:5/cb", "http://[::1]:6/cb", true),
            ("http://[::1]:5/cb", "http://127.0.0.1:5/cb", false),
            ("http://127.0.0.1:5/other", "http://127.0.0.1:5/cb", false),
            ("http://127.0.0.1:5/cb?x=1", "http://127.0.0.1:5/cb", false),
            ("http://localhost:5/cb", "http://localhost:6/cb", false),
        ] {
            let asked = RedirectUri::parse(asked).expect("valid");
            assert_eq!(asked.matches(registered), expected, "{asked} against {registered}");
        }
    }

    #[test]
    fn a_query_is_extended_not_replaced() {
        let parameters = [("code", "a b"), ("state", "x&y")];
        for (uri, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=a+b&state=x%26y"),
            ("https://a.example/cb?q=1", "https://a.example/cb?q=1&code=a+b&state=x%26y"),
            ("https://a.example/cb?", "https://a.example/cb?code=a+b&state=x%26y"),
        ] {
            assert_eq!(RedirectUri::parse(uri).expect("valid").with_query(&parameters), expected);
        }
    }
}
