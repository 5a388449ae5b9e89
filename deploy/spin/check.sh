#!/usr/bin/env bash
# Checks what is said here about variables and commands. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

usage() {
  cat <<'USAGE'
usage: deploy/spin/check.sh

Reads runtime-config.toml and env.example; compares them and the README with spin.toml and with what `authly config check`
knows; and compares the commands of the README with the programs. The component itself is tested by tests/run.sh, in a host
of the tests.

environment:
  AUTHLY_BIN   the program that knows the variables, with authly-admin beside it (target/debug/authly)
USAGE
}

no_arguments "$@"

here=deploy/spin
PATH=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH
authly=${AUTHLY_BIN:-$PWD/target/debug/authly}

step 'shell' shellcheck --external-sources "$here/check.sh" || true
step 'variables: examples, and what the README says is ignored' python "$here/check/configuration.py" spin.toml \
  "$here/runtime-config.toml" "$here/env.example" "$here/README.md" "$authly" || true
step 'the commands of the README' python deploy/readme_commands.py "${authly%/*}" "$here/README.md" || true
skipped 'spin build, spin up' 'Spin is not installed: Debian has no package of it'
finish 'deploy/spin was checked'
