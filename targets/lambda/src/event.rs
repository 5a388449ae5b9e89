//! The JSON of HTTP events, in and out. One structure reads all four kinds: API Gateway's formats 1.0 and 2.0,
//! function URLs (which are 2.0) and load balancers. Not `lambda_http`: it keeps one value only of a header that
//! format 1.0 delivers twice, and panics on a path that is no URI.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

/// What a path cannot contain as it is. Some gateways decode it, and some do not: `%` stays.
const NOT_IN_PATHS: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}');

type Values<T> = Option<BTreeMap<String, T>>;

/// An HTTP request as an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(crate) struct HttpEvent {
    http_method: Option<String>,
    path: Option<String>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    headers: Values<String>,
    multi_value_headers: Values<Vec<String>>,
    query_string_parameters: Values<String>,
    multi_value_query_string_parameters: Values<Vec<String>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    http: Option<Http>,
    identity: Option<Identity>,
    elb: Option<Value>,
    path: Option<String>,
    stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    source_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    source_ip: Option<String>,
}

/// Whoever sent an event, and how the answer must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// API Gateway's format 1.0.
    RestApi,
    /// API Gateway's format 2.0, or a function URL.
    HttpApi,
    /// A load balancer; whether its target group has multi-value headers on.
    LoadBalancer { multi_value: bool },
}

/// The event is none of HTTP, or not well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotHttp;

impl HttpEvent {
    /// Who sent it; `None` where it is not an HTTP request at all.
    pub(crate) fn source(&self) -> Option<Source> {
        if self.request_context.http.is_some() {
            return Some(Source::HttpApi);
        }
        self.http_method.as_ref()?;
        let multi_value = self.multi_value_headers.is_some();
        let is_alb = self.request_context.elb.is_some();
        Some(if is_alb { Source::LoadBalancer { multi_value } } else { Source::RestApi })
    }

    /// The request, and the address that it came from: the gateway's word, never what a client wrote into a header.
    /// `issuer_path` tells whether a stage's name is part of this server's public addresses.
    pub(crate) fn into_request(
        self,
        source: Source,
        issuer_path: &str,
    ) -> Result<(Request<Bytes>, Option<IpAddr>), NotHttp> {
        let target = self.target(source, issuer_path);
        let headers = self.header_map(source)?;
        let address = match source {
            Source::RestApi => self.request_context.identity.and_then(|identity| identity.source_ip),
            Source::HttpApi => self.request_context.http.as_ref().and_then(|http| http.source_ip.clone()),
            // The balancer appends the address that it saw.
            Source::LoadBalancer { .. } => {
                let last = headers.get_all("x-forwarded-for").iter().next_back();
                last.and_then(|value| value.to_str().ok()?.rsplit(',').next().map(|hop| hop.trim().to_owned()))
            }
        };
        let method = self.request_context.http.map(|http| http.method).or(self.http_method).ok_or(NotHttp)?;
        let body = self.body.unwrap_or_default();
        let body = if self.is_base64_encoded { Base64::decode_vec(&body).map_err(|_| NotHttp)? } else { body.into() };
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| NotHttp)?;
        *request.uri_mut() = Uri::try_from(target).map_err(|_| NotHttp)?;
        *request.headers_mut() = headers;
        Ok((request, address.and_then(|address| parse_address(&address))))
    }

    /// Path and query as the client sent them, or as good as that.
    fn target(&self, source: Source, issuer_path: &str) -> String {
        let context = &self.request_context;
        let prefix = context.stage.as_ref().filter(|stage| *stage != "$default").map(|stage| format!("/{stage}"));
        let below = |path: &str, prefix: &str| {
            let rest = path.strip_prefix(prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let stage_is_public = prefix.as_ref().is_some_and(|prefix| below(issuer_path, prefix).is_some());
        let path = match source {
            Source::RestApi if stage_is_public => context.path.clone().or_else(|| self.path.clone()),
            Source::RestApi | Source::LoadBalancer { .. } => self.path.clone(),
            Source::HttpApi => self.raw_path.clone().map(|path| match &prefix {
                Some(prefix) if !stage_is_public => below(&path, prefix).unwrap_or(path),
                _ => path,
            }),
        };
        let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        let mut target = utf8_percent_encode(&path, NOT_IN_PATHS).to_string();
        let query = self.query(source);
        if !query.is_empty() {
            target.push('?');
            target.push_str(&query);
        }
        target
    }

    fn query(&self, source: Source) -> String {
        let multiple = self.multi_value_query_string_parameters.iter().flatten();
        let mut pairs: Vec<(&str, &str)> = multiple
            .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())))
            .collect();
        if pairs.is_empty() {
            let single = self.query_string_parameters.iter().flatten();
            pairs = single.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        }
        match source {
            Source::HttpApi => self.raw_query_string.clone().unwrap_or_default(),
            // Decoded by the gateway.
            Source::RestApi => form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish(),
            // As they came.
            Source::LoadBalancer { .. } => {
                let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                pairs.join("&")
            }
        }
    }

    fn header_map(&self, source: Source) -> Result<HeaderMap, NotHttp> {
        let mut map = HeaderMap::new();
        let mut append = |name: &str, value: &str| {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NotHttp)?;
            // Format 2.0 joins what was sent twice. Where there is only one of a header, and no comma in it, the parts
            // tell that there were two: the core refuses such requests.
            let single = [header::AUTHORIZATION, header::CONTENT_TYPE, header::HOST, header::CONTENT_LENGTH];
            let is_joined = source == Source::HttpApi && single.contains(&name);
            let mut parts = if is_joined { value.split(',').collect() } else { vec![value] };
            for part in parts.drain(..) {
                map.append(&name, HeaderValue::from_bytes(part.trim().as_bytes()).map_err(|_| NotHttp)?);
            }
            Ok(())
        };
        match &self.multi_value_headers {
            Some(headers) => {
                for (name, values) in headers {
                    values.iter().try_for_each(|value| append(name, value))?;
                }
            }
            None => self.headers.iter().flatten().try_for_each(|(name, value)| append(name, value))?,
        }
        if let Some(cookies) = &self.cookies {
            append("cookie", &cookies.join("; "))?;
        }
        Ok(map)
    }
}

/// An address; a load balancer can be told to write the port behind it.
fn parse_address(text: &str) -> Option<IpAddr> {
    text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

/// The answer, in the form that this source reads.
pub(crate) fn response(source: Source, response: Response<Bytes>) -> Value {
    let (parts, body) = response.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let values = |name: &HeaderName| parts.headers.get_all(name).iter().map(text).collect::<Vec<_>>();
    let names = || parts.headers.keys();
    let (body, is_base64_encoded) = match std::str::from_utf8(&body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (Base64::encode_string(&body), true),
    };
    let mut answer = json!({
        "statusCode": parts.status.as_u16(),
        "body": body,
        "isBase64Encoded": is_base64_encoded,
    });
    let many = || names().map(|name| (name.to_string(), json!(values(name)))).collect::<Map<_, _>>();
    match source {
        Source::HttpApi => {
            let joined = names().filter(|name| **name != header::SET_COOKIE);
            answer["headers"] =
                joined.map(|name| (name.to_string(), json!(values(name).join(", ")))).collect::<Map<_, _>>().into();
            answer["cookies"] = json!(values(&header::SET_COOKIE));
        }
        Source::RestApi | Source::LoadBalancer { multi_value: true } => answer["multiValueHeaders"] = many().into(),
        Source::LoadBalancer { multi_value: false } => answer["headers"] = one_each(&parts.headers, text).into(),
    }
    if let Source::LoadBalancer { .. } = source {
        let reason = parts.status.canonical_reason().unwrap_or_default();
        answer["statusDescription"] = format!("{} {reason}", parts.status.as_u16()).into();
    }
    answer
}

/// One value to a name: further ones come under the same name in other letter cases, which are the same in HTTP.
fn one_each(headers: &HeaderMap, text: impl Fn(&HeaderValue) -> String) -> Map<String, Value> {
    let mut map = Map::new();
    for name in headers.keys() {
        for (index, value) in headers.get_all(name).iter().enumerate() {
            let varied = name
                .as_str()
                .char_indices()
                .map(|(position, c)| if index >> position.min(31) & 1 == 1 { c.to_ascii_uppercase() } else { c });
            map.insert(varied.collect(), text(value).into());
        }
    }
    map
}
