//! JSON that comes in: read strictly, and merged into what is there (RFC 7396).

use std::fmt;

use http::{Request, StatusCode, header};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
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

/// What members are wrong in form. Where in the text they are, is of no use where members were merged.
fn mistake(error: &serde_path_to_error::Error<serde_json::Error>) -> ProtocolError {
    let detail = error.inner().to_string();
    let detail = detail.split(" at line ").next().unwrap_or_default().to_owned();
    unacceptable(vec![InvalidMember { pointer: pointer(error.path()), detail }])
}

/// A JSON object whose members have names of their own: which of two would count is a guess (RFC 8259 §4).
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Object, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format!("{name} is there twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

fn object(request: &Request<bytes::Bytes>) -> Result<Map<String, Value>, ProtocolError> {
    let object: Result<Object, _> = serde_json::from_slice(request.body());
    let object =
        object.map_err(|error| ProtocolError::invalid_request(format!("the body is no JSON object: {error}")))?;
    Ok(object.0)
}

fn read<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, ProtocolError> {
    serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| mistake(&error))
}

/// A whole object.
pub(super) fn json<T: DeserializeOwned>(request: &Request<bytes::Bytes>) -> Result<T, ProtocolError> {
    check_content_type(request, &["application/json"])?;
    read(object(request)?)
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
    let patch = object(request)?;
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
    read(members)
}
