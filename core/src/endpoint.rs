//! One file per endpoint: parse, decide, one store call, render.

mod admin;
pub(crate) mod assets;
mod authorize;
mod bearer;
mod client_authentication;
mod demo;
pub use demo::DEMO_CLIENT_ID;
pub(crate) mod health;
mod introspect;
mod jwks;
mod login;
mod logout;
mod me;
pub(crate) mod metadata;
mod revoke;
mod session;
mod token;
