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

/// Measures hosts and the container, turn by turn, and prints a table of medians with their ratios to the container's.
pub async fn compare_with_container(hosts: &[(&str, &Target, Stopwatch<'_>)]) {
    let variables = variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start(container::postgres().await, &variables).await;
    let container = container::target(&server).await;
    let mut subjects = vec![Subject::new(&container, &|| None).await];
    for (_, target, stopwatch) in hosts {
        subjects.push(Subject::new(target, *stopwatch).await);
    }
    let table = latency::of(&mut subjects).await;
    println!("container, resident at the end: {} KiB\n", server.resident_kib());
    let names: String = hosts.iter().map(|(name, ..)| format!(" {name} | ratio |")).collect();
    println!("| warm, median | container |{names}");
    println!("|---|---|{}", "---|---|".repeat(hosts.len()));
    for (operation, medians) in table {
        let mut medians = medians.into_iter();
        let base = medians.next().unwrap_or_default();
        let ratio = |time: Duration| time.as_secs_f64() / base.max(Duration::from_nanos(1)).as_secs_f64();
        let cells: String = medians.map(|time| format!(" {time:.2?} | {:.2} |", ratio(time))).collect();
        println!("| {} | {base:.2?} |{cells}", operation.name());
    }
}
