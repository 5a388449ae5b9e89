#!/bin/sh
# Measures the Lambda function and the Spin component against the container, each in one run with it: sizes, starts, latency,
# memory. With cargo-lambda the function's package is the real one for both architectures; without, an estimate from the local
# build. An argument, lambda or spin, measures that one only.
set -eu
cd "$(dirname "$0")/.."
targets=${1:-lambda spin}

size() { printf '%s: %s bytes\n' "$1" "$(wc -c <"$2")"; }

compressed_size() {
    compressed=$(mktemp)
    gzip -9 -c "$2" >"$compressed"
    size "$1" "$compressed"
    rm "$compressed"
}

lambda_sizes() {
    if cargo lambda --version >/dev/null 2>&1; then
        for architecture in arm64 x86-64; do
            cargo lambda build --quiet --release --"$architecture" --output-format zip -p authly-lambda
            size "package for $architecture, zipped" target/lambda/authly-lambda/bootstrap.zip
        done
    else
        compressed_size 'package, zipped (without cargo-lambda, an estimate)' target/release/authly-lambda
    fi
}

spin_sizes() {
    component=target/wasm32-wasip2/component/authly_spin.wasm
    size 'component' "$component"
    compressed_size 'component, compressed' "$component"
    SPIN_VARIABLE_ISSUER_URL=- SPIN_VARIABLE_DATABASE_URL=- SPIN_VARIABLE_JWT_SECRET_KEY=- \
        SPIN_VARIABLE_JWT_REFRESH_SECRET_KEY=- target/release/authly-spin-host --time-instances 1001 2>&1
}

cargo build --release --quiet -p authly -p authly-lambda -p authly-spin-host
cargo build --release --quiet -p authly-tests --bin bench
cargo build --quiet -p authly-spin --target wasm32-wasip2 --profile component

AUTHLY_TEST_POSTGRES_DIR=$(mktemp -d)/postgres
export AUTHLY_TEST_POSTGRES_DIR
trap 'tests/postgres.sh stop; rm -rf "$(dirname "$AUTHLY_TEST_POSTGRES_DIR")"' EXIT
chmod 755 "$(dirname "$AUTHLY_TEST_POSTGRES_DIR")"
AUTHLY_TEST_DATABASE_URL=$(tests/postgres.sh start)
export AUTHLY_TEST_DATABASE_URL
for target in $targets; do
    printf '\n%s\n\n' "$target"
    "${target}_sizes"
    AUTHLY_BIN=$PWD/target/release/authly target/release/bench "$target"
done
