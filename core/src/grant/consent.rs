//! Whether a person has to be asked (OAuth 2.1 §7.3.1, RFC 8252 §8.6).

use crate::model::{Client, RedirectUri, Scopes, User};

/// Scopes that only administrators can hand on, by the name before the first colon.
const ADMIN: &str = "admin";

/// What this person can grant: `admin` and `admin:…` only if they are an administrator.
pub fn grantable(scopes: &Scopes, user: &User) -> Scopes {
    let is_admin_scope = |scope: &str| scope.split(':').next() == Some(ADMIN);
    scopes.iter().filter(|scope| user.is_admin || !is_admin_scope(scope)).map(str::to_owned).collect()
}

/// Whether the consent page must be shown for `scopes`, given what was consented to before.
///
/// A public client is who it says it is only where its redirect URI is a claimed https one: any program on the
/// person's machine can listen on a loopback port or register a private-use scheme. So the person is asked every
/// time, also where the operator does not want it (`REQUIRE_USER_CONSENT=false`).
pub fn is_needed(
    client: &Client,
    redirect_uri: &RedirectUri,
    scopes: &Scopes,
    consented: Option<&Scopes>,
    require_user_consent: bool,
) -> bool {
    let identity_is_assured = client.is_confidential() || redirect_uri.is_claimed_https();
    let is_remembered = consented.is_some_and(|consented| scopes.is_subset(consented));
    !identity_is_assured || (require_user_consent && !is_remembered)
}
