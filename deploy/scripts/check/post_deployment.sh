#!/usr/bin/env bash
# post_deployment_tests.sh against a real server behind a real nginx with TLS: it passes when all is well, and fails, by
# the right check, for each thing that is broken.
# shellcheck source=deploy/scripts/check/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tests=$scripts/post_deployment_tests.sh
port=$(free_port) backend=$(free_port)
export ISSUER_URL=https://localhost:$port BASE_URL=https://localhost:$port CA_FILE=$here_dir/good.pem TRUSTED_PROXIES=127.0.0.1

# make_certificate NAME HOST DAYS
make_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "$3" -subj "/CN=$2" -addext "subjectAltName=DNS:$2" \
    -keyout "$here_dir/$1.key" -out "$here_dir/$1.pem" 2>/dev/null
}

# configure [DIRECTIVES-OF-THE-SERVER]: $certificate and $protocols may be set for it.
configure() {
  cat >"$here_dir/nginx.conf" <<END
daemon off;
pid $here_dir/nginx.pid;
error_log $here_dir/nginx.log;
worker_processes 1;
events {}
http {
  access_log off;
  client_body_temp_path $here_dir; proxy_temp_path $here_dir; fastcgi_temp_path $here_dir; uwsgi_temp_path $here_dir; scgi_temp_path $here_dir;
  server {
    listen 127.0.0.1:$port ssl;
    ssl_certificate $here_dir/${certificate:-good}.pem;
    ssl_certificate_key $here_dir/${certificate:-good}.key;
    ssl_protocols ${protocols:-TLSv1.2 TLSv1.3};
    ssl_ciphers ALL:@SECLEVEL=0;
    default_type application/json;
    proxy_set_header Host \$http_host;
    proxy_set_header X-Forwarded-For \$remote_addr;
    location / { proxy_pass http://127.0.0.1:$backend; }
    $*
  }
}
END
}

nginx_pid=
stop_nginx() {
  [[ -z $nginx_pid ]] || { kill "$nginx_pid" && wait "$nginx_pid"; } 2>/dev/null || true
  nginx_pid=
}

serve() {
  stop_nginx
  configure "$@"
  nginx -c "$here_dir/nginx.conf" -e "$here_dir/nginx.log" &
  nginx_pid=$!
  background+=("$nginx_pid")
  answers "$BASE_URL/.well-known/nothing" 404 --insecure || { cat "$here_dir/nginx.log" && wrong 'nginx does not start'; }
}

# fails CHECK REASON: that check, for that reason, and no check that has nothing to do with it.
fails() {
  local code=0
  "$tests" >"$here_dir/said" 2>&1 || code=$?
  ((code == 1)) || { cat "$here_dir/said" && wrong "'$1' should have failed, but the exit code is $code"; }
  grep --quiet "^FAILED   $1: .*$2" "$here_dir/said" || { cat "$here_dir/said" && wrong "'$1' should have failed with '$2'"; }
  note "$(grep "^FAILED   $1: " "$here_dir/said")"
}

# broken_by CHECK REASON DIRECTIVES
broken_by() {
  serve "$3"
  fails "$1" "$2"
}

new_database post_deployment
make_user probe
make_client probe --type confidential "${all_grants[@]}"
make_certificate good localhost 90
make_certificate stranger localhost 90
make_certificate other_name elsewhere.example 90
make_certificate ending localhost 3
start_authly "$backend"
serve

ends 0 'without a test account' "$tests"
grep --quiet '^skipped  OAuth flow' "$here_dir/said" || wrong 'it does not say that the flow was left out'
ends 1 'without a test account, though it is required' "$tests" --require-flow

TEST_PASSWORD_FILE=$here_dir/password
printf '%s\n' "$password" >"$TEST_PASSWORD_FILE"
export TEST_USERNAME=probe@example.com TEST_PASSWORD_FILE TEST_CLIENT_ID_FILE=$here_dir/probe/client_id TEST_CLIENT_SECRET_FILE=$here_dir/probe/client_secret
ends 0 'with everything' "$tests" --require-flow
[[ $(grep --count '^ok ' "$here_dir/said") == 19 && $(grep --count '^skipped' "$here_dir/said") == 0 ]] || wrong "not all was run: $(cat "$here_dir/said")"
[[ $(admin_sql --command 'SELECT count(*) FROM sessions') == 0 ]] || wrong 'the test left a session'
[[ $(admin_sql --command 'SELECT count(*) FROM grants WHERE revoked_at IS NULL') == 0 ]] || wrong 'the test left a grant'
# From here on it need not ask the database itself, which takes time.
database_url=$DATABASE_URL
unset DATABASE_URL
ends 2 'half of a test account' env -u TEST_PASSWORD_FILE "$tests"
BASE_URL=localhost ends 2 'no URL' "$tests"

[[ $(admin_sql --command 'SELECT count(*) FROM consents') == 0 ]] || wrong 'the test left a consent'

# The flow, each step broken alone. Strangers are answered as they should be.
stranger="if (\$http_authorization = '') { return 401 '{\"error\":\"invalid_client\"}'; }"
TEST_CLIENT_SECRET=wrong fails 'client_credentials' 'invalid_client'
TEST_PASSWORD=wrong fails 'login' 'the password is wrong'
TEST_REDIRECT_URI=https://elsewhere.example/ fails 'login' '400'
TEST_SCOPE=admin:system:write fails 'client_credentials' 'invalid_scope'
broken_by 'login' 'no field' 'location = /login { default_type text/html; return 200 "<form>"; }'
# What fails half-way leaves a consent, with which nobody is asked again.
ask_again() { admin_sql --command 'DELETE FROM consents'; }
ask_again
broken_by 'consent, and a code' 'another redirect URI' 'location = /consent { return 303 https://attacker.example/?code=x; }'
broken_by 'consent, and a code' 'another state' 'location = /consent { return 303 http://127.0.0.1/callback?code=x&state=x; }'
broken_by 'user information' 'speaks for nobody' "location = /api/v1/users/me { $stranger return 200 '{}'; }"
broken_by 'introspection' 'active is not false' "location = /auth/introspect { $stranger return 200 '{\"active\":true}'; }"
broken_by 'revocation' 'active is not false' "location = /auth/revoke { $stranger return 200; }"
broken_by 'code exchange with PKCE' 'may be cached' 'location = /auth/token { proxy_hide_header Cache-Control; proxy_pass http://127.0.0.1:'"$backend"'; }'
broken_by 'end of access by the person' '404' 'location = /account { return 404; }'
broken_by 'log out' 'no field' 'location = /logout { default_type text/html; return 200 "<form>"; }'

# The rest does not need the account.
unset TEST_USERNAME TEST_PASSWORD_FILE TEST_CLIENT_ID_FILE TEST_CLIENT_SECRET_FILE
broken_by 'health' '502' 'location = /health { return 502; }'
broken_by 'health' 'unavailable' 'location = /health { return 200 "{\"status\":\"unavailable\"}"; }'
broken_by 'database' 'unreachable' 'location = /health { return 200 "{\"status\":\"ok\",\"database\":\"unreachable\"}"; }'
broken_by 'metadata' 'the issuer is' 'location = /.well-known/oauth-authorization-server { return 200 "{\"issuer\":\"https://elsewhere.example\"}"; }'
broken_by 'metadata' '404' 'location = /.well-known/oauth-authorization-server { return 404; }'
broken_by 'signing keys' 'no signing key' 'location = /.well-known/jwks.json { return 200 "{\"keys\":[]}"; }'
broken_by 'signing keys' 'PRIVATE' 'location = /.well-known/jwks.json { return 200 "{\"keys\":[{\"kid\":\"a\",\"kty\":\"EC\",\"d\":\"x\"}]}"; }'
broken_by 'authorization endpoint' '302' 'location = /authorize { return 302 https://attacker.example/; }'
broken_by 'authorization endpoint' 'can be framed' 'proxy_hide_header Content-Security-Policy;'
broken_by 'strangers are refused' '/auth/introspect' 'location = /auth/introspect { return 200 "{\"active\":true}"; }'
broken_by 'private paths' '200 to the world' 'location = /metrics { return 200; }'
broken_by 'strict transport security' 'no Strict-Transport-Security' 'proxy_hide_header Strict-Transport-Security;'
protocols='TLSv1.1 TLSv1.2' broken_by 'TLS certificate' 'still speaks tls1_1' ''
certificate=ending CA_FILE=$here_dir/ending.pem broken_by 'TLS certificate' 'ends soon' ''
certificate=other_name CA_FILE=$here_dir/other_name.pem broken_by 'TLS certificate' 'hostname mismatch' ''
certificate=stranger broken_by 'TLS certificate' 'self-signed' ''
serve
DATABASE_URL=${database_url%/*}/nowhere fails 'database' 'authly-admin status'
stop_background
fails 'health' 'connect'
nothing_is_left
