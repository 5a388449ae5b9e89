#!/usr/bin/env bash
# Damaged backups, wrong keys, full disks, interruptions: each is refused, leaves the database as it was, and nothing
# half-done behind.
# shellcheck source=deploy/scripts/check/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

backup=$scripts/backup_database.sh
recover=$scripts/disaster_recovery.sh
export BACKUP_DIR=$here_dir/backups BACKUP_IDENTITY_FILE=$stage/identity S3_PREFIX=refusals

new_database refusals
make_user ada
make_client web --type confidential "${all_grants[@]}"
# More than fits into a pipe, so that what comes after a lock is still to be sent.
admin_sql --command "INSERT INTO scopes (id, scope_name, description) SELECT gen_random_uuid(), 'scope' || i, repeat('x', 100) FROM generate_series(1, 3000) i"
before=$(fingerprint) all_databases=$(databases refusals)

unharmed() {
  [[ $(fingerprint) == "$before" ]] || wrong "the database was changed by: $1"
  [[ $(databases refusals) == "$all_databases" ]] || wrong "$1 left databases: $(databases refusals)"
  nothing_is_left
}

# refused CODE WHAT COMMAND…
refused() {
  ends "$@"
  unharmed "$2"
}

no_backup_is_left() {
  [[ -z $(find "$BACKUP_DIR" -name '*authly_backup_*') ]] || wrong "$1 left $(ls -A "$BACKUP_DIR")"
}

# Backups ------------------------------------------------------------------------------------------------------------

bucket=$S3_BUCKET
unset S3_BUCKET
DATABASE_URL=${DATABASE_URL/:[0-9]*\//:1/} ends 1 'backup: no server' "$backup"
DATABASE_URL=${DATABASE_URL%/*}/postgres ends 1 "backup: not Authly's database" "$backup"
DATABASE_URL=sqlite:///authly.db ends 2 'backup: SQLite' "$backup"
BACKUP_RECIPIENTS_FILE=$stage/moto.log ends 2 'backup: recipients that are none' "$backup"
RETENTION_DAYS=0 ends 2 'backup: no retention' "$backup"
BACKUP_FORMAT=tar ends 2 'backup: unknown format' "$backup"
[[ ! -e $BACKUP_DIR ]] || wrong "refused backups left $(find "$BACKUP_DIR")"

# interrupted SIGNAL|PROGRAM WHAT COMMAND…: the script by a signal, or a program that it runs killed, while it waits for a
# lock.
interrupted() {
  local signal=$1 what=$2 code=0 pid
  shift 2
  hold_lock users
  "$@" >"$here_dir/said" 2>&1 </dev/null &
  pid=$!
  background+=("$pid")
  wait_for_sql "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname LIKE 'refusals%'"
  if grep --text --quiet 'hidde[n]-' /proc/[0-9]*/cmdline 2>/dev/null; then wrong "a secret is on a command line: $(grep --text --files-with-matches 'hidde[n]-' /proc/[0-9]*/cmdline)"; fi
  case $signal in
    # The script's one child is the head of a process group.
    pg_*) kill -KILL "$(pgrep --exact "$signal" --pgroup "$(pgrep --parent "$pid")")" ;;
    *) kill -"$signal" "$pid" ;;
  esac
  wait "$pid" || code=$?
  release_lock
  wait_for_sql "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname LIKE 'refusals%' AND pid <> pg_backend_pid()"
  note "$what: $code, $(tail -n 1 "$here_dir/said")"
  interrupted_with=$code
}

interrupted TERM 'backup: SIGTERM' "$backup"
[[ $interrupted_with == 143 ]] || wrong 'the exit code is not 143'
no_backup_is_left 'SIGTERM'
unharmed 'SIGTERM'
interrupted pg_dump 'backup: pg_dump killed' "$backup"
[[ $interrupted_with == 1 ]] || wrong 'the exit code is not 1'
no_backup_is_left 'a killed pg_dump'
unharmed 'a killed pg_dump'
interrupted KILL 'backup: SIGKILL' "$backup"
[[ -z $(find "$BACKUP_DIR" -name 'authly_backup_*') ]] || wrong 'SIGKILL left a backup under a final name'
rm -rf "${TMPDIR:?}"/*

# In a name space of mounts of its own, so that nothing stays mounted.
cat >"$here_dir/on_full_disk" <<'END'
set -eu
mount -t tmpfs -o size=16k none "$BACKUP_DIR"
code=0
"$scripts/backup_database.sh" || code=$?
find "$BACKUP_DIR" -name '*authly_backup_*' -printf 'left: %p\n'
exit "$code"
END
if unshare --mount true 2>/dev/null; then
  ends 1 'backup: disk full' unshare --mount bash "$here_dir/on_full_disk"
elif unshare --mount --map-root-user true 2>/dev/null; then
  ends 1 'backup: disk full' unshare --mount --map-root-user bash "$here_dir/on_full_disk"
else
  note 'backup: disk full: not run, since no file system can be mounted here'
fi
if grep --quiet '^left:' "$here_dir/said"; then wrong 'a full disk left a backup'; fi

# Of its own accord it removes what a killed run left.
ends 0 'backup' "$backup"
[[ -z $(find "$BACKUP_DIR" -name '.partial*') ]] || wrong 'what a killed run left is still there'
exec 8>"$BACKUP_DIR/.lock"
flock 8
ends 1 'backup: another one runs' "$backup"
exec 8>&-
old=$BACKUP_DIR/authly_backup_20200101_000000.dump
: >"$old"
S3_BUCKET=no-such-bucket ends 3 'backup: no such bucket' "$backup"
[[ -e $old ]] || wrong 'an old backup was removed though the new one was not copied'
S3_BUCKET=$bucket S3_ENDPOINT_URL=http://127.0.0.1:1 AWS_MAX_ATTEMPTS=1 ends 3 'backup: no S3 at all' "$backup"
rm "$old"

# Restorations --------------------------------------------------------------------------------------------------------

# given FILE [CHANGE]: a copy in $it, changed, with its own checksum.
given() {
  rm -rf "$here_dir/given"
  mkdir "$here_dir/given"
  it=$here_dir/given/${1##*/}
  cp "$1" "$it"
  "${2:-:}"
  (cd "$here_dir/given" && sha256sum "${it##*/}" >"$it.sha256")
}
halve() { truncate --size=$(($(stat --format=%s "$it") / 2)) "$it"; }
spoil() { printf '\377' | dd of="$it" bs=1 seek=5000 conv=notrunc status=none; }
# statements COMMAND…: the SQL in it goes through the command.
statements() { gunzip <"$it" | "$@" | gzip >"$it.new" && mv "$it.new" "$it"; }
end_early() { statements awk 'NR <= 300'; }
fail_at_the_end() { statements sed --expression="\$ a SELECT no_such_function();"; }
dump_something_else() { pg_dump --format=custom --file="$it" "$server/template1"; }

rm "$BACKUP_DIR"/authly_backup_*
"$backup" >/dev/null
BACKUP_FORMAT=plain "$backup" >/dev/null
BACKUP_RECIPIENTS_FILE=$stage/recipients "$backup" >/dev/null
dump=$(echo "$BACKUP_DIR"/*.dump) text=$(echo "$BACKUP_DIR"/*.sql.gz) sealed=$(echo "$BACKUP_DIR"/*.dump.age)
# What a restoration would bring back is not what is there.
make_user bob
before=$(fingerprint)

given "$dump"
spoil
refused 3 'recovery: one byte is wrong' "$recover" --yes "$it"
rm "$it.sha256"
refused 3 'recovery: no checksum' "$recover" --yes "$it"
for whole in "$dump" "$text" "$sealed"; do
  given "$whole" halve
  refused 3 "recovery: half of ${whole##*/}, with the checksum of that half" "$recover" --yes "$it"
done
given "$sealed" spoil
refused 3 'recovery: encrypted, one byte is wrong, with the checksum of that' "$recover" --yes "$it"
given "$text" end_early
refused 3 'recovery: SQL that ends early, well compressed' "$recover" --yes "$it"
given "$dump" dump_something_else
refused 3 'recovery: of something else' "$recover" --yes "$it"
age-keygen --output "$here_dir/other" 2>/dev/null
BACKUP_IDENTITY_FILE=$here_dir/other refused 3 'recovery: the wrong key' "$recover" --yes "$sealed"
BACKUP_IDENTITY_FILE='' refused 2 'recovery: no key' "$recover" --yes "$sealed"
refused 3 'recovery: no such file' "$recover" --yes "$BACKUP_DIR/no.dump"
refused 3 'recovery: no such bucket' "$recover" --yes "s3://no-such-bucket/database/authly_backup_20260101_000000.dump"
refused 3 'recovery: no such object' "$recover" --yes "s3://$bucket/database/authly_backup_20260101_000000.dump"
refused 2 'recovery: nobody confirms' "$recover" "$dump"
refused 0 'recovery: dry run' "$recover" --dry-run "$sealed"
refused 0 'recovery: drill' "$recover" --drill "$sealed"

# A role that may neither make databases nor drop what others own.
admin_sql --command 'CREATE ROLE guest LOGIN; GRANT ALL ON SCHEMA public TO guest'
guest_url=${DATABASE_URL/authly:/guest:}
DATABASE_URL=$guest_url refused 1 'recovery: may not make a database' "$recover" --yes "$dump"
DATABASE_URL=$guest_url refused 1 'recovery in place: may not drop what is there' "$recover" --yes --in-place "$dump"
given "$text" fail_at_the_end
refused 1 'recovery: a statement fails at the end' "$recover" --yes "$it"
refused 1 'recovery in place: a statement fails at the end' "$recover" --yes --in-place "$it"
interrupted TERM 'recovery in place: SIGTERM' "$recover" --yes --in-place "$dump"
[[ $interrupted_with == 143 ]] || wrong 'the exit code is not 143'
unharmed 'SIGTERM during a recovery in place'
interrupted pg_restore 'recovery in place: pg_restore killed' "$recover" --yes --in-place "$dump"
[[ $interrupted_with == 1 ]] || wrong 'the exit code is not 1'
unharmed 'a killed pg_restore'
# One that ends between two statements, where what came before it could be committed.
mkdir "$here_dir/bin"
cat >"$here_dir/bin/pg_restore" <<END
#!/bin/sh
# The first time it reads the backup to its end.
if mkdir '$here_dir/bin/read'; then exec '$(command -v pg_restore)' "\$@"; fi 2>/dev/null
'$(command -v pg_restore)' "\$@" | sed '/^-- Data for Name: tokens/q'
exit 1
END
chmod +x "$here_dir/bin/pg_restore"
PATH=$here_dir/bin:$PATH refused 1 'recovery in place: pg_restore ends early' "$recover" --yes --in-place "$dump"

# All of these failed for the reason that was given them, since this does not.
ends 0 'recovery in place, with nothing in its way' "$recover" --yes --in-place "$dump"
[[ $(admin_sql --command "SELECT string_agg(email, ' ') FROM users") == ada@example.com ]] || wrong 'the backup was not restored'
