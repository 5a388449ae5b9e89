//! The one stylesheet.

use crate::{
    config::{Config, Environment},
    page::STYLESHEET,
    response::{Reply, cacheable},
};

/// Pages link to it with the program's version, so it can be kept for long.
pub(crate) fn stylesheet(config: &Config) -> Reply {
    let seconds = if config.environment == Environment::Production { 31_536_000 } else { 0 };
    cacheable("text/css; charset=utf-8", STYLESHEET, seconds)
}
