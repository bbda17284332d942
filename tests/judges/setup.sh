#!/bin/sh
# Installs the outside judges into target/judges, with what Debian lacks for it. Quick when it was done before.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
judges=$here/../../target/judges
wanted=$here/requirements.txt

mkdir -p "$judges"
# Tests may start at the same time: one installs, the others wait.
exec 9>"$judges/.lock"
flock 9
if cmp -s "$wanted" "$judges/installed.txt" && "$judges/venv/bin/python" -c 'import jwcrypto, opentelemetry.proto' 2>/dev/null; then
    exit 0
fi

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    as_root=
    [ "$(id -u)" -eq 0 ] || as_root=sudo
    $as_root apt-get update -q
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends python3 python3-venv
fi
rm -rf "$judges/venv" "$judges/installed.txt"
python3 -m venv "$judges/venv"
# Wheels only: a judge that must be built is no judge that installs everywhere.
"$judges/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$wanted"
cp "$wanted" "$judges/installed.txt"
