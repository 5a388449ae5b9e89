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
machine cannot run is listed at the end, by part, with the reason. Without PART, all of them. The commands that any README
names are compared with the programs.

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

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compare_commands() {
  local authly=${AUTHLY_BIN:-target/debug/authly}
  "${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin/python" deploy/readme_commands.py "${authly%/*}" \
    README.md deploy/README.md deploy/*/README.md deploy/monitoring/runbook.md
}

# Each part's list of what it skipped is a file of its name. Whoever called this may keep a list as well.
list_skipped() {
  local part
  if [ -z "$(ls "$scratch")" ]; then
    printf '\nNothing was left out: this machine can run all of it.\n'
    return
  fi
  printf '\nWhat could not be run on this machine, and why:\n'
  for part in "${parts[@]}"; do
    [ -f "$scratch/$part" ] || continue
    sed "s|^|  deploy/$part: |" "$scratch/$part"
    [ -z "${SKIPPED_LIST:-}" ] || sed "s|^|deploy/$part: |" "$scratch/$part" >>"$SKIPPED_LIST"
  done
}

step 'the tools are there' deploy/setup.sh || finish 'Nothing under deploy/ was checked'
for part in "${parts[@]}"; do
  step "deploy/$part" env SKIPPED_LIST="$scratch/$part" "deploy/$part/check.sh" || true
done
step 'the commands that the READMEs name' compare_commands || true
list_skipped
finish 'deploy/ was checked'
