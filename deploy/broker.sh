#!/bin/sh
# A RabbitMQ broker for the demo and the tests, without touching one that is there for something else.
#
#   deploy/broker.sh start         starts it if need be; the last line of stdout is the admin's amqp:// URL
#   deploy/broker.sh import FILE   imports RabbitMQ definitions
#   deploy/broker.sh ctl ARGS...   runs rabbitmqctl against it
#   deploy/broker.sh status|stop
#
# A broker that is there already is used: the one in KETENPOORT_AMQP, our own node, or the machine's own on port
# 5672. Only our own node is ever started or stopped. Settings, all optional:
#   KETENPOORT_AMQP         URL of the broker to use instead; its administration is then up to you,
#   KETENPOORT_RABBITMQCTL  unless this gives its node name, as in rabbit@broker1
#   KETENPOORT_BROKER_PORT  of our own node (5682); with another port it is this node that is meant, never the machine's
#   KETENPOORT_BROKER_HOME  where our own node keeps its things ($XDG_STATE_HOME/ketenpoort/broker)
#   KETENPOORT_BROKER_CONF  a file with more settings for a node that is made anew, and
#   KETENPOORT_BROKER_PLUGINS  plugins for it, with commas between them; both of our own node only
set -eu

port=${KETENPOORT_BROKER_PORT:-5682}
home=${KETENPOORT_BROKER_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/ketenpoort/broker}
name=ketenpoort
[ "$port" = 5682 ] || name=ketenpoort-$port home=$home-$port
# The scripts in sbin insist on root or the user rabbitmq; these run as anyone.
bin=/usr/lib/rabbitmq/bin

say() { echo "broker: $*" >&2; }
fail() { say "$@"; exit 1; }

# A node's files, name, ports and cookie are its own: nothing in /etc/rabbitmq or /var/lib/rabbitmq counts.
own() {
    command=$1; shift
    env HOME="$home" ERL_CRASH_DUMP="$home/erl_crash.dump" RABBITMQ_NODENAME="$name@localhost" RABBITMQ_DIST_PORT=$((port + 20000)) \
        RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$home/data" RABBITMQ_LOG_BASE="$home/log" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        "$bin/$command" "$@"
}

# Cheap questions first: a rabbitmqctl takes a second to say that there is no such node.
registered() { command -v epmd >/dev/null && epmd -names 2>/dev/null | grep -q "^name $1 at"; }
own_answers() { registered "$name" && own rabbitmqctl -q await_startup --timeout 60 >/dev/null 2>&1; }
machines_answers() {
    [ "$port" = 5682 ] && registered rabbit && rabbitmqctl -q authenticate_user guest guest >/dev/null 2>&1 &&
        rabbitmq-diagnostics -q check_port_listener 5672 >/dev/null 2>&1
}

which_broker() {
    if [ -n "${KETENPOORT_AMQP:-}" ]; then echo given
    elif own_answers; then echo own
    elif machines_answers; then echo machines
    else echo none; fi
}

url() {
    case $1 in
        given) echo "$KETENPOORT_AMQP" ;;
        own) echo "amqp://guest:guest@127.0.0.1:$port" ;;
        machines) echo "amqp://guest:guest@127.0.0.1:5672" ;;
    esac
}

ctl() {
    case $(which_broker) in
        given)
            [ -n "${KETENPOORT_RABBITMQCTL:-}" ] || fail "KETENPOORT_AMQP is somebody else's broker; run there: rabbitmqctl $*"
            rabbitmqctl -q -n "$KETENPOORT_RABBITMQCTL" "$@" ;;
        own) own rabbitmqctl -q "$@" ;;
        machines) rabbitmqctl -q "$@" ;;
        none) fail "there is no broker: start it first" ;;
    esac
}

install() {
    [ -x "$bin/rabbitmq-server" ] && return
    command -v apt-get >/dev/null || fail "install rabbitmq-server (3.10 or later), or set KETENPOORT_AMQP"
    say "installing rabbitmq-server"
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    # The package may start a service of its own; it does no harm here.
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends rabbitmq-server >&2 ||
        { $sudo apt-get update -q >&2 &&
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends rabbitmq-server >&2; }
}

start() {
    mkdir -p "$home"
    # Two that start at once wait for each other.
    exec 9>"$home/lock"; flock 9
    broker=$(which_broker)
    if [ "$broker" = none ]; then
        install
        mkdir -p "$home/log"
        echo "[${KETENPOORT_BROKER_PLUGINS:-}]." >"$home/enabled_plugins"
        cat >"$home/rabbitmq.conf" <<END
listeners.tcp.1 = 127.0.0.1:$port
log.file.level = warning
disk_free_limit.absolute = 200MB
END
        [ -z "${KETENPOORT_BROKER_CONF:-}" ] || cat "$KETENPOORT_BROKER_CONF" >>"$home/rabbitmq.conf"
        say "starting $name@localhost in $home"
        # A queue holds a file or two open; the usual 1024 are too few for every partner's queues.
        ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
        epmd -daemon
        own rabbitmq-server -detached </dev/null >"$home/log/start" 2>&1 9>&-
        tries=60
        until own_answers; do
            tries=$((tries - 1))
            [ $tries -gt 0 ] || fail "it does not answer; see $home/log"
            sleep 0.5
        done
        broker=own
    fi
    say "using the $broker broker"
    url "$broker"
}

case ${1:-} in
    start) start ;;
    stop) if registered "$name"; then own rabbitmqctl -q stop >&2; say stopped; else say "our own node does not run"; fi ;;
    status)
        broker=$(which_broker)
        [ "$broker" != none ] || fail "there is none"
        say "the $broker broker"; url "$broker" ;;
    import) ctl import_definitions "${2:?import needs a file}" >&2 ;;
    ctl) shift; ctl "$@" ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 64 ;;
esac
