#!/usr/bin/env bash
# The schema of Authly's database, brought up to date. See usage below.
set -euo pipefail
# shellcheck source=deploy/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: migrate_database.sh [--dry-run] [--backup]

Runs `authly migrate`. Migrations only go forward, and leave a schema that the release before works on, too: run this
before the first new instance starts. On Kubernetes, deploy_production.sh does the same by a job.

  --dry-run  checks the settings and the database, shows the schema's version, and changes nothing
  --backup   first makes a backup, by backup_database.sh, which reads its own variables

environment:
  DATABASE_URL         postgresql://… (or DATABASE_URL_FILE): of the database itself, and not of a PgBouncer in
                       transaction mode; of the role that owns the tables
  …                    and what else the server is configured by: `authly` reads its own variables
  AUTHLY_BIN           path of authly, where it is not in PATH
  MIGRATION_ATTEMPTS   5: a migration that does not get its lock within seconds gives way, and is run again
  MIGRATION_PAUSE      5, in seconds, between two attempts

exit codes:
  0  the schema is up to date
  1  a migration, or the backup before it, failed; a migration that failed left nothing behind
  2  wrong usage or settings; nothing was done
USAGE
}

dry_run=false backup=false
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=true ;;
    --backup) backup=true ;;
    *) misused "there is no option '$1'" ;;
  esac
  shift
done
attempts=${MIGRATION_ATTEMPTS:-5} pause=${MIGRATION_PAUSE:-5}
is_number MIGRATION_ATTEMPTS "$attempts"
is_number MIGRATION_PAUSE "$pause"

begin
require psql
authly=$(authly_program authly) || die "$MISUSED" 'there is no authly in PATH, and none that AUTHLY_BIN names'
use_configured_database
# It says which variable is wrong.
"$authly" config check >"$scratch/config" || die "$MISUSED" 'the settings cannot be used'
is_reachable
before=$(schema_version)
say "The schema of $PGDATABASE at ${PGHOST:-this machine}:$PGPORT has the version ${before:-none: this database is new}"
if $dry_run; then
  say "Would run $authly migrate ($("$authly" --version))"
  exit
fi

if $backup && [[ -n $before ]]; then "$here/backup_database.sh" || die "$FAILED" 'the backup failed: nothing was migrated'; fi
for ((attempt = 1; ; attempt++)); do
  if attended "$authly" migrate >"$scratch/out" 2>"$scratch/problem"; then break; fi
  cat "$scratch/problem" >&2
  if ((attempt >= attempts)) || ! grep -q 'lock timeout' "$scratch/problem"; then die "$FAILED" 'the migration failed'; fi
  say "The tables are busy: attempt $((attempt + 1)) of $attempts in $pause s"
  attended sleep "$pause"
done
after=$(schema_version)
if [[ $before == "$after" ]]; then say 'It was up to date'; else say "It has the version $after now"; fi
