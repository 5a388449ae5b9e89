# shellcheck shell=bash
# Sourced by post_deployment_tests.sh: an OAuth client and its person's browser, by curl. Everything lies in files of
# the private directory $work, so that no secret is on a command line:
#   metadata          the server's (RFC 8414)
#   client_id, client_secret (none: a public client), redirect_uri, scope, username, password
#   cookies           the browser's
#   access_token, refresh_token, code, verifier
# A function that finds something wrong says what, and ends the (sub)shell that it runs in, which has to have `set -e`.

# shellcheck disable=SC2154 # the caller's
: "${work?}" "${base_url?}" "${timeout?}"

broken() {
  printf '%s\n' "$*" >"$work/problem"
  exit 1
}

# browse CURL-ARGUMENT…: one request. Leaves $status, and the files head and body.
browse() {
  status=$(curl --silent --show-error --max-time "$timeout" ${CA_FILE:+--cacert "$CA_FILE"} --dump-header "$work/head" \
    --output "$work/body" --write-out '%{http_code}' --cookie "$work/cookies" --cookie-jar "$work/cookies" "$@" \
    2>"$work/curl") || broken "$(tail -n 1 "$work/curl")"
}

header() { sed -n "s/\r\$//; s/^$1: *//Ip" "$work/head" | tail -n 1; }

# json FILTER: of the last answer; where it is false, null or no JSON, this is nothing.
json() { jq -er "$1" "$work/body" 2>/dev/null; }

# answered STATUS WHAT
answered() {
  [[ $status == "$1" ]] || broken "$2 answered $status instead of $1: $(error_of_answer)"
}

error_of_answer() {
  json '.error + ": " + (.error_description // "")' || sed -n 's,.*<p id="[a-z]*-error">\(.*\)</p>.*,\1,p; s,.*<h1[^>]*>\(.*\)</h1>.*,\1,p' \
    "$work/body" | head -n 1 | cut -c 1-200
}

html_decoded() {
  sed 's/&#34;/"/g; s/&quot;/"/g; s/&#39;/'"'"'/g; s/&#x27;/'"'"'/g; s/&#60;/</g; s/&lt;/</g; s/&#62;/>/g; s/&gt;/>/g
       s/&#38;/\&/g; s/&amp;/\&/g'
}

# form_value NAME: of a hidden field of the page, into the file NAME.
form_value() {
  sed -n "s/.*name=\"$1\" value=\"\([^\"]*\)\".*/\1/p" "$work/body" | head -n 1 | html_decoded | tr -d '\n' >"$work/$1"
  [[ -s $work/$1 ]] || broken "the page has no field '$1': $(error_of_answer)"
}

# Where the page's form goes: $action.
form_action() {
  action=$(sed -n 's/.*<form method="post" action="\([^"]*\)".*/\1/p' "$work/body" | head -n 1 | html_decoded)
  [[ -n $action ]] || broken "the page has no form: $(error_of_answer)"
  action=$(absolute "$action")
}

absolute() {
  case $1 in
    /*) printf '%s%s' "$(grep -o '^[a-z]*://[^/]*' <<<"$base_url")" "$1" ;;
    *) printf %s "$1" ;;
  esac
}

uri_encoded() { jq -rRs '@uri' "$1"; }

endpoint() { jq -er --arg name "$1" '.[$name]' "$work/metadata" || broken "the metadata has no $1"; }

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# An authorization request, ready to be sent by `allow`: RFC 7636; state against answers that were not asked for.
ask() {
  local target
  target=$(endpoint authorization_endpoint)
  openssl rand 32 | base64url >"$work/verifier"
  openssl rand 16 | base64url >"$work/state"
  target+="?response_type=code&code_challenge_method=S256&code_challenge=$(openssl dgst -sha256 -binary "$work/verifier" | base64url)"
  target+="&client_id=$(uri_encoded "$work/client_id")&redirect_uri=$(uri_encoded "$work/redirect_uri")"
  target+="&scope=$(uri_encoded "$work/scope")&state=$(<"$work/state")"
  printf %s "$target" >"$work/location"
}

# The authorization endpoint sends the browser to the login page, which sends it back.
log_in() {
  ask
  browse "$(<"$work/location")"
  answered 303 'the authorization endpoint'
  browse "$(absolute "$(header location)")"
  answered 200 'the login page'
  form_value csrf_token
  form_value return_to
  form_action
  browse --data-urlencode "csrf_token@$work/csrf_token" --data-urlencode "return_to@$work/return_to" \
    --data-urlencode "username@$work/username" --data-urlencode "password@$work/password" "$action"
  answered 303 'the login'
  absolute "$(header location)" >"$work/location"
}

# With consent that is remembered there is no page to allow anything on.
allow() {
  browse "$(<"$work/location")"
  if [[ $status == 200 ]]; then
    form_value csrf_token
    form_value request
    form_action
    browse --data-urlencode "csrf_token@$work/csrf_token" --data-urlencode "request@$work/request" --data decision=allow "$action"
  fi
  answered 303 'the consent'
  header location >"$work/location"
  [[ $(<"$work/location") == "$(<"$work/redirect_uri")"[?\&]* ]] || broken 'the answer went to another redirect URI'
  [[ -z $(answer_parameter error) ]] || broken "the authorization was refused: $(answer_parameter error)"
  [[ $(answer_parameter state) == "$(<"$work/state")" ]] || broken 'the answer has another state'
  [[ $(percent_decoded "$(answer_parameter iss)") == "$(endpoint issuer)" ]] || broken 'the answer has another iss (RFC 9207)'
  answer_parameter code >"$work/code"
  [[ -s $work/code ]] || broken 'the answer has no code'
}

answer_parameter() { sed -n "s/.*[?&]$1=\([^&#]*\).*/\1/p" "$work/location" | tr -d '\n'; }

# as_client ENDPOINT CURL-ARGUMENT…: with the client's authentication (RFC 6749 §2.3.1: form-encoded).
as_client() {
  local url
  url=$(endpoint "$1")
  shift
  if [[ -s $work/client_secret ]]; then
    printf 'user = "%s:%s"\n' "$(uri_encoded "$work/client_id")" "$(uri_encoded "$work/client_secret")" >"$work/authentication"
    browse --config "$work/authentication" "$@" "$url"
  else
    browse --data-urlencode "client_id@$work/client_id" "$@" "$url"
  fi
}

# take_token NAME: the field of the answer into the file of that name.
take_token() {
  { json ".$1 | strings" || true; } | tr -d '\n' >"$work/$1"
  [[ -s $work/$1 ]] || broken "the answer has no $1"
}

take_tokens() {
  answered 200 "$1"
  [[ $(json .token_type) == Bearer ]] || broken "$1: the token is no Bearer token"
  [[ $(header cache-control) == *no-store* ]] || broken "$1: the answer may be cached"
  take_token access_token
}

redeem_code() {
  as_client token_endpoint --data grant_type=authorization_code --data-urlencode "code@$work/code" \
    --data-urlencode "redirect_uri@$work/redirect_uri" --data-urlencode "code_verifier@$work/verifier"
  take_tokens 'the code exchange'
  take_token refresh_token
}

refresh() {
  as_client token_endpoint --data grant_type=refresh_token --data-urlencode "refresh_token@$work/refresh_token"
  take_tokens 'the refresh'
  take_token refresh_token
}

client_credentials() {
  as_client token_endpoint --data grant_type=client_credentials --data-urlencode "scope@$work/scope"
  take_tokens 'client_credentials'
}

# revoke FILE
revoke() {
  as_client revocation_endpoint --data-urlencode "token@$work/$1"
  answered 200 'the revocation'
}

# is_active FILE true|false
is_active() {
  as_client introspection_endpoint --data-urlencode "token@$work/$1"
  answered 200 'the introspection'
  [[ $(jq -r .active "$work/body" 2>/dev/null) == "$2" ]] || broken "introspection of the $1: active is not $2"
}

# The person ends the access of the first application on the account page, which also forgets the consent.
end_access() {
  browse "$base_url/account"
  answered 200 'the account page'
  form_value csrf_token
  form_action
  sed -n '/name="action" value="revoke"/ { n; s/.*name="id" value="\([^"]*\)".*/\1/p }' "$work/body" | head -n 1 | tr -d '\n' >"$work/id"
  [[ -s $work/id ]] || broken 'the account page shows no application with access'
  browse --data-urlencode "csrf_token@$work/csrf_token" --data action=revoke --data-urlencode "id@$work/id" "$action"
  answered 303 'ending the access'
}

log_out() {
  browse "$base_url/logout"
  form_value csrf_token
  form_action
  browse --data-urlencode "csrf_token@$work/csrf_token" "$action"
  answered 200 'the logout'
}
