//! Signing keys.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Call, body, conflict};
use crate::{
    audit::EventType,
    crypto::{Algorithm, SealedKey},
    error::Error,
    model::Timestamp,
    ports::Host,
    response::{self, Reply},
    server::Server,
    store::Store,
};

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KeyBody {
    immediate: bool,
}

#[derive(Serialize)]
struct KeyView<'a> {
    kid: &'a str,
    algorithm: &'a str,
    sequence: u32,
    state: &'static str,
    activates_at: Timestamp,
    retires_at: Option<Timestamp>,
    jwk: Value,
}

/// The published keys, each with what it does at this time.
fn views(keys: &[SealedKey], algorithm: Algorithm, now: Timestamp) -> Vec<KeyView<'_>> {
    let signing = keys.iter().filter(|key| key.algorithm == algorithm && key.activates_at <= now);
    let current = signing.map(|key| key.sequence).max();
    keys.iter()
        .map(|key| {
            let SealedKey { kid, algorithm, sequence, public_jwk, activates_at, retires_at, .. } = key;
            KeyView {
                kid,
                algorithm: algorithm.name(),
                sequence: *sequence,
                state: match () {
                    () if *activates_at > now => "next",
                    () if Some(*sequence) == current => "current",
                    () => "retiring",
                },
                activates_at: *activates_at,
                retires_at: *retires_at,
                jwk: serde_json::from_str(public_jwk).unwrap_or(Value::Null),
            }
        })
        .collect()
}

impl<S: Store, H: Host> Server<S, H> {
    pub(super) async fn list_keys(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = self.store.signing_keys(call.exchange.now).await?;
        let items = views(&keys, self.config.algorithm, call.exchange.now);
        Ok(response::json(StatusCode::OK, &json!({ "items": items, "next_cursor": null })))
    }

    pub(super) async fn create_key(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let KeyBody { immediate } = body::optional_json(call.exchange.request)?;
        let now = call.exchange.now;
        if self.config.algorithm == Algorithm::Hs256 {
            return Err(conflict("under HS256 there are no signing keys: replace JWT_SECRET_KEY"));
        }
        if call.is_dry_run {
            let keys = self.store.signing_keys(now).await?;
            let replaced: Vec<_> = keys.iter().map(|key| key.kid.as_str()).collect();
            return Ok(call.object(
                StatusCode::CREATED,
                &json!({ "immediate": immediate, "predecessors": replaced }),
                &[],
            ));
        }
        let Some(kid) = self.make_next_signing_key(immediate, now).await? else {
            return Err(conflict("another instance makes a key at this moment: look at the keys, then try again"));
        };
        let event = if immediate { EventType::SigningKeysReplaced } else { EventType::SigningKeyRotated };
        self.admin_audit(call, event, &kid).await;
        let keys = self.store.signing_keys(now).await?;
        let view = views(&keys, self.config.algorithm, now).into_iter().find(|view| view.kid == kid);
        Ok(call.object(StatusCode::CREATED, &view, &[]))
    }
}
