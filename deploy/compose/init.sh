#!/bin/sh
# Makes what compose.yaml needs and nobody else should have. See usage below.
set -eu

usage() {
    cat <<'USAGE'
usage: init.sh SERVER_NAME ADMIN_EMAIL

Makes, beside compose.yaml: .env (from .env.example), and below secrets/ a password or key of its own for everything, and a
self-signed certificate for a first try. What is there already stays as it is, so it may be run again.

  SERVER_NAME   the name that people reach the server by, as in https://SERVER_NAME
  ADMIN_EMAIL   the address of the first administrator; the password is in secrets/admin_password

environment:
  AUTHLY_COMPOSE_DIR   where to make it (the directory of this script)
USAGE
}

fail() {
    echo "init.sh: $*" >&2
    exit 1
}

case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
esac
[ $# -eq 2 ] || {
    usage >&2
    exit 2
}
server_name=$1
admin_email=$2
expr "$server_name" : '[A-Za-z0-9][A-Za-z0-9.-]*$' >/dev/null || fail "SERVER_NAME must be a host name, not '$server_name'"
expr "$admin_email" : '[^@ ]*[^@ ]@[^@ ][^@ ]*$' >/dev/null || fail "ADMIN_EMAIL must be an e-mail address, not '$admin_email'"
command -v openssl >/dev/null || fail 'openssl is not there'

source=$(cd "$(dirname "$0")" && pwd)
cd "${AUTHLY_COMPOSE_DIR:-$source}"

# The directory is for its owner alone. The files are readable by everybody who gets that far: in the containers these are
# users who exist there only, each with the files that it was given.
(umask 077 && mkdir -p secrets)
chmod 700 secrets
umask 022
mkdir -p secrets/tls acme

# is_missing FILE
is_missing() {
    if [ -e "$1" ]; then
        echo "$1 is there already"
        return 1
    fi
}

# make FILE: of standard input, whole or not at all.
make() {
    cat >"$1.new"
    mv "$1.new" "$1"
    echo "made $1"
}

if is_missing .env; then
    sed "s/^SERVER_NAME=.*/SERVER_NAME=$server_name/; s/^ADMIN_EMAIL=.*/ADMIN_EMAIL=$admin_email/" "$source/.env.example" | make .env
fi
for name in postgres_password authly_password exporter_password jwt_secret_key jwt_refresh_secret_key admin_password \
    grafana_password; do
    # Digits and letters mean nothing in a URL.
    if is_missing "secrets/$name"; then openssl rand -hex 32 | make "secrets/$name"; fi
done
if is_missing secrets/database_url; then
    printf 'postgresql://authly:%s@postgres/authly?sslmode=disable\n' "$(cat secrets/authly_password)" | make secrets/database_url
fi
# Empty: there is none.
for name in jwt_secret_key_previous jwt_refresh_secret_key_previous smtp_password otel_exporter_otlp_headers; do
    if is_missing "secrets/$name"; then make "secrets/$name" </dev/null; fi
done
if is_missing secrets/tls/tls.key; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$server_name" \
        -addext "subjectAltName=DNS:$server_name" -keyout secrets/tls/key.new -out secrets/tls/tls.crt 2>/dev/null
    chmod 644 secrets/tls/key.new
    mv secrets/tls/key.new secrets/tls/tls.key
    echo 'made secrets/tls: a self-signed certificate, good for 30 days and a first try; put your own there'
fi
