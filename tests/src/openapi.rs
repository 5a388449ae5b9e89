//! The API's description (OpenAPI 3.1) as what answers are held against: one that it does not describe fails the test.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use http::Method;
use jsonschema::{Draft, Validator};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::http::Reply;

/// What the server is built with, but for the issuer.
pub const SOURCE: &str = include_str!("../../core/assets/openapi.json");

/// What a URI's fragment cannot hold as it is, of what is in our paths (RFC 3986 §3.5).
const NOT_IN_FRAGMENTS: &AsciiSet = &CONTROLS.add(b'{').add(b'}');

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document::new(SOURCE));

/// An operation of the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// Its path below the issuer's, with the names of parameters in braces.
    pub path: String,
    /// Its method.
    pub method: String,
    /// The scope that it takes, if any.
    pub scope: Option<String>,
}

impl Operation {
    /// Its method.
    pub fn method(&self) -> Method {
        self.method.parse().expect("a method")
    }

    /// Its path with this in the place of each parameter.
    pub fn path_with(&self, value: &str) -> String {
        let part = |part: &str| if part.starts_with('{') { value.to_owned() } else { part.to_owned() };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

/// The document, taken apart.
pub struct Document {
    /// As it is, but for objects: where they may have other members than those named, they may not here.
    strict: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Document {
    /// Reads it.
    pub fn new(source: &str) -> Self {
        let mut strict: Value = serde_json::from_str(source).expect("JSON");
        let plain = strict.clone();
        forbid_unknown_members(&mut strict, &plain);
        strict["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        Self { strict, validators: Mutex::default() }
    }

    /// That of the server under test.
    pub fn get() -> &'static Self {
        &DOCUMENT
    }

    /// Every operation.
    pub fn operations(&self) -> BTreeSet<Operation> {
        let mut operations = BTreeSet::new();
        for (path, item) in object(&self.strict["paths"]) {
            for (method, operation) in object(item).iter().filter(|(name, _)| *name != "parameters") {
                let scope = operation["security"][0]["bearer"][0].as_str().map(str::to_owned);
                operations.insert(Operation { path: path.clone(), method: method.to_uppercase(), scope });
            }
        }
        operations
    }

    /// The path in the document that a path of a request is one of; literal segments come before parameters.
    fn template(&self, path: &str) -> Option<&str> {
        let parts: Vec<_> = path.split('/').collect();
        let fits = |template: &&String| {
            let template: Vec<_> = template.split('/').collect();
            template.len() == parts.len()
                && template.iter().zip(&parts).all(|(template, part)| template.starts_with('{') || template == part)
        };
        object(&self.strict["paths"])
            .keys()
            .filter(fits)
            .min_by_key(|path| path.matches('{').count())
            .map(String::as_str)
    }

    /// Follows `$ref`s.
    fn resolve(&self, pointer: String) -> String {
        match self.at(&pointer)["$ref"].as_str() {
            Some(reference) => self.resolve(reference.trim_start_matches('#').to_owned()),
            None => pointer,
        }
    }

    fn at(&self, pointer: &str) -> &Value {
        self.strict.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is not in the document"))
    }

    /// Asserts that a value is of the schema at this place.
    #[track_caller]
    pub fn validate(&self, pointer: &str, value: &Value) {
        let errors: Vec<_> = self.validator(pointer).iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{pointer} describes something else: {errors:#?}\n{value:#}");
    }

    fn validator(&self, pointer: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let build = || {
            let mut schema = self.strict.clone();
            schema["$ref"] = json!(format!("#{}", utf8_percent_encode(pointer, NOT_IN_FRAGMENTS)));
            let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            Arc::new(options.build(&schema).unwrap_or_else(|error| panic!("{pointer} is no schema: {error}")))
        };
        Arc::clone(validators.entry(pointer.to_owned()).or_insert_with(build))
    }

    /// Asserts that this answer to a request for a path below the issuer's is described: its status, headers, content
    /// type and body; and, where a body was accepted, that it is one that the document allows.
    #[track_caller]
    pub fn check(&self, method: &Method, path: &str, body: Option<&Value>, reply: &Reply) {
        let path = path.split('?').next().unwrap_or_default();
        let template = self.template(path).unwrap_or_else(|| panic!("{path} is not described"));
        let operation = format!("/paths/{}/{}", escape(template), method.as_str().to_lowercase());
        if method == Method::HEAD {
            return;
        }
        let described = self.at(&operation);
        let types = described["requestBody"]["content"].as_object().and_then(|types| types.keys().next());
        if let (200..300, Some(body), Some(content_type)) = (reply.status, body, types) {
            self.validate(&format!("{operation}/requestBody/content/{}/schema", escape(content_type)), body);
        }
        let status = reply.status.to_string();
        assert!(described["responses"].get(&status).is_some(), "{method} {template} is not said to answer {reply:?}");
        let response = self.resolve(format!("{operation}/responses/{status}"));
        for (name, header) in self.at(&response)["headers"].as_object().into_iter().flatten() {
            let required = match header["$ref"].as_str() {
                Some(reference) => self.at(&self.resolve(reference.trim_start_matches('#').to_owned())),
                None => header,
            }["required"]
                == true;
            assert!(!required || reply.header(name).is_some(), "no {name} in {reply:?}");
        }
        let content = &self.at(&response)["content"];
        let Some(content) = content.as_object() else {
            assert!(reply.body.is_empty(), "{method} {template} is said to have no body: {reply:?}");
            return;
        };
        let content_type = reply.header("content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        assert!(content.contains_key(essence), "{method} {template} is not said to answer {content_type}: {reply:?}");
        let schema = format!("{response}/content/{}/schema", escape(essence));
        if essence == "application/x-ndjson" {
            for line in reply.text().lines() {
                self.validate("/components/schemas/Event", &serde_json::from_str(line).expect("JSON"));
            }
        } else {
            self.validate(&schema, &reply.json());
        }
    }

    /// Every `$ref` of the document, and whether it leads anywhere.
    pub fn references(&self) -> Vec<(String, bool)> {
        let mut references = Vec::new();
        collect_references(&self.strict, &mut references);
        references
            .into_iter()
            .map(|reference| {
                let is_there = self.strict.pointer(reference.trim_start_matches('#')).is_some();
                (reference, is_there)
            })
            .collect()
    }

    /// Every component, as a `$ref` names it.
    pub fn components(&self) -> BTreeSet<String> {
        let kinds = object(&self.strict["components"]).iter().filter(|(kind, _)| *kind != "securitySchemes");
        kinds
            .flat_map(|(kind, all)| object(all).keys().map(move |name| format!("#/components/{kind}/{name}")))
            .collect()
    }

    /// Asserts that the examples are of the schemas that they are examples of.
    pub fn check_examples(&self) -> usize {
        let mut examples = Vec::new();
        collect_examples(&self.strict, "", &mut examples);
        for (pointer, example) in &examples {
            self.validate(pointer, example);
        }
        examples.len()
    }
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}"))
}

/// As a part of a JSON pointer (RFC 6901 §3).
fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// Whether this schema is that of an object which does not say what other members it may have.
fn is_open_object(schema: &Value) -> bool {
    schema["type"] == "object" && schema.get("additionalProperties").is_none()
}

/// Every object has the members that it is said to have and no others: it is closed where it is referred to or stands, but
/// not where it is part of an `allOf`.
fn forbid_unknown_members(node: &mut Value, document: &Value) {
    match node {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match (name.as_str(), member) {
                    ("allOf" | "example" | "examples", _) => {}
                    ("schemas", Value::Object(schemas)) => {
                        for schema in schemas.values_mut() {
                            forbid_unknown_members(schema, document);
                            schema.as_object_mut().and_then(|schema| schema.remove("unevaluatedProperties"));
                        }
                    }
                    (_, member) => forbid_unknown_members(member, document),
                }
            }
            let reference = members.get("$ref").and_then(Value::as_str);
            let target = reference.and_then(|it| document.pointer(it.trim_start_matches('#')));
            if target.is_some_and(is_open_object) || is_open_object(&Value::Object(members.clone())) {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forbid_unknown_members(item, document)),
        _ => {}
    }
}

fn collect_references(node: &Value, references: &mut Vec<String>) {
    match node {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect_references(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, references)),
        _ => {}
    }
}

/// `example` beside a `schema`, and `examples` within one.
fn collect_examples(node: &Value, pointer: &str, examples: &mut Vec<(String, Value)>) {
    match node {
        Value::Object(members) => {
            if let (Some(example), true) = (members.get("example"), members.contains_key("schema")) {
                examples.push((format!("{pointer}/schema"), example.clone()));
            }
            for example in members.get("examples").and_then(Value::as_array).into_iter().flatten() {
                examples.push((pointer.to_owned(), example.clone()));
            }
            for (name, member) in members.iter().filter(|(name, _)| *name != "example" && *name != "examples") {
                collect_examples(member, &format!("{pointer}/{}", escape(name)), examples);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_examples(item, &format!("{pointer}/{index}"), examples);
            }
        }
        _ => {}
    }
}
