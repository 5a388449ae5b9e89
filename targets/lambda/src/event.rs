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
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpEvent {
    http_method: Option<String>,
    path: Option<String>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    headers: Values<String>,
    multi_value_headers: Values<Vec<String>>,
    query_string_parameters: Values<String>,
    multi_value_query_string_parameters: Values<Vec<String>>,
    cookies: Vec<String>,
    body: Option<String>,
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    http: Option<Peer>,
    identity: Option<Peer>,
    elb: Option<Value>,
    path: Option<String>,
    stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    method: Option<String>,
    source_ip: Option<String>,
}

/// Who sent an event: it tells how the answer must look.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// API Gateway's format 1.0.
    RestApi,
    /// API Gateway's format 2.0, or a function URL.
    HttpApi,
    /// A load balancer.
    LoadBalancer,
}

/// The event is not well-formed.
pub(crate) struct Malformed;

impl HttpEvent {
    /// Who sent it; `None` where it is not an HTTP request at all.
    pub(crate) fn source(&self) -> Option<Source> {
        match &self.request_context {
            Context { http: Some(_), .. } => Some(Source::HttpApi),
            _ if self.http_method.is_none() => None,
            Context { elb: Some(_), .. } => Some(Source::LoadBalancer),
            _ => Some(Source::RestApi),
        }
    }

    /// The request, and the address that it came from: the gateway's word, never what a client wrote into a header.
    /// `issuer_path` tells whether a stage's name is part of this server's public addresses.
    pub(crate) fn into_request(
        self,
        source: Source,
        issuer_path: &str,
    ) -> Result<(Request<Bytes>, Option<IpAddr>), Malformed> {
        let body = self.body.as_deref().unwrap_or_default();
        let body = if self.is_base64_encoded { Base64::decode_vec(body).map_err(|_| Malformed)? } else { body.into() };
        let mut request = Request::new(Bytes::from(body));
        *request.uri_mut() = Uri::try_from(self.target(source, issuer_path)).map_err(|_| Malformed)?;
        *request.headers_mut() = self.header_map(source)?;
        // The balancer appends the address that it saw.
        let last = request.headers().get_all("x-forwarded-for").iter().next_back();
        let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        let context = self.request_context;
        let peer = context.http.or(context.identity);
        let address = match source {
            Source::LoadBalancer => last.map(str::trim),
            _ => peer.as_ref().and_then(|peer| peer.source_ip.as_deref()),
        };
        let address = address.and_then(|text| {
            // The balancer can be told to write the port as well.
            text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()
        });
        let method = peer.and_then(|peer| peer.method).or(self.http_method).ok_or(Malformed)?;
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| Malformed)?;
        Ok((request, address))
    }

    /// Path and query as the client sent them, or as good as that.
    fn target(&self, source: Source, issuer_path: &str) -> String {
        let stage = self.request_context.stage.as_deref().filter(|stage| *stage != "$default").unwrap_or_default();
        let without_stage = |path: &str| {
            let rest = path.strip_prefix('/')?.strip_prefix(stage).filter(|_| !stage.is_empty())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let stage_is_public = without_stage(issuer_path).is_some();
        let path = match source {
            Source::RestApi if stage_is_public => self.request_context.path.clone(),
            Source::HttpApi => {
                let path = self.raw_path.as_deref();
                path.and_then(without_stage).filter(|_| !stage_is_public).or(path.map(str::to_owned))
            }
            _ => self.path.clone(),
        };
        let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        format!("{}?{}", utf8_percent_encode(&path, NOT_IN_PATHS), self.query(source)).trim_end_matches('?').to_owned()
    }

    fn query(&self, source: Source) -> String {
        let many = self.multi_value_query_string_parameters.iter().flatten();
        let many = many.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
        let one = self.query_string_parameters.iter().flatten();
        let one = one.filter(|_| self.multi_value_query_string_parameters.is_none());
        let pairs = many.chain(one);
        match source {
            Source::HttpApi => self.raw_query_string.clone().unwrap_or_default(),
            // The gateway decoded them; the balancer did not.
            Source::RestApi => form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish(),
            Source::LoadBalancer => pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"),
        }
    }

    fn header_map(&self, source: Source) -> Result<HeaderMap, Malformed> {
        // Format 2.0 joins what was sent twice. Where there is only one of a header, and no comma in it, the parts tell
        // that there were two, which the core refuses.
        const SINGLE: [HeaderName; 4] =
            [header::AUTHORIZATION, header::CONTENT_TYPE, header::HOST, header::CONTENT_LENGTH];
        let many = self.multi_value_headers.iter().flatten();
        let many = many.flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())));
        let one = self.headers.iter().flatten().filter(|_| self.multi_value_headers.is_none());
        let one = one.map(|(name, value)| (name.as_str(), value.as_str()));
        let cookies = self.cookies.iter().map(|cookie| ("cookie", cookie.as_str()));
        let mut map = HeaderMap::new();
        for (name, value) in many.chain(one).chain(cookies) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Malformed)?;
            let is_joined = source == Source::HttpApi && SINGLE.contains(&name);
            for part in value.split(|c| is_joined && c == ',') {
                map.append(&name, HeaderValue::from_bytes(part.trim().as_bytes()).map_err(|_| Malformed)?);
            }
        }
        Ok(map)
    }
}

/// The answer, in the form that this source reads.
pub(crate) fn response(source: Source, response: Response<Bytes>) -> Value {
    let (parts, body) = response.into_parts();
    let (body, is_encoded) = match std::str::from_utf8(&body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (Base64::encode_string(&body), true),
    };
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let all = |name: &HeaderName| parts.headers.get_all(name).iter().map(text).collect::<Vec<_>>();
    let of_each = |make: &dyn Fn(Vec<String>) -> Value| {
        parts.headers.keys().map(|name| (name.to_string(), make(all(name)))).collect::<Map<_, _>>()
    };
    let status = parts.status.as_u16();
    let mut answer = json!({ "statusCode": status, "body": body, "isBase64Encoded": is_encoded });
    if source == Source::HttpApi {
        let mut headers = of_each(&|values| values.join(", ").into());
        headers.remove(header::SET_COOKIE.as_str());
        answer["headers"] = headers.into();
        answer["cookies"] = json!(all(&header::SET_COOKIE));
        return answer;
    }
    answer["multiValueHeaders"] = of_each(&Value::from).into();
    if source == Source::LoadBalancer {
        // A target group reads the one or the other, as it is set up.
        answer["headers"] = of_each(&|values| values.into_iter().next().into()).into();
        answer["statusDescription"] = format!("{status} {}", parts.status.canonical_reason().unwrap_or("-")).into();
    }
    answer
}
