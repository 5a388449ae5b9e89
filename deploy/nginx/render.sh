#!/bin/sh
# Writes nginx's configuration for Authly: nginx.conf.template with the variables below filled in. POSIX sh, since the
# nginx images have no bash; it needs envsubst (Debian: gettext-base).
set -eu

usage() {
    cat <<'USAGE'
usage: render.sh >nginx.conf

environment:
  AUTHLY_SERVER_NAME         the host in ISSUER_URL; required
  AUTHLY_UPSTREAMS           instances of Authly, host:port each; required
  AUTHLY_CERTIFICATE         PEM file of the certificate with its chain; required
  AUTHLY_CERTIFICATE_KEY     PEM file of its key; required
  AUTHLY_ADMIN_NETWORKS      who reaches /admin (10.0.0.0/8 172.16.0.0/12 192.168.0.0/16); "none": nobody
  AUTHLY_UNLIMITED_NETWORKS  who is not limited, such as back ends of one's own (nobody)
  AUTHLY_AUTH_RATE           logins and token requests from one address (10r/s)
  AUTHLY_AUTH_BURST          how many more may come at once (40)
  AUTHLY_API_RATE            the same for everything else (100r/s)
  AUTHLY_API_BURST           (200)
  AUTHLY_LISTEN              addresses to listen at (0.0.0.0 [::])
  AUTHLY_HTTP_PORT           (80)
  AUTHLY_HTTPS_PORT          (443)
  AUTHLY_NGINX_STATE         an existing directory that nginx may write to (/var/lib/nginx)
  AUTHLY_NGINX_PID           (/run/nginx.pid)
  AUTHLY_ACCESS_LOG          (/var/log/nginx/access.log)
  AUTHLY_ERROR_LOG           (/var/log/nginx/error.log)
  AUTHLY_ACME_ROOT           directory with the files of ACME's http-01 challenges (/var/www/acme)

Lists are separated by spaces.
USAGE
}

fail() {
    echo "render.sh: $*" >&2
    exit 1
}

case ${1:-} in
    '') ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
command -v envsubst >/dev/null || fail "envsubst is not there (Debian: gettext-base)"

# check NAME VALUE PATTERN WHAT: fails unless every line matches as a whole. So no value can end the directive that it
# is in.
check() {
    others=$(printf '%s\n' "$2" | grep -Evxc "$3") || true
    [ "$others" -eq 0 ] || fail "$1 must be $4, not '$2'"
}

# lines NAME VALUE PATTERN WHAT BEFORE AFTER: checks each item of a list, and makes a line of it.
lines() {
    set -f
    for item in $2; do
        check "$1" "$item" "$3" "$4"
        printf '%s%s%s\n        ' "$5" "$item" "$6"
    done
    set +f
}

name='[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?'
network='[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?'
path='/[A-Za-z0-9._/@+-]*'
number='[1-9][0-9]{0,5}'

: "${AUTHLY_SERVER_NAME:?render.sh: set it to the host in ISSUER_URL}"
: "${AUTHLY_UPSTREAMS:?render.sh: set it to the instances, such as '10.0.1.11:8000 10.0.1.12:8000'}"
: "${AUTHLY_CERTIFICATE:?render.sh: set it to the file of the certificate}"
: "${AUTHLY_CERTIFICATE_KEY:?render.sh: set it to the file of its key}"
: "${AUTHLY_ADMIN_NETWORKS:=10.0.0.0/8 172.16.0.0/12 192.168.0.0/16}"
: "${AUTHLY_UNLIMITED_NETWORKS:=}"
: "${AUTHLY_AUTH_RATE:=10r/s}"
: "${AUTHLY_AUTH_BURST:=40}"
: "${AUTHLY_API_RATE:=100r/s}"
: "${AUTHLY_API_BURST:=200}"
: "${AUTHLY_LISTEN:=0.0.0.0 [::]}"
: "${AUTHLY_HTTP_PORT:=80}"
: "${AUTHLY_HTTPS_PORT:=443}"
: "${AUTHLY_NGINX_STATE:=/var/lib/nginx}"
: "${AUTHLY_NGINX_PID:=/run/nginx.pid}"
: "${AUTHLY_ACCESS_LOG:=/var/log/nginx/access.log}"
: "${AUTHLY_ERROR_LOG:=/var/log/nginx/error.log}"
: "${AUTHLY_ACME_ROOT:=/var/www/acme}"
[ "$AUTHLY_ADMIN_NETWORKS" != none ] || AUTHLY_ADMIN_NETWORKS=

check AUTHLY_SERVER_NAME "$AUTHLY_SERVER_NAME" "$name" 'a host name'
for variable in CERTIFICATE CERTIFICATE_KEY NGINX_STATE NGINX_PID ACCESS_LOG ERROR_LOG ACME_ROOT; do
    value=
    eval "value=\$AUTHLY_$variable"
    check "AUTHLY_$variable" "$value" "$path" 'an absolute path of letters, digits and . _ / @ + -'
done
check AUTHLY_AUTH_RATE "$AUTHLY_AUTH_RATE" "${number}r/[sm]" 'a rate like 10r/s or 10r/m'
check AUTHLY_API_RATE "$AUTHLY_API_RATE" "${number}r/[sm]" 'a rate like 10r/s or 10r/m'
check AUTHLY_AUTH_BURST "$AUTHLY_AUTH_BURST" "$number" 'a number'
check AUTHLY_API_BURST "$AUTHLY_API_BURST" "$number" 'a number'
check AUTHLY_HTTP_PORT "$AUTHLY_HTTP_PORT" "$number" 'a port'
check AUTHLY_HTTPS_PORT "$AUTHLY_HTTPS_PORT" "$number" 'a port'

listen() {
    lines AUTHLY_LISTEN "$AUTHLY_LISTEN" '[0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+\]' 'addresses like 0.0.0.0 or [::]' \
        'listen ' ":$1;"
}
upstreams() {
    lines AUTHLY_UPSTREAMS "$AUTHLY_UPSTREAMS" "($name|\[[0-9A-Fa-f:.]+\]):$number" 'host:port' 'server ' " $1;"
}
AUTHLY_UPSTREAM_LINES=$(upstreams 'max_fails=2 fail_timeout=2s')
AUTHLY_BACKUP_LINES=$(upstreams 'max_fails=0 backup')
AUTHLY_ADMIN_LINES=$(lines AUTHLY_ADMIN_NETWORKS "$AUTHLY_ADMIN_NETWORKS" "$network" 'networks like 10.0.0.0/8' 'allow ' ';')
AUTHLY_UNLIMITED_LINES=$(lines AUTHLY_UNLIMITED_NETWORKS "$AUTHLY_UNLIMITED_NETWORKS" "$network" \
    'networks like 10.0.0.0/8' '' ' 1;')
AUTHLY_LISTEN_PLAIN_LINES=$(listen "$AUTHLY_HTTP_PORT")
AUTHLY_LISTEN_PLAIN_DEFAULT_LINES=$(listen "$AUTHLY_HTTP_PORT default_server")
AUTHLY_LISTEN_TLS_LINES=$(listen "$AUTHLY_HTTPS_PORT ssl http2")
AUTHLY_LISTEN_TLS_DEFAULT_LINES=$(listen "$AUTHLY_HTTPS_PORT ssl http2 default_server")
export AUTHLY_SERVER_NAME AUTHLY_CERTIFICATE AUTHLY_CERTIFICATE_KEY AUTHLY_AUTH_RATE AUTHLY_AUTH_BURST AUTHLY_API_RATE \
    AUTHLY_API_BURST AUTHLY_NGINX_STATE AUTHLY_NGINX_PID AUTHLY_ACCESS_LOG AUTHLY_ERROR_LOG AUTHLY_ACME_ROOT \
    AUTHLY_UPSTREAM_LINES AUTHLY_BACKUP_LINES AUTHLY_ADMIN_LINES AUTHLY_UNLIMITED_LINES AUTHLY_LISTEN_PLAIN_LINES \
    AUTHLY_LISTEN_PLAIN_DEFAULT_LINES AUTHLY_LISTEN_TLS_LINES AUTHLY_LISTEN_TLS_DEFAULT_LINES

template=$(dirname "$0")/nginx.conf.template
# shellcheck disable=SC2016 # It is what is looked for.
variables=$(grep -o '\${AUTHLY_[A-Z_]*}' "$template" | sort -u | tr '\n' ' ')
envsubst "$variables" <"$template"
