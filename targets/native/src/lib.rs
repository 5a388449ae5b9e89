//! What the native targets (container, Lambda, admin) share: configuration from the environment, the ports of a
//! machine with threads and an operating system, and the stores over sqlx.

pub mod config;
pub mod data;
pub mod database;
pub mod emf;
pub mod first_run;
pub mod health;
pub mod host;
pub mod jobs;
pub mod logging;
pub mod maintenance;
pub mod metrics;
pub mod otlp;
pub mod postgres;
pub mod redis;
pub mod signature;
pub mod smtp;
pub mod sqlite;

pub use config::{DatabaseUrl, NativeConfig};
pub use database::Database;
pub use host::NativeHost;
pub use smtp::NativeMailer;
