#!/bin/sh
# The long soak: a gateway on a broker of its own, while everything that can break does, and what came of each message.
#
#   tests/soak.sh [--kills N] [--restarts N] [--others N] [--minutes N] [--seed N]
#
#   --kills     times that the gateway is killed, half of them at a named stage of a message (100)
#   --restarts  times that the broker is stopped or killed, and started (20)
#   --others    times for each other fault (5)
#   --minutes   goes on with any of them for so long (0)
#   --seed      draws the same messages and faults again; each run prints its own
#
# Ends with what was injected and what was lost, doubled or unknown, and not with 0 where that is not nothing.
set -eu
cd "$(dirname "$0")/.."
while [ $# -gt 0 ]; do
    case $1 in
        --seed) export KETENPOORT_SEED="$2" ;;
        --kills | --restarts | --others | --minutes)
            name=$(echo "${1#--}" | tr '[:lower:]' '[:upper:]')
            export "KETENPOORT_SOAK_$name=$2" ;;
        *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2; exit 64 ;;
    esac
    shift 2
done
cargo test --locked --test faults soak::for_long -- --ignored --exact --nocapture || exit 1
