#!/usr/bin/env bash
# Migration and maintenance, as an operator runs them.
# shellcheck source=deploy/scripts/check/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export BACKUP_DIR=$here_dir/backups
unset S3_BUCKET
migrate=$scripts/migrate_database.sh
said() { grep --quiet "$1" "$here_dir/said" || wrong "it did not say '$1': $(cat "$here_dir/said")"; }

admin_sql --command 'CREATE DATABASE upkeep'
database_name=upkeep
export DATABASE_URL=$server/upkeep
ends 0 'migration, dry run' "$migrate" --dry-run
[[ -z $(admin_sql --command "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") ]] || wrong 'the dry run made tables'
ends 0 'migration of a new database' "$migrate" --backup
[[ ! -e $BACKUP_DIR ]] || wrong 'nothing was backed up'
ends 0 'migration, again, with a backup' "$migrate" --backup
said 'It was up to date'
[[ -n $(find "$BACKUP_DIR" -name '*.dump') ]] || wrong 'there is no backup'

JWT_SECRET_KEY=short ends 2 'migration: an unusable setting' "$migrate"
said JWT_SECRET_KEY
AUTHLY_BIN=$here_dir/nowhere ends 2 'migration: no authly' "$migrate"
DATABASE_URL=$server/nowhere ends 1 'migration: no such database' "$migrate"
# The URL may come from a file, as for the server.
printf '%s\n' "$DATABASE_URL" >"$here_dir/url"
ends 0 'migration: the URL in a file' env -u DATABASE_URL DATABASE_URL_FILE="$here_dir/url" "$migrate"

# An installation that the older Authly's own SQL made, whose users are busy: the migration gives way, and succeeds then.
database_name=postgres admin_sql --command 'CREATE DATABASE busy'
database_name=busy
export DATABASE_URL=$server/busy
admin_sql --file="$scripts/../../migrations/postgres/0001_seed.sql" 2>/dev/null
# The first migration is done, as far as it is concerned: it would wait for its locks, without giving way.
pg_dump --schema-only --table=_sqlx_migrations "$server/upkeep" | sed '/restrict/d' | admin_sql --output=/dev/null
psql --quiet "$server/upkeep" --command 'COPY (SELECT * FROM _sqlx_migrations WHERE version = 1) TO STDOUT' |
  admin_sql --command 'COPY _sqlx_migrations FROM STDIN'
hold_lock users
MIGRATION_PAUSE=1 "$migrate" >"$here_dir/said" 2>&1 &
pid=$!
background+=("$pid")
for ((i = 0; i < 200; i++)); do
  grep --quiet 'The tables are busy' "$here_dir/said" && break
  sleep 0.1
done
release_lock
wait "$pid" || wrong "the migration of busy tables failed: $(cat "$here_dir/said")"
said 'attempt 2 of 5'
said 'It has the version'

# Maintenance: what has ended is removed, all tables are looked after, old backups go.
make_user ada
make_client web --type confidential
admin_sql --command "
  INSERT INTO sessions (id, digest, user_id, authenticated_at, expires_at)
  SELECT gen_random_uuid(), sha256('x'), id, now() - interval '9 days', now() - interval '8 days' FROM users"
: >"$BACKUP_DIR/authly_backup_20200101_000000.dump"
ends 0 'maintenance, dry run' "$scripts/maintenance.sh" --dry-run
[[ $(admin_sql --command 'SELECT count(*) FROM sessions') == 1 && -e $BACKUP_DIR/authly_backup_20200101_000000.dump ]] || wrong 'the dry run did something'
ends 0 'maintenance' "$scripts/maintenance.sh"
[[ $(admin_sql --command 'SELECT count(*) FROM sessions') == 0 ]] || wrong 'the session that has ended is still there'
[[ $(admin_sql --command 'SELECT count(*) FROM pg_stat_user_tables WHERE last_vacuum IS NULL OR last_analyze IS NULL') == 0 ]] || wrong 'some tables were left out'
[[ ! -e $BACKUP_DIR/authly_backup_20200101_000000.dump ]] || wrong 'the old backup is still there'
env -u BACKUP_DIR "$scripts/maintenance.sh" >/dev/null || wrong 'it needs a BACKUP_DIR'
# One part fails, the others are done.
: >"$BACKUP_DIR/authly_backup_20200101_000000.dump"
JWT_SECRET_KEY=short ends 1 'maintenance: the jobs fail' "$scripts/maintenance.sh"
[[ ! -e $BACKUP_DIR/authly_backup_20200101_000000.dump ]] || wrong 'the rest was not done'
DATABASE_URL=$server/postgres ends 1 "maintenance: not Authly's database" "$scripts/maintenance.sh"
nothing_is_left
