//! The conformance suite over the in-memory reference.

use std::sync::Arc;

use authly_core::testing::MemoryStore;

async fn fresh() -> (Arc<MemoryStore>, ()) {
    (Arc::new(MemoryStore::new()), ())
}

authly_core::store_suite!(fresh());
