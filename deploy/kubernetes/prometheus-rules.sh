#!/usr/bin/env bash
# The alert rules of ../monitoring as objects of the Prometheus operator.
set -euo pipefail

rules=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/monitoring/rules
namespace=authly

usage() {
  cat <<'TEXT'
usage: deploy/kubernetes/prometheus-rules.sh [--namespace NAME] [DIRECTORY] | kubectl apply -f -

Prints one PrometheusRule for each *.yml in DIRECTORY (by default deploy/monitoring/rules) and in its subdirectory kubernetes,
whose rules need kube-state-metrics.
TEXT
}

while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --namespace) namespace=${2:?--namespace takes a name} && shift 2 ;;
    -*) usage >&2 && exit 2 ;;
    *) rules=$1 && shift ;;
  esac
done

shopt -s nullglob
files=("$rules"/*.yml "$rules"/kubernetes/*.yml)
if ((${#files[@]} == 0)); then
  echo "there is no *.yml in $rules" >&2
  exit 1
fi
for file in "${files[@]}"; do
  cat <<YAML
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: authly-$(basename "$file" .yml)
  namespace: $namespace
  labels:
    app.kubernetes.io/name: authly
spec:
YAML
  sed 's/^/  /' "$file"
done
