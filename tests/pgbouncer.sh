#!/bin/sh
# A throw-away PgBouncer in transaction mode before the server of AUTHLY_TEST_DATABASE_URL: `tests/pgbouncer.sh start`
# prints its host:port, for AUTHLY_TEST_PGBOUNCER; `stop` ends it. Every database and role goes through.
set -eu

# Debian's place for it, which is not in everybody's PATH.
PATH=$PATH:/usr/sbin
state=${AUTHLY_TEST_PGBOUNCER_DIR:-${TMPDIR:-/tmp}/authly-pgbouncer-$(id -u)}

fail() {
    echo "tests/pgbouncer.sh: $*" >&2
    exit 1
}

# It refuses to run as root.
as_nobody() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        (cd / && exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@")
    fi
}

is_running() {
    [ -s "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null
}

random_port() {
    awk -v seed="$(od -An -N4 -tu4 /dev/urandom)" 'BEGIN { srand(seed); print 20000 + int(rand() * 12000) }'
}

# max_client_conn: the suite's races. default_pool_size: fewer than clients, so that they do share connections.
configure() {
    cat >"$state/pgbouncer.ini" <<END
[databases]
* = host=$server_host port=$server_port

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $1
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 2000
default_pool_size = 4
server_idle_timeout = 10
logfile = $state/log
pidfile = $state/pid
END
}

start() {
    url=${AUTHLY_TEST_DATABASE_URL:?is not set: tests/postgres.sh start prints it}
    server=$(printf %s "$url" | sed -E 's,^[a-z]+://([^@/]*@)?([^/?]*).*,\2,')
    role=$(printf %s "$url" | sed -nE 's,^[a-z]+://([^:@/]*)[^@/]*@.*,\1,p')
    server_host=${server%:*} server_port=${server##*:}
    [ "$server_port" != "$server" ] || server_port=5432
    stop
    mkdir -p "$state"
    chmod 755 "$state"
    [ "$(id -u)" -ne 0 ] || chown nobody "$state"
    for _ in 1 2 3 4 5; do
        port=$(random_port)
        configure "$port"
        # With "any", whoever connects becomes this role, as tests/postgres.sh trusts everybody.
        sed -i "s/^\* = .*/& user=${role:-postgres}/" "$state/pgbouncer.ini"
        if as_nobody pgbouncer -q -d "$state/pgbouncer.ini" >>"$state/out" 2>&1; then
            echo "127.0.0.1:$port"
            return
        fi
    done
    fail "it does not start: $(cat "$state/out" "$state/log" 2>/dev/null)"
}

stop() {
    if is_running; then
        kill -INT "$(cat "$state/pid")"
        while is_running; do sleep 0.05; done
    fi
    rm -rf "$state"
}

case "${1:-}" in
    start) command -v pgbouncer >/dev/null || fail "there is no pgbouncer: install it (Debian: pgbouncer)" && start ;;
    stop) stop ;;
    *) fail "usage: tests/pgbouncer.sh start|stop" ;;
esac
