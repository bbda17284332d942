#!/bin/sh
# Does the Debian package install, run and go again on a Debian that has nothing else? As root, in a folder that
# debootstrap fills: tests/package.sh [--no-build] [FOLDER]. The folder is kept for the next time where it is named.
set -eu
cd "$(dirname "$0")/.."
. deploy/install.sh
build=
if [ "${1:-}" = --no-build ]; then build=$1; shift; fi
[ "$(id -u)" = 0 ] || { echo "as root: it makes a chroot" >&2; exit 64; }
command -v lintian >/dev/null || install_packages lintian
command -v debootstrap >/dev/null || install_packages debootstrap

package=$(deploy/package.sh $build | tail -n 1)
echo "== lintian"; lintian --fail-on error,warning --allow-root "$package"

kept=${1:-}
root=${kept:-$(mktemp -d)}
. /etc/os-release
[ -x "$root/usr/bin/dpkg" ] || debootstrap --variant=minbase "$VERSION_CODENAME" "$root" >"$root.log" 2>&1
# From where this machine has its packages.
rm -f "$root/etc/apt/sources.list"
cp -r /etc/apt/sources.list* /etc/apt/apt.conf.d "$root/etc/apt/" 2>/dev/null || true
cp /etc/resolv.conf "$root/etc/" 2>/dev/null || true
gateway=
finish() {
    [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
    umount "$root/proc" 2>/dev/null || true
    [ -n "$kept" ] || rm -rf "$root" "$root.log"
}
trap finish EXIT
mount -t proc proc "$root/proc"
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"; }

echo "== install"
# Of an earlier time in this folder.
in_root dpkg --purge ketenpoort >/dev/null 2>&1 || true
rm -rf "$root/etc/ketenpoort" "$root/var/lib/ketenpoort" "$root/run/credentials"
cp "$package" "$root/tmp/ketenpoort.deb"
in_root apt-get update -qq
in_root apt-get install -y -qq --no-install-recommends /tmp/ketenpoort.deb >/dev/null
in_root ketenpoort --version
in_root getent passwd ketenpoort
test "$(in_root stat -c '%a %U' /etc/ketenpoort/secrets)" = "700 root"
test ! -e "$root/etc/systemd/system/multi-user.target.wants/ketenpoort.service" # not started by itself
in_root systemd-analyze verify --man=no ketenpoort.service

echo "== run, as the unit would"
secrets=/run/credentials/ketenpoort.service
in_root sh -eu -c "
    umask 077
    cd /etc/ketenpoort/secrets
    ketenpoort keys generate receipt-key.pem; ketenpoort keys ledger ledger-keys
    head -c 48 /dev/urandom | base64 >pseudonym-key
    echo amqp://nobody:nothing@127.0.0.1:1/none >broker-urls; echo token >iris-token
    install -d -m 0755 /run/credentials; mkdir -p $secrets; cp * $secrets; chown -R ketenpoort $secrets
    install -d -o ketenpoort -m 0700 /var/lib/ketenpoort"
sed 's/^\[iris\]/[http]\nlisten = "127.0.0.1:18480"\n\n[iris]/' -i "$root/etc/ketenpoort/ketenpoort.toml"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec=ketenpoort:ketenpoort "$root" \
    /usr/bin/ketenpoort run --config /etc/ketenpoort/ketenpoort.toml 2>"$root/tmp/gateway.log" &
gateway=$!
tries=50
until answer=$(curl -s http://127.0.0.1:18480/health/ready); do
    tries=$((tries - 1))
    [ $tries -gt 0 ] && kill -0 $gateway || { cat "$root/tmp/gateway.log" >&2; exit 1; }
    sleep 0.2
done
echo "$answer"
case $answer in *'"ledger":"up"'*) ;; *) exit 1 ;; esac
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec=ketenpoort:ketenpoort "$root" \
    ketenpoort parked list --config /etc/ketenpoort/ketenpoort.toml
kill -TERM $gateway; wait $gateway; gateway=

echo "== and away"
in_root apt-get purge -y -qq ketenpoort >/dev/null 2>&1
test ! -e "$root/usr/bin/ketenpoort"
test -s "$root/etc/ketenpoort/secrets/ledger-keys" # what nobody can make again stays
test -s "$root/var/lib/ketenpoort/ketenpoort.db"
echo "the package installs, runs and goes"
