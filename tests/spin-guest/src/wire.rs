//! What a test and this component say to each other, in JSON: a statement with its parameters, and its rows.

use authly_core::store::{
    StoreError,
    postgres::{FromValue, Value},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One statement.
#[derive(Serialize, Deserialize)]
pub struct Query {
    /// `postgresql://…`
    pub database_url: String,
    /// Its name.
    pub statement: String,
    /// Its parameters.
    pub parameters: Vec<Wire>,
}

/// What became of it: its rows, each with its columns.
pub type Answer = Result<Vec<Vec<Wire>>, Failure>;

/// Why there are none.
#[derive(Serialize, Deserialize)]
#[serde(remote = "StoreError")]
enum StoreErrorOnWire {
    Unavailable(String),
    Unexpected(String),
}

/// An error of the store.
#[derive(Serialize, Deserialize)]
pub struct Failure(#[serde(with = "StoreErrorOnWire")] pub StoreError);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Value")]
enum ValueOnWire {
    Bool(Option<bool>),
    Int4(Option<i32>),
    Int8(Option<i64>),
    Text(Option<String>),
    Bytea(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Jsonb(Option<String>),
    TextArray(Option<Vec<String>>),
}

/// A parameter or a column.
#[derive(Serialize, Deserialize)]
pub struct Wire(#[serde(with = "ValueOnWire")] pub Value);

impl FromValue for Wire {
    fn from_value(value: Value) -> Option<Self> {
        Some(Self(value))
    }
}
