#!/bin/sh
# Makes keys, passwords and the broker's definitions for compose.yaml, in state/, once: what is there stays.
# KETENPOORT names a ketenpoort to make them with; without it the image is built and used.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p state/secrets state/ledger
ketenpoort() {
    if [ -n "${KETENPOORT:-}" ]; then "$KETENPOORT" "$@"; else
        docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/..:/deploy" -w /deploy/compose ketenpoort:0.1.0 "$@"
    fi
}
[ -n "${KETENPOORT:-}" ] || docker build --target gateway -f ../Dockerfile -t ketenpoort:0.1.0 ../..

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
secrets=state/secrets
[ -e $secrets/receipt-key ] || ketenpoort keys generate $secrets/receipt-key
[ -e $secrets/ledger-keys ] || ketenpoort keys ledger $secrets/ledger-keys
[ -e $secrets/pseudonym-key ] || { random; random; } | tr -d '\n' >$secrets/pseudonym-key
# For postgres.yaml, which puts the ledger into a database that is reached over its socket.
[ -e $secrets/database-password ] || random | tr -d '\n' >$secrets/database-password
echo "postgres://ketenpoort:$(cat $secrets/database-password)@localhost/ketenpoort?host=/var/run/postgresql" >$secrets/database-url
sed 's#^path = .*#url_file = "/run/secrets/database-url"#' ketenpoort.toml >state/ketenpoort-postgres.toml
chmod 0644 state/ketenpoort-postgres.toml
if [ ! -e state/passwords.toml ]; then
    users=$(sed -n 's/^users = \[\(.*\)\]/\1/p' ../demo/partners.toml | tr -d '",')
    for user in ketenpoort $users; do echo "\"$user\" = \"$(random)\""; done >state/passwords.toml
fi
password=$(sed -n 's/^"ketenpoort" = "\(.*\)"/\1/p' state/passwords.toml)
echo "amqp://ketenpoort:$password@broker:5672/keten" >$secrets/broker-urls
mkdir -p state/partners && cp ../demo/partners.toml state/partners/
ketenpoort topology --partners state/partners --vhost keten --passwords state/passwords.toml >state/definitions.json
chmod 0644 state/definitions.json # for the broker's own user; passwords in it are hashed

# The gateway runs as you, or as nobody in particular where you are root.
uid=$(id -u) gid=$(id -g)
if [ "$uid" = 0 ]; then
    uid=65532 gid=65532
    chown -R $uid:$gid $secrets state/ledger
fi
printf 'COMPOSE_PROJECT_NAME=ketenpoort\nKETENPOORT_UID=%s\nKETENPOORT_GID=%s\n' "$uid" "$gid" >.env
chmod 0711 state state/secrets
echo "prepared: docker compose up"
