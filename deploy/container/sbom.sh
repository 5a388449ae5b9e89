#!/bin/sh
# Prints what the programs in the image are made of. See usage below.
set -eu
cd "$(dirname "$0")/../.."

usage() {
    cat <<'USAGE'
usage: sbom.sh [TARGET]

Prints a software bill of materials (CycloneDX 1.5, JSON) of `authly` and `authly-admin` as they are built for TARGET (this
machine's by default): every crate that is compiled in or takes part in the build, from Cargo.lock, with its licence and the
checksum of its source. The same sources give the same document. Needs cargo and jq.
USAGE
}

case ${1:-} in
    -h | --help)
        usage
        exit 0
        ;;
    -*)
        usage >&2
        exit 2
        ;;
esac
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cargo metadata --format-version 1 --locked --filter-platform "$target" >"$scratch/metadata"
# What is built: metadata has the features of the whole workspace, and so more crates. name@version, a line each.
cargo tree --locked --package authly --package authly-admin --target "$target" --edges normal,build --prefix none \
    --format '{p}' | awk 'NF { sub(/^v/, "", $2); print $1 "@" $2 }' | sort -u >"$scratch/built"
# name@version sha256, a line each.
awk -F '"' '/^name = / { name = $2 } /^version = / { version = $2 } /^checksum = / { print name "@" version, $2 }' \
    Cargo.lock >"$scratch/checksums"
jq --sort-keys --rawfile built "$scratch/built" --rawfile checksums "$scratch/checksums" --arg target "$target" \
    --from-file deploy/container/sbom.jq "$scratch/metadata"
