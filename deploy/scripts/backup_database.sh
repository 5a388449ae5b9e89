#!/usr/bin/env bash
# A backup of Authly's database that is whole, or not there. See usage below.
set -euo pipefail
# shellcheck source=deploy/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: backup_database.sh [--dry-run] [--clean-up]

Dumps the database into BACKUP_DIR as authly_backup_YYYYMMDD_HHMMSS (UTC), compressed, encrypted if recipients are
given, with a SHA-256 checksum beside it; copies both to S3_BUCKET; then removes backups that are older than
RETENTION_DAYS, in both places. Only names of this form are ever removed, and the newest backup never is.

  --dry-run    says what would be done, and changes nothing
  --clean-up   only removes old backups

environment:
  DATABASE_URL            postgresql://…, of a role that may read every table (or DATABASE_URL_FILE)
  BACKUP_DIR              /backups
  RETENTION_DAYS          30
  BACKUP_FORMAT           custom (pg_restore's), or plain (SQL text, gzip)
  BACKUP_RECIPIENTS_FILE  recipients of age (age-keygen -y KEY, or SSH public keys): encrypts; needs no secret
  S3_BUCKET               no copy is made without
  S3_PREFIX               database
  S3_ENDPOINT_URL         of an S3 that is not Amazon's
  S3_STORAGE_CLASS        STANDARD_IA
  AWS_…                   credentials and region, as the AWS CLI takes them

exit codes:
  0  done
  1  no backup was made; nothing is left behind
  2  wrong usage or settings; nothing was done
  3  the backup lies in BACKUP_DIR, but was not copied; nothing old was removed
  4  the backup was made, but old ones could not be removed
USAGE
}

readonly NOT_COPIED=3 NOT_CLEANED=4
readonly BACKUP_NAME='^authly_backup_[0-9]{8}_[0-9]{6}\.(dump|sql\.gz)(\.age)?(\.sha256)?$'

dry_run=false clean_up_only=false
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --dry-run) dry_run=true ;;
    --clean-up) clean_up_only=true ;;
    *) misused "there is no option '$1'" ;;
  esac
  shift
done

directory=${BACKUP_DIR:-/backups}
retention_days=${RETENTION_DAYS:-30}
format=${BACKUP_FORMAT:-custom}
recipients=${BACKUP_RECIPIENTS_FILE:-}
bucket=${S3_BUCKET:-}
prefix=${S3_PREFIX-database}
prefix=${prefix#/}
prefix=${prefix:+${prefix%/}/}

# What cannot be encrypted as asked is not backed up at all.
check_settings() {
  is_number RETENTION_DAYS "$retention_days"
  ((10#$retention_days >= 1)) || die "$MISUSED" 'RETENTION_DAYS must be at least 1'
  [[ -z $bucket ]] || require aws
  $clean_up_only && return
  require psql pg_dump pg_restore gzip sha256sum flock
  [[ $format == custom || $format == plain ]] || die "$MISUSED" "BACKUP_FORMAT must be custom or plain, not '$format'"
  [[ -n $recipients ]] || return 0
  require age
  age --encrypt --recipients-file "$recipients" </dev/null >/dev/null || die "$MISUSED" 'BACKUP_RECIPIENTS_FILE cannot be used'
}

dump() {
  # A migration that holds its locks is waited for, but not for ever.
  local common=(--no-password --lock-wait-timeout=60s)
  if [[ $format == custom ]]; then
    pg_dump "${common[@]}" --format=custom --compress=6
  else
    pg_dump "${common[@]}" --format=plain --no-owner --no-privileges | gzip -6
  fi | if [[ -n $recipients ]]; then age --encrypt --recipients-file "$recipients"; else cat; fi
}

back_up() {
  local partial=$directory/.partial.$name problem
  at_end+=(remove_partials)
  attended dump >"$partial" || die "$FAILED" 'the dump failed: no backup was made'
  if [[ $format == custom && -z $recipients ]]; then
    problem=$(pg_restore --list "$partial" 2>&1 >/dev/null) || die "$FAILED" "the dump cannot be read: $problem"
  fi
  sha256sum <"$partial" | sed "s/-\$/$name/" >"$partial.sha256"
  sync "$partial" "$partial.sha256"
  # The checksum first: a backup without one is never seen.
  mv "$partial.sha256" "$directory/$name.sha256"
  mv "$partial" "$directory/$name"
  sync "$directory"
  say "Backup: $directory/$name ($(stat --format=%s "$directory/$name") bytes)"
}

remove_partials() { rm -f "$directory"/.partial.authly_backup_*; }

# An object appears when all of it was received; the backup itself last, as above.
copy_to_bucket() {
  local suffix size
  for suffix in .sha256 ''; do
    attended s3 cp --only-show-errors --storage-class "${S3_STORAGE_CLASS:-STANDARD_IA}" \
      "$directory/$name$suffix" "s3://$bucket/$prefix$name$suffix" || return
  done
  size=$(s3 ls "s3://$bucket/$prefix$name" | awk -v name="$name" '$4 == name { print $3 }') || return
  if [[ $size != "$(stat --format=%s "$directory/$name")" ]]; then
    warn "the bucket has ${size:-no} bytes of $name"
    return 1
  fi
  say "Copied to s3://$bucket/$prefix$name"
}

# Of the names on standard input, those that are to go. The name tells the age: a file's date is that of the last copy.
expired() {
  local cutoff
  cutoff=$(date --utc --date="$retention_days days ago" +%Y%m%d_%H%M%S)
  { grep -E "$BACKUP_NAME" || true; } | sort | awk -v cutoff="$cutoff" '
    { name[NR] = $0; stamp[NR] = substr($0, 15, 15); if ($0 !~ /sha256$/) newest = stamp[NR] }
    END { for (i = 1; i <= NR; i++) if (stamp[i] < cutoff && stamp[i] < newest) print name[i] }'
}

# remove_expired WHERE LIST REMOVE: LIST prints the names there, REMOVE takes one.
remove_expired() {
  local names name
  $2 >"$scratch/names" || return
  names=$(expired <"$scratch/names")
  for name in $names; do
    if $dry_run; then
      say "Would remove $1/$name"
    else
      $3 "$name" || return
      say "Removed $1/$name"
    fi
  done
}

list_local() { find "$directory" -maxdepth 1 -type f -name 'authly_backup_*' -printf '%f\n'; }
remove_local() { rm -f "$directory/$1"; }
# `s3 ls` exits with 1 where the prefix has nothing, too, but then says nothing.
list_bucket() {
  s3 ls "s3://$bucket/$prefix" >"$scratch/listing" 2>"$scratch/problem" || {
    cat "$scratch/problem" >&2
    [[ ! -s $scratch/problem ]] || return
  }
  awk '{ print $4 }' "$scratch/listing"
}
remove_from_bucket() { s3 rm --only-show-errors "s3://$bucket/$prefix$1"; }

clean_up() {
  remove_expired "$directory" list_local remove_local || return
  [[ -z $bucket ]] || remove_expired "s3://$bucket/${prefix%/}" list_bucket remove_from_bucket
}

begin
check_settings
if ! $clean_up_only; then
  use_configured_database
  is_reachable
  # An empty database, or somebody else's, must not push the good backups out.
  [[ -n $(schema_version) ]] || die "$FAILED" "the database '$PGDATABASE' is not one of Authly's: nothing was backed up"
fi

case $format in custom) name=dump ;; plain) name=sql.gz ;; esac
name=authly_backup_$(date --utc +%Y%m%d_%H%M%S).$name${recipients:+.age}
if $dry_run; then
  if ! $clean_up_only; then
    say "Would write $directory/$name"
    [[ -z $bucket ]] || say "Would copy it to s3://$bucket/$prefix$name"
  fi
  if [[ -d $directory ]]; then clean_up || die "$NOT_CLEANED" 'old backups cannot be listed'; fi
  exit
fi

mkdir -p "$directory" || die "$FAILED" "BACKUP_DIR cannot be made"
exec 9>"$directory/.lock" || die "$FAILED" 'BACKUP_DIR cannot be written to'
flock --nonblock 9 || die "$FAILED" "another backup is being written to $directory"
# Of a run that was killed.
remove_partials
if ! $clean_up_only; then
  back_up
  if [[ -n $bucket ]]; then copy_to_bucket || die "$NOT_COPIED" "the backup was not copied to s3://$bucket; it lies in $directory"; fi
fi
clean_up || die "$NOT_CLEANED" 'old backups could not be removed'
