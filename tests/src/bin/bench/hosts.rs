//! What every host that is compared with the container has in common.

use std::time::Duration;

use authly_core::crypto::password::PasswordCost;
use authly_tests::{container, server::TestServer};

use crate::latency::{self, Latencies};

/// What a server is configured with in production, as far as it costs time.
pub fn variables() -> [(&'static str, String); 5] {
    let cost = PasswordCost::default();
    [
        ("LOG_LEVEL", "info".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
        ("ARGON2_MEMORY_KIB", cost.memory_kib.to_string()),
        ("ARGON2_ITERATIONS", cost.iterations.to_string()),
        ("MAINTENANCE_INTERVAL_MINUTES", "0".to_owned()),
    ]
}

/// The container, which others are compared with.
pub async fn container() -> (Latencies, u64) {
    let variables = variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start(container::postgres().await, &variables).await;
    let latencies = latency::of(&container::target(&server).await, &|| None).await;
    (latencies, server.resident_kib())
}

/// Both side by side, as a table.
pub fn compare(name: &str, other: &Latencies, container: &Latencies) {
    println!("| warm, median | container | {name} | ratio |");
    println!("|---|---|---|---|");
    for ((operation, time), (_, base)) in other.iter().zip(container) {
        let ratio = time.as_secs_f64() / base.max(&Duration::from_nanos(1)).as_secs_f64();
        println!("| {operation} | {base:.2?} | {time:.2?} | {ratio:.2} |");
    }
}
