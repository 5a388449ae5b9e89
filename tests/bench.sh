#!/bin/sh
# Measures a release build over Postgres: server and database on one core, the load on another. AUTHLY_BIN names
# another build to measure, for comparison.
set -eu
cd "$(dirname "$0")/.."

cargo build --release --quiet -p authly
cargo build --release --quiet -p authly-tests --bin bench
pin() { if command -v taskset >/dev/null; then taskset -c "$@"; else shift && "$@"; fi; }

AUTHLY_TEST_POSTGRES_DIR=$(mktemp -d)/postgres
export AUTHLY_TEST_POSTGRES_DIR
pinned=$(mktemp -d)/authly
trap 'tests/postgres.sh stop; rm -rf "$(dirname "$pinned")" "$(dirname "$AUTHLY_TEST_POSTGRES_DIR")"' EXIT
chmod 755 "$(dirname "$AUTHLY_TEST_POSTGRES_DIR")"
AUTHLY_TEST_DATABASE_URL=$(pin 0 tests/postgres.sh start)
export AUTHLY_TEST_DATABASE_URL

program=${AUTHLY_BIN:-$PWD/target/release/authly}
cat >"$pinned" <<END
#!/bin/sh
if command -v taskset >/dev/null; then exec taskset -c 0 "$program" "\$@"; else exec "$program" "\$@"; fi
END
chmod +x "$pinned"
AUTHLY_BIN=$pinned pin 1 target/release/bench
