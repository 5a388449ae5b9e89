//! The store's statements over Spin's Postgres interface (`spin:postgres@4.2.0`).

use std::{pin::pin, time::Duration};

use authly_core::store::{
    StoreError,
    postgres::{Executor, Row, Statement, Value, sqlstate},
};
use futures_util::future::{Either, select};
use spin_sdk::{
    pg::{Connection, DbDataType, DbValue, Error, ParameterValue, PgError, QueryError},
    time::sleep,
};
use uuid::Uuid;

/// A statement takes no longer, the wait for a connection included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs statements on connections of the host, which keeps a pool of them for each address.
pub struct SpinExecutor {
    database_url: String,
}

impl SpinExecutor {
    /// An executor for the database of this address, `postgresql://user:password@host/database`.
    pub fn new(database_url: String) -> Self {
        Self { database_url }
    }

    async fn run(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Vec<Row>, Error> {
        let connection = Connection::open(self.database_url.as_str()).await?;
        let parameters: Vec<_> = parameters.into_iter().map(parameter).collect();
        let mut result = connection.query(statement.sql, parameters).await?;
        let types: Vec<_> = result.columns().iter().map(|column| column.data_type.clone()).collect();
        let mut rows = Vec::new();
        while let Some(values) = result.rows().next().await {
            let columns: Option<_> =
                types.iter().zip(values).map(|(data_type, value)| column(data_type, value)).collect();
            let columns = columns.ok_or_else(|| Error::Decode(format!("the columns {types:?} hold something else")))?;
            rows.push(Row::new(statement, columns));
        }
        // A failure half-way shows here, and nowhere else.
        result.result().await?;
        Ok(rows)
    }
}

impl Executor for SpinExecutor {
    async fn query(&self, statement: &'static Statement, parameters: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        match select(pin!(self.run(statement, parameters)), pin!(sleep(TIMEOUT))).await {
            Either::Left((result, _)) => result.map_err(|error| store_error(statement, error)),
            Either::Right(((), _)) => Err(StoreError::Unavailable(format!("{}: no answer in time", statement.name))),
        }
    }
}

/// The host's own texts stay out: they hold stack traces.
fn store_error(statement: &Statement, error: Error) -> StoreError {
    let name = statement.name;
    match error {
        Error::PgError(PgError::ConnectionFailed(_)) => StoreError::Unavailable(format!("{name}: no connection")),
        Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => {
            sqlstate::store_error(name, &error.code, &error.message)
        }
        // Nobody knows what failed, but it was not the database that refused: its connection broke.
        Error::PgError(PgError::QueryFailed(QueryError::Text(_))) => {
            StoreError::Unavailable(format!("{name}: the connection failed"))
        }
        Error::PgError(PgError::BadParameter(_) | PgError::ValueConversionFailed(_)) => {
            StoreError::Unexpected(format!("{name}: a parameter is not of its type"))
        }
        Error::PgError(PgError::Other(_)) => StoreError::Unavailable(format!("{name}: the host failed")),
        Error::Decode(reason) => StoreError::Unexpected(format!("{name}: {reason}")),
    }
}

fn parameter(value: Value) -> ParameterValue {
    let parameter = match value {
        Value::Bool(value) => value.map(ParameterValue::Boolean),
        Value::Int4(value) => value.map(ParameterValue::Int32),
        Value::Int8(value) => value.map(ParameterValue::Int64),
        Value::Text(value) => value.map(ParameterValue::Str),
        Value::Bytea(value) => value.map(ParameterValue::Binary),
        Value::Uuid(value) => value.map(|uuid| ParameterValue::Uuid(uuid.to_string())),
        Value::Jsonb(value) => value.map(|document| ParameterValue::Jsonb(document.into_bytes())),
        Value::TextArray(value) => value.map(|items| ParameterValue::ArrayStr(items.into_iter().map(Some).collect())),
    };
    parameter.unwrap_or(ParameterValue::DbNull)
}

/// A null has no type of its own: that of its column tells. `None` for types that no statement reads.
fn column(data_type: &DbDataType, value: DbValue) -> Option<Value> {
    Some(match (data_type, value) {
        (DbDataType::Boolean, DbValue::Boolean(value)) => Value::Bool(Some(value)),
        (DbDataType::Boolean, DbValue::DbNull) => Value::Bool(None),
        (DbDataType::Int32, DbValue::Int32(value)) => Value::Int4(Some(value)),
        (DbDataType::Int32, DbValue::DbNull) => Value::Int4(None),
        (DbDataType::Int64, DbValue::Int64(value)) => Value::Int8(Some(value)),
        (DbDataType::Int64, DbValue::DbNull) => Value::Int8(None),
        (DbDataType::Str, DbValue::Str(value)) => Value::Text(Some(value)),
        (DbDataType::Str, DbValue::DbNull) => Value::Text(None),
        (DbDataType::Binary, DbValue::Binary(value)) => Value::Bytea(Some(value)),
        (DbDataType::Binary, DbValue::DbNull) => Value::Bytea(None),
        (DbDataType::Uuid, DbValue::Uuid(value)) => Value::Uuid(Some(Uuid::parse_str(&value).ok()?)),
        (DbDataType::Uuid, DbValue::DbNull) => Value::Uuid(None),
        (DbDataType::Jsonb, DbValue::Jsonb(value)) => Value::Jsonb(Some(String::from_utf8(value).ok()?)),
        (DbDataType::Jsonb, DbValue::DbNull) => Value::Jsonb(None),
        (DbDataType::ArrayStr, DbValue::ArrayStr(value)) => {
            Value::TextArray(Some(value.into_iter().collect::<Option<_>>()?))
        }
        (DbDataType::ArrayStr, DbValue::DbNull) => Value::TextArray(None),
        _ => return None,
    })
}
