#!/usr/bin/env bash
# Exercises every script of this directory, for real: a Postgres, an S3 API, a server behind TLS. See usage below.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$scripts/../.." && pwd)
cd "$root"
# shellcheck source=tests/steps.sh
. tests/steps.sh

usage() {
  cat <<'USAGE'
usage: deploy/scripts/check.sh [EXERCISE…]

Without arguments, all of: shellcheck, recovery, refusals, retention, upkeep, post_deployment, deployment. They run at the
same time, in two to three minutes.

environment:
  AUTHLY_BIN  path of authly, with authly-admin beside it; target/debug/authly
USAGE
}
[[ ${1:-} != -h && ${1:-} != --help ]] || { usage && exit; }

export PATH="${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH:/usr/sbin"
AUTHLY_BIN=$(realpath --canonicalize-missing "${AUTHLY_BIN:-target/debug/authly}")
stage=$(mktemp -d)
export AUTHLY_BIN scripts stage AUTHLY_TEST_POSTGRES_DIR=$stage.postgres
# None of this machine's settings.
unset DATABASE_URL BACKUP_DIR S3_BUCKET VERSION NAMESPACE BASE_URL AWS_PROFILE AWS_ENDPOINT_URL "${!PG@}" "${!TEST_@}"

moto=
declare -A processes=()
end() {
  kill ${moto:+"$moto"} "${processes[@]}" 2>/dev/null || true
  wait
  tests/postgres.sh stop || true
  rm -rf "$stage"
}
trap end EXIT

check_tools() {
  local tool missing=()
  for tool in age aws curl jq kubectl moto_server nginx openssl pg_dump pgrep psql python3 shellcheck unshare "$AUTHLY_BIN"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) || { echo "missing: ${missing[*]}; deploy/setup.sh installs them, tests/run.sh builds authly" && return 1; }
}

check_help() {
  local script
  for script in "$scripts"/*.sh; do
    [[ -x $script && $script != */check.sh ]] || continue
    "$script" --help | grep --quiet '^exit codes:' || { echo "$script --help does not name its exit codes" && return 1; }
    ! "$script" --no-such-option >/dev/null 2>&1 || { echo "$script takes any option" && return 1; }
  done
}

start_postgres() {
  server=$(tests/postgres.sh start) || return
  export server=${server%/postgres}
  psql --quiet "$server/postgres" --command 'CREATE ROLE authly LOGIN CREATEDB'
}

# A bucket, and keys for backups.
start_s3() {
  local port i
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export AWS_ACCESS_KEY_ID=exercise AWS_SECRET_ACCESS_KEY=hidden-secret-key AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
  export S3_ENDPOINT_URL=http://127.0.0.1:$port S3_BUCKET=authly-backups
  moto_server --host 127.0.0.1 --port "$port" >"$stage/moto.log" 2>&1 &
  moto=$!
  for ((i = 0; i < 300; i++)); do
    curl --silent --output /dev/null "$S3_ENDPOINT_URL/moto-api/" && break
    sleep 0.1
  done
  aws --endpoint-url "$S3_ENDPOINT_URL" s3 mb "s3://$S3_BUCKET" || { cat "$stage/moto.log" && return 1; }
  age-keygen --output "$stage/identity" 2>/dev/null && age-keygen -y "$stage/identity" >"$stage/recipients"
}

step 'scripts: tools' check_tools || finish 'The scripts were not exercised'
step 'scripts: help and misuse' check_help || true
step 'scripts: a Postgres' start_postgres || finish 'The scripts were not exercised'
step 'scripts: an S3 API' start_s3 || finish 'The scripts were not exercised'
# All at the same time: each has its own databases, bucket or part of it, ports and directory.
run() {
  if [[ $1 == shellcheck ]]; then
    shellcheck --external-sources "$scripts"/*.sh "$scripts"/check/*.sh "$scripts/check/kubectl"
  else
    exec "$scripts/check/$1.sh"
  fi
}
exercises=("$@")
((${#exercises[@]} > 0)) || exercises=(shellcheck recovery refusals retention upkeep post_deployment deployment)
for exercise in "${exercises[@]}"; do
  run "$exercise" >"$stage/$exercise.log" 2>&1 &
  processes[$exercise]=$!
done
# ended EXERCISE: waits for it, and shows what it said.
ended() {
  local status=0
  wait "${processes[$1]}" || status=$?
  unset "processes[$1]"
  cat "$stage/$1.log"
  return "$status"
}
for exercise in "${exercises[@]}"; do step "scripts: $exercise" ended "$exercise" || true; done
finish 'Scripts'
