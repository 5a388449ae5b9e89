#!/usr/bin/env bash
# Checks these manifests: linters, the published schemas, what must hold for every overlay, a roll-out of the rendered
# overlays with the real program, a real Postgres and a real Redis, and the Helm chart.
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
  shellcheck --external-sources --source-path="$root" "$here"/*.sh "$here"/*/*.sh "$here"/*/*/*.sh
}

# Between them, the overlays and `all` have every object.
validate() {
  local version=$1
  kubernetes-validate --quiet --no-warn --strict --kubernetes-version "$version" \
    "$scratch"/{dev,production,all}.yaml
}

can_confine() {
  bwrap --unshare-user --ro-bind / / true 2>/dev/null
}

roll_out() {
  DATABASE_ADMIN_URL=$("$root/tests/postgres.sh" start) || return
  export DATABASE_ADMIN_URL
  python -m unittest test_server
}

step 'yamllint' yamllint --strict --config-file "$here/.yamllint.yaml" "$here" || true
step 'shellcheck' shell_scripts || true
if step 'every overlay and component renders' python "$here/checks/manifests.py" "$scratch"; then
  for version in "${versions[@]}"; do
    step "schemas of Kubernetes $version, strict" validate "$version" || true
  done
  step 'what must hold for every overlay' python -m unittest test_manifests || true
  if can_confine; then
    step 'a roll-out with the real program' roll_out || true
  else
    skipped 'a roll-out with the real program' 'bubblewrap is not installed, or may not make a sandbox here'
  fi
  if command -v helm >/dev/null; then
    step 'the Helm chart makes what the overlay makes' python -m unittest test_chart || true
  else
    skipped 'the Helm chart' 'helm is not installed'
  fi
fi
skipped 'server-side validation (kubectl apply --dry-run=server)' 'there is no cluster'

finish 'deploy/kubernetes'
