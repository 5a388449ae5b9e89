#!/usr/bin/env bash
# Whether a deployed Authly does its work, seen from outside. See usage below.
set -euo pipefail
# shellcheck source=deploy/scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: post_deployment_tests.sh [--require-flow]

Asks the server at BASE_URL as its users do: health, database, metadata, keys, authorization endpoint, refusal of
strangers, TLS. With a test account and a test client it then goes through the whole of OAuth: log in, allow, code with
PKCE, tokens, refresh, introspection, revocation by the client and by the person, client_credentials, log out. It leaves nothing behind but lines in
the audit log. Every check runs, whatever became of those before it, unless it needs them.

  --require-flow  fails where no test account is given, instead of leaving the flow out

environment:
  BASE_URL            https://auth.example.com: must be the server's ISSUER_URL
  TIMEOUT             30, in seconds, for each request
  CA_FILE             the authority (PEM) of the certificate, where it is one of your own
  CERTIFICATE_DAYS    14: the certificate must be valid for so long
  DATABASE_URL        if given, and authly-admin is at hand: the database is asked directly, too
  AUTHLY_BIN          path of authly, with authly-admin beside it, where they are not in PATH
  TEST_USERNAME, TEST_PASSWORD           an account for this test alone, its address verified
  TEST_CLIENT_ID, TEST_CLIENT_SECRET     a confidential client with all three grant types
  TEST_REDIRECT_URI   http://127.0.0.1/callback: as registered; nothing is sent there
  TEST_SCOPE          read
Each TEST_ variable may come from the file that its name with _FILE names.

exit codes:
  0  all that ran passed
  1  a check failed; each says what is wrong
  2  wrong usage or settings; nothing was asked
USAGE
}

require_flow=false
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit ;;
    --require-flow) require_flow=true ;;
    *) misused "there is no option '$1'" ;;
  esac
  shift
done

base_url=${BASE_URL:-https://auth.example.com}
base_url=${base_url%/}
timeout=${TIMEOUT:-30}
is_number TIMEOUT "$timeout"
is_number CERTIFICATE_DAYS "${CERTIFICATE_DAYS:-14}"
pattern='^(https?)://(\[[0-9A-Fa-f:.]+\]|[^]/?#@:[]+)(:([0-9]+))?(/[^?#]*)?$'
[[ $base_url =~ $pattern ]] || misused 'BASE_URL must be a URL like https://auth.example.com'
scheme=${BASH_REMATCH[1]} host=${BASH_REMATCH[2]} port=${BASH_REMATCH[4]:-443} path=${BASH_REMATCH[5]}
origin=${base_url%"$path"}
[[ -z ${CA_FILE:-} || -r $CA_FILE ]] || misused "there is no readable CA_FILE $CA_FILE"
require curl jq openssl timeout
from_file TEST_USERNAME TEST_PASSWORD TEST_CLIENT_ID TEST_CLIENT_SECRET

begin
work=$scratch
: >"$work/cookies"
# shellcheck source=deploy/scripts/oauth.sh
. "$here/oauth.sh"

# The server ---------------------------------------------------------------------------------------------------------

health() {
  browse "$base_url/health"
  answered 200 '/health'
  [[ $(json .status) == ok ]] || broken "/health: $(head -c 200 "$work/body")"
}

# As the seed of all checks: by the command line where there is one, and by what the server says in any case.
database() {
  local program
  browse "$base_url/health"
  [[ $(json .database) == ok ]] || broken "the server says of its database: $(json .database || echo nothing)"
  if [[ -n ${DATABASE_URL:-}${DATABASE_URL_FILE:-} ]] && program=$(authly_program authly-admin); then
    "$program" status >"$work/status" 2>&1 || broken "authly-admin status: $(tail -n 1 "$work/status")"
  fi
}

metadata() {
  local name
  # RFC 8414 §3.1: the well-known part goes between the host and the path of the issuer.
  browse "$origin/.well-known/oauth-authorization-server$path"
  answered 200 'the metadata'
  [[ $(json .issuer) == "$base_url" ]] || broken "the issuer is '$(json .issuer)', and not '$base_url'"
  for name in authorization_endpoint token_endpoint revocation_endpoint introspection_endpoint; do
    [[ $(json ".$name") == "$base_url"/* ]] || broken "the $name is '$(json ".$name")'"
  done
  json '.code_challenge_methods_supported == ["S256"]' >/dev/null || broken 'PKCE by S256 is not what is offered'
  json '.response_types_supported == ["code"]' >/dev/null || broken 'the response type is not code alone'
  cp "$work/body" "$work/metadata"
}

# With HS256 there is no key to publish, and no jwks_uri.
signing_keys() {
  [[ -s $work/metadata ]] || broken 'not asked: there are no metadata'
  jq -e '.jwks_uri' "$work/metadata" >/dev/null || return 0
  browse "$(endpoint jwks_uri)"
  answered 200 'the JWK Set'
  json '.keys | length > 0 and all(.kid and .kty)' >/dev/null || broken 'there is no signing key'
  json '[.keys[] | has("d") or has("k") or has("p")] | any | not' >/dev/null || broken 'the JWK Set shows PRIVATE keys'
}

# A stranger's client: an error page, never a redirect, and nobody may frame it.
authorization_endpoint() {
  browse "$base_url/authorize?response_type=code&client_id=no-such-client&redirect_uri=https%3A%2F%2Fattacker.example%2Fcallback&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
  answered 400 'the authorization endpoint, to a client that does not exist,'
  [[ -z $(header location) ]] || broken 'it redirects for a client that does not exist'
  [[ $(header content-security-policy) == *"frame-ancestors 'none'"* ]] || broken 'its pages can be framed: no Content-Security-Policy'
  [[ $(header x-content-type-options) == nosniff ]] || broken 'there is no X-Content-Type-Options'
}

strangers() {
  local name
  for name in auth/token auth/introspect auth/revoke; do
    browse --data grant_type=client_credentials --data token=x --data client_id=no-such-client --data client_secret=wrong "$base_url/$name"
    answered 401 "/$name, to a stranger,"
    [[ $(json .error) == invalid_client ]] || broken "/$name says '$(json .error)' to a stranger"
  done
  browse "$base_url/api/v1/users/me"
  answered 401 '/api/v1/users/me, without a token,'
}

# What is for the operator alone.
private_paths() {
  browse "$base_url/metrics"
  [[ $status == 403 || $status == 404 ]] || broken "/metrics answers $status to the world"
}

# tls OPENSSL-ARGUMENT…: one handshake.
tls() {
  timeout "$timeout" openssl s_client -connect "$host:$port" -servername "$host" ${CA_FILE:+-CAfile "$CA_FILE"} "$@" \
    </dev/null >"$work/tls" 2>&1
}

certificate() {
  local name=(-verify_hostname "$host") old
  [[ ! $host =~ ^(\[.*\]|[0-9.]+)$ ]] || name=(-verify_ip "$(tr -d '[]' <<<"$host")")
  tls -verify_return_error "${name[@]}" || broken "$(grep -m 1 -iE 'verify error|error|refused|mismatch' "$work/tls" || echo 'no TLS handshake')"
  openssl x509 -noout -checkend $((${CERTIFICATE_DAYS:-14} * 86400)) <"$work/tls" >/dev/null ||
    broken "the certificate ends soon: $(openssl x509 -noout -enddate <"$work/tls")"
  for old in tls1 tls1_1; do
    if tls "-$old" -cipher 'ALL:@SECLEVEL=0'; then broken "the server still speaks $old"; fi
  done
}

strict_transport() {
  browse "$base_url/health"
  [[ $(header strict-transport-security) == *max-age=[1-9]* ]] || broken 'there is no Strict-Transport-Security'
}

# OAuth ----------------------------------------------------------------------------------------------------------------

# A token speaks for the person who logged in.
user_information() {
  printf 'header = "Authorization: Bearer %s"\n' "$(<"$work/access_token")" >"$work/bearer"
  browse --config "$work/bearer" "$base_url/api/v1/users/me"
  answered 200 '/api/v1/users/me'
  json '.sub | strings' >/dev/null || broken 'the token speaks for nobody'
}

rotation() {
  cp "$work/refresh_token" "$work/first_refresh_token"
  refresh
  ! cmp -s "$work/refresh_token" "$work/first_refresh_token" || broken 'the refresh token was not rotated'
}

introspection() {
  is_active access_token true
  is_active refresh_token true
  printf 'not-a-token' >"$work/forged_token"
  is_active forged_token false
}

# A refresh token takes along all that came from it.
revocation() {
  revoke refresh_token
  is_active refresh_token false
  is_active access_token false
  as_client token_endpoint --data grant_type=refresh_token --data-urlencode "refresh_token@$work/refresh_token"
  [[ $status == 400 && $(json .error) == invalid_grant ]] || broken "a revoked refresh token was answered with $status"
}

# A second grant, which its person ends. So each run begins without a consent.
end_of_access() {
  ask
  allow
  redeem_code
  end_access
  is_active access_token false
}

own_behalf() {
  client_credentials
  is_active access_token true
  revoke access_token
  is_active access_token false
}

# The table ------------------------------------------------------------------------------------------------------------

failures=0
# check NAME FUNCTION: $passed tells how it went. Call it on its own, not in a condition: `set -e` is off there.
check() {
  local code
  : >"$work/problem"
  set +e
  (set -e && "$2" </dev/null)
  code=$?
  set -e
  if ((code == 0)); then
    passed=true
    say "ok       $1"
  else
    passed=false
    say "FAILED   $1: $(grep . "$work/problem" || echo "exit code $code")"
    failures=$((failures + 1))
  fi
}

flow() {
  local name variable
  for name in client_id client_secret username password; do
    variable=TEST_${name^^}
    printf %s "${!variable}" >"$work/$name"
  done
  printf %s "${TEST_REDIRECT_URI:-http://127.0.0.1/callback}" >"$work/redirect_uri"
  printf %s "${TEST_SCOPE:-read}" >"$work/scope"
  check 'client_credentials' own_behalf
  check 'login' log_in
  if ! $passed; then return; fi
  check 'consent, and a code' allow
  if $passed; then check 'code exchange with PKCE' redeem_code; fi
  if $passed; then
    check 'user information' user_information
    check 'refresh' rotation
    check 'introspection' introspection
    check 'revocation' revocation
    check 'end of access by the person' end_of_access
  fi
  check 'log out' log_out
}

given=0
for variable in TEST_USERNAME TEST_PASSWORD TEST_CLIENT_ID TEST_CLIENT_SECRET; do
  [[ -z ${!variable:-} ]] || given=$((given + 1))
done
((given == 0 || given == 4)) || misused 'the flow needs all of TEST_USERNAME, TEST_PASSWORD, TEST_CLIENT_ID and TEST_CLIENT_SECRET'

say "Testing $base_url"
check 'health' health
check 'database' database
check 'metadata' metadata
check 'signing keys' signing_keys
check 'authorization endpoint' authorization_endpoint
check 'strangers are refused' strangers
if [[ $scheme == https ]]; then
  check 'TLS certificate' certificate
  check 'strict transport security' strict_transport
  check 'private paths' private_paths
elif [[ $host =~ ^(127\.[0-9.]+|\[::1\]|localhost)$ ]]; then
  say 'skipped  TLS: this is a loopback address'
else
  no_tls() { broken 'the server is not reached by https'; }
  check 'TLS certificate' no_tls
fi
if ((given == 4)) && [[ -s $work/metadata ]]; then
  flow
elif ((given == 4)) || $require_flow; then
  no_flow() { broken "$( ((given == 4)) && echo 'not begun: there are no metadata' || echo 'no test account was given')"; }
  check 'OAuth flow' no_flow
else
  say 'skipped  OAuth flow: no test account was given (TEST_USERNAME, …)'
fi
((failures == 0)) || die "$FAILED" "$failures of the checks failed"
say 'All passed'
