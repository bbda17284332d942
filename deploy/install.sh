# Sourced by the scripts: installs Debian packages that are missing, as root or through sudo.

install_packages() {
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    $as_root apt-get update -qq >&2
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

need_compiler() {
    command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.92 or later first" >&2; exit 1; }
    command -v cc >/dev/null || install_packages build-essential
}

# What proves the policies; CVC5 names another one than that of Debian.
need_solver() {
    command -v "${CVC5:-cvc5}" >/dev/null || install_packages cvc5
}

# A clock that can jump, for the tests; says where it is.
need_faketime() {
    set -- /usr/lib/*/faketime/libfaketimeMT.so.1
    [ -e "$1" ] || install_packages libfaketime
    set -- /usr/lib/*/faketime/libfaketimeMT.so.1
    echo "$1"
}
