//! What operators see and change.

use std::sync::Arc;

use super::{
    Case,
    fixture::{
        World, account, at, client_id, confidential_client, digest, id, public_client, race, scope, scopes, session,
    },
};
use crate::{
    audit::{Event, EventType, Outcome, Record},
    model::{
        Client, ClientSecretHash, ClientType, NewClient, NewUser, PasswordHash, PreviousSecret, ScopeDescription, User,
    },
    store::{
        AuditFilter, ClientFilter, ClientRecord, Created, GrantFilter, ScopeFilter, SessionFilter, Store, StoreError,
        UserChange, UserFilter, UserRecord, UserUpdate,
    },
};

fn event(event_type: EventType) -> Record {
    Record::new(id(), at(0), Event::new(event_type).actor("operator"))
}

async fn client_record<S: Store>(store: &Arc<S>, name: &str) -> Result<Option<ClientRecord>, StoreError> {
    let filter = ClientFilter { client_id: Some(name.to_owned()), ..ClientFilter::default() };
    Ok(store.client_records(&filter, None, 10).await?.pop())
}

async fn user_record<S: Store>(store: &Arc<S>, user: &User) -> Result<Option<UserRecord>, StoreError> {
    let filter = UserFilter { id: Some(user.id), ..UserFilter::default() };
    Ok(store.user_records(&filter, None, 10).await?.pop())
}

async fn recorded<S: Store>(store: &Arc<S>) -> Result<Vec<String>, StoreError> {
    let log = store.audit_log(&AuditFilter::default(), None, 100).await?;
    assert!(log.iter().all(|record| record.actor.as_deref() == Some("operator")));
    let mut events: Vec<_> = log.into_iter().map(|record| record.event.into_owned()).collect();
    events.sort_unstable();
    Ok(events)
}

fn update(user: &User) -> UserUpdate {
    UserUpdate { user: user.clone(), is_active: true }
}

fn administrator(name: &str) -> NewUser {
    let NewUser { user, password_hash } = account(name);
    NewUser { user: User { is_admin: true, ..user }, password_hash }
}

/// Every field of it, scopes whether active or not.
pub async fn a_client_is_shown_as_it_was_registered<S: Store>(store: &Arc<S>) -> Case {
    store.create_scope(id(), &ScopeDescription { is_active: false, ..scope("retired") }, at(0), None).await?;
    let client = NewClient {
        scopes: scopes("write retired"),
        logo_uri: Some("https://app.example/logo.svg".to_owned()),
        is_active: false,
        ..confidential_client("service")
    };
    let audit = event(EventType::ClientCreated);
    assert_eq!(store.create_client(&client, at(5), Some(&audit)).await?, Created::Created);
    assert_eq!(store.create_client(&client, at(6), Some(&event(EventType::ClientCreated))).await?, Created::Conflict);
    let record = client_record(store, "service").await?.expect("it is there");
    assert_eq!((record.client_type.as_str(), record.scope.as_str()), ("confidential", "retired write"));
    assert_eq!(record.redirect_uris, ["https://b.example/1", "https://a.example/2?x={y,\"z\"}"]);
    assert_eq!(record.logo_uri.as_deref(), Some("https://app.example/logo.svg"));
    assert_eq!(record.client_uri.as_deref(), Some("https://app.example/"));
    assert_eq!(record.token_endpoint_auth_method, "client_secret_post");
    assert_eq!(record.grant_types, ["authorization_code", "refresh_token", "client_credentials"]);
    assert_eq!(record.resources, ["https://api.example/v1", "urn:example:other"]);
    assert!(record.introspect_all && !record.require_pkce && !record.active);
    assert_eq!((record.created_at, record.updated_at), (at(5), at(5)));
    assert_eq!(record.previous_secret_expires_at, None);
    assert_eq!(recorded(store).await?, ["client.created"]);
    assert_eq!(client_record(store, "Service").await?, None);
    Ok(())
}

/// By client_id, page by page, whatever comes in between.
pub async fn clients_are_listed_in_pages<S: Store>(store: &Arc<S>) -> Case {
    for name in ["b", "d", "Z", "f"] {
        store.create_client(&public_client(name), at(0), None).await?;
    }
    let filter = ClientFilter { text: Some("the client ".to_owned()), ..ClientFilter::default() };
    let names = |page: Vec<ClientRecord>| page.into_iter().map(|client| client.client_id).collect::<Vec<_>>();
    assert_eq!(names(store.client_records(&filter, None, 2).await?), ["Z", "b"]);
    store.create_client(&public_client("a"), at(0), None).await?;
    store.create_client(&public_client("c"), at(0), None).await?;
    assert_eq!(names(store.client_records(&filter, Some("b"), 2).await?), ["c", "d"]);
    assert_eq!(names(store.client_records(&filter, Some("d"), 10).await?), ["f"]);
    assert!(store.client_records(&filter, Some("f"), 10).await?.is_empty());
    Ok(())
}

/// Conditions add up.
pub async fn clients_are_filtered<S: Store>(store: &Arc<S>) -> Case {
    store.create_client(&public_client("App_1"), at(0), None).await?;
    store.create_client(&NewClient { is_active: false, ..confidential_client("app-2") }, at(0), None).await?;
    let count = async |filter: ClientFilter| store.client_records(&filter, None, 10).await.map(|found| found.len());
    let text = |text: &str| ClientFilter { text: Some(text.to_owned()), ..ClientFilter::default() };
    assert_eq!(count(text("app")).await?, 2);
    assert_eq!(count(text("app_")).await?, 1, "no pattern");
    assert_eq!(count(text("%")).await?, 0, "no pattern");
    assert_eq!(count(ClientFilter { client_type: Some(ClientType::Public), ..text("app") }).await?, 1);
    assert_eq!(count(ClientFilter { is_active: Some(false), ..ClientFilter::default() }).await?, 1);
    assert_eq!(count(ClientFilter { is_active: Some(true), ..text("app-2") }).await?, 0);
    Ok(())
}

/// And only as it was read.
pub async fn a_client_is_changed<S: Store>(store: &Arc<S>) -> Case {
    let client = confidential_client("service");
    store.create_client(&client, at(0), None).await?;
    let changed = NewClient {
        name: "Another name".to_owned(),
        scopes: scopes("profile write"),
        redirect_uris: vec![],
        client_uri: None,
        is_active: false,
        ..client.clone()
    };
    let audit = event(EventType::ClientChanged);
    assert!(!store.update_client(&changed, at(1), at(2), Some(&audit)).await?, "it is another version");
    assert!(store.update_client(&changed, at(0), at(2), Some(&audit)).await?);
    assert!(!store.update_client(&client, at(0), at(3), Some(&audit)).await?, "it was changed since");
    let record = client_record(store, "service").await?.expect("it is there");
    assert_eq!((record.client_name.as_str(), record.scope.as_str()), ("Another name", "profile write"));
    assert_eq!((record.active, record.created_at, record.updated_at), (false, at(0), at(2)));
    assert!(record.redirect_uris.is_empty() && record.client_uri.is_none());
    let stored = store.client(&client_id("service")).await?.expect("it is there");
    assert_eq!(stored.secret_hash, client.secret_hash, "the secret stays");
    let unknown = NewClient { client_id: client_id("nobody"), ..changed };
    assert!(!store.update_client(&unknown, at(0), at(3), None).await?);
    assert_eq!(recorded(store).await?, ["client.changed"]);
    Ok(())
}

/// The old one works on for a while, or not at all.
pub async fn a_secret_rotates<S: Store>(store: &Arc<S>) -> Case {
    let name = client_id("service");
    store.create_client(&confidential_client("service"), at(0), None).await?;
    store.create_client(&public_client("app"), at(0), None).await?;
    let secret = |text: &str| ClientSecretHash::from(digest(text));
    let stored = async || -> Result<Client, StoreError> { Ok(store.client(&name).await?.expect("it is there")) };
    let audit = event(EventType::ClientSecretRotated);
    assert!(store.rotate_client_secret(&name, &secret("second"), at(100), at(1), Some(&audit)).await?);
    let client = stored().await?;
    assert_eq!(client.secret_hash, Some(secret("second")));
    assert_eq!(client.previous_secret, Some(PreviousSecret { hash: secret("secret"), expires_at: at(100) }));
    assert_eq!(client.secret_hashes(at(99)).count(), 2);
    assert_eq!(client.secret_hashes(at(100)).count(), 1);
    assert!(store.rotate_client_secret(&name, &secret("third"), at(2), at(2), None).await?);
    let client = stored().await?;
    assert_eq!((client.secret_hash, client.previous_secret), (Some(secret("third")), None));
    assert!(!store.rotate_client_secret(&client_id("app"), &secret("x"), at(9), at(3), None).await?, "it has none");
    assert!(!store.rotate_client_secret(&client_id("nobody"), &secret("x"), at(9), at(3), None).await?);
    assert_eq!(recorded(store).await?, ["client.secret_rotated"]);
    Ok(())
}

/// Grants, codes, tokens and consents.
pub async fn a_deleted_client_takes_everything_along<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    let audit = event(EventType::ClientDeleted);
    assert!(!store.delete_client("nobody", Some(&audit)).await?);
    assert!(store.delete_client(world.client.client_id.as_str(), Some(&audit)).await?);
    assert!(!store.delete_client(world.client.client_id.as_str(), Some(&event(EventType::ClientDeleted))).await?);
    assert_eq!(store.client(&world.client.client_id).await?, None);
    assert_eq!(store.counts(at(1)).await?.grants, 0);
    family.assert_gone(at(1)).await?;
    assert_eq!(recorded(store).await?, ["client.deleted"]);
    Ok(())
}

/// Listed, changed as it was read, removed from every client.
pub async fn a_scope_is_administered<S: Store>(store: &Arc<S>) -> Case {
    let calendar = scope("calendar");
    store.create_scope(id(), &calendar, at(1), Some(&event(EventType::ScopeCreated))).await?;
    let client = NewClient { scopes: scopes("calendar read"), ..public_client("app") };
    store.create_client(&client, at(0), None).await?;
    let named = ScopeFilter { name: Some("calendar".to_owned()), ..ScopeFilter::default() };
    let record = store.scope_records(&named, None, 10).await?.pop().expect("it is there");
    assert_eq!((record.created_at, record.updated_at, record.active), (at(1), at(1), true));
    let all = store.scope_records(&ScopeFilter::default(), Some("admin:users:write"), 3).await?;
    assert_eq!(all.iter().map(|scope| scope.name.as_str()).collect::<Vec<_>>(), ["calendar", "profile", "read"]);
    let changed = ScopeDescription { description: "See dates".to_owned(), is_default: true, ..calendar };
    let audit = event(EventType::ScopeChanged);
    assert!(!store.update_scope(&changed, at(0), at(2), Some(&audit)).await?);
    assert!(store.update_scope(&changed, at(1), at(2), Some(&audit)).await?);
    let text = ScopeFilter { text: Some("see dates".to_owned()), ..ScopeFilter::default() };
    let record = store.scope_records(&text, None, 10).await?.pop().expect("it is there");
    assert!(record.default && record.updated_at == at(2));
    assert!(store.delete_scope("calendar", Some(&event(EventType::ScopeDeleted))).await?);
    assert!(!store.delete_scope("calendar", None).await?);
    let stored = store.client(&client.client_id).await?.expect("it is there");
    assert_eq!(stored.allowed_scopes(), scopes("read"));
    assert_eq!(recorded(store).await?, ["scope.changed", "scope.created", "scope.deleted"]);
    Ok(())
}

/// Page by page, and by what they are.
pub async fn accounts_are_listed<S: Store>(store: &Arc<S>) -> Case {
    let accounts = [account("ada"), administrator("bob"), account("carol")];
    for account in &accounts {
        store.create_user(account, at(3), None).await?;
    }
    let ids: Vec<_> = accounts.iter().map(|account| account.user.id).collect();
    let listed = async |filter: UserFilter, after, limit| -> Result<Vec<_>, StoreError> {
        Ok(store.user_records(&filter, after, limit).await?.into_iter().map(|user| user.id).collect())
    };
    assert_eq!(listed(UserFilter::default(), None, 2).await?, ids[..2]);
    assert_eq!(listed(UserFilter::default(), Some(ids[1]), 2).await?, ids[2..]);
    assert_eq!(listed(UserFilter { is_admin: Some(true), ..UserFilter::default() }, None, 9).await?, ids[1..2]);
    let text = UserFilter { text: Some("carol@".to_owned()), ..UserFilter::default() };
    assert_eq!(listed(text, None, 9).await?, ids[2..]);
    assert!(listed(UserFilter { is_active: Some(false), ..UserFilter::default() }, None, 9).await?.is_empty());
    let record = user_record(store, &accounts[1].user).await?.expect("it is there");
    assert!(record.admin && record.active && record.created_at == at(3) && record.email == "bob@example.com");
    Ok(())
}

/// As it was read, unless its address or name is another's.
pub async fn an_account_is_changed<S: Store>(store: &Arc<S>) -> Case {
    let (NewUser { user: ada, .. }, bob) = (account("ada"), account("bob"));
    store.create_user(&NewUser { user: ada.clone(), password_hash: bob.password_hash.clone() }, at(0), None).await?;
    store.create_user(&bob, at(0), None).await?;
    let audit = event(EventType::UserChanged);
    let renamed = User { email: "countess@example.com".to_owned(), username: "countess".to_owned(), ..ada.clone() };
    assert_eq!(store.update_user(&update(&renamed), at(9), at(1), Some(&audit)).await?, UserChange::Stale);
    for taken in
        [User { email: bob.user.email.clone(), ..ada.clone() }, User { username: bob.user.username, ..ada.clone() }]
    {
        assert_eq!(store.update_user(&update(&taken), at(0), at(1), Some(&audit)).await?, UserChange::Taken);
    }
    assert_eq!(store.update_user(&update(&renamed), at(0), at(1), Some(&audit)).await?, UserChange::Changed);
    let record = user_record(store, &ada).await?.expect("it is there");
    assert_eq!((record.email.as_str(), record.username.as_str()), ("countess@example.com", "countess"));
    assert_eq!((record.created_at, record.updated_at), (at(0), at(1)));
    assert!(store.user_by_login("ada@example.com").await?.is_none());
    assert_eq!(store.update_user(&update(&ada), at(0), at(2), None).await?, UserChange::Stale);
    assert_eq!(recorded(store).await?, ["user.changed"]);
    Ok(())
}

/// Sessions and grants end, and nobody else's.
pub async fn a_locked_account_loses_its_access<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    store.create_user(&account("bob"), at(0), None).await?;
    store.create_session(&session("cookie", world.user.id, at(0))).await?;
    let locked = UserUpdate { user: world.user.clone(), is_active: false };
    let audit = event(EventType::UserLocked);
    assert_eq!(store.update_user(&locked, at(0), at(1), Some(&audit)).await?, UserChange::Changed);
    family.assert_revoked(0, at(1)).await?;
    assert!(store.session(&digest("cookie"), at(1)).await?.is_none());
    assert!(!store.user_by_login("ada").await?.expect("it is there").is_active);
    assert_eq!(store.update_user(&update(&world.user), at(1), at(2), None).await?, UserChange::Changed);
    family.assert_revoked(0, at(2)).await?;
    assert!(store.session(&digest("cookie"), at(2)).await?.is_none(), "what has ended stays so");
    Ok(())
}

/// Neither deleted, nor locked, nor made an ordinary person.
pub async fn the_last_administrator_stays<S: Store>(store: &Arc<S>) -> Case {
    let (root, other) = (administrator("root"), administrator("other"));
    store.create_user(&root, at(0), None).await?;
    let demoted = update(&User { is_admin: false, ..root.user.clone() });
    let locked = UserUpdate { user: root.user.clone(), is_active: false };
    for change in [&demoted, &locked] {
        assert_eq!(store.update_user(change, at(0), at(1), None).await?, UserChange::LastAdministrator);
    }
    assert_eq!(store.delete_user(root.user.id, None).await?, UserChange::LastAdministrator);
    store.create_user(&other, at(0), None).await?;
    let other_locked = UserUpdate { user: other.user.clone(), is_active: false };
    assert_eq!(store.update_user(&other_locked, at(0), at(1), None).await?, UserChange::Changed);
    assert_eq!(store.delete_user(root.user.id, None).await?, UserChange::LastAdministrator, "the other is locked");
    assert_eq!(store.delete_user(other.user.id, None).await?, UserChange::Changed);
    assert_eq!(store.delete_user(other.user.id, None).await?, UserChange::Unknown);
    Ok(())
}

/// However many are demoted at once.
pub async fn one_administrator_is_left_by_a_race<S: Store>(store: &Arc<S>) -> Case {
    for round in 0..10 {
        let administrators: Vec<_> = (0..4).map(|number| administrator(&format!("root-{round}-{number}"))).collect();
        for administrator in &administrators {
            store.create_user(administrator, at(0), None).await?;
        }
        let racers = administrators.iter().enumerate().map(|(number, administrator)| {
            let (store, user) = (Arc::clone(store), administrator.user.clone());
            async move {
                if number % 2 == 0 {
                    return store.delete_user(user.id, None).await;
                }
                let demoted = update(&User { is_admin: false, ..user });
                store.update_user(&demoted, at(0), at(1), None).await
            }
        });
        let outcomes = race(racers).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let kept = outcomes.iter().filter(|outcome| **outcome == UserChange::LastAdministrator).count();
        assert_eq!(kept, usize::from(round == 0), "{outcomes:?}");
        let left = UserFilter { is_admin: Some(true), is_active: Some(true), ..UserFilter::default() };
        assert_eq!(store.user_records(&left, None, 10).await?.len(), 1, "round {round}");
    }
    Ok(())
}

/// Sessions, grants and links end.
pub async fn an_assigned_password_ends_everything<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    store.create_session(&session("cookie", world.user.id, at(0))).await?;
    let hash = PasswordHash::new("another hash".to_owned());
    let audit = event(EventType::PasswordAssigned);
    assert!(store.assign_password(world.user.id, &hash, at(1), Some(&audit)).await?);
    assert!(!store.assign_password(id(), &hash, at(1), Some(&event(EventType::PasswordAssigned))).await?);
    assert_eq!(store.credentials(world.user.id).await?.expect("it is there").password_hash, hash);
    family.assert_revoked(0, at(1)).await?;
    assert!(store.session(&digest("cookie"), at(1)).await?.is_none());
    assert_eq!(recorded(store).await?, ["password.assigned"]);
    Ok(())
}

/// With all that is its own.
pub async fn a_deleted_account_takes_everything_along<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let family = world.family().await?;
    store.create_session(&session("cookie", world.user.id, at(0))).await?;
    let audit = event(EventType::UserDeleted);
    assert_eq!(store.delete_user(world.user.id, Some(&audit)).await?, UserChange::Changed);
    family.assert_gone(at(1)).await?;
    assert!(store.session(&digest("cookie"), at(1)).await?.is_none());
    assert!(store.user_by_login("ada").await?.is_none());
    assert_eq!(recorded(store).await?, ["user.deleted"]);
    Ok(())
}

/// Newest first, while they last; each is ended alone.
pub async fn sessions_are_administered<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let sessions: Vec<_> = ["a", "b", "c"].map(|cookie| session(cookie, world.user.id, at(0))).into();
    for session in &sessions {
        store.create_session(session).await?;
    }
    let listed = async |filter: SessionFilter, after, limit, now| -> Result<Vec<_>, StoreError> {
        Ok(store.session_records(&filter, after, limit, now).await?.into_iter().map(|session| session.id).collect())
    };
    let mut ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
    ids.reverse();
    assert_eq!(listed(SessionFilter::default(), None, 2, at(1)).await?, ids[..2]);
    assert_eq!(listed(SessionFilter::default(), Some(ids[1]), 2, at(1)).await?, ids[2..]);
    assert!(listed(SessionFilter::default(), None, 9, at(3600)).await?.is_empty(), "they have ended");
    assert!(listed(SessionFilter { user_id: Some(id()), id: None }, None, 9, at(1)).await?.is_empty());
    let audit = event(EventType::SessionEnded);
    assert!(store.end_any_session(ids[1], Some(&audit)).await?);
    assert!(!store.end_any_session(ids[1], Some(&event(EventType::SessionEnded))).await?);
    assert_eq!(listed(SessionFilter::default(), None, 9, at(1)).await?, [ids[0], ids[2]]);
    let one = store.session_records(&SessionFilter { id: Some(ids[0]), user_id: None }, None, 1, at(1)).await?;
    assert_eq!(one[0].username, world.user.username);
    assert_eq!(recorded(store).await?, ["session.ended"]);
    Ok(())
}

/// Newest first, by whose they are; each is revoked alone.
pub async fn grants_are_administered<S: Store>(store: &Arc<S>) -> Case {
    let world = World::new(store).await?;
    let (first, second) = (world.family().await?, world.family().await?);
    let all = store.grant_records(&GrantFilter::default(), None, 9).await?;
    assert_eq!(all.iter().map(|grant| grant.id).collect::<Vec<_>>(), [second.grant.id, first.grant.id]);
    assert_eq!((all[0].client_id.as_str(), all[0].scope.as_str()), ("client", &*second.grant.scopes.to_string()));
    assert_eq!(all[0].resources, second.grant.resources);
    let next = store.grant_records(&GrantFilter::default(), Some(second.grant.id), 9).await?;
    assert_eq!(next.len(), 1);
    let audit = event(EventType::GrantRevoked);
    assert!(store.revoke_grant(first.grant.id, at(7), Some(&audit)).await?);
    assert!(!store.revoke_grant(first.grant.id, at(8), Some(&event(EventType::GrantRevoked))).await?);
    assert!(!store.revoke_grant(id(), at(8), None).await?);
    first.assert_revoked(0, at(8)).await?;
    second.assert_alive(0, at(8)).await?;
    let filter = |is_revoked| GrantFilter { is_revoked: Some(is_revoked), ..GrantFilter::default() };
    let revoked = store.grant_records(&filter(true), None, 9).await?;
    assert_eq!((revoked.len(), revoked[0].id, revoked[0].revoked_at), (1, first.grant.id, Some(at(7))));
    assert_eq!(store.grant_records(&filter(false), None, 9).await?.len(), 1);
    let of_other = GrantFilter { client_id: Some("other".to_owned()), ..GrantFilter::default() };
    assert!(store.grant_records(&of_other, None, 9).await?.is_empty());
    assert_eq!(recorded(store).await?, ["grant.revoked"]);
    Ok(())
}

/// Conditions add up.
pub async fn the_audit_log_is_filtered<S: Store>(store: &Arc<S>) -> Case {
    let user = id();
    let login = Record::new(id(), at(10), Event::new(EventType::LoginFailed).user(user));
    let replay = Record::new(id(), at(20), Event::new(EventType::CodeReplayed).client(&client_id("app")));
    for record in [&login, &replay] {
        store.record(record).await?;
    }
    let found = async |filter: AuditFilter| store.audit_log(&filter, None, 10).await;
    let all = AuditFilter::default;
    assert_eq!(found(all()).await?, [replay.clone(), login.clone()]);
    assert_eq!(
        found(AuditFilter { event: Some("login.failed".to_owned()), ..all() }).await?,
        std::slice::from_ref(&login)
    );
    assert_eq!(found(AuditFilter { outcome: Some(Outcome::Alert), ..all() }).await?, std::slice::from_ref(&replay));
    assert_eq!(found(AuditFilter { user_id: Some(user), ..all() }).await?, std::slice::from_ref(&login));
    assert_eq!(found(AuditFilter { client_id: Some("app".to_owned()), ..all() }).await?, std::slice::from_ref(&replay));
    assert_eq!(found(AuditFilter { since: Some(at(20)), ..all() }).await?, [replay]);
    assert_eq!(found(AuditFilter { until: Some(at(20)), ..all() }).await?, [login]);
    assert_eq!(found(AuditFilter { user_id: Some(user), since: Some(at(11)), ..all() }).await?, []);
    Ok(())
}
