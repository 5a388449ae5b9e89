#!/bin/sh
# Compiles what the image holds. See usage below.
set -eu
cd "$(dirname "$0")/../.."

usage() {
    cat <<'USAGE'
usage: build.sh [--zig] [amd64|arm64]

Compiles `authly` and `authly-admin` as static programs (musl) for an architecture, this machine's by default, and puts them into
target/image/ARCHITECTURE together with their bill of materials, as the Dockerfile takes them.

  --zig   compiles C with zig (PyPI: cargo-zigbuild, ziglang), for any architecture; otherwise musl-gcc does it (Debian:
          musl-tools), for this machine's own
USAGE
}

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

build=build
architecture=
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help)
            usage
            exit 0
            ;;
        --zig) build=zigbuild ;;
        amd64 | arm64) architecture=$1 ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    shift
done

case $(uname -m) in
    x86_64) own=amd64 ;;
    aarch64) own=arm64 ;;
    *) own=$(uname -m) ;;
esac
architecture=${architecture:-$own}
case $architecture in
    amd64) target=x86_64-unknown-linux-musl ;;
    arm64) target=aarch64-unknown-linux-musl ;;
    *) fail "there is no image for $architecture" ;;
esac
[ "$build" = zigbuild ] || [ "$architecture" = "$own" ] || fail "--zig is needed to compile for $architecture here"

[ -d "$(rustc --print target-libdir --target "$target")" ] || rustup target add "$target"
cargo "$build" --release --locked --target "$target" --package authly --package authly-admin

out=target/image/$architecture
rm -rf "$out"
mkdir -p "$out/bin" "$out/share"
mkdir -m 700 "$out/data"
cp "${CARGO_TARGET_DIR:-target}/$target/release/authly" "${CARGO_TARGET_DIR:-target}/$target/release/authly-admin" "$out/bin"
cp LICENSE "$out/share"
deploy/container/sbom.sh "$target" >"$out/share/sbom.cdx.json"
