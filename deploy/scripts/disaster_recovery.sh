#!/usr/bin/env bash
# Authly's database back from a backup. See usage below.
set -euo pipefail
# shellcheck source=deploy/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: disaster_recovery.sh [OPTION…] BACKUP

BACKUP is a file that backup_database.sh wrote, or s3://BUCKET/KEY; its checksum lies beside it. The backup is checked,
decrypted and read to its end before anything is touched. It is then restored into a new database, which takes the name
of the one in DATABASE_URL only when it is complete; the old one is kept as NAME_before_YYYYMMDD_HHMMSS. For this the
role must own the database and may create databases; on a managed Postgres that allows neither, use --in-place.

  --dry-run      checks the backup, and says what would be done
  --drill        restores into a new database, checks it, and drops it: does this backup work?
  --in-place     empties the schema `public` and restores into it, in one transaction: all of it, or nothing. What was
                 there is gone afterwards. Stop the servers first
  --kubernetes   stops the deployment meanwhile, and starts it again with as many replicas
  --verify       afterwards runs post_deployment_tests.sh, which reads its own variables
  --yes          does not ask

environment:
  DATABASE_URL           postgresql://… to restore to (or DATABASE_URL_FILE); the database need not exist any more
  MAINTENANCE_DATABASE   postgres: to connect to while databases are made and renamed
  BACKUP_IDENTITY_FILE   age's identity (the private key), for an encrypted backup
  S3_ENDPOINT_URL        of an S3 that is not Amazon's
  AWS_…                  credentials and region, as the AWS CLI takes them
  NAMESPACE, DEPLOYMENT  authly, authly: for --kubernetes
  ROLLOUT_TIMEOUT        300, in seconds: for --kubernetes

exit codes:
  0  done
  1  the restoration failed; the database is as it was
  2  wrong usage or settings, or not confirmed; nothing was done
  3  the backup is missing, damaged, or the key does not open it; nothing was done
  4  the database was restored, but the deployment did not start or the verification failed
USAGE
}

readonly REFUSED=3 NOT_VERIFIED=4

dry_run=false drill=false in_place=false kubernetes=false verify=false confirmed=false backup=
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=true ;;
    --drill) drill=true ;;
    --in-place) in_place=true ;;
    --kubernetes) kubernetes=true ;;
    --verify) verify=true ;;
    --yes) confirmed=true ;;
    -*) misused "there is no option '$1'" ;;
    *)
      [[ -z $backup ]] || misused 'there is one BACKUP'
      backup=$1
      ;;
  esac
  shift
done
[[ -n $backup ]] || misused 'which BACKUP?'
! { $drill && { $in_place || $kubernetes || $verify; }; } || misused '--drill touches nothing else, and goes with none of the other options'
name=${backup##*/}
identity=${BACKUP_IDENTITY_FILE:-}
maintenance_database=${MAINTENANCE_DATABASE:-postgres}
namespace=${NAMESPACE:-authly} deployment=${DEPLOYMENT:-authly} rollout_timeout=${ROLLOUT_TIMEOUT:-300}
is_number ROLLOUT_TIMEOUT "$rollout_timeout"
[[ $name =~ \.(dump|sql\.gz)(\.age)?$ ]] || misused 'a BACKUP is named ….dump or ….sql.gz, or ….age where it is encrypted'
[[ $name != *.age || -n $identity ]] || misused 'the backup is encrypted: BACKUP_IDENTITY_FILE is not set'

# The backup ---------------------------------------------------------------------------------------------------------

fetch() {
  local suffix
  file=$backup
  if [[ $backup == s3://* ]]; then
    file=$scratch/$name
    for suffix in .sha256 ''; do
      attended s3 cp --only-show-errors "$backup$suffix" "$file$suffix" || die "$REFUSED" "there is no $backup$suffix, or it cannot be read"
    done
  fi
  [[ -f $file ]] || die "$REFUSED" "there is no file $file"
  [[ -f $file.sha256 ]] || die "$REFUSED" "there is no checksum $file.sha256. If you trust the file: sha256sum NAME >NAME.sha256, beside it"
}

# The checksum is compared with the file that was given, whatever name it had.
check_sum() {
  local expected actual
  read -r expected _ <"$file.sha256" || true
  actual=$(sha256sum <"$file")
  [[ $expected == "${actual%% *}" ]] || die "$REFUSED" "$name is damaged: its SHA-256 is not that of $name.sha256"
}

# The backup, decrypted, on standard output. Nothing of it is written to a disk.
decrypted() {
  if [[ $name == *.age ]]; then age --decrypt --identity "$identity" "$file"; else cat "$file"; fi
}

# As SQL. The objects belong to the role that restores, which is the one that Authly uses.
statements() {
  if [[ $name == *.sql.gz* ]]; then
    decrypted | gunzip
  else
    decrypted | pg_restore --no-owner --no-privileges --file=-
  fi
}

# From the first byte to the last: age authenticates each block and the end, gzip and pg_restore find what is cut off,
# and the dump of Authly's tables has to be in it.
read_all() {
  statements | awk '
    /^CREATE TABLE public\._sqlx_migrations / { is_authly = 1 }
    /^-- PostgreSQL database dump complete/ { is_complete = 1 }
    END { exit !(is_authly && is_complete) }'
}

# The database -----------------------------------------------------------------------------------------------------------

maintenance_sql() { sql --dbname="$maintenance_database" "$@"; }

# quoted NAME: as an SQL identifier.
quoted() { printf '"%s"' "${1//\"/\"\"}"; }

database_exists() {
  [[ $(maintenance_sql --set name="$target" <<<"SELECT EXISTS (SELECT FROM pg_database WHERE datname = :'name')") == t ]]
}

# The new one sorts and compares as the old one did.
create_database() {
  local locale=
  if database_exists; then
    locale=$(maintenance_sql --set name="$target" <<<"
      SELECT format('ENCODING %L LC_COLLATE %L LC_CTYPE %L', pg_encoding_to_char(encoding), datcollate, datctype)
      FROM pg_database WHERE datname = :'name'")
  fi
  maintenance_sql --command "CREATE DATABASE $(quoted "$restored") TEMPLATE template0 $locale"
  is_created=true
}

drop_restored() { ! $is_created || maintenance_sql --command "DROP DATABASE IF EXISTS $(quoted "$restored") WITH (FORCE)"; }

# restore_into DATABASE [PROLOGUE]: in one transaction. It is committed only if all statements were sent, which psql's
# own --single-transaction does not know.
restore_into() {
  { echo 'BEGIN;' && cat "${2:-/dev/null}" && statements && echo 'COMMIT;'; } |
    psql --no-psqlrc --no-password --quiet --set ON_ERROR_STOP=1 --dbname="$1" --output=/dev/null
}

# What is there now: a restoration of an empty table would be complete, too.
report_on() {
  sql --dbname="$1" --command 'ANALYZE' 2>/dev/null
  sql --dbname="$1" --command "
    SELECT format('Restored: schema %s, %s users, %s clients, %s grants, %s tokens, %s signing keys',
      (SELECT max(version) FROM public._sqlx_migrations), (SELECT count(*) FROM public.users), (SELECT count(*) FROM public.clients),
      (SELECT count(*) FROM public.grants), (SELECT count(*) FROM public.tokens), (SELECT count(*) FROM public.signing_keys))"
}

# Nobody can connect meanwhile, and both names change at once. Servers that run find the other database by themselves.
swap() {
  local old new kept=
  old=$(quoted "$target") new=$(quoted "$restored")
  if database_exists; then
    kept=${target}_before_$stamp
    at_end+=(allow_connections)
    maintenance_sql --command "ALTER DATABASE $old ALLOW_CONNECTIONS false"
    disconnect_all
    maintenance_sql --command "BEGIN; ALTER DATABASE $old RENAME TO $(quoted "$kept"); ALTER DATABASE $new RENAME TO $old; COMMIT"
    # It is no database of anybody's configuration any more: it may be looked at.
    maintenance_sql --command "ALTER DATABASE $(quoted "$kept") ALLOW_CONNECTIONS true"
    say "The database as it was before is now called $kept; drop it when it is not needed any more"
  else
    maintenance_sql --command "ALTER DATABASE $new RENAME TO $old"
  fi
  is_created=false
}

disconnect_all() {
  local i
  for ((i = 0; i < 50; i++)); do
    [[ $(maintenance_sql --set name="$target" <<<"
      SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :'name'") != 0 ]] || return 0
    sleep 0.1
  done
  die "$FAILED" "connections to $target do not end; the database is as it was"
}

allow_connections() { maintenance_sql --command "ALTER DATABASE $(quoted "$target") ALLOW_CONNECTIONS true" 2>/dev/null; }

restore_by_swap() {
  create_database
  attended restore_into "$restored" || die "$FAILED" "the restoration failed; the database is as it was"
  report_on "$restored"
}

# Everything in `public` but what belongs to an extension.
restore_in_place() {
  cat >"$scratch/empty.sql" <<'SQL'
SET LOCAL lock_timeout = '30s';
SET LOCAL client_min_messages = 'warning';
DO $$
DECLARE
  -- All of them, before any is dropped: some go along with others.
  statements text[] := ARRAY(
    SELECT format('DROP %s IF EXISTS %s CASCADE',
      CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, oid::regclass)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', oid::regprocedure)
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS %s CASCADE', oid::regtype)
    FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd', 'r')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_type.oid AND deptype = 'e'));
  statement text;
BEGIN
  FOREACH statement IN ARRAY statements LOOP
    EXECUTE statement;
  END LOOP;
END $$;
SQL
  attended restore_into "$target" "$scratch/empty.sql" || die "$FAILED" "the restoration failed; the database is as it was"
  report_on "$target"
}

# Kubernetes -----------------------------------------------------------------------------------------------------------

cluster() { kubectl --namespace "$namespace" "$@"; }

# A deployment of no replicas is not scaled by its autoscaler.
stop_deployment() {
  local waited=0 running
  replicas=$(cluster get deployment "$deployment" --output 'jsonpath={.spec.replicas}')
  [[ $replicas =~ ^[0-9]+$ ]] || die "$FAILED" "there is no deployment $deployment in $namespace"
  say "Stopping $replicas replicas of $deployment"
  at_end+=(start_again)
  cluster scale deployment "$deployment" --replicas=0 >/dev/null
  while running=$(cluster get deployment "$deployment" --output 'jsonpath={.status.replicas}') && ((${running:-0} > 0)); do
    ((waited++ < rollout_timeout)) || die "$FAILED" "$deployment does not stop; the database is as it was"
    sleep 1
  done
}

start_deployment() {
  say "Starting $replicas replicas of $deployment"
  cluster scale deployment "$deployment" --replicas="$replicas" >/dev/null
  is_stopped=false
  ((replicas == 0)) || attended cluster rollout status deployment "$deployment" --timeout="${rollout_timeout}s"
}

# Whatever went wrong: the servers are not left stopped.
start_again() { ! $is_stopped || cluster scale deployment "$deployment" --replicas="$replicas"; }

# ------------------------------------------------------------------------------------------------------------------------

begin
require psql pg_restore gunzip sha256sum awk
[[ $name != *.age ]] || require age
[[ $backup != s3://* ]] || require aws
! $kubernetes || require kubectl
use_configured_database
target=$PGDATABASE
stamp=$(date --utc +%Y%m%d_%H%M%S)
restored=${target}_restored_$stamp
is_created=false is_stopped=$kubernetes

fetch
check_sum
attended read_all || die "$REFUSED" "$name cannot be read to its end, or is no backup of Authly: wrong key, or damaged"
say "The backup $name is whole"
problem=$(maintenance_sql --command 'SELECT 1' 2>&1) || die "$FAILED" "the database server cannot be reached: $problem"

if $dry_run; then
  manner='by way of a new one'
  if $in_place; then manner='in place'; fi
  if $drill; then manner='as a drill: into a new one that is dropped again'; fi
  say "Would restore it to the database $target at ${PGHOST:-this machine}:$PGPORT, $manner"
  exit
fi
if $drill; then
  at_end+=(drop_restored)
  restore_by_swap
  say 'The drill succeeded: this backup can be restored'
  exit
fi
if ! $confirmed; then
  [[ -t 0 ]] || die "$MISUSED" 'nobody can be asked: give --yes'
  read -r -p "This replaces the database $target at ${PGHOST:-this machine}:$PGPORT. Its name, to go on: " answer
  [[ $answer == "$target" ]] || die "$MISUSED" 'not confirmed; nothing was done'
fi
if $in_place; then
  if $kubernetes; then stop_deployment; fi
  restore_in_place
else
  # The servers need not stand still while the new database is filled.
  at_end+=(drop_restored)
  restore_by_swap
  if $kubernetes; then stop_deployment; fi
  swap
fi
if $kubernetes; then start_deployment || die "$NOT_VERIFIED" "the database was restored, but $deployment does not become ready"; fi
if $verify; then "$here/post_deployment_tests.sh" || die "$NOT_VERIFIED" 'the database was restored, but the verification failed'; fi
say 'The recovery is complete'
