#!/bin/sh
# A throw-away PostgreSQL server for the tests: `tests/postgres.sh start` prints the URL of its administrator, `stop`
# ends it and removes its files; `halt` crashes it, and `resume` starts it again with the same data. It listens on
# loopback only, on a free port, and keeps its data durable (fsync), as a production server would.
#
# POSTGRES_BIN names the directory of initdb and pg_ctl where they are neither in PATH nor where Debian has them.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# The server's data cannot be below a directory that its user may not enter, such as root's home.
state=${AUTHLY_TEST_POSTGRES_DIR:-${TMPDIR:-/tmp}/authly-postgres-$(id -u)-$(printf %s "$root" | cksum | cut -d ' ' -f 1)}

fail() {
    echo "tests/postgres.sh: $*" >&2
    exit 1
}

bin() {
    if [ -n "${POSTGRES_BIN:-}" ]; then
        echo "$POSTGRES_BIN"
    elif command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
        dirname "$(command -v initdb)"
    else
        # The newest of Debian's.
        for directory in /usr/lib/postgresql/*/bin; do
            [ -x "$directory/initdb" ] && echo "$directory"
        done | sort -t / -k 5 -n | tail -n 1
    fi
}

# PostgreSQL refuses to run as root: there it runs as `postgres`, or as `nobody`.
server_user() {
    if [ "$(id -u)" -ne 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

as_server_user() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        # In a directory that this user may enter.
        (cd / && exec setpriv --reuid="$(server_user)" --regid="$(id -g "$(server_user)")" --clear-groups "$@")
    fi
}

is_running() {
    [ -f "$state/url" ] && as_server_user "$bin/pg_ctl" status -D "$state/data" >/dev/null 2>&1
}

# Below the ports that the system hands out by itself. Where somebody listens already, start tries another.
random_port() {
    od -An -N2 -tu2 /dev/urandom | awk '{ print 20000 + $1 % 12000 }'
}

launch() {
    as_server_user "$bin/pg_ctl" start -w -s -D "$state/data" -l "$state/data/server.log" -o "\
        -c listen_addresses=127.0.0.1 -c port=$1 -c unix_socket_directories='' \
        -c max_connections=300 -c shared_buffers=64MB -c fsync=on" >>"$state.log" 2>&1
}

start() {
    if is_running; then
        cat "$state/url"
        return
    fi
    rm -rf "$state"
    mkdir -p "$state"
    chmod 755 "$state"
    [ "$(id -u)" -ne 0 ] || chown "$(server_user)" "$state"
    as_server_user "$bin/initdb" -D "$state/data" -U postgres --auth=trust --encoding=UTF8 --locale=C \
        >"$state.log" 2>&1 || fail "initdb failed, see $state.log"
    attempts=0
    while :; do
        port=$(random_port)
        if launch "$port"; then
            break
        fi
        attempts=$((attempts + 1))
        [ "$attempts" -lt 10 ] || fail "the server does not start, see $state/data/server.log"
    done
    echo "postgresql://postgres@127.0.0.1:$port/postgres" >"$state/url"
    cat "$state/url"
}

stop() {
    if is_running; then
        as_server_user "$bin/pg_ctl" stop -s -m fast -D "$state/data"
    fi
    rm -rf "$state" "$state.log"
}

# As a crash or a power cut: at once, without a checkpoint.
halt() {
    as_server_user "$bin/pg_ctl" stop -s -m immediate -D "$state/data"
}

resume() {
    port=$(sed 's/.*:\([0-9]*\)\/.*/\1/' "$state/url")
    launch "$port" || fail "the server does not start again, see $state/data/server.log"
}

bin=$(bin)
[ -n "$bin" ] || fail "found no PostgreSQL server: install it (Debian: postgresql), or set POSTGRES_BIN"
case "${1:-}" in
    start) start ;;
    stop) stop ;;
    halt) halt ;;
    resume) resume ;;
    *) fail "usage: tests/postgres.sh start|stop|halt|resume" ;;
esac
