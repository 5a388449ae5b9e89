//! The first rows: the administrator of `ADMIN_EMAIL`, and on a laptop the first administrator and a demo client.

use authly_core::{
    DEMO_CLIENT_ID, Server,
    audit::{Event, EventType},
    config::Environment,
    error::Fault,
    model::{
        AuthMethod, ClientId, ClientSecret, GrantType, InvalidUser, NewClient, NewPassword, NewUser, Password,
        RedirectUri, Scopes, User, WeakPassword,
    },
    ports::Host,
    store::{Created, Store, StoreError},
};

use crate::{NativeConfig, config::Administrator};

/// Why the first rows could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FirstRunError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys could not be made, or passwords not hashed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// `ADMIN_EMAIL` is no address.
    #[error("ADMIN_EMAIL: {0}")]
    Email(#[from] InvalidUser),
    /// `ADMIN_PASSWORD` is one that nobody may choose.
    #[error("ADMIN_PASSWORD: {0}")]
    Password(#[from] WeakPassword),
}

/// What was made, to be told once.
#[derive(Clone, Debug, Default)]
pub struct FirstRun {
    /// User name and password of an administrator that was made with a random password.
    pub admin: Option<(String, String)>,
    /// Whether the demo client is there.
    pub demo: bool,
}

/// Makes the first rows. A database that is down or not migrated yet does not keep the server from starting: it
/// answers 503 until that is done, and says so.
#[expect(clippy::print_stdout, reason = "the first run tells a person what to do next")]
pub async fn prepare<S: Store, H: Host>(config: &NativeConfig, server: &Server<S, H>) {
    if let Err(error) = server.store().ready().await {
        tracing::error!(%error, "the database is not ready; if it was not migrated, run `authly migrate`");
        return;
    }
    if let Some(admin) = &config.admin
        && let Err(error) = create_configured_admin(server, admin).await
    {
        tracing::error!(%error, "could not make the administrator");
    }
    let now = server.host().now();
    match server.rotate_signing_keys(now).await {
        Ok(true) => server.audit_job(now, Event::new(EventType::SigningKeyCreated)).await,
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "could not prepare the signing keys"),
    }
    if config.core.environment == Environment::Production {
        return;
    }
    match create_conveniences(server).await {
        Ok(made) => {
            println!("\nAuthly, for development. State is kept in {}.\n", config.database_url);
            if let Some((username, password)) = &made.admin {
                println!("  The first administrator, shown once:");
                println!("    user name  {username}");
                println!("    password   {password}\n");
            }
            if made.demo {
                println!("  Try the whole login: {}/demo\n", config.core.issuer);
            }
        }
        Err(error) => tracing::error!(%error, "could not make the first rows"),
    }
}

/// Makes the administrator of `ADMIN_EMAIL` if there is none.
pub async fn create_configured_admin<S: Store, H: Host>(
    server: &Server<S, H>,
    admin: &Administrator,
) -> Result<Created, FirstRunError> {
    let now = server.host().now();
    let user = User::new(server.new_id(now), &admin.email, None, true, true)?;
    if server.store().user_by_login(&user.email).await?.is_some() {
        return Ok(Created::Conflict);
    }
    let context = ["Authly", server.config().issuer.host(), &user.email];
    let password = NewPassword::new(&admin.password, &context)?.into_password();
    create_admin(server, user, password).await
}

async fn create_admin<S: Store, H: Host>(
    server: &Server<S, H>,
    user: User,
    password: Password,
) -> Result<Created, FirstRunError> {
    let now = server.host().now();
    let password_hash = server.host().hash(password).await.map_err(Fault::from)?;
    let id = user.id;
    let created = server.store().create_user(&NewUser { user, password_hash }, now, None).await?;
    if created == Created::Created {
        server.audit_job(now, Event::new(EventType::UserCreated).user(id).detail("administrator")).await;
    }
    Ok(created)
}

/// Makes what a first run needs; a later one finds it there.
pub async fn create_conveniences<S: Store, H: Host>(server: &Server<S, H>) -> Result<FirstRun, FirstRunError> {
    let now = server.host().now();
    let mut made = FirstRun::default();
    if server.store().counts(now).await?.users == 0 {
        let secret = ClientSecret::generate(server.host());
        let password = secret.expose()[ClientSecret::PREFIX.len()..][..20].to_owned();
        let hashed = NewPassword::new(&password, &[])?.into_password();
        let user = User::new(server.new_id(now), "admin@localhost", Some("admin"), true, true)?;
        if create_admin(server, user, hashed).await? == Created::Created {
            made.admin = Some(("admin".to_owned(), password));
        }
    }
    made.demo = create_demo_client(server).await?;
    Ok(made)
}

async fn create_demo_client<S: Store, H: Host>(server: &Server<S, H>) -> Result<bool, FirstRunError> {
    let now = server.host().now();
    let redirect_uri = RedirectUri::parse(&format!("{}/demo/callback", server.config().issuer));
    let (Some(client_id), Ok(redirect_uri)) = (ClientId::parse(DEMO_CLIENT_ID), redirect_uri) else {
        return Ok(false);
    };
    let scopes: Scopes = ["read", "profile"].into_iter().map(str::to_owned).collect();
    let client = NewClient {
        id: server.new_id(now),
        client_id,
        name: "Authly demo".to_owned(),
        secret_hash: None,
        redirect_uris: vec![redirect_uri],
        client_uri: None,
        auth_method: AuthMethod::None,
        require_pkce: true,
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        scopes,
        resources: Vec::new(),
        introspect_all: false,
        logo_uri: None,
        is_active: true,
    };
    server.store().create_client(&client, now, None).await?;
    Ok(true)
}
