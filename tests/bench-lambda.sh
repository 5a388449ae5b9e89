#!/bin/sh
# Measures the Lambda function: size of the package, start, latency against the container in the same run, memory. With
# cargo-lambda the package is the real one for both architectures; without, an estimate from the local build.
set -eu
cd "$(dirname "$0")/.."

size() { printf '%s: %s bytes zipped\n' "$1" "$(wc -c <"$2")"; }

if cargo lambda --version >/dev/null 2>&1; then
    for architecture in arm64 x86-64; do
        cargo lambda build --quiet --release --"$architecture" --output-format zip -p authly-lambda
        size "$architecture" target/lambda/authly-lambda/bootstrap.zip
    done
fi
cargo build --release --quiet -p authly -p authly-lambda
cargo build --release --quiet -p authly-tests --bin bench
if ! cargo lambda --version >/dev/null 2>&1; then
    estimate=$(mktemp)
    gzip -9 -c target/release/authly-lambda >"$estimate"
    size "this machine (without cargo-lambda, an estimate)" "$estimate"
    rm "$estimate"
fi

AUTHLY_TEST_POSTGRES_DIR=$(mktemp -d)/postgres
export AUTHLY_TEST_POSTGRES_DIR
trap 'tests/postgres.sh stop; rm -rf "$(dirname "$AUTHLY_TEST_POSTGRES_DIR")"' EXIT
chmod 755 "$(dirname "$AUTHLY_TEST_POSTGRES_DIR")"
AUTHLY_TEST_DATABASE_URL=$(tests/postgres.sh start)
export AUTHLY_TEST_DATABASE_URL
AUTHLY_BIN=$PWD/target/release/authly target/release/bench lambda
