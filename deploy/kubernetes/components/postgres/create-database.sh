#!/usr/bin/env bash
# Run once by the image, as it makes an empty cluster: the database, and a role that owns it and may nothing else.
set -euo pipefail

psql --username "${POSTGRES_USER:-postgres}" --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
  --set password="$(cat "$AUTHLY_PASSWORD_FILE")" <<'SQL'
CREATE ROLE authly LOGIN PASSWORD :'password';
CREATE DATABASE authly OWNER authly;
REVOKE ALL ON DATABASE authly FROM PUBLIC;
SQL
