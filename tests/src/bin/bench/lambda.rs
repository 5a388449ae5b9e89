//! The Lambda function against the container, in one run: start, first request, warm latency, memory. An invocation is
//! timed where Lambda would bill it: from the event's delivery to the answer's arrival.

use std::time::Duration;

use authly_tests::{
    container,
    lambda::{Function, Gateway},
};
use tokio::time::sleep;

use crate::{hosts, latency};

/// Starts of the program.
const STARTS: usize = 21;

async fn start(variables: &[(&str, &str)]) -> (Function, Duration) {
    let function = Function::start_instances(1, Gateway::HttpApi, container::postgres().await, variables);
    loop {
        if let Some(time) = function.init_time() {
            return (function, time);
        }
        sleep(Duration::from_millis(1)).await;
    }
}

/// Measures and prints.
pub async fn run() {
    let variables = hosts::variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (mut inits, mut first_tokens) = (Vec::new(), Vec::new());
    let mut idle = 0;
    for _ in 0..STARTS {
        let (function, init) = start(&variables).await;
        inits.push(init);
        idle = function.resident_kib();
        let target = function.target().await;
        let app = target.confidential().await;
        function.take_invocations();
        target.token(&app, &[("grant_type", "client_credentials")]).await.expect(200);
        first_tokens.extend(function.take_invocations());
    }
    let slowest = inits.iter().max().copied().unwrap_or_default();
    println!(
        "init, without a database connection: {:.1?} (median of {STARTS}; slowest {slowest:.1?})",
        latency::median(inits)
    );
    println!(
        "first client_credentials, connection and new signing key included: {:.1?}",
        latency::median(first_tokens)
    );
    let (function, _) = start(&variables).await;
    let target = function.target().await;
    hosts::compare_with_container(&[("Lambda", &target, &|| Some(function.take_invocations()))]).await;
    println!("\nfunction, resident: {idle} KiB idle, {} KiB at the end", function.resident_kib());
}
