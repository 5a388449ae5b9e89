//! What every host that is compared with the container has in common.

use std::time::Duration;

use authly_core::crypto::password::PasswordCost;
use authly_tests::{container, server::TestServer, target::Target};

use crate::latency::{self, Stopwatch, Subject};

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

/// Measures a host and the container, turn by turn, and prints a table.
pub async fn compare_with_container(name: &str, target: &Target, stopwatch: Stopwatch<'_>) {
    let variables = variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start(container::postgres().await, &variables).await;
    let container = container::target(&server).await;
    let mut subjects = [Subject::new(&container, &|| None).await, Subject::new(target, stopwatch).await];
    let table = latency::of(&mut subjects).await;
    println!("container, resident at the end: {} KiB\n", server.resident_kib());
    println!("| warm, median | container | {name} | ratio |");
    println!("|---|---|---|---|");
    for (operation, medians) in table {
        let [base, time] = [0, 1].map(|index| medians.get(index).copied().unwrap_or_default());
        let ratio = time.as_secs_f64() / base.max(Duration::from_nanos(1)).as_secs_f64();
        println!("| {} | {base:.2?} | {time:.2?} | {ratio:.2} |", operation.name());
    }
}
