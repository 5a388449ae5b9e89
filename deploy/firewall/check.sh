#!/usr/bin/env bash
# Checks the firewalls: syntax everywhere, and what they do where this machine lets us make a network of our own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/steps.sh
. tests/steps.sh

case ${1:-} in
  '') ;;
  -h | --help)
    echo 'usage: deploy/firewall/check.sh'
    exit
    ;;
  *)
    echo 'usage: deploy/firewall/check.sh' >&2
    exit 2
    ;;
esac
PATH=$PATH:/usr/sbin:/sbin

# What ufw writes is a copy there. The lock of iptables is the machine's, and need not be there at all.
in_namespaces() {
  # shellcheck disable=SC2016 # The inner shell's.
  unshare --net --mount --pid --fork --kill-child --mount-proc bash -euc '
    scratch=$(mktemp -d)
    mount -t tmpfs tmpfs "$scratch"
    for path in /etc/ufw /etc/default /var/lib/ufw /lib/ufw; do
      [ -d "$path" ] || continue
      mkdir -p "$scratch$path"
      cp -a "$path/." "$scratch$path"
      mount --bind "$scratch$path" "$path"
    done
    mount -t tmpfs tmpfs /run
    "$@"
  ' namespaces "$@"
}

has_namespaces() { in_namespaces true 2>/dev/null; }

step 'firewall: shellcheck' shellcheck --external-sources deploy/firewall/*.sh || true
step 'firewall: usage' deploy/firewall/configure_firewall.sh --help >/dev/null || true
if has_namespaces; then
  step 'firewall: nft -c' in_namespaces nft -c -f deploy/firewall/authly.nft || true
  if in_namespaces ufw status >/dev/null 2>&1; then
    step 'firewall: applied, tried, and applied again' in_namespaces deploy/firewall/exercise.sh in-namespaces || true
  else
    skipped 'firewall: applied, tried, and applied again' "ufw does not work here: $(in_namespaces ufw status 2>&1 | tail -n 1)"
  fi
else
  skipped 'firewall: everything but the scripts' 'this user may not make network and mount namespaces (root may)'
fi
finish 'deploy/firewall'
