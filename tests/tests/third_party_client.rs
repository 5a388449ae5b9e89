//! Clients that others wrote, against a running server: see tests/clients.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use authly_core::model::{RedirectUri, Scopes};
use authly_tests::{
    container::{OnPostgres, OnSqlite},
    target::{App, Host},
};
use serde_json::{Value, json};

const REDIRECT_URI: &str = "http://127.0.0.1:1/callback";

async fn openid_client<H: Host>() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    assert!(clients.join("node_modules").is_dir(), "the npm packages are not there: tests/run.sh installs them");
    let target = H::start(&[]).await;
    let person = target.person().await;
    let redirect_uris = || vec![RedirectUri::parse(REDIRECT_URI).expect("a redirect URI")];
    let public = target.public_with(|client| client.redirect_uris = redirect_uris()).await;
    let confidential = target
        .confidential_with(|client| {
            client.redirect_uris = redirect_uris();
            client.scopes = Scopes::parse("read").expect("a scope");
        })
        .await;
    let parameters = json!({
        "issuer": target.issuer(),
        "audience": target.issuer(),
        "username": person.username,
        "password": person.password,
        "publicClient": client(&public),
        "confidentialClient": client(&confidential),
    });
    let output = Command::new("node")
        .arg("openid-client.mjs")
        .current_dir(&clients)
        .env("AUTHLY_CLIENT_TEST", parameters.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("node does not start ({error}): tests/run.sh installs it"));
    let steps = String::from_utf8_lossy(&output.stdout);
    eprintln!("{steps}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(steps.trim_end().ends_with("steps passed"), "it came to its end");
}

fn client(app: &App) -> Value {
    json!({ "client_id": app.client_id, "client_secret": app.secret, "redirect_uri": app.redirect_uri })
}

#[tokio::test]
async fn openid_client_on_sqlite() {
    openid_client::<OnSqlite>().await;
}

#[tokio::test]
async fn openid_client_on_postgres() {
    openid_client::<OnPostgres>().await;
}
