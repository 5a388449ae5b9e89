#!/usr/bin/env bash
# A release of Authly, onto a Kubernetes cluster. See usage below.
set -euo pipefail
# shellcheck source=deploy/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: deploy_production.sh [--dry-run] [--skip-tests]

Renders the overlay; has the cluster check all of it; applies what the release stands on; runs the migration and waits
for it; rolls out the deployment and waits for it; runs post_deployment_tests.sh. If the roll-out or the tests fail, or
this is interrupted, the deployment goes back to the revision that it had. The database does not: migrations leave a
schema that the release before works on, too. Nothing is rolled out unless the migration has succeeded.

  --dry-run     renders, and shows what would be applied in which order; asks no cluster
  --skip-tests  takes a finished roll-out for a success

environment:
  VERSION            the image's tag; by default the one in the overlay
  ENVIRONMENT        production: the overlay
  NAMESPACE          authly: has to be that of the overlay
  MANIFESTS          ../kubernetes: the directory with base and overlays
  MIGRATION_TIMEOUT  300, in seconds
  ROLLOUT_TIMEOUT    600, in seconds
  TEST_ATTEMPTS      3: a proxy may need a moment to see the new pods
  TEST_PAUSE         10, in seconds
  BASE_URL           the ISSUER_URL of the overlay; with the others of post_deployment_tests.sh
  KUBECONFIG         as kubectl takes it

exit codes:
  0  deployed
  1  nothing was rolled out: a check, or the migration, failed; the servers run as before
  2  wrong usage or settings; nothing was done
  3  the roll-out or a test failed; the deployment is back at the revision that it had
  4  the roll-out or a test failed, and the deployment is NOT back: there was none before, or going back failed
USAGE
}

readonly ROLLED_BACK=3 NOT_ROLLED_BACK=4

dry_run=false skip_tests=false
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=true ;;
    --skip-tests) skip_tests=true ;;
    *) misused "there is no option '$1'" ;;
  esac
  shift
done

version=${VERSION:-}
environment=${ENVIRONMENT:-production}
namespace=${NAMESPACE:-authly}
manifests=${MANIFESTS:-$here/../kubernetes}
migration_timeout=${MIGRATION_TIMEOUT:-300} rollout_timeout=${ROLLOUT_TIMEOUT:-600}
test_attempts=${TEST_ATTEMPTS:-3} test_pause=${TEST_PAUSE:-10}
is_number MIGRATION_TIMEOUT "$migration_timeout"
is_number ROLLOUT_TIMEOUT "$rollout_timeout"
is_number TEST_ATTEMPTS "$test_attempts"
is_number TEST_PAUSE "$test_pause"
overlay=$manifests/overlays/$environment
[[ $environment =~ ^[a-z0-9-]+$ && -f $overlay/kustomization.yaml ]] || misused "there is no overlay $overlay"
[[ -z $version || $version =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || misused "VERSION is no tag of an image: '$version'"

# The manifests ---------------------------------------------------------------------------------------------------------

# The version goes into a copy of the overlay, since all else there may depend on it.
render() {
  local tags
  cp -R "$manifests/." "$scratch/manifests"
  overlay=$scratch/manifests/overlays/$environment
  if [[ -n $version ]]; then
    tags=$(grep -cE '^ +newTag:' "$overlay/kustomization.yaml" || true)
    [[ $tags == 1 ]] || die "$MISUSED" "the overlay has $tags lines with newTag: where does VERSION go?"
    sed -i -E "s/^( +newTag:).*/\\1 \"$version\"/" "$overlay/kustomization.yaml"
  fi
  kubectl kustomize "$overlay" >"$scratch/all.yaml" 2>"$scratch/problem" || die "$MISUSED" "the overlay cannot be rendered: $(cat "$scratch/problem")"
}

# part WHAT: those documents of the rendered overlay. kubectl kustomize writes them in one canonical form.
part() {
  awk -v want="$1" '
    function flush() {
      is = "foundation"
      if (kind == "Namespace") is = "namespace"
      if (kind == "Job" && name ~ /^authly-migrate/) is = "migration"
      if ((kind == "Deployment" && name == "authly") || kind == "CronJob" || kind == "HorizontalPodAutoscaler") is = "release"
      if (text != "" && is == want) printf "---\n%s", text
      text = kind = name = ""
    }
    /^---$/ { flush(); next }
    { text = text $0 "\n" }
    /^kind: / { kind = $2 }
    /^[a-z]/ { in_metadata = /^metadata:/ }
    in_metadata && /^  name: / { name = $2 }
    END { flush() }' "$scratch/all.yaml"
}

# kind/name of each document on standard input, one a line.
names() { awk '/^kind: / { kind = $2 } /^[a-z]/ { in_metadata = /^metadata:/ } in_metadata && /^  name: / { print kind "/" $2 }'; }

images() { part release | sed -n 's/^ *image: *//p' | tr -d '"' | sort -u; }

# What cannot be gone back to, and what two parts of the manifests disagree about.
check_rendering() {
  local image images other
  [[ $(part release | names) == *Deployment/authly* ]] || die "$MISUSED" 'the overlay has no deployment authly'
  job=$(part migration | names | sed -n 's,^Job/,,p')
  [[ -n $job && $job != *$'\n'* ]] || die "$MISUSED" 'the overlay has no job authly-migrate, or several'
  other=$(sed -n 's/^  namespace: //p' "$scratch/all.yaml" | sort -u)
  [[ $other == "$namespace" ]] || die "$MISUSED" "the overlay is for the namespace ${other//$'\n'/, }, and NAMESPACE is $namespace"
  images=$(images)
  for image in $images; do
    [[ $image == *@sha256:* || ($image =~ :[^/]+$ && $image != *:latest) ]] ||
      die "$MISUSED" "$image: a release has a version; there is no going back from latest to latest"
    [[ -z $version || $image == *":$version" ]] || die "$MISUSED" "VERSION is $version, but the overlay takes $image"
  done
}

show() {
  say "Would apply to the namespace $namespace, in this order:"
  local what
  for what in namespace foundation migration release; do
    say "$what:"
    part "$what" | names | sed 's/^/  /'
  done
  say "images:"
  images | sed 's/^/  /'
}

# The cluster ---------------------------------------------------------------------------------------------------------

cluster() { kubectl --namespace "$namespace" "$@"; }

apply_part() {
  part "$1" >"$scratch/$1.yaml"
  [[ ! -s $scratch/$1.yaml ]] || cluster apply --filename="$scratch/$1.yaml"
}

revision() { cluster get deployment authly --ignore-not-found --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}'; }

wait_for_databases() {
  local name
  for name in $(part foundation | names | grep '^StatefulSet/' || true); do
    attended cluster rollout status "$name" --timeout="${rollout_timeout}s" || return
  done
}

# `kubectl wait` would not see that a job failed.
migrate() {
  local deadline=$((SECONDS + migration_timeout)) conditions=
  apply_part migration || return
  while ((SECONDS < deadline)); do
    conditions=$(cluster get job "$job" --output 'jsonpath={range .status.conditions[?(@.status=="True")]}{.type} {end}') || return
    case " $conditions " in
      *' Complete '*) return 0 ;;
      *' Failed '*) break ;;
    esac
    sleep 1
  done
  [[ " $conditions " == *' Failed '* ]] || warn "the migration did not end within $migration_timeout s; it is stopped"
  cluster logs "job/$job" --tail=20 >&2 || true
  [[ " $conditions " == *' Failed '* ]] || cluster delete job "$job" --ignore-not-found >/dev/null
  return 1
}

roll_out() {
  is_rolling_out=true
  at_end+=(roll_back_when_interrupted)
  apply_part release && attended cluster rollout status deployment/authly --timeout="${rollout_timeout}s"
}

run_tests() {
  local attempt
  for ((attempt = 1; attempt <= test_attempts; attempt++)); do
    if attended "$here/post_deployment_tests.sh"; then return 0; fi
    if ((attempt < test_attempts)); then attended sleep "$test_pause"; fi
  done
  return 1
}

roll_back() {
  is_rolling_out=false
  if [[ -z $previous ]]; then
    warn 'there was no deployment before: it is left as it is, to be looked at'
    return 1
  fi
  if [[ $(revision) == "$previous" ]]; then
    warn "the deployment was not changed: it still has the revision $previous"
    return 0
  fi
  say "Going back to revision $previous"
  cluster rollout undo deployment/authly --to-revision="$previous" &&
    attended cluster rollout status deployment/authly --timeout="${rollout_timeout}s"
}

roll_back_when_interrupted() { ! $is_rolling_out || roll_back; }

failed() {
  if roll_back; then die "$ROLLED_BACK" "$1; the deployment has its previous revision again"; fi
  die "$NOT_ROLLED_BACK" "$1, and the deployment did NOT go back to a previous revision: it needs a look, now"
}

# ------------------------------------------------------------------------------------------------------------------------

begin
require kubectl
is_rolling_out=false previous=
render
check_rendering
if $dry_run; then
  show
  exit
fi

say "Deploying $(images | tr '\n' ' ')to the namespace $namespace"
problem=$(kubectl get --raw=/readyz 2>&1) || die "$FAILED" "the cluster cannot be reached: $problem"
apply_part namespace || die "$FAILED" 'the namespace cannot be made'
# Jobs cannot be changed: one of an earlier attempt makes room.
cluster delete job "$job" --ignore-not-found --wait >/dev/null || die "$FAILED" 'the migration of an earlier attempt cannot be removed'
problem=$(cluster apply --dry-run=server --filename="$scratch/all.yaml" 2>&1) || die "$FAILED" "the cluster does not accept the manifests: $problem"
previous=$(revision) || die "$FAILED" 'the present deployment cannot be read'
say "The present revision is ${previous:-none}"
apply_part foundation || die "$FAILED" 'what the release stands on cannot be applied'
wait_for_databases || die "$FAILED" 'the database does not become ready'
say "Migrating by the job $job"
migrate || die "$FAILED" 'the migration failed: nothing was rolled out'
say 'Rolling out'
roll_out || failed 'the roll-out failed'
if ! $skip_tests; then
  export BASE_URL=${BASE_URL:-$(sed -n 's/^  ISSUER_URL: *//p' "$scratch/all.yaml" | head -n 1 | tr -d '"')}
  run_tests || failed 'the tests of the new release failed'
fi
is_rolling_out=false
say "Deployed: revision $(revision)"
