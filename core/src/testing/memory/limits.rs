use super::MemoryStore;
use crate::{
    limit::Taken,
    model::Timestamp,
    store::{Ask, AttemptOutcome, Limits, LoginAttempt, Store, StoreError},
};

impl Limits for MemoryStore {
    async fn take(&self, ask: &Ask, now: Timestamp) -> Result<Taken, StoreError> {
        Ok(self.counters.take(&ask.key, ask.quota, ask.wanted, now))
    }

    async fn attempt_login(&self, attempt: &LoginAttempt<'_>) -> Result<AttemptOutcome, StoreError> {
        let credentials = self.user_by_login(attempt.login).await?;
        let knows = |origin| {
            let known = credentials.as_ref().zip(origin).map(|(credentials, origin)| (credentials.user.id, origin));
            let state = self.state();
            known.and_then(|known| state.known_origins.get(&known)).is_some_and(|until| *until > attempt.now)
        };
        Ok(self.counters.attempt_login(attempt, &knows, credentials.clone()))
    }

    async fn sweep_limits(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut removed = 0;
        self.state().known_origins.retain(|_, until| super::keep(*until <= now, limit, &mut removed));
        Ok(removed + self.counters.sweep(now, limit))
    }
}
