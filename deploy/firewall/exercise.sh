#!/usr/bin/env bash
# Applies the firewalls for real, on a network that exists for this alone: check.sh runs it in namespaces of its own, where
# ufw's files are copies. From addresses inside and outside it tries every port, and both firewalls must let in the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

[ "${1:-}" = in-namespaces ] || {
  echo 'usage: exercise.sh in-namespaces (by check.sh, which makes them)' >&2
  exit 2
}
[ "$(ip -o link | wc -l)" -eq 1 ] || {
  echo 'exercise.sh: this network has interfaces: it is no namespace of our own' >&2
  exit 1
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; kill $(jobs -p) 2>/dev/null || true' EXIT

ok() { printf '  %s\n' "$*"; }
fail() {
  printf 'exercise.sh: %s\n' "$*" >&2
  exit 1
}
same() { cmp -s "$scratch/$1" "$scratch/$2" || fail "$3: $(diff "$scratch/$1" "$scratch/$2" || true)"; }

# Another machine, with an address in each network that the rules know, and one that is nobody's.
unshare --net sleep infinity &
other=$!
until [ "$(readlink "/proc/$other/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
outside() { nsenter --target "$other" --net "$@"; }
ip link set lo up
ip link add inside type veth peer name outside netns "$other"
ip address add 10.0.0.1/8 dev inside
ip address add fd00::1/64 dev inside nodad
ip link set inside up
outside ip link set outside up
for address in 10.0.1.5/8 10.0.2.5/8 10.9.9.9/8; do outside ip address add "$address" dev outside; done
outside ip address add fd00::9/64 dev outside nodad

ports=(22 80 443 3000 5432 6379 8000 9090 12345)
python3 - "${ports[@]}" <<'PYTHON' &
import selectors, socket, sys
selector = selectors.DefaultSelector()
for port in sys.argv[1:]:
    selector.register(socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True), selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        key.fileobj.accept()[0].close()
PYTHON

# reachable: a line for each address from which anybody gets in: the address, and the ports. What is dropped is waited
# for, so all are tried at once.
reachable() {
  outside python3 - "${ports[@]}" <<'PYTHON'
import asyncio, sys
async def attempt(source, target, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(target, port, local_addr=(source, 0)), 1.5)
        writer.close()
        return port
    except (OSError, asyncio.TimeoutError):
        return None
async def main():
    pairs = [("10.0.1.5", "10.0.0.1"), ("10.0.2.5", "10.0.0.1"), ("10.9.9.9", "10.0.0.1"), ("fd00::9", "fd00::1")]
    ports = [int(port) for port in sys.argv[1:]]
    found = await asyncio.gather(*(attempt(*pair, port) for pair in pairs for port in ports))
    for index, (source, _) in enumerate(pairs):
        print(source, *filter(None, found[index * len(ports):(index + 1) * len(ports)]))
asyncio.run(main())
PYTHON
}

# ufw's state, without counters, and what the kernel makes of it.
ufw_state() {
  ufw status verbose
  ufw show added
  iptables-save | sed '/^#/d; s/\[[0-9:]*\]//'
  ip6tables-save | sed '/^#/d; s/\[[0-9:]*\]//'
}

for _ in $(seq 50); do
  reachable >"$scratch/open"
  if grep -qx "fd00::9 ${ports[*]}" "$scratch/open"; then break; fi
  sleep 0.1
done
[ "$(grep -c " ${ports[*]}$" "$scratch/open")" -eq 4 ] || fail "without a firewall, not all is open: $(cat "$scratch/open")"
ok 'without a firewall, everything is open'

cat >"$scratch/expected" <<'EXPECTED'
10.0.1.5 22 80 443 5432 6379
10.0.2.5 22 80 443 3000 8000 9090
10.9.9.9 22 80 443
fd00::9 22 80 443
EXPECTED

# ---- nftables
nft add table inet other
nft add chain inet other keep
nft -c -f authly.nft
nft -f authly.nft
nft list ruleset >"$scratch/nft-once"
nft -f authly.nft
nft list ruleset >"$scratch/nft-twice"
same nft-once nft-twice 'applied twice, nft has another ruleset'
grep -q 'table inet other' "$scratch/nft-twice" || fail 'the table of somebody else is gone'
reachable >"$scratch/nft"
same expected nft 'authly.nft'
ok 'authly.nft: applied twice it is the same, other tables stay, and each address reaches what it should'
if nft -f <(sed 's/^define authly_port.*/define authly_port = nonsense/' authly.nft) 2>/dev/null; then
  fail 'nft takes nonsense for a port'
fi
nft list ruleset >"$scratch/nft-mistake"
same nft-twice nft-mistake 'a mistake changed the ruleset'
ok 'a mistake in it changes nothing'
nft flush ruleset

# ---- ufw
firewall=./configure_firewall.sh
ufw_state >"$scratch/ufw-before"
"$firewall" --dry-run >"$scratch/dry"
ufw_state >"$scratch/ufw-after-dry"
same ufw-before ufw-after-dry '--dry-run changed something'
grep -q '^ufw allow 22/tcp' "$scratch/dry" || fail "--dry-run does not say what it would do: $(cat "$scratch/dry")"
[ "$(grep -n '^ufw allow 22/tcp' "$scratch/dry" | cut -d : -f 1)" -eq 1 ] || fail 'ssh does not come first'
ok '--dry-run says what would be done, ssh first, and does nothing'

ufw allow 12345/tcp comment 'of somebody else' >/dev/null
"$firewall" >/dev/null
ufw_state >"$scratch/ufw-once"
"$firewall" >/dev/null
ufw_state >"$scratch/ufw-twice"
same ufw-once ufw-twice 'run twice, the ruleset is another'
[ -z "$("$firewall" --dry-run)" ] || fail "there is still something to do: $("$firewall" --dry-run)"
grep -q 'of somebody else' "$scratch/ufw-twice" || fail 'the rule of somebody else is gone'
ufw delete allow 12345/tcp >/dev/null
reachable >"$scratch/ufw"
same expected ufw 'configure_firewall.sh'
ok 'configure_firewall.sh: run twice it is the same, other rules stay, and each address reaches the same as with nft'

DATABASE_PORTS='' APPLICATION_NETWORKS='' PROXY_NETWORKS=10.0.1.0/24 "$firewall" >/dev/null
reachable >"$scratch/narrow"
sed 's/^10.0.1.5 .*/10.0.1.5 22 80 443 8000/' "$scratch/expected" >"$scratch/expected-narrow"
same expected-narrow narrow 'with other variables'
ok 'rules that the variables no longer ask for are gone'

# ---- ssh
if SSH_CONNECTION='10.9.9.9 5000 10.0.0.1 2222' SSH_NETWORKS=10.0.2.0/24 "$firewall" >/dev/null 2>"$scratch/refused"; then
  fail 'it locks out the session that it runs in'
fi
grep -q 'lock out this session' "$scratch/refused" || fail "$(cat "$scratch/refused")"
SSH_CONNECTION='10.0.2.5 5000 10.0.0.1 2222' SSH_NETWORKS=10.0.2.0/24 "$firewall" --dry-run >"$scratch/session"
grep -q 'port 2222' "$scratch/session" ||
  fail 'the port of the session that it runs in is not let in'
for bad in SSH_PORTS=0 SSH_PORTS= 'SSH_PORTS=22;x' SSH_NETWORKS=10.0.0.1/8 APPLICATION_NETWORKS=nonsense 'WEB_PORTS=80 -1'; do
  if env "$bad" "$firewall" --dry-run >/dev/null 2>&1; then fail "it takes $bad"; fi
done
ok 'it does not lock out its own session, and refuses values that are none'

"$firewall" --reset >/dev/null
reachable >"$scratch/reset"
same expected reset 'after --reset'
ok '--reset starts anew'
