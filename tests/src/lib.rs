//! What the tests share.

pub mod admin;
pub mod browser;
pub mod container;
pub mod http;
pub mod lambda;
pub mod openapi;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod scenarios;
pub mod server;
pub mod smtp;
pub mod spin;
pub mod storm;
pub mod target;
pub mod user_agent;
