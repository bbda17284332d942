#!/bin/sh
# What the gateway is built from, as a software bill of materials (CycloneDX 1.5, JSON): deploy/sbom.sh [FILE]
# Only what ends up in the product: no test or build tools. The tool itself is built once.
set -eu
here=$(pwd)
cd "$(dirname "$0")/.."
out=${1:-target/ketenpoort.cdx.json}
[ -z "${1:-}" ] || case $out in /*) ;; *) out=$here/$out ;; esac
tool=target/tools/bin/cargo-cyclonedx
if command -v cargo-cyclonedx >/dev/null; then
    tool=$(command -v cargo-cyclonedx)
elif [ ! -x "$tool" ]; then
    cargo install --locked --quiet --version 0.5.9 --root target/tools cargo-cyclonedx
fi
# It writes beside Cargo.toml and nowhere else.
name=.sbom-$$
trap 'rm -f "$name.json"' EXIT
"$tool" cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps \
    --target x86_64-unknown-linux-gnu --override-filename "$name"
mkdir -p "$(dirname "$out")"
# Where it was built is nobody's business.
sed "s|file://$PWD|file:///ketenpoort|g" "$name.json" >"$out"
echo "$out"
