#!/usr/bin/env bash
# What is old goes, in the directory and in the bucket, and nothing else does.
# shellcheck source=deploy/scripts/check/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export BACKUP_DIR=$here_dir/backups RETENTION_DAYS=30 S3_BUCKET=retention S3_PREFIX=retention
day() { date --utc --date="$1 days ago" +%Y%m%d_%H%M%S; }
remote() { aws --endpoint-url "$S3_ENDPOINT_URL" s3 "$@"; }

# Of its own, so that whatever is there is known.
remote mb "s3://$S3_BUCKET" >/dev/null

# What is there, without what the test itself makes: one name a line, of the directory and of the bucket.
local_names() { find "$BACKUP_DIR" -mindepth 1 ! -name .lock -printf '%P\n' | LC_ALL=C sort; }
remote_names() { remote ls --recursive "s3://$S3_BUCKET" | awk '{ print $4 }' | LC_ALL=C sort; }

# same WHAT EXPECTED ACTUAL
same() { [[ $2 == "$3" ]] || wrong "$1: $(diff <(echo "$2") <(echo "$3"))"; }

old=$(day 31) older=$(day 400) young=$(day 29) newest=$(day 1)
to_go=("authly_backup_$old.dump" "authly_backup_$old.dump.sha256" "authly_backup_$older.sql.gz" "authly_backup_$older.sql.gz.sha256"
  "authly_backup_$older.dump.age" "authly_backup_$older.dump.age.sha256")
to_stay=("authly_backup_$young.dump" "authly_backup_$young.dump.sha256" "authly_backup_$newest.dump" "authly_backup_$older.dump.bak" "authly_backup_$older"
  "my_authly_backup_$older.dump" "authly_backup_2020.dump" "notes.txt" "authly_backup_$older.dump.d/authly_backup_$older.dump"
  "deeper/authly_backup_$older.dump")
# The name tells the age, not the date of the file.
mkdir -p "$BACKUP_DIR/deeper" "$BACKUP_DIR/authly_backup_$older.dump.d"
(cd "$BACKUP_DIR" && touch "${to_go[@]}" && touch --date='3 years ago' "${to_stay[@]}")
remote cp --quiet --recursive "$BACKUP_DIR" "s3://$S3_BUCKET/retention/"
remote cp --quiet --recursive "$BACKUP_DIR" "s3://$S3_BUCKET/elsewhere/"

before=$(local_names) remote_before=$(remote_names)
ends 0 'dry run' "$scripts/backup_database.sh" --clean-up --dry-run
same 'the directory after a dry run' "$before" "$(local_names)"
[[ $(grep --count '^Would remove' "$here_dir/said") == $((2 * ${#to_go[@]})) ]] || wrong "the dry run says: $(cat "$here_dir/said")"

ends 0 'clean-up' "$scripts/backup_database.sh" --clean-up
without() { grep --invert-match --line-regexp --fixed-strings --file=<(printf "$1%s\n" "${to_go[@]}"); }
same 'the directory' "$(without '' <<<"$before")" "$(local_names)"
same 'the bucket' "$(without retention/ <<<"$remote_before")" "$(remote_names)"

# The newest stays however old, and a checksum without its backup is not the newest.
rm -r "$BACKUP_DIR"
mkdir "$BACKUP_DIR"
(cd "$BACKUP_DIR" && touch "authly_backup_$older.dump" "authly_backup_$older.dump.sha256" "authly_backup_$old.dump.sha256")
ends 0 'clean-up where all are old' env -u S3_BUCKET "$scripts/backup_database.sh" --clean-up
[[ -e $BACKUP_DIR/authly_backup_$older.dump && -e $BACKUP_DIR/authly_backup_$older.dump.sha256 ]] || wrong 'the last backup was removed'

S3_BUCKET=no-such-bucket ends 4 'clean-up of a bucket that does not exist' "$scripts/backup_database.sh" --clean-up
nothing_is_left
