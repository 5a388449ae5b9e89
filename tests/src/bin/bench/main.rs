//! Benchmarks over real processes and a real Postgres. `tests/bench.sh` and `tests/bench-targets.sh` run them: figures
//! are for comparing runs on one machine, not machines.

#![expect(clippy::print_stdout, reason = "it is what the program is for")]

mod hosts;
mod lambda;
mod latency;
mod spin;
mod telemetry;
mod throughput;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => throughput::run().await,
        Some("lambda") => lambda::run().await,
        Some("spin") => spin::run().await,
        Some("telemetry") => telemetry::run(),
        Some(other) => {
            eprintln!("bench: there is no benchmark {other:?}; it is nothing, lambda, spin or telemetry");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
