# Sourced by the scripts: installs Debian packages that are missing, as root or through sudo.

install_packages() {
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

need_compiler() {
    command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.94 or later first" >&2; exit 1; }
    command -v cc >/dev/null || install_packages build-essential
}

# Knows TLS that is too old for us, for the tests.
need_openssl() {
    command -v openssl >/dev/null || install_packages openssl
}

# What proves the policies; CVC5 names another one than that of Debian.
need_solver() {
    command -v "${CVC5:-cvc5}" >/dev/null || install_packages cvc5
}

# For the tests of the console.
need_node() {
    command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
}

need_chromium() {
    [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || install_packages chromium
}

# A clock that can jump, for the tests; says where it is.
need_faketime() {
    set -- /usr/lib/*/faketime/libfaketimeMT.so.1
    [ -e "$1" ] || install_packages libfaketime
    set -- /usr/lib/*/faketime/libfaketimeMT.so.1
    echo "$1"
}

# What checks alert rules, compose file, manifests and unit.
need_deploy_tools() {
    missing=""
    command -v promtool >/dev/null || missing="$missing prometheus"
    command -v docker-compose >/dev/null || missing="$missing docker-compose"
    command -v yamllint >/dev/null || missing="$missing yamllint"
    command -v systemd-analyze >/dev/null || missing="$missing systemd"
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3 python3-venv"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || install_packages $missing
}
