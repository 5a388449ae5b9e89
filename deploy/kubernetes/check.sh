#!/usr/bin/env bash
# Checks these manifests: linters, the published schemas, what must hold for every overlay, and a roll-out of the
# rendered production overlay with the real program, a real Postgres and a real Redis.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# The oldest Kubernetes with the sleep of preStop, and the newest one that has published its schemas.
versions=(1.30 1.37)

usage() {
  cat <<'TEXT'
usage: deploy/kubernetes/check.sh

Environment: AUTHLY_BIN, the program to check with (target/debug/authly).
TEXT
}

case "${1:-}" in
  '') ;;
  -h | --help) usage && exit ;;
  *) usage >&2 && exit 2 ;;
esac

# shellcheck source=tests/steps.sh
source "$root/tests/steps.sh"
PATH=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH
export AUTHLY_BIN=${AUTHLY_BIN:-$root/target/debug/authly}
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$here/checks

scratch=$(mktemp -d)
# The server of Postgres runs as another user.
chmod 755 "$scratch"
export AUTHLY_TEST_POSTGRES_DIR=$scratch/postgres
clean_up() {
  "$root/tests/postgres.sh" stop
  rm -rf "$scratch"
}
trap clean_up EXIT

shell_scripts() {
  shellcheck --external-sources --source-path="$root" "$here"/*.sh "$here"/*/*/*.sh
}

render_all() {
  python -c 'import sys, test_manifests as t, yaml
for name, objects in t.installations():
    with open(f"{sys.argv[1]}/{name}.yaml", "w") as file:
        yaml.safe_dump_all(objects, file)' "$scratch"
}

validate() {
  local version=$1
  kubernetes-validate --quiet --no-warn --strict --kubernetes-version "$version" "$scratch"/*.yaml
}

roll_out() {
  DATABASE_ADMIN_URL=$("$root/tests/postgres.sh" start) || return
  export DATABASE_ADMIN_URL
  python -m unittest test_server
}

step 'yamllint' yamllint --strict --config-file "$here/.yamllint.yaml" "$here" || true
step 'shellcheck' shell_scripts || true
if step 'every overlay and component renders' render_all; then
  for version in "${versions[@]}"; do
    step "schemas of Kubernetes $version, strict" validate "$version" || true
  done
  step 'what must hold for every overlay' python -m unittest test_manifests || true
  step 'a roll-out with the real program' roll_out || true
fi
skipped 'server-side validation (kubectl apply --dry-run=server)' 'there is no cluster'

finish 'deploy/kubernetes'
