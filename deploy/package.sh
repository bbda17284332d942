#!/bin/sh
# A Debian package of the gateway: deploy/package.sh [--no-build]; the last line of stdout is its path.
# --no-build takes target/release/ketenpoort as it is. The tool itself is built once.
set -eu
cd "$(dirname "$0")/.."
. deploy/install.sh
need_compiler
tool=target/tools/bin/cargo-deb
if command -v cargo-deb >/dev/null; then
    tool=$(command -v cargo-deb)
elif [ ! -x "$tool" ]; then
    cargo install --locked --quiet --version 3.6.0 --root target/tools cargo-deb
fi
case ${1:-} in
    --no-build) ;;
    '') cargo build --release --locked --bin ketenpoort ;;
    *) sed -n '2,3s/^# //p' "$0" >&2; exit 64 ;;
esac
mkdir -p target/debian
target/release/ketenpoort completions bash >target/debian/ketenpoort.bash-completion
"$tool" deb --no-build --locked --strip --output target/debian
