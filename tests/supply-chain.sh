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
# Advisories need a database from the network: `cargo deny check advisories` where it can be reached.
"$tool" --all-features --locked check --hide-inclusion-graph bans licenses sources
