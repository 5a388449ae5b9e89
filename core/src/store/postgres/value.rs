use std::{fmt, vec};

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Statement, StoreError};
use crate::model::{Digest, Scopes, Timestamp};

/// A parameter or a column. `None` is a null of that type, which hosts need to know as well.
///
/// These types cross every host's interface unchanged: a Spin component cannot read `timestamptz`, for one.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// `bool`.
    Bool(Option<bool>),
    /// `int4`.
    Int4(Option<i32>),
    /// `int8`.
    Int8(Option<i64>),
    /// `text`, and `varchar` as a column.
    Text(Option<String>),
    /// `bytea`.
    Bytea(Option<Vec<u8>>),
    /// `uuid`.
    Uuid(Option<Uuid>),
    /// `jsonb`, as the text of a JSON document.
    Jsonb(Option<String>),
    /// `text[]`, without nulls.
    TextArray(Option<Vec<String>>),
}

impl Value {
    /// The name of its type in Postgres.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int4(_) => "int4",
            Self::Int8(_) => "int8",
            Self::Text(_) => "text",
            Self::Bytea(_) => "bytea",
            Self::Uuid(_) => "uuid",
            Self::Jsonb(_) => "jsonb",
            Self::TextArray(_) => "text[]",
        }
    }

    /// Whether it is null.
    pub const fn is_null(&self) -> bool {
        match self {
            Self::Bool(value) => value.is_none(),
            Self::Int4(value) => value.is_none(),
            Self::Int8(value) => value.is_none(),
            Self::Text(value) | Self::Jsonb(value) => value.is_none(),
            Self::Bytea(value) => value.is_none(),
            Self::Uuid(value) => value.is_none(),
            Self::TextArray(value) => value.is_none(),
        }
    }
}

/// Digests, hashes and sealed keys are among the values: only what kind of value it is shows.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_null() { "null " } else { "" }, self.type_name())
    }
}

macro_rules! into_value {
    ($($type:ty => $variant:ident($convert:expr)),+ $(,)?) => {
        $(
            impl From<$type> for Value {
                fn from(value: $type) -> Self {
                    Self::from(Some(value))
                }
            }

            impl From<Option<$type>> for Value {
                fn from(value: Option<$type>) -> Self {
                    Self::$variant(value.map($convert))
                }
            }
        )+
    };
}

into_value! {
    bool => Bool(|value| value),
    i32 => Int4(|value| value),
    i64 => Int8(|value| value),
    u32 => Int8(i64::from),
    Timestamp => Int8(|value| value.timestamp_micros()),
    &str => Text(without_nul),
    String => Text(|value| without_nul(&value)),
    &[u8] => Bytea(<[u8]>::to_vec),
    Digest => Bytea(|value| value.as_bytes().to_vec()),
    Uuid => Uuid(|value| value),
    Vec<String> => TextArray(|value| value.iter().map(|value| without_nul(value)).collect()),
}

/// Postgres has no text with U+0000 in it, and refuses a statement with such a parameter. What a stranger sends must
/// merely not be found, so it is looked for with the replacement character in its place.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// A type that a column can be read as.
pub trait FromValue: Sized {
    /// `None` where the value is of another type, out of range, or null.
    fn from_value(value: Value) -> Option<Self>;
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::from_value(value).map(Some) }
    }
}

macro_rules! from_value {
    ($($type:ty = $variant:ident($convert:expr)),+ $(,)?) => {
        $(impl FromValue for $type {
            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(Some(value)) => $convert(value),
                    _ => None,
                }
            }
        })+
    };
}

from_value! {
    bool = Bool(Some),
    i32 = Int4(Some),
    i64 = Int8(Some),
    u32 = Int8(|value: i64| value.try_into().ok()),
    u64 = Int8(|value: i64| value.try_into().ok()),
    Timestamp = Int8(Timestamp::from_timestamp_micros),
    String = Text(Some),
    Vec<u8> = Bytea(Some),
    Digest = Bytea(|value: Vec<u8>| Self::from_bytes(&value)),
    Uuid = Uuid(Some),
    Vec<String> = TextArray(Some),
    Scopes = TextArray(|value: Vec<String>| Some(value.into_iter().collect())),
}

/// A `jsonb` column.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromValue for Json<T> {
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Jsonb(Some(document)) => serde_json::from_str(&document).ok().map(Self),
            _ => None,
        }
    }
}

/// A row, whose columns are taken one after the other.
#[derive(Debug)]
pub struct Row {
    statement: &'static Statement,
    columns: vec::IntoIter<Value>,
    taken: usize,
}

impl Row {
    /// A row that `statement` returned.
    pub fn new(statement: &'static Statement, columns: Vec<Value>) -> Self {
        Self { statement, columns: columns.into_iter(), taken: 0 }
    }

    /// The next column.
    pub fn take<T: FromValue>(&mut self) -> Result<T, StoreError> {
        self.taken += 1;
        let value = self.columns.next().ok_or_else(|| self.unexpected("there is no such column"))?;
        let (type_name, is_null) = (value.type_name(), value.is_null());
        T::from_value(value).ok_or_else(|| {
            let null = if is_null { "null " } else { "" };
            self.unexpected(&format!("it is {null}{type_name}, which is not what it is read as"))
        })
    }

    /// What the column that was taken last says is not what the schema promises.
    pub fn unexpected(&self, reason: &str) -> StoreError {
        StoreError::Unexpected(format!("{}, column {}: {reason}", self.statement.name, self.taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static STATEMENT: Statement = Statement { name: "example", sql: "" };

    #[test]
    fn columns_are_taken_in_order_and_errors_name_them() {
        let mut row = Row::new(&STATEMENT, vec![Value::from("a"), Value::Int8(None), Value::from(-1_i64)]);
        assert_eq!(row.take::<String>().expect("text"), "a");
        assert_eq!(row.take::<Option<u32>>().expect("null"), None);
        let error = row.take::<u32>().expect_err("negative").to_string();
        assert!(error.ends_with("example, column 3: it is int8, which is not what it is read as"), "{error}");
        let error = row.take::<bool>().expect_err("no more").to_string();
        assert!(error.ends_with("example, column 4: there is no such column"), "{error}");
    }

    #[test]
    fn a_null_is_read_as_an_option_only() {
        let mut row = Row::new(&STATEMENT, vec![Value::Text(None)]);
        let error = row.take::<String>().expect_err("null").to_string();
        assert!(error.contains("it is null text"), "{error}");
    }

    #[test]
    fn text_has_no_nul() {
        assert!(Value::from("a\0b") == Value::from("a\u{FFFD}b"));
        assert!(Value::from(vec!["\0".to_owned()]) == Value::from(vec!["\u{FFFD}".to_owned()]));
    }

    #[test]
    fn values_do_not_show() {
        let values = [Value::from("secret"), Value::from(Digest::of(b"secret")), Value::Uuid(None)];
        assert_eq!(format!("{values:?}"), "[text, bytea, null uuid]");
    }
}
