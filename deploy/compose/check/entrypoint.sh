#!/bin/sh
# The part of the Postgres image's entry point that compose.yaml relies on, and Prometheus' own, which takes options only;
# other programs are just run.
set -eu

case $1 in
    -*) set -- prometheus "$@" ;;
esac

if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    # shellcheck disable=SC2086 # These are words.
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" $POSTGRES_INITDB_ARGS >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl start --silent --wait -o "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql"
    for script in /docker-entrypoint-initdb.d/*.sh; do
        PGHOST=/var/run/postgresql "$script"
    done
    pg_ctl stop --silent --mode=fast
fi
if [ "$1" = postgres ]; then
    set -- "$@" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql
fi
exec "$@"
