#!/bin/sh
# Everything that must hold: format, lints, supply chain, tests. Installs what is missing, once.
set -eu
cd "$(dirname "$0")/.."
. deploy/install.sh
need_compiler
need_solver
need_openssl
echo "== format"; cargo fmt --check
echo "== lints"; cargo clippy --locked --all-targets --features prove -- -D warnings
echo "== supply chain"; tests/supply-chain.sh
echo "== broker"; deploy/broker.sh start >/dev/null
echo "== database"; deploy/postgres.sh start >/dev/null
echo "== tests"; cargo test --locked --features prove "$@"
echo "== deploy"; tests/deploy.sh
