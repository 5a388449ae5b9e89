#!/bin/sh
# Run once by the Postgres image when it has made the database cluster: Authly's role, which owns its database and is no
# superuser, and one that may only look, for monitoring.
set -eu

psql --set ON_ERROR_STOP=1 --username postgres \
    --set authly="$(cat /run/secrets/authly_password)" --set exporter="$(cat /run/secrets/exporter_password)" <<'SQL'
CREATE ROLE authly LOGIN PASSWORD :'authly';
CREATE DATABASE authly OWNER authly;
REVOKE ALL ON DATABASE authly FROM PUBLIC;
CREATE ROLE exporter LOGIN PASSWORD :'exporter' IN ROLE pg_monitor;
GRANT CONNECT ON DATABASE authly TO exporter;
SQL
