#!/usr/bin/env bash
# Makes the chart: Kustomize renders the objects, Helm packs them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
destination=.

usage() {
  cat <<'TEXT'
usage: deploy/kubernetes/helm/package.sh [DIRECTORY]

Writes authly-VERSION.tgz into DIRECTORY (by default the current one). Needs kubectl and helm.
TEXT
}

case "${1:-}" in
  '') ;;
  -h | --help) usage && exit ;;
  -*) usage >&2 && exit 2 ;;
  *) destination=$1 ;;
esac

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/authly/files"
cp -R "$here"/Chart.yaml "$here"/values.yaml "$here"/values.schema.json "$here"/templates "$scratch/authly"
kubectl kustomize "$here/../base" >"$scratch/authly/files/base.yaml"
for component in "$here"/../components/*/; do
  kubectl kustomize "$component" >"$scratch/authly/files/$(basename "$component").yaml"
done
helm package --destination "$destination" "$scratch/authly"
