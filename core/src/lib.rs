#![doc = include_str!("../README.md")]

pub mod audit;
pub mod config;
pub mod crypto;
mod endpoint;
pub mod error;
pub mod grant;
pub mod limit;
#[cfg(feature = "logging")]
pub mod logging;
pub mod mail;
pub mod maintenance;
pub mod model;
mod page;
pub mod ports;
pub mod proxy;
mod request;
mod response;
pub mod router;
pub mod server;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace;

pub use endpoint::{DEMO_CLIENT_ID, Operator};
pub use request::{ClientAddress, MAX_BODY, read_body};
pub use response::Audience;
pub use server::Server;
