//! Reading requests: parameters, cookies and credentials, strictly.

use std::{borrow::Cow, error::Error};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use cookie::Cookie;
use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use percent_encoding::percent_decode;

use crate::error::ProtocolError;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// The longest path with query, in bytes.
pub const MAX_URI: usize = 16 * 1024;

/// The address of the peer, as the target resolved it: the core never reads forwarding headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub std::net::IpAddr);

/// Reads a whole body of at most [`MAX_BODY`] bytes, for targets whose requests come in pieces. What it fails with is for
/// [`Server::refuse`](crate::Server::refuse).
pub async fn read_body<B>(body: B) -> Result<Bytes, ProtocolError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(body_too_large()),
        Err(_) => Err(ProtocolError::invalid_request("the body could not be read")),
    }
}

pub(crate) fn body_too_large() -> ProtocolError {
    let error = ProtocolError::invalid_request(format!("the body is larger than {MAX_BODY} bytes"));
    error.with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// Parameters in `application/x-www-form-urlencoded`.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Decodes strictly: invalid UTF-8 and NUL are refused, where a lenient parser would put other characters in
    /// their place and hand on something that nobody sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let decode = |part: &[u8]| -> Result<String, ProtocolError> {
            let plus_is_space: Cow<'_, [u8]> = if part.contains(&b'+') {
                part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect::<Vec<_>>().into()
            } else {
                part.into()
            };
            let text = String::from_utf8(percent_decode(&plus_is_space).collect())
                .map_err(|_| ProtocolError::invalid_request("a parameter is not valid UTF-8"))?;
            if text.contains('\0') {
                return Err(ProtocolError::invalid_request("a parameter contains a NUL character"));
            }
            Ok(text)
        };
        let pairs = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((pair, &[][..]), |index| (&pair[..index], &pair[index + 1..]));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// The parameters of the query.
    pub fn from_query(request: &Request<Bytes>) -> Result<Self, ProtocolError> {
        Self::parse(request.uri().query().unwrap_or_default().as_bytes())
    }

    /// The parameters of the body, which must be a form.
    pub fn from_form(request: &Request<Bytes>) -> Result<Self, ProtocolError> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|text| text.split(';').next()).map(str::trim);
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
            let error = ProtocolError::invalid_request("the content type must be application/x-www-form-urlencoded");
            return Err(error.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        Self::parse(request.body())
    }

    /// A parameter; sent empty is as if not sent, and sent twice is an error (RFC 6749 §3.1, §3.2).
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, ProtocolError> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(ProtocolError::invalid_request(format!("the parameter {name} was sent more than once")));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// A parameter that must be there.
    pub fn require(&self, name: &'static str) -> Result<&str, ProtocolError> {
        self.get(name)?
            .ok_or_else(|| ProtocolError::invalid_request(format!("the parameter {name} is missing or empty")))
    }

    /// Every value of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The name of a parameter that was sent empty.
    pub fn empty(&self) -> Option<&str> {
        self.0.iter().find(|(_, value)| value.is_empty()).map(|(name, _)| name.as_str())
    }

    /// A parameter that is none of these.
    pub fn other_than(&self, known: &[&str]) -> Option<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).find(|name| !known.contains(name))
    }

    /// The same parameters with one of another value.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let others = self.0.iter().filter(|(key, _)| key != name).cloned();
        Self(others.chain([(name.to_owned(), value.to_owned())]).collect())
    }

    /// The same parameters, encoded.
    pub fn encode(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .and_then(|cookie| cookie.value_raw())
}

/// The credentials of the Basic scheme, which for a client are form-encoded within (RFC 6749 §2.3.1).
pub fn basic_credentials(headers: &HeaderMap) -> Result<Option<(String, String)>, ProtocolError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let failed = ProtocolError::invalid_client;
    let (scheme, encoded) = value.to_str().map_err(|_| failed())?.split_once(' ').ok_or_else(failed)?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(failed());
    }
    let decoded = Base64::decode_vec(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(failed)?;
    let (user, password) = decoded.split_once(':').ok_or_else(failed)?;
    let form_decode = |part: &str| {
        let parameters =
            Parameters::parse(format!("p={}", part.replace('&', "%26")).as_bytes()).map_err(|_| failed())?;
        Ok(parameters.all("p").next().unwrap_or_default().to_owned())
    };
    Ok(Some((form_decode(user)?, form_decode(password)?)))
}

/// The token of the Bearer scheme (RFC 6750 §2.1). There is no other way in: not a form, not a query.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_strictly() {
        let form = Parameters::parse(b"a=1+2%263&b=&c&d=x&d=y&%C3%A9=%E2%82%AC").expect("valid");
        assert_eq!(form.get("a").expect("once"), Some("1 2&3"));
        assert_eq!(form.get("b").expect("once"), None);
        assert_eq!(form.get("c").expect("once"), None);
        assert!(form.get("d").is_err());
        assert_eq!(form.all("d").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(form.get("é").expect("once"), Some("€"));
        assert!(Parameters::parse(b"a=%FF").is_err());
        assert!(Parameters::parse(b"a=%00").is_err());
        assert!(Parameters::parse(b"a=\xFF").is_err());
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        let basic = |text: &str| {
            let mut headers = HeaderMap::new();
            let value = format!("Basic {}", Base64::encode_string(text.as_bytes()));
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header value"));
            basic_credentials(&headers)
        };
        assert_eq!(basic("a%20b:c%3Ad+e").expect("valid"), Some(("a b".to_owned(), "c:d e".to_owned())));
        assert_eq!(basic("a:b:c").expect("valid"), Some(("a".to_owned(), "b:c".to_owned())));
        assert_eq!(basic("a:b&p=c").expect("valid"), Some(("a".to_owned(), "b&p=c".to_owned())));
        assert!(basic("no colon").is_err());
        assert_eq!(basic_credentials(&HeaderMap::new()).expect("none sent"), None);
    }
}
