#!/usr/bin/env bash
# Checks nginx's configuration, and runs a real nginx with it in front of real instances.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

case ${1:-} in
  '') ;;
  -h | --help)
    echo 'usage: deploy/nginx/check.sh'
    exit
    ;;
  *)
    echo 'usage: deploy/nginx/check.sh' >&2
    exit 2
    ;;
esac
PATH=$PATH:/usr/sbin:/sbin
scratch=$(mktemp -d)
postgres=
# The server may run as another user.
chmod 755 "$scratch"
cleanup() {
  [ -z "$postgres" ] || AUTHLY_TEST_POSTGRES_DIR=$postgres tests/postgres.sh stop
  rm -rf "$scratch"
}
trap cleanup EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=auth.example.com \
  -addext subjectAltName=DNS:auth.example.com -keyout "$scratch/key.pem" -out "$scratch/certificate.pem" 2>/dev/null
mkdir "$scratch/state"

# render [NAME=VALUE…]: the configuration, with these variables instead.
render() {
  env AUTHLY_SERVER_NAME=auth.example.com AUTHLY_UPSTREAMS='127.0.0.1:8001 [::1]:8002' \
    AUTHLY_CERTIFICATE="$scratch/certificate.pem" AUTHLY_CERTIFICATE_KEY="$scratch/key.pem" \
    AUTHLY_LISTEN=127.0.0.1 AUTHLY_HTTP_PORT=18080 AUTHLY_HTTPS_PORT=18443 AUTHLY_NGINX_STATE="$scratch/state" \
    AUTHLY_NGINX_PID="$scratch/state/pid" AUTHLY_ACCESS_LOG="$scratch/state/access.log" \
    AUTHLY_ERROR_LOG="$scratch/state/error.log" "$@" deploy/nginx/render.sh
}

nginx_accepts() {
  local variables
  for variables in AUTHLY_ADMIN_NETWORKS= AUTHLY_ADMIN_NETWORKS=none 'AUTHLY_ADMIN_NETWORKS=10.0.0.0/8 2001:db8::/32' \
    'AUTHLY_UNLIMITED_NETWORKS=10.0.0.0/8 2001:db8::1' AUTHLY_AUTH_RATE=10r/m 'AUTHLY_UPSTREAMS=localhost:8000'; do
    render "$variables" >"$scratch/nginx.conf"
    if grep '[$]{' "$scratch/nginx.conf"; then return 1; fi
    nginx -q -t -e "$scratch/state/error.log" -c "$scratch/nginx.conf"
  done
}

# Nothing that ends a directive gets into the configuration.
render_refuses() {
  local variables
  for variables in AUTHLY_SERVER_NAME= 'AUTHLY_SERVER_NAME=a b' 'AUTHLY_SERVER_NAME=a;' AUTHLY_UPSTREAMS= \
    AUTHLY_UPSTREAMS=127.0.0.1 'AUTHLY_UPSTREAMS=127.0.0.1:80;' 'AUTHLY_CERTIFICATE=relative.pem' \
    'AUTHLY_CERTIFICATE=/a b' 'AUTHLY_ADMIN_NETWORKS=all' 'AUTHLY_ADMIN_NETWORKS=10.0.0.0/8;' AUTHLY_AUTH_RATE=10 \
    AUTHLY_API_BURST=-1 AUTHLY_HTTP_PORT=http $'AUTHLY_API_RATE=1r/s\nx' 'AUTHLY_LISTEN=*'; do
    if render "$variables" >/dev/null 2>"$scratch/refusal"; then
      echo "it takes $variables"
      return 1
    fi
    grep -q "${variables%%=*}" "$scratch/refusal" || {
      echo "its refusal does not name ${variables%%=*}: $(cat "$scratch/refusal")"
      return 1
    }
  done
}

in_namespaces() { unshare --net --mount --pid --fork --kill-child --mount-proc "$@"; }

# The tests' harness: AUTHLY_BIN, or what was built last.
has_authly() { [ -x "${AUTHLY_BIN:-${CARGO_TARGET_DIR:-target}/debug/authly}" ]; }

with_nginx_and_instances() {
  if [ -z "${AUTHLY_TEST_DATABASE_URL:-}" ]; then
    postgres=$scratch/postgres
    AUTHLY_TEST_DATABASE_URL=$(AUTHLY_TEST_POSTGRES_DIR=$postgres tests/postgres.sh start)
    export AUTHLY_TEST_DATABASE_URL
  fi
  # One after the other: each is about what happens in time.
  cargo test --quiet -p authly-tests --test "$1" -- --test-threads=1
}

step 'nginx: shellcheck' shellcheck --external-sources deploy/nginx/*.sh || true
step 'nginx: render.sh refuses what is none' render_refuses || true
step 'nginx: nginx -t' nginx_accepts || true
if in_namespaces true 2>/dev/null; then
  render AUTHLY_LISTEN='[::]' AUTHLY_AUTH_RATE=1r/m AUTHLY_AUTH_BURST=1 >"$scratch/nginx.conf"
  step 'nginx: read-only, without rights, IPv6' in_namespaces deploy/nginx/exercise.sh "$scratch" || true
else
  skipped 'nginx: read-only, without rights, IPv6' 'this user may not make network and mount namespaces (root may)'
fi
if has_authly; then
  step 'nginx: limits, cache, addresses, TLS, failover' with_nginx_and_instances deploy_nginx || true
  step 'nginx: upgrade without downtime' with_nginx_and_instances deploy_upgrade || true
else
  skipped 'nginx: with instances' 'authly is not built: cargo build'
fi
finish 'deploy/nginx'
