#!/usr/bin/env bash
# Every linter, dry run and exercise of deploy/. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

usage() {
  cat <<'USAGE'
usage: deploy/check.sh [PART…]

Checks what is under deploy/: each part by its own check.sh, in which its linters, dry runs and exercises are. What this
machine cannot run is listed with the reason. Without PART, all of them.

The exercises run the programs in target/debug (AUTHLY_BIN says where `authly` is otherwise): build them first, or use
tests/run.sh. deploy/setup.sh installs what else is needed.
USAGE
}

case ${1:-} in
  -h | --help)
    usage
    exit 0
    ;;
esac

parts=("$@")
if ((${#parts[@]} == 0)); then
  for check in deploy/*/check.sh; do parts+=("$(basename "$(dirname "$check")")"); done
fi

step 'the tools are there' deploy/setup.sh || finish 'Nothing under deploy/ was checked'
for part in "${parts[@]}"; do
  step "deploy/$part" "deploy/$part/check.sh" || true
done
finish 'deploy/ was checked'
