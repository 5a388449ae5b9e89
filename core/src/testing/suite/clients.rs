//! Clients and scopes.

use std::sync::Arc;

use super::{
    Case,
    fixture::{at, client_id, confidential_client, id, public_client, scope, scopes},
};
use crate::{
    model::{Client, NewClient, ScopeDescription},
    store::{Created, Store},
};

/// How a client reads that was registered with existing, active scopes.
fn registered(client: &NewClient, scopes: &[ScopeDescription]) -> Client {
    Client {
        id: client.id,
        client_id: client.client_id.clone(),
        name: client.name.clone(),
        client_type: client.client_type(),
        secret_hash: client.secret_hash.clone(),
        previous_secret: None,
        redirect_uris: client.redirect_uris.iter().map(ToString::to_string).collect(),
        client_uri: client.client_uri.clone(),
        auth_method: client.auth_method,
        require_pkce: client.require_pkce,
        grant_types: client.grant_types.clone(),
        scopes: scopes.to_vec(),
        resources: client.resources.clone(),
        introspect_all: client.introspect_all,
        is_active: true,
    }
}

fn by_name(mut client: Client) -> Client {
    client.scopes.sort_by(|a, b| a.name.cmp(&b.name));
    client
}

/// The database answers, and was migrated.
pub async fn the_store_is_ready<S: Store>(store: &Arc<S>) -> Case {
    store.ready().await
}

/// A migrated database holds the scopes of the product's guide.
pub async fn the_default_scopes_are_there<S: Store>(store: &Arc<S>) -> Case {
    let scope = |name: &str, description: &str, is_default| ScopeDescription {
        name: name.to_owned(),
        description: description.to_owned(),
        is_default,
        is_active: true,
    };
    let expected = [
        scope("admin", "Administrative access", false),
        scope("admin:clients:read", "See applications that are registered here", false),
        scope("admin:clients:write", "Register, change and remove applications", false),
        scope("admin:scopes:read", "See scopes", false),
        scope("admin:scopes:write", "Create, change and remove scopes", false),
        scope("admin:system:read", "See signing keys, the audit log and the state of this server", false),
        scope("admin:system:write", "Rotate signing keys and run the maintenance", false),
        scope("admin:users:read", "See accounts of people, where they are logged in and what they allowed", false),
        scope("admin:users:write", "Create, change, lock and remove accounts of people, and log them out", false),
        scope("profile", "Access to user profile information", true),
        scope("read", "Read access to user data", true),
        scope("write", "Write access to user data", false),
    ];
    assert_eq!(store.scopes().await?, expected);
    Ok(())
}

/// Scopes are listed by name, active or not.
pub async fn a_scope_is_registered<S: Store>(store: &Arc<S>) -> Case {
    let calendar = ScopeDescription { is_default: true, ..scope("calendar:read") };
    let retired = ScopeDescription { is_active: false, ..scope("retired") };
    assert_eq!(store.create_scope(id(), &retired, at(0), None).await?, Created::Created);
    assert_eq!(store.create_scope(id(), &calendar, at(0), None).await?, Created::Created);
    let scopes = store.scopes().await?;
    let names = scopes.iter().map(|scope| scope.name.as_str()).filter(|name| !name.starts_with("admin:"));
    assert_eq!(names.collect::<Vec<_>>(), ["admin", "calendar:read", "profile", "read", "retired", "write"]);
    assert!(scopes.contains(&calendar) && scopes.contains(&retired));
    Ok(())
}

/// A taken name changes nothing.
pub async fn a_scope_name_is_unique<S: Store>(store: &Arc<S>) -> Case {
    let before = store.scopes().await?;
    assert_eq!(store.create_scope(id(), &scope("read"), at(0), None).await?, Created::Conflict);
    assert_eq!(store.scopes().await?, before);
    Ok(())
}

/// Every field of it is read back.
pub async fn a_public_client_is_registered<S: Store>(store: &Arc<S>) -> Case {
    let client = public_client("app");
    assert_eq!(store.create_client(&client, at(0), None).await?, Created::Created);
    let scopes: Vec<_> = store.scopes().await?.into_iter().filter(|s| client.scopes.contains(&s.name)).collect();
    assert_eq!(store.client(&client.client_id).await?.map(by_name), Some(registered(&client, &scopes)));
    Ok(())
}

/// Every field of it is read back, lists in their order.
pub async fn a_confidential_client_is_registered<S: Store>(store: &Arc<S>) -> Case {
    let client = NewClient { scopes: scopes("admin read write profile"), ..confidential_client("service") };
    assert_eq!(store.create_client(&client, at(0), None).await?, Created::Created);
    let scopes: Vec<_> = store.scopes().await?.into_iter().filter(|s| client.scopes.contains(&s.name)).collect();
    assert_eq!(store.client(&client.client_id).await?.map(by_name), Some(registered(&client, &scopes)));
    Ok(())
}

/// A `client_id` is compared in full and in its case.
pub async fn an_unknown_client_is_none<S: Store>(store: &Arc<S>) -> Case {
    store.create_client(&public_client("app"), at(0), None).await?;
    for other in ["App", "ap", "app2", "ap%"] {
        assert_eq!(store.client(&client_id(other)).await?, None, "{other}");
    }
    Ok(())
}

/// A taken `client_id` changes nothing.
pub async fn a_client_id_is_unique<S: Store>(store: &Arc<S>) -> Case {
    store.create_client(&public_client("app"), at(0), None).await?;
    let before = store.client(&client_id("app")).await?;
    let second = NewClient { scopes: scopes("admin"), ..confidential_client("app") };
    assert_eq!(store.create_client(&second, at(1), None).await?, Created::Conflict);
    assert_eq!(store.client(&client_id("app")).await?, before);
    Ok(())
}

/// Also where the scope is registered later.
pub async fn unknown_scopes_are_ignored<S: Store>(store: &Arc<S>) -> Case {
    let client = NewClient { scopes: scopes("read unheard-of"), ..public_client("app") };
    assert_eq!(store.create_client(&client, at(0), None).await?, Created::Created);
    store.create_scope(id(), &scope("unheard-of"), at(0), None).await?;
    let stored = store.client(&client.client_id).await?.expect("registered");
    assert_eq!(stored.allowed_scopes(), scopes("read"));
    Ok(())
}

/// A client may not ask for a scope that is not active.
pub async fn inactive_scopes_are_omitted<S: Store>(store: &Arc<S>) -> Case {
    let retired = ScopeDescription { is_active: false, ..scope("retired") };
    store.create_scope(id(), &retired, at(0), None).await?;
    let some = NewClient { scopes: scopes("read retired"), ..public_client("some") };
    let none = NewClient { scopes: scopes("retired"), ..public_client("none") };
    for (client, expected) in [(some, scopes("read")), (none, scopes(""))] {
        store.create_client(&client, at(0), None).await?;
        let stored = store.client(&client.client_id).await?.expect("registered");
        assert_eq!(stored.allowed_scopes(), expected);
    }
    Ok(())
}
