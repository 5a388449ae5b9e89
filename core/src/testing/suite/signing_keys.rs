//! Signing keys.

use std::sync::Arc;

use super::{
    Case,
    fixture::{at, moment},
};
use crate::{
    crypto::{Algorithm, SealedKey},
    model::Timestamp,
    store::{Created, Store, StoreError},
};

/// The store does not look inside.
pub(super) fn key(algorithm: Algorithm, sequence: u32) -> SealedKey {
    SealedKey {
        kid: format!("{} {sequence}", algorithm.name()),
        algorithm,
        sequence,
        public_jwk: format!(r#"{{"kty":"EC","y":"{sequence}","x":"unsorted"}}"#),
        sealed: vec![0, 255, 7],
        activates_at: at(i64::from(sequence) * 100),
        retires_at: None,
    }
}

async fn published<S: Store>(store: &Arc<S>, now: Timestamp) -> Result<Vec<String>, StoreError> {
    Ok(store.signing_keys(now).await?.into_iter().map(|key| key.kid).collect())
}

/// The server makes them.
pub async fn there_is_none_at_first<S: Store>(store: &Arc<S>) -> Case {
    assert_eq!(store.signing_keys(at(0)).await?, []);
    Ok(())
}

/// Every field of it is read back, and it is published before it signs.
pub async fn a_key_is_stored<S: Store>(store: &Arc<S>) -> Case {
    let first = SealedKey { retires_at: Some(at(5000)), ..key(Algorithm::Es256, 1) };
    let second = SealedKey { sealed: vec![1; 2000], ..key(Algorithm::Rs256, 2) };
    for key in [&first, &second] {
        assert_eq!(store.create_signing_key(key, at(9000)).await?, Created::Created);
    }
    assert_eq!(store.signing_keys(at(0)).await?, [first, second], "an end that was known stays");
    Ok(())
}

/// Just this one, at the time that was said.
pub async fn a_predecessor_retires<S: Store>(store: &Arc<S>) -> Case {
    for (sequence, retires_at) in [(1, 1000), (2, 2000), (3, 3000)] {
        store.create_signing_key(&key(Algorithm::Es256, sequence), at(retires_at)).await?;
    }
    let ends: Vec<_> = store.signing_keys(at(0)).await?.iter().map(|key| key.retires_at).collect();
    assert_eq!(ends, [Some(at(2000)), Some(at(3000)), None]);
    Ok(())
}

/// To the moment.
pub async fn a_retired_key_vanishes<S: Store>(store: &Arc<S>) -> Case {
    store.create_signing_key(&key(Algorithm::Es256, 1), at(0)).await?;
    store.create_signing_key(&key(Algorithm::Es256, 2), at(2000)).await?;
    assert_eq!(published(store, at(2000) - moment()).await?, ["ES256 1", "ES256 2"]);
    assert_eq!(published(store, at(2000)).await?, ["ES256 2"]);
    Ok(())
}

/// In whatever order they were made.
pub async fn keys_are_listed_oldest_first<S: Store>(store: &Arc<S>) -> Case {
    for sequence in [2, 1, 10, 3] {
        store.create_signing_key(&key(Algorithm::Es256, sequence), at(9000)).await?;
    }
    assert_eq!(published(store, at(0)).await?, ["ES256 1", "ES256 2", "ES256 3", "ES256 10"]);
    Ok(())
}

/// Two instances rotate at the same time: the second one changes nothing, and uses the first one's key.
pub async fn a_number_is_given_once<S: Store>(store: &Arc<S>) -> Case {
    store.create_signing_key(&key(Algorithm::Es256, 1), at(0)).await?;
    store.create_signing_key(&key(Algorithm::Es256, 2), at(2000)).await?;
    let before = store.signing_keys(at(0)).await?;
    let second = SealedKey { kid: "from elsewhere".to_owned(), ..key(Algorithm::Es256, 2) };
    assert_eq!(store.create_signing_key(&second, at(1000)).await?, Created::Conflict);
    assert_eq!(store.signing_keys(at(0)).await?, before);
    Ok(())
}

/// Numbers are given once over all algorithms, and a change of algorithm retires the keys of the other.
pub async fn all_algorithms_share_the_numbers<S: Store>(store: &Arc<S>) -> Case {
    store.create_signing_key(&key(Algorithm::Es256, 1), at(0)).await?;
    assert_eq!(store.create_signing_key(&key(Algorithm::EdDsa, 1), at(500)).await?, Created::Conflict);
    assert_eq!(store.create_signing_key(&key(Algorithm::EdDsa, 2), at(1000)).await?, Created::Created);
    assert_eq!(published(store, at(1000) - moment()).await?, ["ES256 1", "EdDSA 2"]);
    assert_eq!(published(store, at(1000)).await?, ["EdDSA 2"]);
    Ok(())
}

/// After `JWT_SECRET_KEY` has changed.
pub async fn a_key_is_sealed_anew<S: Store>(store: &Arc<S>) -> Case {
    let (one, other) = (key(Algorithm::Es256, 1), key(Algorithm::Es256, 2));
    store.create_signing_key(&one, at(9000)).await?;
    store.create_signing_key(&other, at(9000)).await?;
    store.reseal_signing_key(&one.kid, &one.sealed, b"anew").await?;
    let sealed: Vec<_> = store.signing_keys(at(0)).await?.into_iter().map(|key| key.sealed).collect();
    assert_eq!(sealed, [b"anew".to_vec(), other.sealed]);
    Ok(())
}

/// Whoever replaces what is not there any more changes nothing.
pub async fn a_key_that_was_sealed_anew_since_stays<S: Store>(store: &Arc<S>) -> Case {
    let key = key(Algorithm::Es256, 1);
    store.create_signing_key(&key, at(9000)).await?;
    store.reseal_signing_key(&key.kid, b"stale", b"anew").await?;
    store.reseal_signing_key("unknown", &key.sealed, b"anew").await?;
    assert_eq!(store.signing_keys(at(0)).await?, [key]);
    Ok(())
}
