#!/bin/sh
# A PostgreSQL server for the tests, without touching one that is there for something else.
#
#   deploy/postgres.sh start     starts it if need be; the last line of stdout is the URL of an empty database
#   deploy/postgres.sh restart   stops it at once, as a power cut would, and starts it again
#   deploy/postgres.sh status|stop
#
# A server that is there already is used: the one in KETENPOORT_POSTGRES, or our own. Only our own is ever started or
# stopped. Where this runs as root, that runs as the user postgres. Settings, all optional:
#   KETENPOORT_POSTGRES       URL of a database to use instead; its user may make schemas in it
#   KETENPOORT_POSTGRES_PORT  of our own server (5442); with another port it is another server
#   KETENPOORT_POSTGRES_HOME  where our own server keeps its things (target/postgres)
set -eu
cd "$(dirname "$0")/.."
. deploy/install.sh

port=${KETENPOORT_POSTGRES_PORT:-5442}
home=${KETENPOORT_POSTGRES_HOME:-$PWD/target/postgres}
[ "$port" = 5442 ] || home=$home-$port
# For this machine alone, and for nothing that is worth anything; in clear, as SCRAM takes long where nothing is optimised.
password=ketenpoort

say() { echo "postgres: $*" >&2; }
fail() { say "$@"; exit 1; }

# The newest of the distribution's own programs.
bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }

# The server refuses to run as root.
own() {
    command=$1; shift
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$(bin)/$command" "$@"; else "$(bin)/$command" "$@"; fi
}

url() { echo "postgres://ketenpoort:$password@127.0.0.1:$port/ketenpoort?sslmode=disable"; }
answers() { [ -n "$(bin)" ] && "$(bin)/pg_isready" -q -h 127.0.0.1 -p "$port"; }

install() {
    [ -n "$(bin)" ] && return
    command -v apt-get >/dev/null || fail "install postgresql (14 or later), or set KETENPOORT_POSTGRES"
    say "installing postgresql"
    # The package may start a server of its own; it does no harm here.
    install_packages postgresql
}

make() {
    mkdir -p "$home"
    [ "$(id -u)" != 0 ] || chown postgres "$home"
    echo "$password" >"$home/password"
    own initdb -D "$home/data" -U ketenpoort --auth=password --pwfile="$home/password" -E UTF8 --locale=C >"$home/log" 2>&1 ||
        fail "it cannot be made; see $home/log"
    cat >>"$home/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = ''
max_connections = 400
END
}

go() {
    own pg_ctl -D "$home/data" -l "$home/data/server.log" -w "$@" >/dev/null || fail "it does not answer; see $home/data/server.log"
}

start() {
    if [ -n "${KETENPOORT_POSTGRES:-}" ]; then echo "$KETENPOORT_POSTGRES"; return; fi
    mkdir -p "$home"
    # Two that start at once wait for each other.
    exec 9>"$home/lock"; flock 9
    if ! answers; then
        install
        [ -e "$home/data/PG_VERSION" ] || make
        say "starting on port $port in $home"
        go start 9>&-
    fi
    export PGPASSWORD=$password
    has() { "$(bin)/psql" -h 127.0.0.1 -p "$port" -U ketenpoort -d postgres -Atqc "$1"; }
    [ "$(has "SELECT 1 FROM pg_database WHERE datname = 'ketenpoort'")" = 1 ] || has "CREATE DATABASE ketenpoort"
    url
}

case ${1:-} in
    start) start ;;
    restart) go restart -m immediate; url ;;
    stop) if answers; then go stop -m fast; say stopped; else say "our own server does not run"; fi ;;
    status)
        if [ -n "${KETENPOORT_POSTGRES:-}" ]; then echo "$KETENPOORT_POSTGRES"; elif answers; then url; else fail "there is none"; fi ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 64 ;;
esac
