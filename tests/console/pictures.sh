#!/bin/sh
# Takes the pictures of the console that are in docs/img, from a gateway with fictitious messages.
set -eu
cd "$(dirname "$0")/../.."
deploy/broker.sh start >/dev/null
CONSOLE_PICTURES="$PWD/docs/img" cargo test --test console browser:: -- --test-threads=1
