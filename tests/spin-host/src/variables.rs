//! `spin:variables`.

use wasmtime::component::{Accessor, HasSelf};

use crate::{
    bindings::spin::variables::variables::{Error, Host, HostWithStore},
    guest::Guest,
    manifest::{Application, check_name},
};

impl Host for Guest {}

impl<T: Send> HostWithStore<T> for HasSelf<Guest> {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, Error>> {
        let app = accessor.with(|mut access| access.get().app());
        Ok(get(&app.application, &name))
    }
}

/// Only what the manifest gives to the component is there.
fn get(application: &Application, name: &str) -> Result<String, Error> {
    check_name(name).map_err(Error::InvalidName)?;
    let value = application.variables.get(name).cloned();
    value.ok_or_else(|| Error::Undefined(format!("no variable for {:?}.{name:?}", application.name)))
}
