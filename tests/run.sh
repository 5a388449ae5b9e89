#!/usr/bin/env bash
# Sets up everything that the tests need, then runs them. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

usage() {
  cat <<'USAGE'
usage: tests/run.sh [--setup-only] [ARGUMENT…]

Runs all tests, and the checks of deploy/. On a Debian machine that has Rust (rustup) and git it first installs whatever else
they need and is not there yet: Chromium with its driver, Node.js, PostgreSQL's and Redis's server programs, PgBouncer, a C
compiler, shellcheck, Rust's wasm32-wasip1 and wasm32-wasip2 targets, the npm packages of tests/clients, and what
deploy/setup.sh and tests/schemathesis.sh install. Elsewhere it says what is missing.

  --setup-only   installs, and runs nothing
  ARGUMENT…      goes to `cargo test`, for example `-p authly-core`, `--test browser` or `-- --nocapture`

environment:
  DATABASE_URL   postgresql://… of a role that may create databases, for the Postgres tests. Each test makes and drops
                 its own. Unset: a private, temporary server is started, and stopped at the end.
  CI             if set, never asks for anything
USAGE
}

setup_only=false
selection=(--workspace)
arguments=() # for cargo
harness=()   # for the test programs: what follows --
while (($# > 0)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --setup-only) setup_only=true ;;
    --)
      harness=("$@")
      break
      ;;
    -p* | --package* | --workspace) selection=() ;&
    *) arguments+=("$1") ;;
  esac
  shift
done

say() { printf 'tests/run.sh: %s\n' "$*" >&2; }

has() { command -v "$1" >/dev/null 2>&1; }

# Chatter of build tools is for people who watch them.
quiet=()
[ -t 1 ] || quiet=(--quiet)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ -n "${CI:-}" ] || [ ! -t 0 ]; then
    sudo --non-interactive "$@"
  else
    sudo "$@"
  fi
}

has_postgres_server() {
  has initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# Debian puts it where only root looks.
has_pgbouncer() { PATH=$PATH:/usr/sbin has pgbouncer; }

is_postgres_given() { [ -n "${AUTHLY_TEST_DATABASE_URL:-}${DATABASE_URL:-}" ]; }

has_fonts() { has fc-list && [ -n "$(fc-list 2>/dev/null | head -n 1)" ]; }

missing_packages() {
  has cc || echo gcc libc6-dev
  has chromium || echo chromium
  has chromedriver || echo chromium-driver
  has_fonts || echo fontconfig fonts-dejavu-core
  has node || echo nodejs
  has npm || echo npm
  has redis-server || echo redis-server
  has shellcheck || echo shellcheck
  is_postgres_given || has_postgres_server || echo postgresql
  is_postgres_given || has_pgbouncer || echo pgbouncer
}

# The packages of Postgres and Redis would start servers of their own: only the programs are wanted.
no_main_cluster=/etc/postgresql-common/createcluster.d/authly-tests.conf
policy=/usr/sbin/policy-rc.d

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"; }

apt_install() {
  local log=target/apt.log status=0 keep_policy=true
  mkdir -p target
  if [ ! -e "$policy" ]; then
    keep_policy=false
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  if [[ " $* " == *' postgresql '* ]]; then
    as_root mkdir -p "${no_main_cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$no_main_cluster" >/dev/null
  fi
  { apt_get update && apt_get install --yes --no-install-recommends "$@"; } >"$log" 2>&1 || status=$?
  if [[ " $* " == *' postgresql '* ]]; then
    as_root rm -f "$no_main_cluster"
  fi
  $keep_policy || as_root rm -f "$policy"
  ((status == 0)) || tail -n 20 "$log" >&2
  return "$status"
}

install_packages() {
  local packages
  read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
  if ((${#packages[@]} == 0)); then
    echo 'all there'
    return 0
  fi
  echo "missing: ${packages[*]}"
  if ! has apt-get; then
    say "this is not Debian; please install what these Debian packages hold, then run this again: ${packages[*]}"
    return 1
  fi
  if ! apt_install "${packages[@]}"; then
    say "could not install them; as root: apt-get update && apt-get install ${packages[*]}"
    return 1
  fi
  read -r -a packages <<<"$(missing_packages | tr '\n' ' ')"
  if ((${#packages[@]} != 0)); then
    say "still missing after the installation: ${packages[*]}"
    return 1
  fi
}

check_rust() {
  if ! has cargo || ! has rustc; then
    say 'Rust is missing: install it with rustup (Debian: apt-get install rustup; rustup default stable)'
    return 1
  fi
  rustc --version
}

has_target() { [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]; }

install_targets() {
  local target missing=()
  for target in wasm32-wasip1 wasm32-wasip2; do
    has_target "$target" || missing+=("$target")
  done
  if ((${#missing[@]} == 0)); then
    echo 'all there'
    return 0
  fi
  if ! has rustup; then
    say "this Rust has no standard library for ${missing[*]}, and there is no rustup to add it"
    return 1
  fi
  if ! rustup target add "${missing[@]}"; then
    say "rustup could not add ${missing[*]}: without them nobody knows whether the core still runs as a WASI component"
    return 1
  fi
}

install_npm_packages() {
  local clients=tests/clients
  if [ "$clients/node_modules/.package-lock.json" -nt "$clients/package-lock.json" ]; then
    echo 'all there'
    return 0
  fi
  npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
}

is_own_postgres() { [ -n "${AUTHLY_TEST_POSTGRES_DIR:-}" ]; }

start_postgres() {
  if [ -n "${AUTHLY_TEST_DATABASE_URL:-}" ]; then
    echo 'the one of AUTHLY_TEST_DATABASE_URL'
  elif [ -n "${DATABASE_URL:-}" ]; then
    echo 'the one of DATABASE_URL'
    AUTHLY_TEST_DATABASE_URL=$DATABASE_URL
  else
    # Its own, whatever else runs on this machine.
    export AUTHLY_TEST_POSTGRES_DIR=${TMPDIR:-/tmp}/authly-tests-$$
    trap 'tests/pgbouncer.sh stop || true; tests/postgres.sh stop || true' EXIT
    AUTHLY_TEST_DATABASE_URL=$(tests/postgres.sh start) || return
    echo 'a temporary one'
  fi
  export AUTHLY_TEST_DATABASE_URL
  # The servers under test are told where their database is, each its own.
  unset DATABASE_URL
}

# The Spin components and the programs, which tests start, then the tests.
build() {
  cargo build "${quiet[@]}" -p authly-spin -p authly-spin-guest --target wasm32-wasip2 --profile component &&
    cargo build "${quiet[@]}" --workspace --bins && cargo test "${quiet[@]}" "${selection[@]}" "${arguments[@]}" --no-run
}

check_wasm() {
  local target
  for target in wasm32-wasip1 wasm32-wasip2; do
    cargo check "${quiet[@]}" -p authly-core --target "$target" || return
    echo "authly-core compiles for $target"
  done
}

run_tests() {
  local log=target/tests.log status=0
  mkdir -p target
  cargo test --no-fail-fast "${selection[@]}" "${arguments[@]}" "${harness[@]}" 2>&1 | tee "$log" || status=$?
  awk '/^test result: / {
         for (i = 2; i <= NF; i++) {
           if ($i ~ /^passed/) passed += $(i - 1)
           if ($i ~ /^failed/) failed += $(i - 1)
           if ($i ~ /^ignored/) ignored += $(i - 1)
         }
       }
       END { printf "\n%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
  return "$status"
}

# What only a connection that others share can get wrong: the store's conformance suite and races, and the function.
run_through_pgbouncer() {
  local log=target/tests-pgbouncer.log
  export AUTHLY_TEST_PGBOUNCER_DIR=${TMPDIR:-/tmp}/authly-pgbouncer-$$
  AUTHLY_TEST_PGBOUNCER=$(tests/pgbouncer.sh start) || return
  AUTHLY_TEST_PGBOUNCER=$AUTHLY_TEST_PGBOUNCER cargo test --no-fail-fast -p authly-tests --test store_postgres \
    --test http_lambda --test lambda_events >"$log" 2>&1 || { tail -n 60 "$log" && return 1; }
  grep '^test result: ' "$log"
}

# Its exercises have databases and servers of their own.
check_deployment() { env -u AUTHLY_TEST_DATABASE_URL -u AUTHLY_TEST_POSTGRES_DIR deploy/check.sh; }

# What is missing here makes everything after it fail: stop at once.
require() { step "$@" || finish 'The tests did not run'; }

require 'Rust' check_rust
require 'Debian packages' install_packages
require 'WebAssembly targets' install_targets
require 'npm packages of the third-party clients' install_npm_packages
if $setup_only; then
  finish 'Everything is set up'
  exit 0
fi
require 'Postgres' start_postgres
require 'build' build
step 'the core compiles for WASI' check_wasm || true
step 'tests' run_tests || true
if ((${#selection[@]} + ${#arguments[@]} + ${#harness[@]} == 1)); then
  if is_own_postgres; then
    step 'through a PgBouncer in transaction mode' run_through_pgbouncer || true
  fi
  step 'the admin API as its description says, by schemathesis' tests/schemathesis.sh || true
  step 'deploy/' check_deployment || true
fi
if ((failures == 0)); then finish 'All tests passed'; else finish 'There were failures'; fi
