#!/usr/bin/env bash
# Checks everything in this directory. See usage below.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

usage() {
  cat <<'USAGE'
usage: deploy/monitoring/check.sh

Checks the configuration and the rules, runs the rules' unit tests, and sees that each alert has some, with an entry in
the runbook, and that the dashboard has what the first guide's had. Then a Prometheus with this configuration watches a server under load, and is asked every query of the
dashboard and of the rules: none is without data, and no alert fires on a healthy server.

The server is target/debug/authly (AUTHLY_BIN: another one); its database is one in AUTHLY_TEST_DATABASE_URL, or in a
Postgres that is started for it.
USAGE
}

no_arguments "$@"

here=deploy/monitoring
PATH=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy/bin:$PATH

rules=("$here"/rules/*.yml "$here"/rules/kubernetes/*.yml)

# Names of alerts, one a line, sorted: those that there are, and those of the runbook.
alerts() { sed -n 's/^ *- alert: //p' "${rules[@]}" | sort; }
entries() { sed -n 's/^## Alert //p' "$here/runbook.md" | sort; }

check_alerts() {
  local alert names status=0
  local problems=()
  names=$(alerts)
  for alert in $(alerts | uniq -d); do problems+=("$alert is defined twice"); done
  for alert in $(alerts); do
    grep -q "alertname=\"$alert\"" "$here"/tests/*.yml || problems+=("$alert has no test in which it fires")
    grep -qx "## Alert $alert" "$here/runbook.md" || problems+=("$alert is not in the runbook")
    grep -qx " *runbook_url: $here/runbook.md#alert-${alert,,}" "${rules[@]}" ||
      problems+=("$alert does not name its place in the runbook")
  done
  for alert in $(entries); do
    grep -qx "$alert" <<<"$names" || problems+=("$alert is in the runbook, and there is no such alert")
  done
  local test
  while read -r test; do problems+=("the test \"$test\" does not show that its alerts can be silent"); done < <(loud_tests)
  local field
  for field in severity summary description; do
    [ "$(cat "${rules[@]}" | grep -c "^ *$field: ")" -eq "$(alerts | wc -l)" ] ||
      problems+=("an alert has no $field")
  done
  if ((${#problems[@]} > 0)); then
    printf '%s\n' "${problems[@]}"
    status=1
  else
    echo "$(alerts | wc -l) alerts"
  fi
  return "$status"
}

# Tests in which nothing is ever silent, by name.
loud_tests() {
  awk '
    function close_test() { if (name != "" && !silent) print name }
    /^  - name: / { close_test(); name = substr($0, 11); silent = 0 }
    /exp_samples: \[\]/ { silent = 1 }
    END { close_test() }
  ' "$here"/tests/*.yml
}

# The panels of the dashboard that this one began with, and what each of them asked for: panel, metric, and what else.
first_panels='[
  ["Request rate", "authly_requests_total", "endpoint"],
  ["Request rate", "authly_requests_total", "method"],
  ["Response time", "authly_request_duration_seconds_bucket", "0.95"],
  ["Database connections", "authly_db_connections_active", ""],
  ["OAuth operations", "authly_oauth_authorizations_total", "result"]
]'

check_dashboard() {
  local missing
  missing=$(jq --raw-output --argjson first "$first_panels" '
    [.panels[] | .title as $title | .targets[]? | {title: $title, expr}] as $queries
    | $first[] | . as [$title, $metric, $part]
    | select(any($queries[]; .title == $title and (.expr | test("\\b" + $metric + "\\b") and contains($part))) | not)
    | "\($title): nothing asks for \($metric) \($part)"' "$here/grafana/dashboards/authly.json") || return
  [ -z "$missing" ] || { echo "$missing" && return 1; }
}

exercise() {
  local postgres=''
  if [ -z "${AUTHLY_TEST_DATABASE_URL:-}" ]; then
    export AUTHLY_TEST_POSTGRES_DIR=${TMPDIR:-/tmp}/authly-monitoring-$$
    postgres=own
    # shellcheck disable=SC2064 # The directory of now.
    trap "AUTHLY_TEST_POSTGRES_DIR=$AUTHLY_TEST_POSTGRES_DIR tests/postgres.sh stop" EXIT
    AUTHLY_TEST_DATABASE_URL=$(tests/postgres.sh start) || return
    export AUTHLY_TEST_DATABASE_URL
  fi
  local status=0
  timeout 600 cargo test --quiet -p authly-tests --test deploy_monitoring || status=$?
  if [ -n "$postgres" ]; then
    tests/postgres.sh stop
    trap - EXIT
  fi
  return "$status"
}

step 'shell' shellcheck --external-sources "$here/check.sh" || true
style='{extends: default, rules: {document-start: disable, line-length: {max: 132}}}'
step 'YAML' yamllint --strict --config-data "$style" "$here" || true
step 'scrape configuration and rules' promtool check config "$here/prometheus.yml" || true
step 'rules for Kubernetes' promtool check rules "$here"/rules/kubernetes/*.yml || true
step 'alertmanager' amtool check-config "$here/alertmanager.yml" || true
step 'unit tests of the rules' promtool test rules "$here"/tests/*.yml || true
step 'alerts, their tests and their runbook' check_alerts || true
step "the first guide's panels are in the dashboard" check_dashboard || true
step 'a Prometheus, a loaded server, and every query' exercise || true
skipped 'rules for Kubernetes against kube-state-metrics' 'there is no cluster; their unit tests use the names that its documentation has'
skipped 'Grafana itself' 'Debian has no Grafana; the dashboard is checked for its form, and all of its queries by Prometheus'
finish 'The monitoring was checked'
