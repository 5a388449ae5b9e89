#!/usr/bin/env bash
# Checks the template and what its README says. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

usage() {
  cat <<'USAGE'
usage: deploy/lambda/check.sh

Lints template.yaml; resolves it with every choice of its optional parts, and runs `authly config check` with the variables
that the function would have; and compares the commands of the README with the programs. The function itself is tested by
tests/run.sh, behind an emulated Lambda.

environment:
  AUTHLY_BIN   the program that checks the configuration, with authly-admin beside it (target/debug/authly)
USAGE
}

no_arguments "$@"

here=deploy/lambda
PATH=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH
authly=${AUTHLY_BIN:-$PWD/target/debug/authly}

step 'shell' shellcheck --external-sources "$here/check.sh" || true
step 'template' cfn-lint --non-zero-exit-code warning "$here/template.yaml" || true
step 'every variable is known, whatever is chosen' python "$here/check/configuration.py" "$here/template.yaml" "$authly" || true
step 'the commands of the README' python deploy/readme_commands.py "${authly%/*}" "$here/README.md" || true
skipped 'sam build, sam deploy, the commands of cargo lambda' 'the SAM CLI and cargo-lambda are not installed, and there is no account at AWS'
finish 'deploy/lambda was checked'
