#!/usr/bin/env bash
# Checks the Compose file: what it says, and that its services run. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh
# shellcheck source=deploy/container/image.sh
. deploy/container/image.sh

usage() {
  cat <<'USAGE'
usage: deploy/compose/check.sh

Validates compose.yaml against the Compose specification; resolves it with podman-compose; compares it and .env.example with
what `authly config check` knows; compiles the programs of the image, which takes some minutes the first time; and runs the
services as containers in a network of their own, where Podman can.

environment:
  AUTHLY_BIN   the program that checks the configuration (target/debug/authly)
USAGE
}

no_arguments "$@"

PATH=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH
authly=${AUTHLY_BIN:-$PWD/target/debug/authly}
scratch=$(mktemp -d)
make_podman "$scratch/podman"
cleanup() {
  remove_podman
  rm -rf "$scratch"
}
trap cleanup EXIT

# A copy, in which init.sh may write.
copy=$scratch/deploy
mkdir "$copy"
cp -r deploy/* "$copy"
rm -rf "$copy/compose/.env" "$copy/compose/secrets"

lint() {
  shellcheck --external-sources deploy/compose/*.sh deploy/compose/check/*.sh &&
    check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/compose.yaml &&
    yamllint --strict --config-data '{extends: default, rules: {document-start: disable, line-length: {max: 170}, comments-indentation: disable}}' \
      deploy/compose/compose.yaml
}

files() { (cd "$copy/compose" && find .env secrets -type f -exec sha256sum {} + | sort); }

initialize() {
  local before
  "$copy/compose/init.sh" auth.example.com admin@example.com >/dev/null || return
  [ "$(stat -c %a "$copy/compose/secrets")" = 700 ] || { echo 'anybody can read the secrets' && return 1; }
  before=$(files)
  "$copy/compose/init.sh" auth.example.com admin@example.com >/dev/null || return
  [ "$before" = "$(files)" ] || { echo 'a second run changes what is there' && return 1; }
  ! "$copy/compose/init.sh" 'auth.example.com/;rm' admin@example.com 2>/dev/null || { echo 'it takes anything for a name' && return 1; }
  openssl x509 -in "$copy/compose/secrets/tls/tls.crt" -noout -checkhost auth.example.com | grep 'does match'
}

# As Compose would: variables, anchors and profiles.
resolve() {
  (cd "$copy/compose" && podman-compose --profile monitoring config) >"$scratch/resolved.yaml"
}

compare() {
  python deploy/compose/check/configuration.py "$scratch/resolved.yaml" deploy/compose/compose.yaml deploy/compose/.env.example \
    "$copy/compose/.env" "$copy/compose/secrets" "$authly"
}

# The files of other parts that are mounted are there.
look_for_mounts() {
  local file missing=0
  while read -r file; do
    [ -e "$copy/compose/$file" ] || { echo "$file is not there" && missing=1; }
  done < <(python -c 'import sys, yaml
for service in yaml.safe_load(sys.stdin)["services"].values():
    for volume in service.get("volumes", []):
        if volume.startswith("."): print(volume.split(":")[0])' <"$scratch/resolved.yaml")
  return "$missing"
}

can_run() {
  podman run --rm --network none localhost/authly:check --version >"$scratch/can_run" 2>&1
}

step 'linters and the schema of Compose' lint || true
step 'init.sh' initialize || finish 'There is nothing to check'
step 'the file resolves' resolve || finish 'It cannot be read'
step 'what is mounted is there' look_for_mounts || true
step 'every variable is known, every default is true, and nobody has more than it needs' compare || true
step 'the programs of the image compile' compile_programs || finish 'There is no image'
step 'the image' build_image localhost/authly:check || finish 'There is no image'
if [ "$(id -u)" -ne 0 ]; then
  skipped 'running the services' 'a network of their own needs root'
elif ! can_run; then
  skipped 'running the services' "Podman cannot run containers here: $(tail -n 1 "$scratch/can_run")"
else
  step 'stand-in images' deploy/compose/check/stand-in.sh localhost/stand-in:check || true
  step 'the services run, locked up, and are of use' unshare --net --mount deploy/compose/check/run.sh "$copy" \
    localhost/authly:check localhost/stand-in:check || true
  skipped 'the official images; Grafana, Alertmanager and the exporters' 'no registry of images can be reached'
fi
finish 'The Compose file was checked'
