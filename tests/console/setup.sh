#!/bin/sh
# What the browser's steps need: Node.js and Chromium of the distribution, and two packages for which the lock file
# has checksums. Prints the folder that they are in.
set -eu
cd "$(dirname "$0")"
. ../../deploy/install.sh
need_node
need_chromium
folder="${CARGO_TARGET_DIR:-../../target}/console-tests"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"
if ! cmp -s package-lock.json "$folder/installed"; then
    cp package.json package-lock.json "$folder/"
    (cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts >&2)
    cp package-lock.json "$folder/installed"
fi
echo "$folder"
