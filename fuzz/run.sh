#!/bin/sh
# Fuzzes every target, or the one that is named, for SECONDS each: fuzz/run.sh [SECONDS [TARGET]]
# Needs a nightly toolchain (rustup toolchain install nightly); cargo-fuzz is built once. What it finds lies in
# fuzz/artifacts: fix it, and put the input into fuzz/kept/TARGET, where the ordinary tests hold it for good.
set -eu
cd "$(dirname "$0")/.."
export PATH="$PWD/target/tools/bin:$PATH"
command -v cargo-fuzz >/dev/null ||
    cargo install --locked --quiet --version 0.13.2 --root target/tools cargo-fuzz
# The very versions that the product is built with.
cp Cargo.lock fuzz/Cargo.lock
seconds=${1:-60}
targets=${2:-envelope json mapping receipt signature xml}
cargo +nightly fuzz build
cargo +nightly run --quiet --manifest-path fuzz/Cargo.toml --target-dir fuzz/target --example seeds -- fuzz/corpus
for target in $targets; do
    echo "== $target: $seconds seconds"
    mkdir -p "fuzz/kept/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/kept/$target" -- \
        -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
