//! Counters in this process: nobody else uses the file. Where accounts were logged in to before is in the file.

use authly_core::{
    limit::Taken,
    model::{Digest, PasswordHash, Timestamp, UserCredentials},
    store::{Ask, AttemptOutcome, Limits, LoginAttempt, StoreError, sqlite as statements},
};

use super::{SqliteStore, execute, optional};

impl Limits for SqliteStore {
    async fn take(&self, ask: &Ask, now: Timestamp) -> Result<Taken, StoreError> {
        Ok(self.counters.take(&ask.key, ask.quota, ask.wanted, now))
    }

    async fn attempt_login(&self, attempt: &LoginAttempt<'_>) -> Result<AttemptOutcome, StoreError> {
        let address = attempt.counters.and_then(|counters| counters.address);
        let device = attempt.counters.and_then(|counters| counters.device);
        let query = self
            .query(statements::ATTEMPT_LOGIN)
            .bind(attempt.login)
            .bind(attempt.login.to_lowercase())
            .bind(address.map(|origin| origin.as_bytes().to_vec()))
            .bind(device.map(|origin| origin.as_bytes().to_vec()))
            .bind(attempt.now.timestamp_micros());
        let (mut known, mut credentials) = (Vec::new(), None);
        if let Some(row) = optional(&self.readers, query).await? {
            for (origin, column) in [(address, "knows_address"), (device, "knows_device")] {
                if row.get(column)? {
                    known.extend(origin);
                }
            }
            credentials = Some(UserCredentials {
                user: row.user()?,
                password_hash: PasswordHash::new(row.get("password_hash")?),
                is_active: row.get("is_active")?,
            });
        }
        let knows = |origin: Option<Digest>| origin.is_some_and(|origin| known.contains(&origin));
        Ok(self.counters.attempt_login(attempt, &knows, credentials))
    }

    async fn sweep_limits(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let query = self.query(statements::SWEEP_ORIGINS).bind(now.timestamp_micros()).bind(limit);
        Ok(execute(&self.writer, query).await? + self.counters.sweep(now, limit))
    }
}
