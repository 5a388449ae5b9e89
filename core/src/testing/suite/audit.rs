//! The audit log.

use std::sync::Arc;

use super::{
    Case,
    fixture::{World, account, at, client_id, digest, id, race, session},
};
use crate::{
    audit::{Event, EventType, Record},
    model::Timestamp,
    store::{AuditFilter, NewGrant, NewSession, Revoked, Store, StoreError},
};

fn record(event_type: EventType, now: Timestamp) -> Record {
    Record::new(id(), now, Event::new(event_type))
}

async fn newest<S: Store>(store: &Arc<S>) -> Result<Option<Record>, StoreError> {
    Ok(store.audit_log(&AuditFilter::default(), None, 1).await?.pop())
}

/// Every field of it; nothing that is referred to need exist.
pub async fn a_record_is_read_back<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await?, []);
    let plain = record(EventType::LoginFailed, at(0));
    let event = Event::new(EventType::CodeReplayed).user(id()).client(&client_id("app")).grant(id());
    let full = Record {
        client_address: Some("2001:db8::1".to_owned()),
        user_agent: Some("Browser/1.0 (\"quoted\"; ü)".to_owned()),
        request_id: Some("request".to_owned()),
        ..Record::new(id(), at(1), event.detail("a detail, {\"of\": 'some' kind}"))
    };
    for expected in [plain, full] {
        store.record(&expected).await?;
        assert_eq!(newest(store).await?, Some(expected));
    }
    Ok(())
}

/// Page by page.
pub async fn records_are_listed_newest_first<S: Store>(store: &Arc<S>) -> Case {
    let records: Vec<_> = (0..7).map(|seconds| record(EventType::LoginSucceeded, at(seconds))).collect();
    for record in &records {
        store.record(record).await?;
    }
    let mut listed = store.audit_log(&AuditFilter::default(), None, 3).await?;
    while let Some(last) = listed.last().map(|record| record.id) {
        let page = store.audit_log(&AuditFilter::default(), Some(last), 3).await?;
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    listed.reverse();
    assert_eq!(listed, records);
    Ok(())
}

/// A repeated request records nothing twice, and changes nothing.
pub async fn a_record_is_appended_once<S: Store>(store: &Arc<S>) -> Case {
    let first = record(EventType::LoginFailed, at(0));
    store.record(&first).await?;
    store.record(&Record { detail: Some("another".to_owned()), ..first.clone() }).await?;
    assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await?, [first]);
    Ok(())
}

/// From however many requests at once.
pub async fn no_record_is_lost<S: Store>(store: &Arc<S>) -> Case {
    let racers = (0..32).map(|seconds| {
        let (store, record) = (Arc::clone(store), record(EventType::LoginFailed, at(seconds)));
        async move { store.record(&record).await }
    });
    for outcome in race(racers).await {
        outcome?;
    }
    assert_eq!(store.audit_log(&AuditFilter::default(), None, 100).await?.len(), 32);
    Ok(())
}

/// Along with it.
pub async fn a_login_and_a_logout_are_recorded<S: Store>(store: &Arc<S>) -> Case {
    let ada = account("ada");
    store.create_user(&ada, at(0), None).await?;
    let user_id = Some(ada.user.id);
    let login = Record { user_id, ..record(EventType::LoginSucceeded, at(0)) };
    store.create_session(&NewSession { audit: Some(login.clone()), ..session("cookie", ada.user.id, at(0)) }).await?;
    assert_eq!(newest(store).await?, Some(login));
    let logout = record(EventType::Logout, at(1));
    assert_eq!(store.end_session(&digest("cookie"), Some(&logout)).await?, user_id);
    let expected = Some(Record { user_id, ..logout });
    assert_eq!(newest(store).await?, expected);
    assert_eq!(store.end_session(&digest("cookie"), Some(&record(EventType::Logout, at(2)))).await?, None);
    assert_eq!(newest(store).await?, expected, "there was nothing to end");
    Ok(())
}

/// Along with it.
pub async fn a_consent_is_recorded<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let consent = Record { user_id: Some(world.user.id), ..record(EventType::ConsentGranted, at(0)) };
    store.create_grant(&NewGrant { audit: Some(consent.clone()), ..world.grant() }).await?;
    assert_eq!(newest(store).await?, Some(consent));
    Ok(())
}

/// Where there was something to revoke, and with whose it was.
pub async fn a_revocation_is_recorded<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let (grant, token) = (record(EventType::GrantRevoked, at(2)), record(EventType::TokenRevoked, at(1)));
    let (access, refresh) = (family.access_token(), family.refresh_token(0));
    for (foreign, record) in [(&access, &token), (&refresh, &grant)] {
        assert_eq!(store.revoke_token(foreign, world.other.id, at(1), Some(record)).await?, Revoked::Nothing);
    }
    assert_eq!(newest(store).await?, None);
    let client = world.client.id;
    assert_eq!(store.revoke_token(&access, client, at(1), Some(&token)).await?, Revoked::Token);
    assert_eq!(newest(store).await?, Some(token));
    let (grant_id, user_id) = (family.grant.id, world.user.id);
    let revoked = store.revoke_token(&refresh, client, at(2), Some(&grant)).await?;
    assert_eq!(revoked, Revoked::Grant { id: grant_id, user_id });
    let mut log = store.audit_log(&AuditFilter::default(), None, 10).await?;
    assert!(log.contains(&Record { grant_id: Some(grant_id), user_id: Some(user_id), ..grant }));
    for again in [&access, &refresh] {
        let record = record(EventType::GrantRevoked, at(3));
        assert_eq!(store.revoke_token(again, client, at(3), Some(&record)).await?, Revoked::Nothing);
    }
    log.truncate(2);
    assert_eq!(store.audit_log(&AuditFilter::default(), None, 10).await?, log);
    Ok(())
}

/// After its time, in batches; a record outlives whom it is about.
pub async fn old_records_are_swept<S: Store>(store: &Arc<S>) -> Case {
    for seconds in 0..5 {
        store.record(&record(EventType::LoginFailed, at(seconds))).await?;
    }
    assert_eq!(store.sweep_audit_log(at(0), 100).await?, 0);
    assert_eq!(store.sweep_audit_log(at(3), 2).await?, 2);
    assert_eq!(store.sweep_audit_log(at(3), 2).await?, 1);
    assert_eq!(store.sweep_audit_log(at(3), 2).await?, 0);
    let left: Vec<_> = store
        .audit_log(&AuditFilter::default(), None, 10)
        .await?
        .into_iter()
        .map(|record| record.occurred_at)
        .collect();
    assert_eq!(left, [at(4), at(3)]);
    Ok(())
}
