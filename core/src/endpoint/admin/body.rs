//! JSON that comes in: read strictly, and merged into what is there (RFC 7396).

use http::{Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use crate::error::{InvalidMember, ProtocolError};

/// 422 for what is well-formed and not acceptable.
pub(super) fn unacceptable(members: Vec<InvalidMember>) -> ProtocolError {
    let description = match members.as_slice() {
        [only] => format!("{}: {}", only.pointer, only.detail),
        several => format!("{} members are not acceptable: see errors", several.len()),
    };
    ProtocolError {
        members,
        ..ProtocolError::invalid_request(description).with_status(StatusCode::UNPROCESSABLE_ENTITY)
    }
}

/// Everything that is wrong with a body, so that it is told at once.
#[derive(Default)]
pub(super) struct Problems(Vec<InvalidMember>);

impl Problems {
    pub(super) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(InvalidMember { pointer: pointer.into(), detail: detail.into() });
    }

    pub(super) fn finish(self) -> Result<(), ProtocolError> {
        if self.0.is_empty() { Ok(()) } else { Err(unacceptable(self.0)) }
    }

    /// A text for people, on one line.
    pub(super) fn text(&mut self, pointer: &str, text: Option<String>, most: usize) -> String {
        let text = text.unwrap_or_default();
        let count = text.chars().count();
        if count == 0 {
            self.add(pointer, "it is missing or empty");
        } else if count > most || text.chars().any(char::is_control) {
            self.add(pointer, format!("it must have 1 to {most} characters, without control characters"));
        }
        text
    }

    /// The address of a web page.
    pub(super) fn web_uri(&mut self, pointer: &str, text: Option<String>) -> Option<String> {
        if let Some(text) = &text {
            let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
            if url.is_none() || text.len() > 2000 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
                self.add(pointer, "it must be an http or https URI of at most 2000 characters");
            }
        }
        text
    }
}

fn check_content_type(request: &Request<bytes::Bytes>, acceptable: &[&str]) -> Result<(), ProtocolError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| acceptable.iter().any(|acceptable| essence.eq_ignore_ascii_case(acceptable))) {
        return Ok(());
    }
    let error = ProtocolError::invalid_request(format!("the content type must be {}", acceptable.join(" or ")));
    Err(error.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

fn pointer(path: &Path) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect()
}

fn mistake(error: &serde_path_to_error::Error<serde_json::Error>) -> ProtocolError {
    let inner = error.inner();
    if !inner.is_data() {
        return ProtocolError::invalid_request(format!("the body is no JSON object: {inner}"));
    }
    // Where in the text it is, is of no use where members were merged.
    let detail = inner.to_string();
    let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
    unacceptable(vec![InvalidMember { pointer: pointer(error.path()), detail }])
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ProtocolError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| mistake(&error))?;
    deserializer
        .end()
        .map_err(|error| ProtocolError::invalid_request(format!("the body is no JSON object: {error}")))?;
    Ok(value)
}

/// A whole object.
pub(super) fn json<T: DeserializeOwned>(request: &Request<bytes::Bytes>) -> Result<T, ProtocolError> {
    check_content_type(request, &["application/json"])?;
    parse(request.body())
}

/// The same where every member has a default: no body at all is the empty object.
pub(super) fn optional_json<T: DeserializeOwned + Default>(
    request: &Request<bytes::Bytes>,
) -> Result<T, ProtocolError> {
    if request.body().is_empty() { Ok(T::default()) } else { json(request) }
}

/// `record` with the changes of a merge patch. Of its members, only those in `writable` can be changed; the others are left out.
pub(super) fn merged<T: DeserializeOwned>(
    request: &Request<bytes::Bytes>,
    record: &impl serde::Serialize,
    writable: &[&str],
) -> Result<T, ProtocolError> {
    check_content_type(request, &["application/merge-patch+json", "application/json"])?;
    let patch: Map<String, Value> = parse(request.body())?;
    let mut problems = Problems::default();
    for name in patch.keys().filter(|name| !writable.contains(&name.as_str())) {
        problems.add(format!("/{name}"), format!("it cannot be changed; these can: {}", writable.join(", ")));
    }
    problems.finish()?;
    let Value::Object(mut members) = serde_json::json!(record) else {
        return Err(ProtocolError::invalid_request("there is nothing to change"));
    };
    members.retain(|name, _| writable.contains(&name.as_str()));
    for (name, value) in patch {
        if value.is_null() {
            members.remove(&name)
        } else {
            members.insert(name, value)
        };
    }
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| mistake(&error))
}
