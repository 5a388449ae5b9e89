//! `status`.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    api::{Api, Object, Target},
    failure::Failure,
    output::Format,
};

/// What is wrong is the answer here, not a failure to give one.
pub(crate) async fn status(api: Result<Api, Failure>, format: Format) -> Result<ExitCode, Failure> {
    let asked = match api {
        Ok(api) => api.get(&Target::new(&["status"])).await,
        Err(failure) => Err(failure),
    };
    match asked {
        Ok(status) => format.one(&status),
        Err(failure) if failure.is_unhealthy() => {
            let mut status = Object::new();
            status.insert("healthy".to_owned(), json!(false));
            status.insert("problem".to_owned(), json!(failure.to_string()));
            format.one(&status)?;
            Ok(ExitCode::FAILURE)
        }
        Err(failure) => Err(failure),
    }
}
