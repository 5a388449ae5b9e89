//! What the tests share.

pub mod container;
pub mod http;
pub mod postgres;
pub mod server;
pub mod target;
pub mod user_agent;
