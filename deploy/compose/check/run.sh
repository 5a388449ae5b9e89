#!/usr/bin/env bash
# Runs the services of compose.yaml as containers, in a network of their own. See usage below.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: unshare --net deploy/compose/check/run.sh DIRECTORY AUTHLY_IMAGE STAND_IN_IMAGE

Starts the stack of the copy of deploy/ in DIRECTORY, in which init.sh has been run for auth.example.com, with podman-compose,
service by service in the order that depends_on asks for (Podman's own timers for health checks need systemd), and uses it as
a client would: over TLS, through nginx. The images of Postgres, Redis, nginx and Prometheus are the
stand-in's.
USAGE
}

if [ $# -ne 3 ]; then
  usage
  exit 2
fi
authly_image=$2
stand_in_image=$3
cd "$1/compose"

# The machine's own network is not touched: what is published here is published in this one.
ip link set lo up

cat >>.env <<ENV
AUTHLY_IMAGE=$authly_image
NGINX_IMAGE=$stand_in_image
POSTGRES_IMAGE=$stand_in_image
REDIS_IMAGE=$stand_in_image
PROMETHEUS_IMAGE=$stand_in_image
POSTGRES_SHARED_BUFFERS=128MB
ENV

fail() {
  echo "$*" >&2
  exit 1
}

compose() { podman-compose --in-pod false --profile monitoring "$@"; }

start() { compose up --detach --no-deps "$@" >up.log 2>&1 || { cat up.log >&2 && fail "cannot start $*"; }; }

trap 'podman rm --all --force --volumes --time 1 >/dev/null 2>&1 || true' EXIT

container() { echo "authly_${1}_1"; }

# Within half a minute, by the service's own health check.
until_healthy() {
  for _ in {1..60}; do
    if podman healthcheck run "$(container "$1")" >/dev/null 2>&1; then
      echo "$1 is healthy"
      return
    fi
    sleep 0.5
  done
  podman logs "$(container "$1")" >&2
  fail "$1 does not become healthy"
}

issuer=https://auth.example.com
curl() { command curl --silent --show-error --fail --max-time 10 --resolve auth.example.com:443:127.0.0.1 --cacert secrets/tls/tls.crt "$@"; }

start postgres redis
until_healthy postgres
until_healthy redis
start migrate
[ "$(podman wait "$(container migrate)")" = 0 ] || fail "$(podman logs "$(container migrate)" 2>&1)"
podman logs "$(container migrate)"
start authly-1 authly-2
until_healthy authly-1
until_healthy authly-2
start nginx
until_healthy nginx

# ---- It works, with one instance as with two.

curl "$issuer/.well-known/oauth-authorization-server" | jq -e --arg issuer "$issuer" '.issuer == $issuer' >/dev/null
client=$(podman exec "$(container authly-1)" authly-admin client create --name Check --type confidential --scope read --output json)
credentials=$(jq -r '.client_id + ":" + .client_secret' <<<"$client")
for service in authly-1 authly-2; do
  podman stop --time 10 "$(container "$service")" >/dev/null 2>&1
  for _ in {1..5}; do
    # With an address that is made up.
    curl --user "$credentials" --header 'X-Forwarded-For: 203.0.113.7' --data grant_type=client_credentials "$issuer/auth/token" |
      jq -e .access_token >/dev/null
  done
  podman start "$(container "$service")" >/dev/null 2>&1
  until_healthy "$service"
done
echo 'tokens are issued while either instance is away'

# ---- Authly sees the client's address (here the gateway's), not nginx's, nor what the client said.

addresses=$(for service in authly-1 authly-2; do podman logs "$(container "$service")" 2>&1; done |
  jq -rR 'fromjson? | select(.path == "/auth/token") | .client_address' | sort -u)
[ "$addresses" = 172.30.217.1 ] || fail "Authly sees $addresses"
echo 'Authly sees where clients come from'

# ---- The first administrator is there, and requests are counted in Redis.

podman exec "$(container authly-1)" authly-admin status --output json | jq -e '.counts.users == 1' >/dev/null
curl "$issuer/health/ready" | jq -e '.database == "ok" and .redis == "ok"' >/dev/null || fail "$(curl "$issuer/health/ready")"
echo 'there is an administrator, and requests are counted in Redis'

# ---- Prometheus finds both instances, and may read their metrics; through nginx nobody does.

start prometheus
both() {
  command curl --silent --max-time 5 http://127.0.0.1:9090/api/v1/targets | jq -e \
    '[.data.activeTargets[] | select(.labels.job == "authly" and .health == "up") | .scrapeUrl] | sort
      == ["http://172.30.217.11:8000/metrics", "http://172.30.217.12:8000/metrics"]' >/dev/null 2>&1
}
for _ in {1..60}; do
  if both; then break; fi
  sleep 1
done
both || fail "$(command curl --silent http://127.0.0.1:9090/api/v1/targets; podman logs "$(container prometheus)" 2>&1 | tail -n 5)"
if curl "$issuer/metrics" >metrics.log 2>&1 || ! grep -q 'error: 404' metrics.log; then fail "through nginx: $(cat metrics.log)"; fi
echo 'Prometheus finds both instances'

# ---- Nobody in there is root or could become it.

for service in postgres redis authly-1 authly-2 nginx prometheus; do
  status=/proc/$(podman inspect --format '{{.State.Pid}}' "$(container "$service")")/status
  expected=$'CapEff 0000000000000000\nNoNewPrivs 1'
  actual=$(awk '/^(CapEff|NoNewPrivs):/ { print substr($1, 1, length($1) - 1), $2 } /^Uid:/ && $3 == 0 { print "root" }' "$status")
  [ "$actual" = "$expected" ] || fail "$service: $actual"
done
# Only nginx is reached from other machines.
[ "$(podman ps --format '{{.Names}} {{.Ports}}' | grep -F 0.0.0.0: | cut -d ' ' -f 1)" = "$(container nginx)" ] || fail "$(podman ps)"
echo 'nobody is root, and only nginx is open'
