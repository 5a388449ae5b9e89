#!/usr/bin/env bash
# Sets up ufw for the machines of an Authly deployment. See usage below.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: configure_firewall.sh [--dry-run] [--reset]

Lets in what Authly's machines need, refuses the rest, and enables ufw. It may be run again at any time: rules that are
there already stay as they are, and of its own rules (their comments begin with "authly") it removes those that the
variables no longer ask for. Other rules are left alone. ssh is let in before anything is refused.

  --dry-run  prints the commands that would change something, and changes nothing
  --reset    first removes every rule of this machine, whoever made it

environment; ports and networks are lists separated by spaces, and an empty one means no such rule:
  SSH_PORTS             (22, and that of the session that this runs in)
  SSH_NETWORKS          who opens ssh sessions (any)
  WEB_PORTS             open to the world (80 443)
  PROXY_NETWORKS        who reaches Authly itself: nginx on other machines ()
  APPLICATION_NETWORKS  Authly's machines, who reach Postgres and Redis (10.0.1.0/24)
  MONITORING_NETWORKS   who reaches Prometheus and Grafana, and Authly for its metrics (10.0.2.0/24)
  AUTHLY_PORT           (8000)
  DATABASE_PORTS        (5432 6379)
  MONITORING_PORTS      (9090 3000)
USAGE
}

fail() {
  printf 'configure_firewall.sh: %s\n' "$*" >&2
  exit 1
}

dry_run=false
reset=false
for argument in "$@"; do
  case $argument in
    --dry-run) dry_run=true ;;
    --reset) reset=true ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
done

PATH=$PATH:/usr/sbin:/sbin
command -v ufw >/dev/null || fail 'ufw is not installed (Debian: ufw)'
[ "$(id -u)" -eq 0 ] || fail 'only root may look at the firewall, with --dry-run too'

# Address and port of the client, and of this machine.
read -r session_client _ _ session_port <<<"${SSH_CONNECTION:-- - - -}"
read -r -a ssh_ports <<<"${SSH_PORTS-22}"
read -r -a ssh_networks <<<"${SSH_NETWORKS-any}"
read -r -a web_ports <<<"${WEB_PORTS-80 443}"
read -r -a proxies <<<"${PROXY_NETWORKS-}"
read -r -a applications <<<"${APPLICATION_NETWORKS-10.0.1.0/24}"
read -r -a monitoring <<<"${MONITORING_NETWORKS-10.0.2.0/24}"
read -r -a authly_port <<<"${AUTHLY_PORT-8000}"
read -r -a database_ports <<<"${DATABASE_PORTS-5432 6379}"
read -r -a monitoring_ports <<<"${MONITORING_PORTS-9090 3000}"
if [ "$session_port" != - ] && [[ " ${ssh_ports[*]} " != *" $session_port "* ]]; then
  ssh_ports+=("$session_port")
fi
((${#ssh_ports[@]} > 0 && ${#ssh_networks[@]} > 0)) || fail 'SSH_PORTS and SSH_NETWORKS must not be empty'

# Every value is checked before the first command. ufw is written in Python, so that is there.
python3 - "$session_client" "${ssh_networks[*]}" "${proxies[*]} ${applications[*]} ${monitoring[*]}" \
  "${ssh_ports[*]} ${web_ports[*]} ${authly_port[*]} ${database_ports[*]} ${monitoring_ports[*]}" <<'PYTHON' || exit 1
import ipaddress, sys
def fail(message):
    sys.exit(f"configure_firewall.sh: {message}")
def network(text):
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        fail(f"not a network: {error}")
client, ssh, others, ports = sys.argv[1:]
for port in ports.split():
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        fail(f"not a port: {port}")
for text in others.split():
    network(text)
ssh = [network(text) for text in ssh.replace("any", "0.0.0.0/0 ::/0").split()]
if client != "-" and not any(ipaddress.ip_address(client) in network for network in ssh):
    fail(f"SSH_NETWORKS would lock out this session, which comes from {client}")
PYTHON

# The rules, as `ufw show added` writes them.
rules=()
# rule NAME NETWORK PORT
rule() {
  if [ "$2" = any ]; then
    rules+=("allow $3/tcp comment 'authly: $1'")
  else
    rules+=("allow from $2 to any port $3 proto tcp comment 'authly: $1'")
  fi
}
for port in "${ssh_ports[@]}"; do
  for network in "${ssh_networks[@]}"; do rule ssh "$network" "$port"; done
done
for port in "${web_ports[@]}"; do rule web any "$port"; done
for port in "${authly_port[@]}"; do
  for network in "${proxies[@]}"; do rule proxy "$network" "$port"; done
  for network in "${monitoring[@]}"; do rule metrics "$network" "$port"; done
done
for port in "${database_ports[@]}"; do
  for network in "${applications[@]}"; do rule database "$network" "$port"; done
done
for port in "${monitoring_ports[@]}"; do
  for network in "${monitoring[@]}"; do rule monitoring "$network" "$port"; done
done

# change ARGUMENT…: runs ufw, or says so.
change() {
  if $dry_run; then
    printf 'ufw'
    printf ' %q' "$@"
    printf '\n'
  else
    ufw "$@"
  fi
}

# change_rule VERB RULE: the same for a rule as it is written above.
change_rule() {
  local verb=() words
  [ "$1" = add ] || verb=("$1")
  read -r -a words <<<"${2%% comment *}"
  if [ "$1" = add ]; then
    words+=(comment "$(cut -d "'" -f 2 <<<"$2")")
  fi
  change "${verb[@]}" "${words[@]}"
}

# added: the rules that there are, without the word ufw before them.
added() { ufw show added | sed -n 's/^ufw //p'; }

# Not piped into grep: one that has found its line ends, printf is told so, and the rule would count as not wanted.
wanted=$(printf '%s\n' "${rules[@]}")
existing=$(added)
if $reset; then
  change --force reset
  existing=
fi
for rule in "${rules[@]}"; do
  grep -Fqx -- "$rule" <<<"$existing" || change_rule add "$rule"
done
if ! $dry_run; then
  # Whatever ufw made of it: without a way in, nothing is refused.
  existing=$(added)
  for rule in "${rules[@]}"; do
    [[ $rule != *"'authly: ssh'" ]] || grep -Fqx -- "$rule" <<<"$existing" || fail "ufw did not add: $rule"
  done
fi
while IFS= read -r rule; do
  [[ $rule == *" comment 'authly: "* ]] || continue
  grep -Fqx -- "$rule" <<<"$wanted" || change_rule delete "$rule"
done <<<"$existing"

status=$(ufw status verbose)
if [[ $status != *'Default: deny (incoming), allow (outgoing)'* ]]; then
  change default deny incoming
  change default allow outgoing
fi
[[ $status == 'Status: active'* ]] || change --force enable
$dry_run || ufw status verbose
