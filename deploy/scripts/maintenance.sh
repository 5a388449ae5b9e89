#!/usr/bin/env bash
# What has to be done now and then. See usage below.
set -euo pipefail
# shellcheck source=deploy/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: maintenance.sh [--dry-run]

Runs `authly maintenance run` (rotates signing keys, removes what has ended, sends mail that waits), then VACUUM ANALYZE
on Authly's tables, then removes old backups as backup_database.sh does. Each is done even if one before it failed. All
are safe beside running servers, and to repeat. Updates of the system are not its business: use unattended-upgrades, or
a new image.

  --dry-run  says what would be done, and changes nothing

environment:
  DATABASE_URL    postgresql://… (or DATABASE_URL_FILE), of the role that owns the tables
  …               and what else the server is configured by: `authly` reads its own variables
  AUTHLY_BIN      path of authly, where it is not in PATH
  BACKUP_DIR, RETENTION_DAYS, S3_BUCKET, …   as for backup_database.sh; without BACKUP_DIR nothing is removed there

exit codes:
  0  done
  1  something failed; the rest was done
  2  wrong usage or settings; nothing was done
USAGE
}

dry_run=false
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=true ;;
    *) misused "there is no option '$1'" ;;
  esac
  shift
done

# Tables of ours only: VACUUM of everything complains about the catalogue, which is its owner's and autovacuum's.
readonly OUR_TABLES="FROM pg_tables WHERE schemaname = 'public' AND pg_has_role(tableowner, 'MEMBER')"

failures=0
# part NAME COMMAND…
part() {
  local name=$1
  shift
  say "$name"
  "$@" || {
    warn "$name failed"
    failures=$((failures + 1))
  }
}

run_jobs() {
  if $dry_run; then say "Would run $authly maintenance run"; else attended "$authly" maintenance run; fi
}

vacuum() {
  if $dry_run; then
    sql --command "SELECT format('Would VACUUM ANALYZE %I', tablename) $OUR_TABLES ORDER BY tablename"
  else
    # Each is a statement of its own: VACUUM runs in no transaction.
    sql --command "SELECT format('VACUUM (ANALYZE) %I.%I;', schemaname, tablename) $OUR_TABLES" >"$scratch/vacuum.sql" &&
      attended sql --file="$scratch/vacuum.sql" &&
      say "$(wc -l <"$scratch/vacuum.sql") tables"
  fi
}

remove_old_backups() {
  local options=(--clean-up)
  if $dry_run; then options+=(--dry-run); fi
  if [[ -z ${BACKUP_DIR:-} ]]; then say 'BACKUP_DIR is not set: left as they are'; else "$here/backup_database.sh" "${options[@]}"; fi
}

begin
require psql
authly=$(authly_program authly) || die "$MISUSED" 'there is no authly in PATH, and none that AUTHLY_BIN names'
use_configured_database
is_reachable
[[ -n $(schema_version) ]] || die "$FAILED" "the database '$PGDATABASE' is not one of Authly's"
part 'Jobs' run_jobs
part 'Statistics and free space' vacuum
part 'Old backups' remove_old_backups
((failures == 0)) || exit "$FAILED"
