# shellcheck shell=bash
# Sourced by the exercises: what they have in common. check.sh has set $stage (a private directory), $scripts, $server
# (the URL of a Postgres server, without a database), AUTHLY_BIN, and S3's variables.
set -euo pipefail
: "${stage?}" "${scripts?}" "${server?}" "${AUTHLY_BIN?}"
here_dir=$stage/$(basename "$0" .sh)
mkdir -p "$here_dir"
# What the scripts leave in it, but should not, is found.
export TMPDIR=$here_dir/tmp
mkdir -p "$TMPDIR"

# Authly's own variables, for one that is as in production.
export ENVIRONMENT=production LOG_LEVEL=warn RATE_LIMIT_ENABLED=false MAINTENANCE_INTERVAL_MINUTES=0
export JWT_SECRET_KEY=exercise-of-the-scripts-0123456789-jwt JWT_REFRESH_SECRET_KEY=exercise-of-the-scripts-0123456789-refresh
export ISSUER_URL=https://authly.example

declare -a background=()
stop_background() {
  local pid
  for pid in "${background[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
}
trap stop_background EXIT

wrong() {
  printf 'WRONG: %s\n' "$*" >&2
  exit 1
}

note() { printf '  %s\n' "$*"; }

# ends CODE WHAT COMMAND…: it has to end with that code. What it says is in $stage/said.
ends() {
  local expected=$1 what=$2 code
  shift 2
  set +e
  (set -e && "$@") >"$here_dir/said" 2>&1 </dev/null
  code=$?
  set -e
  if ((code != expected)); then
    cat "$here_dir/said" >&2
    wrong "$what ended with $code instead of $expected"
  fi
  note "$what: $expected, $(tail -n 1 "$here_dir/said")"
}

# As the Postgres's administrator, which the scripts are not.
admin_sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$server/${database_name:-postgres}" "$@"; }

# new_database NAME: with Authly's schema, and DATABASE_URL for it, of a role that owns it, may create databases, and has
# no other right. Its password must not show up on any command line.
new_database() {
  admin_sql --command "CREATE DATABASE $1 OWNER authly"
  database_name=$1
  export DATABASE_URL="${server/\/\/postgres@///authly:hidden-password@}/$1"
  "$scripts/migrate_database.sh" >/dev/null
}

# Every row of every table, as one number.
fingerprint() {
  admin_sql <<<"
    SELECT format('COPY (SELECT %L, t::text FROM %I t ORDER BY 2) TO STDOUT', tablename, tablename)
    FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename \\gexec" | sha256sum
}

# databases PREFIX
databases() { database_name=postgres admin_sql --command "SELECT datname FROM pg_database WHERE datname LIKE '$1%' ORDER BY 1"; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# answers URL [STATUS] [CURL-ARGUMENT…]: within half a minute.
answers() {
  local url=$1 expected=${2:-200} i
  shift $(($# > 1 ? 2 : 1))
  for ((i = 0; i < 300; i++)); do
    [[ $(curl --silent --max-time 5 --output /dev/null --write-out '%{http_code}' "$@" "$url") != "$expected" ]] || return 0
    sleep 0.1
  done
  return 1
}

# start_authly PORT
start_authly() {
  PORT=$1 "$AUTHLY_BIN" serve >"$here_dir/authly.$1.log" 2>&1 &
  background+=($!)
  answers "http://127.0.0.1:$1/health/live" 200 --header "Host: $(sed 's,.*//,,; s,/.*,,' <<<"$ISSUER_URL")" || {
    cat "$here_dir/authly.$1.log" >&2
    wrong 'authly does not start'
  }
}

admin() { "${AUTHLY_BIN%/*}/authly-admin" "$@"; }

readonly password='correct horse battery staple'
# make_user NAME
make_user() { admin user create --email "$1@example.com" --verified --password-stdin <<<"$password" >/dev/null; }

# make_client NAME ARGUMENT…: its id and secret in files of that directory, as oauth.sh has them.
make_client() {
  local directory=$here_dir/$1
  mkdir -p "$directory"
  admin --output json client create --name "$1" --redirect-uri http://127.0.0.1/callback --scope read --scope profile "${@:2}" >"$directory/client.json"
  jq -j '.client_id' "$directory/client.json" >"$directory/client_id"
  jq -j '.client_secret // ""' "$directory/client.json" >"$directory/client_secret"
}
# shellcheck disable=SC2034 # for the exercises
all_grants=(--grant-type authorization_code --grant-type refresh_token --grant-type client_credentials)

# hold_lock TABLE: whoever wants it waits, and can be interrupted half-way.
hold_lock() {
  admin_sql >/dev/null <<<"BEGIN; LOCK TABLE $1 IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(30);" 2>/dev/null &
  background+=($!)
  lock_holder=$!
  wait_for_sql "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = '$1'::regclass"
}

release_lock() {
  admin_sql --command "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()" >/dev/null
  wait "$lock_holder" 2>/dev/null || true
}

wait_for_sql() {
  local i
  for ((i = 0; i < 300; i++)); do
    [[ $(admin_sql --command "$1") != t ]] || return 0
    sleep 0.1
  done
  wrong "in vain: $1"
}

nothing_is_left() {
  [[ -z $(find "$TMPDIR" -mindepth 1) ]] || wrong "left in TMPDIR: $(find "$TMPDIR" -mindepth 1)"
}
