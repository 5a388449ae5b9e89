//! Outgoing mail.

use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use super::{
    Case,
    fixture::{at, digest, id, moment, race},
};
use crate::{
    model::Timestamp,
    store::{Backlog, ClaimedMail, NewEmailToken, NewMail, ResetRequest, Store, StoreError},
};

/// A mail that is of use for an hour.
pub(super) fn mail(subject: &str, now: Timestamp) -> NewMail {
    let sealed = format!("sealed {subject}").into_bytes();
    NewMail { id: id(), subject: subject.to_owned(), sealed, expires_at: now + TimeDelta::hours(1) }
}

/// Mail gets into the store with what causes it: here, with a forgotten password of nobody's.
async fn queue<S: Store>(store: &Arc<S>, subject: &str, now: Timestamp) -> Result<NewMail, StoreError> {
    let mail = mail(subject, now);
    let token = NewEmailToken { digest: digest(&mail.id.to_string()), expires_at: mail.expires_at };
    let email = "nobody@example.com".to_owned();
    assert_eq!(store.request_reset(&ResetRequest { email, token, mail: mail.clone(), now }).await?, None);
    Ok(mail)
}

/// Takes up everything that is due, for a minute.
pub(super) async fn claim<S: Store>(store: &Arc<S>, seconds: i64) -> Result<Vec<ClaimedMail>, StoreError> {
    store.claim_mail(at(seconds), at(seconds + 60), 100).await
}

/// What an empty store has.
pub async fn there_is_none_at_first<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(claim(store, 0).await?, []);
    assert_eq!(store.mail_backlog(at(0)).await?, Backlog::default());
    store.remove_mail(id(), 1).await?;
    store.defer_mail(id(), 1, "error", None).await
}

/// Every field of it, oldest first, and no more than asked for.
pub async fn mail_is_taken_up<S: Store>(store: &Arc<S>) -> Case {
    let mut queued = Vec::new();
    for seconds in 0..5 {
        queued.push(queue(store, &format!("number {seconds}"), at(seconds)).await?);
    }
    for (index, limit) in [(0, 2), (2, 3)] {
        let expected: Vec<_> = queued[index..index + limit]
            .iter()
            .zip(index..)
            .map(|(mail, number)| ClaimedMail {
                id: mail.id,
                recipient: None,
                subject: mail.subject.clone(),
                sealed: mail.sealed.clone(),
                created_at: at(i64::try_from(number).expect("small")),
                expires_at: mail.expires_at,
                attempts: 1,
            })
            .collect();
        let mut claimed = store.claim_mail(at(10), at(70), u32::try_from(limit).expect("small")).await?;
        claimed.sort_by_key(|mail| mail.created_at);
        assert_eq!(claimed, expected);
    }
    assert_eq!(store.claim_mail(at(10), at(70), 100).await?, []);
    Ok(())
}

/// To the moment: whoever has died with it leaves it to the next.
pub async fn a_lease_ends<S: Store>(store: &Arc<S>) -> Case {
    let queued = queue(store, "one", at(0)).await?;
    assert_eq!(store.claim_mail(at(0) - moment(), at(60), 1).await?, [], "not due yet");
    assert_eq!(store.claim_mail(at(0), at(60), 1).await?.len(), 1);
    assert_eq!(store.claim_mail(at(60) - moment(), at(120), 1).await?, []);
    let again = store.claim_mail(at(60), at(120), 1).await?;
    let [again] = again.as_slice() else { panic!("it is due again") };
    assert_eq!((again.id, again.attempts), (queued.id, 2));
    Ok(())
}

/// A worker that was too slow neither removes nor defers what another one has by now.
pub async fn a_late_worker_changes_nothing<S: Store>(store: &Arc<S>) -> Case {
    let queued = queue(store, "one", at(0)).await?;
    claim(store, 0).await?;
    claim(store, 60).await?;
    store.remove_mail(queued.id, 1).await?;
    store.defer_mail(queued.id, 1, "late", None).await?;
    let third = claim(store, 120).await?;
    assert_eq!(third.iter().map(|mail| mail.attempts).collect::<Vec<_>>(), [3]);
    store.remove_mail(queued.id, 3).await?;
    assert_eq!(claim(store, 1000).await?, []);
    Ok(())
}

/// It is due again at that time; given up, never.
pub async fn a_failed_mail_is_due_again_or_given_up<S: Store>(store: &Arc<S>) -> Case {
    let queued = queue(store, "one", at(0)).await?;
    claim(store, 0).await?;
    store.defer_mail(queued.id, 1, "an error: 'é'", Some(at(100))).await?;
    assert_eq!(claim(store, 99).await?, []);
    assert_eq!(claim(store, 100).await?.len(), 1);
    store.defer_mail(queued.id, 2, "another", None).await?;
    assert_eq!(claim(store, 3000).await?, []);
    Ok(())
}

/// Nobody receives a link that is of no use any more.
pub async fn mail_is_not_sent_too_late<S: Store>(store: &Arc<S>) -> Case {
    queue(store, "one", at(0)).await?;
    assert_eq!(claim(store, 3600).await?, []);
    assert_eq!(store.claim_mail(at(3600) - moment(), at(4000), 1).await?.len(), 1);
    Ok(())
}

/// And no other; in bounded batches.
pub async fn mail_of_no_use_is_swept<S: Store>(store: &Arc<S>) -> Case {
    for seconds in [0, 1, 2, 1000] {
        queue(store, "one", at(seconds)).await?;
    }
    assert_eq!(store.sweep_mail(at(3599), 100).await?, 0);
    assert_eq!(store.sweep_mail(at(3700), 2).await?, 2);
    assert_eq!(store.sweep_mail(at(3700), 100).await?, 1);
    assert_eq!(claim(store, 3700).await?.len(), 1);
    Ok(())
}

/// Each mail is one's alone, whoever asks at the same time.
pub async fn two_workers_have_different_mails<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..6 {
        let mut queued: Vec<Uuid> = Vec::new();
        for number in 0..24 {
            queued.push(queue(store, &format!("{round} {number}"), at(round)).await?.id);
        }
        let workers = (0..8).map(|_| {
            let store = Arc::clone(store);
            async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = store.claim_mail(at(100), at(4000), 2).await?;
                    if claimed.is_empty() {
                        return Ok::<_, StoreError>(mine);
                    }
                    mine.extend(claimed.into_iter().map(|mail| mail.id));
                }
            }
        });
        let mut all = Vec::new();
        for mine in race(workers).await {
            all.extend(mine?);
        }
        // A worker that found everything locked stops early: what is left over is due all the same.
        all.extend(store.claim_mail(at(100), at(4000), 100).await?.into_iter().map(|mail| mail.id));
        all.sort_unstable();
        queued.sort_unstable();
        assert_eq!(all, queued, "each of them once");
        for id in queued {
            store.remove_mail(id, 1).await?;
        }
    }
    Ok(())
}
