//! Counters in Redis, which instances share (`REDIS_URL`). Where it does not answer, the database counts: the server
//! keeps serving, says so once, and comes back by itself.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use authly_core::{
    limit::{Taken, Window},
    model::Timestamp,
    store::Ask,
};
use chrono::TimeDelta;
use redis::{AsyncConnectionConfig, Client, RedisResult, aio::MultiplexedConnection, pipe};
use tokio::time::sleep;

/// A request does not wait longer for an answer: then the database is asked.
const PATIENCE: Duration = Duration::from_millis(250);
/// A lost connection is tried again after so long.
const RETRY: Duration = Duration::from_secs(1);

/// An address with a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

impl RedisUrl {
    /// `None` where it is not the address of a Redis.
    pub fn parse(text: &str) -> Option<Self> {
        Client::open(text).is_ok().then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl(…)")
    }
}

/// A connection, or none at the moment.
pub struct Redis(Arc<Shared>);

struct Shared {
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Shared {
    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Redis {
    /// Connects in a task of its own, and again whenever the connection is lost.
    pub fn start(url: &RedisUrl) -> Self {
        let shared = Arc::new(Shared { connection: Mutex::new(None) });
        if let Ok(client) = Client::open(url.0.as_str()) {
            tokio::spawn(keep_connected(client, Arc::downgrade(&shared)));
        }
        Self(shared)
    }

    /// Whether it answered lately.
    pub fn is_connected(&self) -> bool {
        self.0.connection().is_some()
    }

    /// Takes permits; `None` where it does not answer.
    pub async fn take(&self, ask: &Ask, now: Timestamp) -> Option<Taken> {
        let mut connection = self.0.connection().clone()?;
        let key = format!("authly:limit:{}", ask.key.to_base64url());
        // The first one opens the window; it ends by itself.
        let counted: RedisResult<(u64, i64)> = pipe()
            .atomic()
            .cmd("SET")
            .arg(&key)
            .arg(0)
            .arg("PX")
            .arg(ask.quota.period.num_milliseconds())
            .arg("NX")
            .ignore()
            .incr(&key, ask.wanted)
            .pttl(&key)
            .query_async(&mut connection)
            .await;
        match counted {
            Ok((asked, milliseconds)) => {
                let ends_at = now + TimeDelta::milliseconds(milliseconds.max(1));
                Some(ask.quota.taken(Window { asked, ends_at }, ask.wanted))
            }
            Err(error) => {
                if self.0.connection().take().is_some() {
                    tracing::error!(%error, "Redis does not answer: limits are counted in the database until it does");
                }
                None
            }
        }
    }
}

async fn keep_connected(client: Client, shared: Weak<Shared>) {
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(RETRY)).set_response_timeout(Some(PATIENCE));
    let (mut was_away, mut is_first) = (false, true);
    while let Some(shared) = shared.upgrade() {
        let current = shared.connection().clone();
        // A connection that nobody uses is asked as well: health checks say what they see here.
        let is_alive = match current {
            Some(mut connection) => {
                let answer: RedisResult<()> = redis::cmd("PING").query_async(&mut connection).await;
                if let Err(error) = &answer
                    && shared.connection().take().is_some()
                {
                    tracing::error!(%error, "Redis does not answer: limits are counted in the database until it does");
                }
                answer.is_ok()
            }
            None => false,
        };
        if !is_alive {
            was_away |= !is_first;
            match client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(connection) => {
                    *shared.connection() = Some(connection);
                    if was_away {
                        tracing::info!("Redis answers again: limits are counted there");
                    }
                    was_away = false;
                }
                Err(error) if is_first => {
                    was_away = true;
                    tracing::error!(%error, "Redis does not answer: limits are counted in the database until it does");
                }
                Err(_) => {}
            }
        }
        is_first = false;
        drop(shared);
        sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_do_not_show() {
        let url = RedisUrl::parse("rediss://user:hunter2@cache.example:6380/1").expect("valid");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert!(RedisUrl::parse("redis://127.0.0.1").is_some());
        assert_eq!(RedisUrl::parse("http://127.0.0.1"), None);
        assert_eq!(RedisUrl::parse(""), None);
    }
}
