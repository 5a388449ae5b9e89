#!/usr/bin/env bash
# deploy_production.sh and the stopping and starting of disaster_recovery.sh. There is no cluster here: what is tried
# out is the order of the calls and what becomes of a failure, with a stand-in for kubectl; and the rendering, with
# kubectl itself.
# shellcheck source=deploy/scripts/check/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

deploy=$scripts/deploy_production.sh
real_kubectl=$(command -v kubectl) cluster=$here_dir/cluster
export real_kubectl cluster
unset ISSUER_URL ENVIRONMENT
said() { grep --quiet --regexp="$1" "$here_dir/said" || wrong "it did not say '$1': $(cat "$here_dir/said")"; }

# The overlay of this project, by kubectl itself.
export MANIFESTS=$scripts/../kubernetes
if [[ -d $MANIFESTS/overlays/production ]]; then
  VERSION=9.8.7 ends 0 'dry run of the production overlay' "$deploy" --dry-run
  said 'authly:9.8.7$'
  said 'Job/authly-migrate'
  [[ $(sed -n '/^release:/,$p' "$here_dir/said") == *Deployment/authly* ]] || wrong 'the release has no deployment'
else
  note 'the production overlay: not there'
fi
export MANIFESTS=$scripts/check/manifests
ends 0 'dry run' "$deploy" --dry-run
cat >"$here_dir/expected" <<'END'
Would apply to the namespace authly, in this order:
namespace:
  Namespace/authly
foundation:
  ConfigMap/authly-config-NAME
  Service/authly
  StatefulSet/postgres
migration:
  Job/authly-migrate
release:
  Deployment/authly
  CronJob/authly-maintenance
images:
  registry.example.com/authly:0.1.0
END
sed 's/\(authly-config-\).*/\1NAME/' "$here_dir/said" | diff "$here_dir/expected" - || wrong 'the dry run says something else'
VERSION=latest ends 2 'a release without a version' "$deploy" --dry-run
VERSION='1 2' ends 2 'a version that is none' "$deploy" --dry-run
NAMESPACE=other ends 2 "not the overlay's namespace" "$deploy" --dry-run
ENVIRONMENT=other ends 2 'no such overlay' "$deploy" --dry-run
if [[ ! -e ${KUBECONFIG:-$HOME/.kube/config} ]]; then ends 1 'no cluster' "$deploy"; fi

# From here on, the stand-in.
mkdir -p "$here_dir/bin"
cp "$scripts/check/kubectl" "$here_dir/bin/"
# The tests of the deployment are another exercise's: here they pass or fail as told.
mkdir -p "$here_dir/scripts"
cp "$scripts"/*.sh "$here_dir/scripts/"
cat >"$here_dir/scripts/post_deployment_tests.sh" <<'END'
#!/bin/sh
echo "tests $BASE_URL" >>"$cluster/calls"
! grep -q '^tests$' "$cluster/failing"
END
deploy=$here_dir/scripts/deploy_production.sh
export PATH=$here_dir/bin:$PATH TEST_ATTEMPTS=2 TEST_PAUSE=0

# given_cluster REVISION JOB-CONDITIONS [FAILING-CALL…]
given_cluster() {
  rm -rf "$cluster"
  mkdir "$cluster"
  printf %s "$1" >"$cluster/revision"
  printf %s "$2" >"$cluster/job"
  printf '%s\n' "${@:3}" >"$cluster/failing"
  echo 3 >"$cluster/replicas"
  : >"$cluster/calls"
}
# calls EXPECTED…: these, in this order, among what was called.
calls() {
  local expected line
  exec 7<"$cluster/calls"
  for expected; do
    while :; do
      IFS= read -r line <&7 || wrong "'$expected' was not called, or not in this order: $(cat "$cluster/calls")"
      # shellcheck disable=SC2053 # it is a pattern
      [[ $line != $expected ]] || break
    done
  done
}
never() { ! grep --quiet --regexp="$1" "$cluster/calls" || wrong "'$1' was called: $(cat "$cluster/calls")"; }
unchanged() {
  never '^apply [^-].*Deployment/authly'
  [[ $(<"$cluster/revision") == 1 ]] || wrong 'the revision is another one'
}

given_cluster 1 'SuccessCriteriaMet Complete'
VERSION=0.2.0 ends 0 'a release' "$deploy"
calls 'get --raw=/readyz' 'apply Namespace/authly' 'delete job authly-migrate*' 'apply --dry-run=server *Deployment/authly*' 'get deployment authly*' \
  'apply ConfigMap/*,StatefulSet/postgres' 'rollout status StatefulSet/postgres*' 'apply Job/authly-migrate' 'get job authly-migrate*' \
  'apply Deployment/authly,CronJob/*' 'rollout status deployment/authly*' 'tests https://auth.example.com'
never 'undo'

given_cluster 1 '' 'get --raw=/readyz'
ends 1 'the cluster is not there' "$deploy"
unchanged
given_cluster 1 '' 'apply --dry-run=server*'
ends 1 'the cluster refuses the manifests' "$deploy"
unchanged
never '^apply Job'
given_cluster 1 '' 'rollout status StatefulSet/postgres*'
ends 1 'the database does not become ready' "$deploy"
unchanged
never '^apply Job'
given_cluster 1 'FailureTarget Failed'
ends 1 'the migration fails' "$deploy"
calls 'apply Job/*' 'logs job/authly-migrate*'
unchanged
given_cluster 1 ''
MIGRATION_TIMEOUT=1 ends 1 'the migration does not end' "$deploy"
calls 'apply Job/*' 'logs job/authly-migrate*' 'delete job authly-migrate*'
unchanged
given_cluster 1 Complete 'rollout status deployment/authly --timeout=600s'
ROLLOUT_TIMEOUT=600 ends 4 'the roll-out fails, and so does going back' "$deploy"
calls 'rollout undo deployment/authly --to-revision=1'
given_cluster 1 Complete 'apply Deployment/*'
ends 3 'the release cannot be applied' "$deploy"
given_cluster 1 Complete tests
ends 3 'the tests fail' "$deploy"
calls 'tests *' 'tests *' 'rollout undo deployment/authly --to-revision=1' 'rollout status deployment/authly*'
[[ $(<"$cluster/revision") == 1 ]] || wrong 'it did not go back'
given_cluster 1 Complete tests
ends 0 'the tests fail, but are skipped' "$deploy" --skip-tests
given_cluster 1 Complete tests 'rollout undo*'
ends 4 'the tests fail, and so does going back' "$deploy"
given_cluster '' Complete tests
ends 4 'the first release fails' "$deploy"
never undo
given_cluster 1 Complete
: >"$cluster/slow"
"$deploy" >"$here_dir/said" 2>&1 &
pid=$!
background+=("$pid")
for ((i = 0; i < 300; i++)); do
  [[ -e $cluster/slow ]] || break
  sleep 0.1
done
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
[[ $code == 143 ]] || wrong "SIGTERM during the roll-out: $code"
calls 'rollout undo deployment/authly --to-revision=1'
note "SIGTERM during the roll-out: $code, $(tail -n 1 "$here_dir/said")"

# disaster_recovery.sh --kubernetes, on a real database.
export ENVIRONMENT=production ISSUER_URL=https://auth.example.com BACKUP_DIR=$here_dir/backups
unset S3_BUCKET
new_database deployment
"$scripts/backup_database.sh" >/dev/null
given_cluster 1 ''
ends 0 'recovery: stops, and starts again' "$scripts/disaster_recovery.sh" --yes --kubernetes "$BACKUP_DIR"/*.dump
calls 'scale deployment authly --replicas=0' 'get deployment authly*' 'scale deployment authly --replicas=3' 'rollout status deployment authly*'
given_cluster 1 '' 'rollout status deployment authly*'
ends 4 'recovery: the deployment does not start' "$scripts/disaster_recovery.sh" --yes --in-place --kubernetes "$BACKUP_DIR"/*.dump
given_cluster 1 '' 'scale deployment authly --replicas=0'
ends 1 'recovery: the deployment does not stop' "$scripts/disaster_recovery.sh" --yes --in-place --kubernetes "$BACKUP_DIR"/*.dump
[[ $(<"$cluster/replicas") == 3 ]] || wrong 'the deployment was left stopped'
admin_sql --command 'CREATE ROLE deployment_guest LOGIN'
given_cluster 1 ''
DATABASE_URL=${DATABASE_URL/authly:/deployment_guest:} ends 1 'recovery: it fails while the deployment is stopped' "$scripts/disaster_recovery.sh" --yes --in-place --kubernetes "$BACKUP_DIR"/*.dump
calls 'scale deployment authly --replicas=0' 'scale deployment authly --replicas=3'
nothing_is_left
