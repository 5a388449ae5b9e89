#!/usr/bin/env bash
# What needs a machine of its own, which check.sh makes by namespaces: a file system that is read-only but for one
# directory, a user without rights, and several networks of IPv6. Nothing listens behind nginx: 502 is what passes.
set -euo pipefail

scratch=${1:?usage: exercise.sh DIRECTORY (by check.sh)}
[ "$(ip -o link | wc -l)" -eq 1 ] || {
  echo 'exercise.sh: this network has interfaces: it is no namespace of our own' >&2
  exit 1
}
fail() {
  printf 'exercise.sh: %s\n' "$*" >&2
  exit 1
}

ip link set lo up
for address in 2001:db8:0:1::1 2001:db8:0:1::2 2001:db8:0:2::1; do ip address add "$address/128" dev lo nodad; done
chmod 644 "$scratch/key.pem"
mount -t tmpfs -o mode=777 tmpfs "$scratch/state"
# / and whatever is mounted below it, but for that.
findmnt --list --noheadings --output TARGET | while IFS= read -r target; do
  case $target in "$scratch/state" | /proc | /proc/* | /dev | /dev/* | /sys | /sys/*) continue ;; esac
  mount -o remount,bind,ro "$target" 2>/dev/null || true
done
if touch "$scratch/written" 2>/dev/null; then fail 'the file system is not read-only'; fi

nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs "$@"; }
nobody nginx -e "$scratch/state/error.log" -c "$scratch/nginx.conf" 2>"$scratch/state/said" || fail "$(cat "$scratch/state/said")"
trap 'kill "$(cat "$scratch/state/pid")"' EXIT

# status SOURCE PATH: the status and protocol of an answer.
status() {
  curl --silent --output /dev/null --write-out '%{http_code} %{http_version}' --interface "$1" --cacert "$scratch/certificate.pem" \
    --resolve 'auth.example.com:18443:[2001:db8:0:1::1]' "https://auth.example.com:18443$2"
}
expect() {
  local answer
  answer=$(status "$1" "$2")
  [ "$answer" = "$3" ] || fail "$2 from $1: $answer, not $3; $(cat "$scratch/state/error.log")"
}

expect 2001:db8:0:1::1 /login '502 2'
expect 2001:db8:0:1::2 /login '502 2'
expect 2001:db8:0:1::2 /login '429 2'
expect 2001:db8:0:1::1 /login '429 2'
expect 2001:db8:0:2::1 /login '502 2'
echo '  the addresses of a /64 share a limit, another /64 has its own'
dd if=/dev/zero bs=1k count=1000 status=none | curl --silent --output /dev/null --data-binary @- --cacert "$scratch/certificate.pem" \
  --resolve 'auth.example.com:18443:[2001:db8:0:1::1]' https://auth.example.com:18443/auth/revoke
[ -z "$(find "$scratch/state" -path '*/body/*' -type f)" ] || fail 'a body was written to disk'
[ "$(stat --format %u "$scratch/state/pid")" -eq 65534 ] || fail 'it does not run as nobody'
if grep -E '\[(alert|crit|emerg)\]' "$scratch/state/error.log"; then fail 'nginx complains'; fi
echo '  it runs as nobody, and writes nowhere else'
