# shellcheck shell=bash
# Sourced by the scripts beside it: messages, settings, the database's address, and a clean end whatever happens.
# Needs bash 4.4 or newer and GNU coreutils.

program=${0##*/}
# shellcheck disable=SC2034 # for the scripts
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Exit codes that all of them share; each documents its own beside these.
# shellcheck disable=SC2034 # for the scripts
readonly FAILED=1 MISUSED=2

say() { printf '%s\n' "$*"; }

warn() { printf '%s: %s\n' "$program" "$*" >&2; }

# die CODE MESSAGE…
die() {
  local code=$1
  shift
  warn "$*"
  exit "$code"
}

misused() { die "$MISUSED" "$*; see $program --help"; }

# require PROGRAM…
require() {
  local name
  for name in "$@"; do
    command -v "$name" >/dev/null 2>&1 || die "$MISUSED" "there is no $name in PATH"
  done
}

# As the server's own variables, each of these can come from the file that NAME_FILE names.
from_file() {
  local name file
  for name in "$@"; do
    file=${name}_FILE
    if [[ -z ${!name:-} && -n ${!file:-} ]]; then
      [[ -f ${!file} && -r ${!file} ]] || die "$MISUSED" "$file: there is no readable file ${!file}"
      printf -v "$name" %s "$(<"${!file}")"
    fi
  done
}

# is_number NAME VALUE: or it is a misuse.
is_number() { [[ $2 =~ ^[0-9]{1,6}$ ]] || die "$MISUSED" "$1 must be a whole number, not '$2'"; }

# A private directory for what must not outlive the script; everything that was started ends with it.
scratch=
at_end=()
child=
end() {
  local code=$? i
  trap - EXIT INT TERM HUP
  if [[ -n $child ]]; then kill -TERM -- "-$child" 2>/dev/null || true; fi
  for ((i = ${#at_end[@]} - 1; i >= 0; i--)); do "${at_end[i]}" "$code" || true; done
  if [[ -n $scratch ]]; then rm -rf "$scratch"; fi
  exit "$code"
}

begin() {
  umask 077
  trap end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  scratch=$(mktemp -d)
}

# attended COMMAND…: a signal to this script is acted on at once, and ends the command with all that it started.
attended() {
  local status=0
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  wait "$child" || status=$?
  child=
  return "$status"
}

percent_decoded() {
  local text=${1//\\/\\\\}
  printf '%b' "${text//%/\\x}"
}

# use_database URL: PGHOST, PGPASSWORD and so on for psql, pg_dump and pg_restore. They are given no URL, since
# everybody on the machine can read command lines.
use_database() {
  local userinfo='(([^:@/?]*)(:([^@/?]*))?@)?' host='(\[[0-9A-Fa-f:.]+\]|[^]/?@:[]*)(:([0-9]+))?'
  local pattern="^postgres(ql)?://$userinfo$host(/([^?]*))?(\\?(.*))?\$" parameters pair value
  [[ $1 != sqlite:* ]] || die "$MISUSED" "DATABASE_URL names an SQLite file; this script is for Postgres"
  [[ $1 =~ $pattern ]] || die "$MISUSED" 'DATABASE_URL must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE'
  unset PGSERVICE PGSERVICEFILE
  PGUSER=$(percent_decoded "${BASH_REMATCH[3]}") PGPASSWORD=$(percent_decoded "${BASH_REMATCH[5]}")
  # libpq wants IPv6 addresses without brackets.
  PGHOST=$(percent_decoded "$(tr -d '[]' <<<"${BASH_REMATCH[6]}")") PGPORT=${BASH_REMATCH[8]:-5432}
  PGDATABASE=$(percent_decoded "${BASH_REMATCH[10]}") PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-10}
  IFS='&' read -r -a parameters <<<"${BASH_REMATCH[12]}"
  for pair in "${parameters[@]}"; do
    value=$(percent_decoded "${pair#*=}")
    case ${pair%%=*} in
      sslmode | ssl-mode) export PGSSLMODE=$value ;;
      sslrootcert | ssl-root-cert | ssl-ca) export PGSSLROOTCERT=$value ;;
      sslcert | ssl-cert) export PGSSLCERT=$value ;;
      sslkey | ssl-key) export PGSSLKEY=$value ;;
      host) PGHOST=$value ;;
      hostaddr) export PGHOSTADDR=$value ;;
      port) PGPORT=$value ;;
      user) PGUSER=$value ;;
      password) PGPASSWORD=$value ;;
      dbname) PGDATABASE=$value ;;
      options) export PGOPTIONS=$value ;;
      application_name | statement-cache-capacity) ;; # the server's own
      *) die "$MISUSED" "DATABASE_URL: this script does not know the parameter '${pair%%=*}'" ;;
    esac
  done
  [[ -n $PGDATABASE ]] || PGDATABASE=$PGUSER
  [[ -n $PGDATABASE ]] || die "$MISUSED" 'DATABASE_URL names no database'
  # What the URL leaves out is libpq's to find, in ~/.pgpass for example.
  [[ -n $PGUSER ]] || unset PGUSER
  [[ -n $PGPASSWORD ]] || unset PGPASSWORD
  [[ -n $PGHOST ]] || unset PGHOST
  export PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGCONNECT_TIMEOUT PGAPPNAME=$program
}

# The database of DATABASE_URL, or of the file that DATABASE_URL_FILE names.
use_configured_database() {
  from_file DATABASE_URL
  [[ -n ${DATABASE_URL:-} ]] || misused 'DATABASE_URL is not set'
  use_database "$DATABASE_URL"
}

sql() { psql --no-psqlrc --no-password --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }

# The number of the newest migration, or nothing where Authly has not been here. The table's owner is whoever migrates.
schema_version() {
  if [[ $(sql --command "SELECT to_regclass('public._sqlx_migrations') IS NOT NULL") == t ]]; then
    sql --command 'SELECT max(version) FROM public._sqlx_migrations WHERE success'
  fi
}

# is_reachable: or the script fails with what the database said.
is_reachable() {
  local problem
  problem=$(sql --command 'SELECT 1' 2>&1) || die "$FAILED" "the database cannot be reached: $problem"
}

# S3, or what speaks like it at S3_ENDPOINT_URL. Credentials are the AWS CLI's to find.
s3() { aws ${S3_ENDPOINT_URL:+--endpoint-url "$S3_ENDPOINT_URL"} s3 "$@"; }

# authly and authly-admin: AUTHLY_BIN names the first where they are not in PATH; the second lies beside it.
authly_program() {
  local path
  if [[ -n ${AUTHLY_BIN:-} ]]; then
    path=${AUTHLY_BIN%/*}/$1
    [[ $AUTHLY_BIN == */* && -x $path ]] && printf %s "$path"
  else
    command -v "$1"
  fi
}
