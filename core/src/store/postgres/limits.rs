//! Counters in the database, which all instances share.

use super::{Executor, PostgresStore, Row, Value, optional_user, statement};
use crate::{
    limit::{Backoff, Quota, Taken, Window},
    model::{Digest, PasswordHash, Timestamp, UserCredentials},
    store::{Admission, Ask, AttemptOutcome, Limits, LoginAttempt, StoreError},
};

fn taken(row: &mut Row, ask: &Ask) -> Result<Taken, StoreError> {
    let window = Window { asked: row.take()?, ends_at: row.take()? };
    Ok(ask.quota.taken(window, ask.wanted))
}

impl<E: Executor> Limits for PostgresStore<E> {
    async fn take(&self, ask: &Ask, now: Timestamp) -> Result<Taken, StoreError> {
        let parameters = values![ask.key, ask.wanted, now, now + ask.quota.period];
        taken(&mut self.one(&statement::TAKE_PERMITS, parameters).await?, ask)
    }

    async fn attempt_login(&self, attempt: &LoginAttempt<'_>) -> Result<AttemptOutcome, StoreError> {
        let LoginAttempt { login, now, ask, counters } = attempt;
        let quota = ask.map_or(Quota::per_minute(0), |ask| ask.quota);
        let microseconds = |time: chrono::TimeDelta| time.num_microseconds();
        let parameters = values![
            *login,
            login.to_lowercase(),
            *now,
            ask.map(|ask| ask.key),
            ask.map_or(0, |ask| ask.wanted),
            quota.permits,
            *now + quota.period,
            counters.and_then(|counters| counters.address),
            counters.and_then(|counters| counters.device),
            counters.map(|counters| counters.by_address),
            counters.and_then(|counters| counters.by_device),
            counters.map(|counters| counters.by_account),
            Backoff::PER_ORIGIN.free,
            Backoff::PER_ACCOUNT.free,
            microseconds(Backoff::FIRST),
            microseconds(Backoff::LONGEST),
            *now + Backoff::MEMORY,
            Backoff::PER_KNOWN_ORIGIN.free,
        ];
        let mut row = self.one(&statement::ATTEMPT_LOGIN, parameters).await?;
        let taken = match ask {
            Some(ask) => Some(taken(&mut row, ask)?),
            None => {
                let (_, _): (Option<u64>, Option<Timestamp>) = (row.take()?, row.take()?);
                None
            }
        };
        let is_permitted: bool = row.take()?;
        let (by_origin, by_account): (Option<Digest>, Option<Digest>) = (row.take()?, row.take()?);
        let (origin_passed, account_passed): (bool, bool) = (row.take()?, row.take()?);
        let (origin_blocked_until, account_blocked_until): (Option<Timestamp>, Option<Timestamp>) =
            (row.take()?, row.take()?);
        let user = optional_user(&mut row)?;
        let (password_hash, is_active): (Option<String>, bool) = (row.take()?, row.take()?);
        let admission = if !is_permitted {
            Admission::AddressExhausted
        } else if by_origin.is_some() && !origin_passed {
            Admission::OriginBlocked(origin_blocked_until.unwrap_or(*now))
        } else if by_account.is_some() && counters.is_some() && !account_passed {
            Admission::AccountBlocked(account_blocked_until.unwrap_or(*now))
        } else {
            Admission::Admitted([by_origin, by_account])
        };
        let credentials = user.zip(password_hash).map(|(user, hash)| UserCredentials {
            user,
            password_hash: PasswordHash::new(hash),
            is_active,
        });
        let is_admitted = matches!(admission, Admission::Admitted(_));
        Ok(AttemptOutcome { taken, admission, credentials: credentials.filter(|_| is_admitted) })
    }

    async fn sweep_limits(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.one(&statement::SWEEP_LIMITS, values![now, limit]).await?.take()
    }
}
