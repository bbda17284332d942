#!/bin/sh
# Licences, sources and banned crates of everything that is built in; the tool itself is built once.
set -eu
cd "$(dirname "$0")/.."
tool=target/tools/bin/cargo-deny
if command -v cargo-deny >/dev/null; then
    tool=$(command -v cargo-deny)
elif [ ! -x "$tool" ]; then
    cargo install --locked --quiet --version 0.20.2 --root target/tools cargo-deny
fi
"$tool" --all-features --locked check --hide-inclusion-graph bans licenses sources

# Known weaknesses are listed in a database on the network. Where it cannot be reached that is said, not passed over:
# ADVISORIES=required makes it a failure, as a release should.
if why=$(timeout 120 "$tool" --locked fetch db 2>&1); then
    "$tool" --all-features --locked check --hide-inclusion-graph --disable-fetch advisories
else
    printf '%s\n' "$why" | tail -n 3 >&2
    echo "advisories NOT CHECKED: the database of known weaknesses cannot be reached from here" >&2
    [ "${ADVISORIES:-}" != required ]
fi
