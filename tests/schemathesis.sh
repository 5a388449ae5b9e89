#!/usr/bin/env bash
# Lets schemathesis test a server of its own by the description of the API. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=4.32.5
seconds=${SCHEMATHESIS_SECONDS:-75}
tools=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools
program=${AUTHLY_BIN:-target/debug/authly}

usage() {
  cat <<'USAGE'
usage: tests/schemathesis.sh [ARGUMENT…]

Starts a server on a throw-away SQLite database, registers an operator's client, and has schemathesis call every
operation of /openapi.json with all checks on, for a bounded time. Fails on whatever it finds.

It needs target/debug/authly with target/debug/authly-admin beside it, curl, and python3 with venv, into which it installs
schemathesis once.

  ARGUMENT…             goes to `schemathesis run`, for example `--include-path /admin/users`

environment:
  AUTHLY_BIN            the path of authly; default target/debug/authly
  SCHEMATHESIS_SECONDS  for how long; default 75
USAGE
}

case ${1:-} in -h | --help)
  usage
  exit 0
  ;;
esac

fail() {
  printf 'tests/schemathesis.sh: %s\n' "$*" >&2
  exit 1
}

for file in "$program" "$(dirname "$program")/authly-admin"; do
  [ -x "$file" ] || fail "$file is not there: cargo build --workspace --bins"
done
program=$(realpath "$program")

schemathesis=$tools/schemathesis-$version/bin/schemathesis
if [ ! -x "$schemathesis" ]; then
  python3 -m venv "$tools/schemathesis-$version"
  "$tools/schemathesis-$version/bin/pip" install --quiet "schemathesis==$version"
fi

directory=$(mktemp -d "${TMPDIR:-/tmp}/authly-schemathesis-XXXXXX")
server=
# shellcheck disable=SC2317 # it is called by the trap
cleanup() {
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$directory"
}
trap cleanup EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port
export HOST=127.0.0.1 PORT=$port ISSUER_URL=$url DATABASE_URL=sqlite://$directory/authly.db ENVIRONMENT=development
export JWT_SECRET_KEY='the root key of this test, of no use to anyone else'
export JWT_REFRESH_SECRET_KEY='the refresh key of this test, of no use to anyone else'
# Every request comes from one address. Password hashing is not what is tested.
export RATE_LIMIT_ENABLED=false ARGON2_MEMORY_KIB=8192 ARGON2_ITERATIONS=1

(cd "$directory" && exec "$program") >"$directory/server.log" 2>&1 &
server=$!
for _ in $(seq 150); do
  curl --silent --fail --output /dev/null "$url/health/ready" && break
  kill -0 "$server" 2>/dev/null || { tail -n 20 "$directory/server.log" >&2 && fail 'the server does not start'; }
  sleep 0.2
done

scopes=()
for area in clients scopes users system; do scopes+=("admin:$area:read" "admin:$area:write"); done
created=$("$(dirname "$program")/authly-admin" client create --name Operator --type confidential \
  --grant-type client_credentials "${scopes[@]/#/--scope=}" --output json)
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" <<<"$created"; }
AUTHLY_OPERATOR_ID=$(member client_id)
AUTHLY_OPERATOR_SECRET=$(member client_secret)
AUTHLY_OPERATOR_SCOPE=${scopes[*]}
export AUTHLY_OPERATOR_ID AUTHLY_OPERATOR_SECRET AUTHLY_OPERATOR_SCOPE

token() {
  curl --silent --fail --user "$AUTHLY_OPERATOR_ID:$AUTHLY_OPERATOR_SECRET" --data grant_type=client_credentials \
    --data-urlencode "scope=$AUTHLY_OPERATOR_SCOPE" "$url/auth/token"
}
token >/dev/null || fail 'the operator gets no token'

status=0
tests=$PWD/tests
# It leaves files where it runs.
(cd "$directory" && SCHEMATHESIS_HOOKS=$tests/schemathesis_hooks.py PYTHONDONTWRITEBYTECODE=1 "$schemathesis" \
  --config-file "$tests/schemathesis.toml" --no-color run "$url/openapi.json" --checks all --max-time "$seconds" "$@") ||
  status=$?

# Whatever was tested after the operator lost its token was tested for 401 only.
token >/dev/null || fail 'the operator lost its token on the way'
if grep -q '"level":"ERROR"\| ERROR ' "$directory/server.log"; then
  grep '"level":"ERROR"\| ERROR ' "$directory/server.log" | tail -n 20 >&2
  fail 'the server logged errors'
fi
exit "$status"
