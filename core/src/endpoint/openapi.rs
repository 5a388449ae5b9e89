//! The description of what programs call (OpenAPI 3.1).

use bytes::Bytes;

use crate::{
    config::Config,
    ports::Host,
    response::{Reply, cacheable},
    server::Server,
    store::Store,
};

const DOCUMENT: &str = include_str!("../../assets/openapi.json");

/// What stands for the issuer in it.
const ISSUER: &str = "https://issuer.invalid";

const MAX_AGE_SECONDS: u32 = 3600;

/// The document of this server, on one line.
fn document(config: &Config) -> Bytes {
    let document: String = DOCUMENT.lines().map(str::trim_start).collect();
    document.replace(ISSUER, config.issuer.as_str()).into()
}

impl<S: Store, H: Host> Server<S, H> {
    /// Made when it is asked for first: an instance that serves one request has other things to do.
    pub(crate) fn openapi(&self) -> Reply {
        let document = self.openapi.get_or_init(|| document(&self.config)).clone();
        cacheable("application/json", document, MAX_AGE_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_is_of_this_version() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(document["servers"][0]["url"], ISSUER);
    }
}
