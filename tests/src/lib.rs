//! What the tests share.

pub mod admin;
pub mod browser;
pub mod collector;
pub mod container;
pub mod http;
pub mod lambda;
pub mod nginx;
pub mod openapi;
pub mod postgres;
pub mod proxy;
pub mod redis;
pub mod scenarios;
pub mod server;
pub mod shell;
pub mod smtp;
pub mod spin;
pub mod storm;
pub mod target;
pub mod tls;
pub mod user_agent;
