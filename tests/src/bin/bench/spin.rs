//! The Spin component against the container, in one run: with an instance for each request (cold) and with instances that are
//! used again (warm). The host is the tests' own, whose HTTP side is not Spin's; instantiation and wasm are the same.

use authly_tests::{container, spin::Application};

use crate::hosts;

/// Measures and prints.
pub async fn run() {
    let variables = hosts::variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let fresh = Application::FRESH.start(container::postgres().await, &variables).await;
    let reused = Application::REUSED.start(container::postgres().await, &variables).await;
    println!("host, resident when idle: {} KiB", reused.resident_kib());
    let (cold, warm) = (container::target(&fresh).await, container::target(&reused).await);
    hosts::compare_with_container(&[
        ("Spin, an instance for each request", &cold, &|| None),
        ("Spin, instances used again", &warm, &|| None),
    ])
    .await;
    println!("\nhost, resident at the end: {} KiB", reused.resident_kib());
}
