#!/usr/bin/env bash
# Backup, destruction, restoration: every token, user, client and session is valid afterwards, and what was revoked
# stays so.
# shellcheck source=deploy/scripts/check/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

port=$(free_port)
export ISSUER_URL=http://127.0.0.1:$port
base_url=$ISSUER_URL timeout=20 work=$here_dir
# shellcheck source=deploy/scripts/lib.sh
. "$scripts/lib.sh"
# shellcheck source=deploy/scripts/oauth.sh
. "$scripts/oauth.sh"

# flow DIRECTORY STEP…: in this pair's directory; a step may have an argument after a colon.
flow() {
  local work=$1 step code
  shift
  set +e
  (set -e && for step in "$@"; do IFS=: read -r -a words <<<"$step" && "${words[@]}"; done)
  code=$?
  set -e
  ((code == 0)) || wrong "$(basename "$work"), $*: $(cat "$work/problem" 2>/dev/null)"
}

# A refresh that has to be refused.
refresh_is_refused() {
  as_client token_endpoint --data grant_type=refresh_token --data-urlencode "refresh_token@$work/refresh_token"
  [[ $status == 400 && $(json .error) == invalid_grant ]] || broken "the refresh answered $status"
}

still_logged_in() {
  browse "$base_url/account"
  answered 200 'the account page'
}

# The browser forgets everything; a new session is made.
log_in_anew() {
  : >"$work/cookies"
  log_in
}

users=(ada bob) clients=(web app machine)
populate() {
  local user client directory
  new_database recovery
  for user in "${users[@]}"; do make_user "$user"; done
  make_client web --type confidential "${all_grants[@]}"
  make_client app --type public
  make_client machine --type confidential --auth-method client_secret_post "${all_grants[@]}" --introspect-all
  start_authly "$port"
  curl --silent --output "$here_dir/metadata" "$base_url/.well-known/oauth-authorization-server"
  for user in "${users[@]}"; do
    for client in "${clients[@]}"; do
      directory=$here_dir/$user-$client
      mkdir "$directory"
      cp "$here_dir/metadata" "$here_dir/$client"/client_* "$directory"
      printf %s "$user@example.com" >"$directory/username"
      printf %s "$password" >"$directory/password"
      printf %s http://127.0.0.1/callback >"$directory/redirect_uri"
      printf 'read profile' >"$directory/scope"
      flow "$directory" log_in allow redeem_code
    done
  done
  # One grant that was rotated, one that was revoked, one code that waits.
  flow "$here_dir/ada-web" refresh
  flow "$here_dir/bob-web" revoke:refresh_token
  flow "$here_dir/bob-app" log_in_anew allow
  for client in web machine; do
    cp -R "$here_dir/ada-$client" "$here_dir/own-$client"
    flow "$here_dir/own-$client" client_credentials
  done
}

# By a resource server, so that each is asked about whoever it belongs to.
inspect() {
  local token work=$here_dir/inspector
  token=$1
  rm -rf "$work"
  cp -R "$here_dir/ada-machine" "$work"
  cp "$token" "$work/inspected"
  flow "$work" "is_active:inspected:$2"
}

everything_is_valid() {
  local pair
  for pair in ada-web ada-app ada-machine bob-machine bob-app own-web own-machine; do inspect "$here_dir/$pair/access_token" true; done
  for pair in ada-web ada-app ada-machine bob-machine bob-app; do inspect "$here_dir/$pair/refresh_token" true; done
  inspect "$here_dir/bob-web/access_token" false
  inspect "$here_dir/bob-web/refresh_token" false
  flow "$here_dir/bob-web" refresh_is_refused
  for pair in ada-web ada-app ada-machine bob-machine bob-app; do flow "$here_dir/$pair" still_logged_in refresh; done
  # The code that waited is worth a token of its own; then new logins and new grants, for all.
  flow "$here_dir/bob-app" redeem_code
  for pair in ada-web ada-app ada-machine bob-web bob-app bob-machine; do flow "$here_dir/$pair" log_in_anew allow redeem_code; done
  flow "$here_dir/own-web" client_credentials
  flow "$here_dir/own-machine" client_credentials
}

published_keys() { curl --silent "$base_url/.well-known/jwks.json" | sha256sum; }

populate
before=$(fingerprint) keys=$(published_keys)
note "before: ${#users[@]} users, ${#clients[@]} clients, $(admin_sql --command 'SELECT count(*) FROM grants') grants, $(admin_sql --command 'SELECT count(*) FROM sessions') sessions"

# Round 1: encrypted, in a bucket only; the database is dropped under the running server.
export BACKUP_DIR=$here_dir/backups BACKUP_RECIPIENTS_FILE=$stage/recipients BACKUP_IDENTITY_FILE=$stage/identity
ends 0 'backup, encrypted, to the bucket' "$scripts/backup_database.sh"
name=$(basename "$BACKUP_DIR"/authly_backup_*.dump.age)
grep --quiet --text 'authly_cs_\|example.com' "$BACKUP_DIR/$name" && wrong 'the backup is readable'
rm -r "$BACKUP_DIR"
database_name=postgres admin_sql --command 'DROP DATABASE recovery WITH (FORCE)'
answers "$base_url/health" 503 || wrong 'the server did not notice that its database is gone'
ends 0 'recovery from the bucket' "$scripts/disaster_recovery.sh" --yes "s3://$S3_BUCKET/database/$name"
[[ $(fingerprint) == "$before" ]] || wrong 'the rows are not the same'
answers "$base_url/health" 200 || wrong 'the server did not find its database again'
[[ $(published_keys) == "$keys" ]] || wrong 'the keys are not the same'
everything_is_valid
note 'every row is the same, every token, login, session, code and secret is valid; what was revoked is not'

# Round 2: plain, in a directory; the database is damaged, and restored in place, and by a fresh server.
unset BACKUP_RECIPIENTS_FILE S3_BUCKET
before=$(fingerprint)
BACKUP_FORMAT=plain ends 0 'backup, plain' "$scripts/backup_database.sh"
cp "$here_dir/bob-app/refresh_token" "$here_dir/kept"
admin_sql --command 'DELETE FROM users; UPDATE clients SET is_active = false; DROP TABLE outbox CASCADE; CREATE TABLE stray (id int)'
export TEST_USERNAME=ada@example.com TEST_PASSWORD=$password BASE_URL=$base_url
TEST_CLIENT_ID=$(<"$here_dir/web/client_id") TEST_CLIENT_SECRET=$(<"$here_dir/web/client_secret")
export TEST_CLIENT_ID TEST_CLIENT_SECRET
stop_background
ends 0 'recovery in place' "$scripts/disaster_recovery.sh" --yes --in-place "$BACKUP_DIR"/authly_backup_*.sql.gz
[[ $(fingerprint) == "$before" ]] || wrong 'the rows are not the same'
start_authly "$port"
inspect "$here_dir/kept" true
# This one is used after the backup.
flow "$here_dir/bob-app" refresh

# Round 3: over a database that is in use, which is kept beside it; and the tests of a deployment afterwards.
ends 0 'a drill' "$scripts/disaster_recovery.sh" --drill "$BACKUP_DIR"/authly_backup_*.sql.gz
ends 0 'recovery beside a live database, verified' "$scripts/disaster_recovery.sh" --yes --verify "$BACKUP_DIR"/authly_backup_*.sql.gz
grep --quiet 'ok *log out' "$here_dir/said" || wrong '--verify did not run the flow'
flow "$here_dir/bob-app" refresh_is_refused
cp "$here_dir/kept" "$here_dir/bob-app/refresh_token"
flow "$here_dir/bob-app" refresh
[[ $(databases recovery) == recovery*recovery_before_* && $(databases recovery) != *_restored_* ]] || wrong "the databases are now: $(databases recovery)"
BASE_URL=$base_url/wrong ends 4 'recovery, but the verification fails' "$scripts/disaster_recovery.sh" --yes --verify "$BACKUP_DIR"/authly_backup_*.sql.gz
nothing_is_left
