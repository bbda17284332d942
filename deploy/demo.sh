#!/bin/sh
# Installs what is missing, builds, and runs the gateway on a broker with simulated partners. Ctrl-C ends it.
set -eu
cd "$(dirname "$0")/.."
. deploy/install.sh
need_compiler
cargo build --locked --bin ketenpoort
exec target/debug/ketenpoort demo "$@"
