//! Authorization server metadata (RFC 8414).

use serde_json::json;

use crate::{
    config::Config,
    crypto::Algorithm,
    model::{AuthMethod, GrantType},
    ports::Host,
    response::{Reply, cacheable},
    router::Endpoint,
    server::Server,
    store::Store,
};

const MAX_AGE_SECONDS: u32 = 3600;

/// The document, as JSON. Scopes are not listed: RFC 8414 §2 makes it optional, and they change at run time.
pub(crate) fn document(config: &Config) -> String {
    let url = |endpoint: Endpoint| format!("{}{}", config.issuer, endpoint.path());
    let grant_types: Vec<_> = GrantType::ALL.iter().map(|grant_type| grant_type.name()).collect();
    let secret_methods = [AuthMethod::ClientSecretBasic.name(), AuthMethod::ClientSecretPost.name()];
    let all_methods = [secret_methods.as_slice(), &[AuthMethod::None.name()]].concat();
    let mut document = json!({
        "issuer": config.issuer.as_str(),
        "authorization_endpoint": url(Endpoint::Authorize),
        "token_endpoint": url(Endpoint::Token),
        "revocation_endpoint": url(Endpoint::Revoke),
        "introspection_endpoint": url(Endpoint::Introspect),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": grant_types,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": all_methods,
        "revocation_endpoint_auth_methods_supported": all_methods,
        "introspection_endpoint_auth_methods_supported": secret_methods,
        "authorization_response_iss_parameter_supported": true,
    });
    if config.algorithm != Algorithm::Hs256 {
        document["jwks_uri"] = json!(url(Endpoint::Jwks));
    }
    document.to_string()
}

impl<S: Store, H: Host> Server<S, H> {
    pub(crate) fn metadata(&self) -> Reply {
        cacheable("application/json", self.metadata.clone(), MAX_AGE_SECONDS)
    }
}
