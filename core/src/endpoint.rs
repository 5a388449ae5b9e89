//! One file per endpoint: parse, decide, one store call, render.

mod account;
mod admin;
pub use admin::Operator;
pub(crate) mod assets;
mod authorize;
mod bearer;
mod client_authentication;
mod demo;
pub use demo::DEMO_CLIENT_ID;
mod forgotten_password;
pub(crate) mod health;
mod introspect;
mod jwks;
mod login;
mod logout;
mod me;
pub(crate) mod metadata;
mod openapi;
mod register;
mod reset_password;
mod revoke;
mod session;
mod token;
mod verify_email;
