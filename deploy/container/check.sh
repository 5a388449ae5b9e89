#!/usr/bin/env bash
# Checks the image: builds it, looks into it, and runs it. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh
# shellcheck source=deploy/container/image.sh
. deploy/container/image.sh

usage() {
  cat <<'USAGE'
usage: deploy/container/check.sh

Lints the Dockerfile and the scripts; compiles the programs for this machine, which takes some minutes the first time; builds
the image of them with Podman; looks at what is in it; runs it as a container as locked up as in production against a Postgres
of its own; and runs every HTTP scenario of the tests against the image's server.
USAGE
}

no_arguments "$@"

PATH=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH
scratch=$(mktemp -d)
image=localhost/authly:check
export AUTHLY_TEST_POSTGRES_DIR=$scratch/postgres
cleanup() {
  remove_podman
  tests/postgres.sh stop || true
  rm -rf "$scratch"
}
make_podman "$scratch/podman"
trap cleanup EXIT
chmod 755 "$scratch"

fail() {
  echo "$*" >&2
  return 1
}

lint() {
  hadolint deploy/container/Dockerfile && shellcheck --external-sources deploy/container/*.sh
}

inspect() { podman image inspect --format "$1" "$image"; }

# expect WHAT EXPECTED ACTUAL
expect() { [ "$2" = "$3" ] || fail "$1 is '$3', not '$2'"; }

describe() {
  local size
  size=$(inspect '{{.Size}}')
  echo "$((size / 1000)) kB"
  ((size <= 30000000)) || fail 'it is larger than 30 MB' || return
  expect 'its user' 65532:65532 "$(inspect '{{.User}}')" &&
    expect 'its command' '[authly] [serve]' "$(inspect '{{.Config.Entrypoint}} {{.Config.Cmd}}')" &&
    expect 'its health check' '[CMD authly health]' "$(inspect '{{.HealthCheck.Test}}')" || return
  local label
  for label in title description licenses version revision; do
    [ -n "$(inspect "{{index .Labels \"org.opencontainers.image.$label\"}}")" ] || fail "no label $label" || return
  done
}

# Into $root, as it is in the image.
unpack() {
  root=$scratch/root
  mkdir "$root"
  podman create --quiet --name unpacked "$image" >/dev/null && podman export unpacked | tar -x -C "$root" &&
    podman rm unpacked >/dev/null
}

look_inside() {
  unpack || return
  # What a container engine makes for every container is not in the image.
  local files
  files=$(cd "$root" && find . -type f ! -path './dev/*' ! -path './proc/*' ! -path './sys/*' ! -path './etc/*' ! -path './run/*' | sort)
  expect 'what is in it' "$(printf './usr/%s\n' local/bin/authly local/bin/authly-admin share/authly/LICENSE share/authly/sbom.cdx.json)" \
    "$files" || return
  [ -z "$(find "$root/usr" "$root/data" -perm /6022)" ] || fail 'something is writable by others, or runs as somebody else' || return
  local program
  for program in authly authly-admin; do
    readelf --program-headers --dynamic "$root/usr/local/bin/$program" >"$scratch/elf" || return
    ! grep -E 'INTERP|NEEDED' "$scratch/elf" || fail "$program is not static" || return
  done
}

# The bill of materials is valid, and lists exactly the crates that are built.
check_sbom() {
  local sbom="$root"
  sbom+=$(inspect '{{index .Labels "authly.sbom"}}')
  python - "$sbom" <<'PYTHON' || return
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(f"it is not valid: {problem}" if problem else 0)
PYTHON
  jq -r '"\(.components | length) crates; without licence: \([.components[] | select(.licenses == null) | .name] | join(" "))"' "$sbom"
  jq -e '[.components[] | select(.licenses == null)] == [] and ([.components[].name] | index("authly-core") and index("ring"))' \
    "$sbom" >/dev/null || fail 'it is not complete'
}

can_run() { podman run --rm --network none "$image" --version >"$scratch/can_run" 2>&1; }

# As locked up as in production. (Podman's timers for health checks need systemd; the check is run by hand.)
locked=(--read-only --cap-drop all --security-opt no-new-privileges --network host --no-healthcheck)

random_port() { od -An -N2 -tu2 /dev/urandom | awk '{ print 20000 + $1 % 12000 }'; }

refuses_to_start_unconfigured() {
  local said status=0
  said=$(podman run --rm "${locked[@]}" "$image" 2>&1) || status=$?
  expect 'the exit code' 1 "$status" || return
  local variable
  for variable in ISSUER_URL JWT_SECRET_KEY JWT_REFRESH_SECRET_KEY DATABASE_URL; do
    [[ $said == *"  $variable: "* ]] || fail "it does not name $variable: $said" || return
  done
  # SQLite without a volume: there is nowhere to write.
  status=0
  said=$(podman run --rm "${locked[@]}" --env ENVIRONMENT=development "$image" 2>&1) || status=$?
  expect 'the exit code' 1 "$status" || return
  [[ $said == *'Read-only file system'* ]] || fail "it does not say that it cannot write: $said"
}

configure() {
  port=$(random_port)
  base=http://127.0.0.1:$port
  umask 077
  cat >"$scratch/env" <<ENV
ISSUER_URL=$base
DATABASE_URL=$database
JWT_SECRET_KEY=$(openssl rand -base64 48)
JWT_REFRESH_SECRET_KEY=$(openssl rand -base64 48)
PORT=$port
ENV
}

# run ARGUMENT…: configured, and kept when it has ended.
run() { podman run --quiet "${locked[@]}" --env-file "$scratch/env" "$@"; }

# Within ten seconds.
until_healthy() {
  for _ in {1..100}; do
    if podman exec "$1" authly health >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  podman logs "$1" >&2
  fail "$1 does not become healthy"
}

serves() {
  database=$(tests/postgres.sh start) || return
  configure
  run "$image" migrate || return
  run --detach --name authly "$image" >/dev/null || return
  until_healthy authly && podman exec authly authly health || return
  expect 'the user of the process' 65532 "$(ps -o uid= -p "$(podman inspect --format '{{.State.Pid}}' authly)" | tr -d ' ')" || return
  curl --silent --show-error --fail "$base/.well-known/oauth-authorization-server" | jq -e --arg issuer "$base" '.issuer == $issuer' \
    >/dev/null || fail 'the metadata is wrong' || return
  local client
  client=$(run --entrypoint authly-admin "$image" client create --name Check --type confidential --scope read --output json) || return
  curl --silent --show-error --fail --user "$(jq -r '.client_id + ":" + .client_secret' <<<"$client")" \
    --data grant_type=client_credentials "$base/auth/token" | jq -e '.access_token and .scope == "read"' >/dev/null ||
    fail 'there is no token'
}

tells_that_its_database_is_gone() {
  tests/postgres.sh halt || return
  local said status=0
  said=$(podman exec authly authly health 2>&1) || status=$?
  tests/postgres.sh resume || return
  expect 'the exit code of the health check' 1 "$status" || return
  [[ $said == *'503 '*'"database":"unreachable"'* ]] || fail "it does not say why: $said" || return
  until_healthy authly
}

stops() {
  local started=$SECONDS
  podman kill --signal TERM authly >/dev/null || return
  expect 'the exit code' 0 "$(timeout 20 podman wait authly)" || return
  ((SECONDS - started < 10)) || fail 'it takes too long to stop'
}

# For a first look: SQLite in a volume, which the image's user may write to.
keeps_sqlite_in_a_volume() {
  port=$(random_port)
  podman volume create data >/dev/null || return
  local start=(podman run --detach --rm --quiet "${locked[@]}" --env ENVIRONMENT=development --env "PORT=$port" --volume data:/data)
  "${start[@]}" --name first "$image" >/dev/null && until_healthy first && podman logs first 2>&1 | grep 'user name  admin' &&
    podman stop --time 10 first >/dev/null || return
  "${start[@]}" --name second "$image" >/dev/null && until_healthy second || return
  ! podman logs second 2>&1 | grep 'user name  admin' || fail 'it does not find its database again' || return
  podman stop --time 10 second >/dev/null
}

# The tests start, stop and kill the server themselves; so it runs in the image's files as the image's user, but by
# chroot rather than in a container.
run_scenarios() {
  cat >"$scratch/authly" <<SH
#!/bin/sh
exec chroot --userspec=65532:65532 "$root" /usr/local/bin/authly "\$@"
SH
  chmod 755 "$scratch/authly"
  AUTHLY_BIN=$scratch/authly AUTHLY_TEST_DATABASE_URL=$database cargo test --quiet -p authly-tests --test http_container_postgres
}

step 'linters' lint || true
step 'the programs compile' compile_programs || finish 'There is no image'
step 'the image is built' build_image "$image" || finish 'There is no image'
step 'size, user, command, health check, labels' describe || true
step 'nothing is in it but two static programs and their papers' look_inside || true
step 'bill of materials' check_sbom || true
if can_run; then
  step 'unconfigured, it says what is missing' refuses_to_start_unconfigured || true
  step 'locked up, it migrates, is healthy, and issues a token' serves || finish 'The image does not serve'
  step 'its health check notices a database that is gone' tells_that_its_database_is_gone || true
  step 'it stops when it is told to' stops || true
  step 'SQLite in a volume' keeps_sqlite_in_a_volume || true
else
  skipped 'running it as a container' "Podman cannot run containers here: $(tail -n 1 "$scratch/can_run")"
fi
if [ "$(id -u)" -eq 0 ]; then
  database=$(tests/postgres.sh start)
  step 'every HTTP scenario against the server of the image' run_scenarios || true
else
  skipped 'HTTP scenarios against the server of the image' 'chroot needs root'
fi
finish 'The image was checked'
