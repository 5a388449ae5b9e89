//! The types of `spin:postgres`, as strict as Spin is with them, and only those that cross it unchanged: any other is
//! an error here.

use std::error::Error as StdError;

use serde_json::Value as Json;
use tokio_postgres::{
    Row,
    types::{FromSql, IsNull, ToSql, Type, private::BytesMut},
};
use uuid::Uuid;

use crate::bindings::spin::postgres::postgres::{Column, DbDataType, DbValue, ParameterValue};

/// A parameter in the database driver's terms. What it is bound to must be of exactly its type: the driver checks.
pub type Parameter = Box<dyn ToSql + Send + Sync>;

/// Null fits any type.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(&self, _: &Type, _: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// Makes a parameter of one of the guest's.
pub fn parameter(value: &ParameterValue) -> wasmtime::Result<Parameter> {
    Ok(match value {
        ParameterValue::Boolean(value) => Box::new(*value),
        ParameterValue::Int16(value) => Box::new(*value),
        ParameterValue::Int32(value) => Box::new(*value),
        ParameterValue::Int64(value) => Box::new(*value),
        ParameterValue::Str(value) => Box::new(value.clone()),
        ParameterValue::Binary(value) => Box::new(value.clone()),
        ParameterValue::Uuid(value) => Box::new(Uuid::parse_str(value)?),
        ParameterValue::Jsonb(value) => Box::new(serde_json::from_slice::<Json>(value)?),
        ParameterValue::ArrayStr(values) => Box::new(values.clone()),
        ParameterValue::DbNull => Box::new(Null),
        other => wasmtime::bail!("this host has no {other:?}"),
    })
}

/// What the guest is told of the columns.
pub fn columns(row: &Row) -> Vec<Column> {
    let column = |column: &tokio_postgres::Column| Column {
        name: column.name().to_owned(),
        data_type: match *column.type_() {
            Type::BOOL => DbDataType::Boolean,
            Type::INT2 => DbDataType::Int16,
            Type::INT4 => DbDataType::Int32,
            Type::INT8 => DbDataType::Int64,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
            Type::BYTEA => DbDataType::Binary,
            Type::UUID => DbDataType::Uuid,
            Type::JSONB => DbDataType::Jsonb,
            Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
            _ => DbDataType::Other(column.type_().name().to_owned()),
        },
    };
    row.columns().iter().map(column).collect()
}

/// What the guest gets of a row.
pub fn values(row: &Row) -> wasmtime::Result<Vec<DbValue>> {
    (0..row.len()).map(|index| value(row, index)).collect()
}

fn value(row: &Row, index: usize) -> wasmtime::Result<DbValue> {
    match *row.columns()[index].type_() {
        Type::BOOL => read(row, index, DbValue::Boolean),
        Type::INT2 => read(row, index, DbValue::Int16),
        Type::INT4 => read(row, index, DbValue::Int32),
        Type::INT8 => read(row, index, DbValue::Int64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => read(row, index, DbValue::Str),
        Type::BYTEA => read(row, index, DbValue::Binary),
        Type::UUID => read(row, index, |value: Uuid| DbValue::Uuid(value.to_string())),
        Type::JSONB => read(row, index, |value: Json| DbValue::Jsonb(value.to_string().into_bytes())),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => read(row, index, DbValue::ArrayStr),
        ref other => wasmtime::bail!("this host has no {other}"),
    }
}

fn read<'a, T: FromSql<'a>>(row: &'a Row, index: usize, make: impl Fn(T) -> DbValue) -> wasmtime::Result<DbValue> {
    Ok(row.try_get::<_, Option<T>>(index)?.map_or(DbValue::DbNull, make))
}
