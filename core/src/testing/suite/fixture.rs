//! What the cases start from.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::TimeDelta;
use tokio::{sync::Barrier, task::JoinSet};
use uuid::Uuid;

use crate::{
    model::{
        AuthMethod, ClientId, ClientSecretHash, CodeVerifier, Digest, GrantType, NewClient, NewUser, Origin,
        PasswordHash, RedirectUri, ScopeDescription, Scopes, Timestamp, User,
    },
    store::{
        ClientFilter, ClientRecord, CodeOutcome, CodeRedemption, Grant, Lookup, NewGrant, NewRefreshToken, NewSession,
        RefreshOutcome, RefreshRotation, Store, StoreError, TokenReference, TokenState,
    },
};

/// When, in seconds, a code of [`World::grant`] ends.
pub(super) const CODE_ENDS: i64 = 600;
/// For how many seconds a refresh token can lie unused.
pub(super) const IDLE: i64 = 86_400;
/// When, in seconds, a grant of [`World::grant`] ends.
pub(super) const GRANT_ENDS: i64 = 604_800;
/// For how many seconds a use of the same refresh token is a retry.
pub(super) const GRACE: i64 = 30;

/// So many seconds after the suite's own beginning of time, which has microseconds to be kept.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp_micros(1_750_000_000_123_456).expect("in range") + TimeDelta::seconds(seconds)
}

/// The least that a store can tell apart.
pub(super) fn moment() -> TimeDelta {
    TimeDelta::microseconds(1)
}

/// A new id.
pub(super) fn id() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u64_pair(0x0197_0000_0000_7000, 0x8000_0000_0000_0000 | LAST.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn digest(secret: &str) -> Digest {
    Digest::of(secret.as_bytes())
}

pub(super) fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).expect("a list of scopes")
}

/// Separated by spaces.
pub(super) fn resources(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn scope(name: &str) -> ScopeDescription {
    let description = format!("What {name} allows");
    ScopeDescription { name: name.to_owned(), description, is_default: false, is_active: true }
}

pub(super) fn client_id(text: &str) -> ClientId {
    ClientId::parse(text).expect("a client_id")
}

pub(super) fn redirect_uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).expect("a redirect URI")
}

pub(super) fn verifier(letter: char) -> CodeVerifier {
    CodeVerifier::parse(&String::from(letter).repeat(43)).expect("a verifier")
}

/// `name@example.com`.
pub(super) fn account(name: &str) -> NewUser {
    named_account(&format!("{name}@example.com"), name)
}

pub(super) fn named_account(email: &str, name: &str) -> NewUser {
    NewUser {
        user: User::new(id(), email, Some(name), true, false).expect("an account"),
        password_hash: PasswordHash::new(format!("hash of {name}'s password")),
    }
}

/// A public client with the scopes `read` and `write`.
pub(super) fn public_client(name: &str) -> NewClient {
    NewClient {
        id: id(),
        client_id: client_id(name),
        name: format!("The client {name}"),
        secret_hash: None,
        redirect_uris: vec![redirect_uri("https://app.example/callback")],
        client_uri: None,
        auth_method: AuthMethod::None,
        require_pkce: true,
        grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]),
        scopes: scopes("read write"),
        resources: vec![],
        introspect_all: false,
        logo_uri: None,
        is_active: true,
    }
}

/// A client with a secret, and everything that can be set.
pub(super) fn confidential_client(name: &str) -> NewClient {
    NewClient {
        secret_hash: Some(ClientSecretHash::Sha256(digest("secret"))),
        redirect_uris: vec![redirect_uri("https://b.example/1"), redirect_uri("https://a.example/2?x={y,\"z\"}")],
        client_uri: Some("https://app.example/".to_owned()),
        auth_method: AuthMethod::ClientSecretPost,
        require_pkce: false,
        grant_types: GrantType::ALL.iter().copied().collect(),
        resources: vec!["https://api.example/v1".to_owned(), "urn:example:other".to_owned()],
        introspect_all: true,
        ..public_client(name)
    }
}

/// A session of this person from now on for an hour.
pub(super) fn session(cookie: &str, user: Uuid, now: Timestamp) -> NewSession {
    NewSession {
        id: id(),
        digest: digest(cookie),
        user_id: user,
        authenticated_at: now,
        expires_at: now + TimeDelta::hours(1),
        origin: Origin::default(),
        replaces: None,
        effects: None,
        audit: None,
    }
}

/// A person, a client, and another client that has nothing to do with it.
pub(super) struct World<S> {
    pub(super) store: Arc<S>,
    pub(super) user: User,
    pub(super) client: NewClient,
    pub(super) other: NewClient,
}

impl<S: Store> World<S> {
    pub(super) async fn new(store: &Arc<S>) -> Result<Self, StoreError> {
        let NewUser { user, password_hash } = account("ada");
        let (client, other) = (public_client("client"), public_client("other"));
        store.create_user(&NewUser { user: user.clone(), password_hash }, at(0), None).await?;
        store.create_client(&client, at(0), None).await?;
        store.create_client(&other, at(0), None).await?;
        Ok(Self { store: Arc::clone(store), user, client, other })
    }

    /// A decision of the person at `at(0)`, not stored yet.
    pub(super) fn grant(&self) -> NewGrant {
        let id = id();
        NewGrant {
            id,
            user_id: self.user.id,
            client_id: self.client.id,
            scopes: scopes("read write"),
            resources: resources("https://a.example/ https://b.example/"),
            authenticated_at: at(-60),
            created_at: at(0),
            expires_at: at(GRANT_ENDS),
            code: digest(&format!("code of {id}")),
            code_expires_at: at(CODE_ENDS),
            redirect_uri: redirect_uri("https://app.example/callback"),
            code_challenge: Some(verifier('v').challenge()),
            origin: Origin::default(),
            remember_consent: false,
            audit: None,
        }
    }

    /// The same, stored.
    pub(super) async fn granted(&self) -> Result<NewGrant, StoreError> {
        let grant = self.grant();
        self.store.create_grant(&grant).await?;
        Ok(grant)
    }

    /// A grant whose code was redeemed at `at(0)`.
    pub(super) async fn family(&self) -> Result<Family<S>, StoreError> {
        self.family_of(self.grant()).await
    }

    pub(super) async fn family_of(&self, grant: NewGrant) -> Result<Family<S>, StoreError> {
        self.store.create_grant(&grant).await?;
        let redemption = redemption(&grant, at(0));
        let outcome = self.store.redeem_code(&redemption).await?;
        assert_eq!(outcome, CodeOutcome::Issued(issued(&grant)));
        Ok(self.family_with(grant, &redemption))
    }

    /// What a redemption began, if it was the one that succeeded.
    pub(super) fn family_with(&self, grant: NewGrant, redemption: &CodeRedemption) -> Family<S> {
        let token = redemption.refresh_token.as_ref().expect("one was asked for").id;
        Family { store: Arc::clone(&self.store), client: self.client.clone(), grant, token }
    }
}

/// The grant that a store tells of.
pub(super) fn issued(grant: &NewGrant) -> Grant {
    Grant {
        id: grant.id,
        user_id: grant.user_id,
        scopes: grant.scopes.clone(),
        resources: grant.resources.clone(),
        authenticated_at: grant.authenticated_at,
        expires_at: grant.expires_at,
    }
}

/// The right use of the grant's code, with a new refresh token.
pub(super) fn redemption(grant: &NewGrant, now: Timestamp) -> CodeRedemption {
    let token = id();
    CodeRedemption {
        code: grant.code,
        client_id: grant.client_id,
        redirect_uri: Some(grant.redirect_uri.to_string()),
        code_challenge: grant.code_challenge,
        resources: vec![],
        now,
        refresh_token: Some(NewRefreshToken {
            id: token,
            digest: secret(token, 0),
            idle_expires_at: now + TimeDelta::seconds(IDLE),
        }),
    }
}

fn secret(token: Uuid, generation: u32) -> Digest {
    digest(&format!("secret {generation} of {token}"))
}

/// A grant with the tokens that came of it.
pub(super) struct Family<S> {
    pub(super) store: Arc<S>,
    pub(super) client: NewClient,
    pub(super) grant: NewGrant,
    /// The row of its refresh token.
    pub(super) token: Uuid,
}

impl<S: Store> Family<S> {
    /// The grant that the store tells of.
    pub(super) fn issued(&self) -> Grant {
        issued(&self.grant)
    }

    /// The right use of the refresh token of this generation.
    pub(super) fn rotation(&self, generation: u32, now: Timestamp) -> RefreshRotation {
        RefreshRotation {
            id: self.token,
            generation,
            digest: secret(self.token, generation),
            successor: secret(self.token, generation + 1),
            client_id: self.grant.client_id,
            now,
            retry_since: now - TimeDelta::seconds(GRACE),
            idle_expires_at: now + TimeDelta::seconds(IDLE),
            scopes: None,
            resources: vec![],
        }
    }

    pub(super) async fn rotate(&self, generation: u32, now: Timestamp) -> Result<RefreshOutcome, StoreError> {
        self.store.rotate_refresh_token(&self.rotation(generation, now)).await
    }

    /// Rotates, which must succeed.
    pub(super) async fn rotated(&self, generation: u32, now: Timestamp) -> Result<(), StoreError> {
        assert_eq!(self.rotate(generation, now).await?, RefreshOutcome::Rotated(self.issued()));
        Ok(())
    }

    pub(super) fn refresh_token(&self, generation: u32) -> TokenReference {
        TokenReference::Refresh { id: self.token, generation, digest: secret(self.token, generation) }
    }

    /// An access token of this grant, of half an hour.
    pub(super) fn access_token(&self) -> TokenReference {
        TokenReference::Access {
            jti: format!("jti of {}", self.token),
            client_id: self.client.client_id.clone(),
            grant_id: Some(self.grant.id),
            expires_at: at(1800),
        }
    }

    pub(super) async fn introspect(&self, token: &TokenReference, now: Timestamp) -> Result<TokenState, StoreError> {
        Ok(self.store.look_up(Lookup { token: Some(token), ..Lookup::default() }, now).await?.token)
    }

    /// The refresh token of this generation can be used, and so can the access token; nothing changes by this.
    pub(super) async fn assert_alive(&self, generation: u32, now: Timestamp) -> Result<(), StoreError> {
        let refresh_token = self.introspect(&self.refresh_token(generation), now).await?;
        assert!(matches!(refresh_token, TokenState::ActiveRefresh { .. }), "generation {generation}");
        let access_token = self.introspect(&self.access_token(), now).await?;
        assert!(matches!(access_token, TokenState::ActiveAccess { .. }));
        Ok(())
    }

    /// The grant is no more: none of its tokens is known.
    pub(super) async fn assert_gone(&self, now: Timestamp) -> Result<(), StoreError> {
        assert_eq!(self.introspect(&self.access_token(), now).await?, TokenState::Inactive);
        assert_eq!(self.introspect(&self.refresh_token(0), now).await?, TokenState::Inactive);
        assert_eq!(self.rotate(0, now).await?, RefreshOutcome::Unknown);
        Ok(())
    }

    /// The grant was revoked: no token up to this generation can be used in any way.
    pub(super) async fn assert_revoked(&self, generation: u32, now: Timestamp) -> Result<(), StoreError> {
        assert_eq!(self.introspect(&self.access_token(), now).await?, TokenState::Inactive);
        for generation in 0..=generation {
            assert_eq!(self.introspect(&self.refresh_token(generation), now).await?, TokenState::Inactive);
            assert_eq!(self.rotate(generation, now).await?, RefreshOutcome::Revoked, "generation {generation}");
        }
        Ok(())
    }
}

/// Runs all of them at the same time.
pub(super) async fn race<T: Send + 'static>(
    racers: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let racers: Vec<_> = racers.into_iter().collect();
    let start = Arc::new(Barrier::new(racers.len()));
    let mut running = JoinSet::new();
    for racer in racers {
        let start = Arc::clone(&start);
        running.spawn(async move {
            start.wait().await;
            racer.await
        });
    }
    running.join_all().await
}

/// Runs two different things at the same time.
pub(super) async fn race_two<A: Send + 'static, B: Send + 'static>(
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
) -> (A, B) {
    let start = Arc::new(Barrier::new(2));
    let one = {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            one.await
        })
    };
    start.wait().await;
    let other = other.await;
    (one.await.expect("it does not panic"), other)
}

/// Every client but the command line's, which the migrations make.
pub(super) async fn clients<S: Store>(store: &Arc<S>) -> Result<Vec<ClientRecord>, StoreError> {
    let mut clients = store.client_records(&ClientFilter::default(), None, 1000).await?;
    clients.retain(|client| client.client_id != "authly-admin");
    Ok(clients)
}
