#!/bin/sh
# What an operator starts from, each checked by its own tool; that metrics and pages fit is in tests/operations.rs.
# The Debian package has tests/package.sh, which takes a release build and root.
set -eu
cd "$(dirname "$0")/.."
. deploy/install.sh
need_deploy_tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
judges=target/judges/deploy
if ! cmp -s tests/judges/deploy.txt "$judges/installed.txt"; then
    rm -rf "$judges"
    python3 -m venv "$judges"
    "$judges/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement tests/judges/deploy.txt
    cp tests/judges/deploy.txt "$judges/installed.txt"
fi

echo "alert rules"
promtool check rules deploy/prometheus/ketenpoort.rules.yml
promtool test rules deploy/prometheus/ketenpoort.test.yml

echo "compose file"
hadolint=$judges/bin/hadolint
"$hadolint" deploy/Dockerfile
cp deploy/compose/prometheus.yml deploy/prometheus/ketenpoort.rules.yml "$work"
promtool check config "$work/prometheus.yml"
# As if it were beside the others, with what prepare.sh makes.
mkdir "$work/deploy"
cp -r deploy/compose deploy/demo "$work/deploy"
rm -rf "$work/deploy/compose/state"
KETENPOORT=$PWD/target/debug/ketenpoort "$work/deploy/compose/prepare.sh"
(cd "$work/deploy/compose" && docker-compose config --quiet && docker-compose -f compose.yaml -f postgres.yaml config --quiet)
python3 -m json.tool "$work/deploy/compose/state/definitions.json" >/dev/null
yamllint --strict -d '{extends: relaxed, rules: {line-length: {max: 140}}}' deploy/compose deploy/kubernetes deploy/prometheus

echo "Kubernetes manifests"
validate="$judges/bin/kubernetes-validate --strict --quiet"
for file in deploy/kubernetes/*/*.yaml; do
    case $file in */kustomization.yaml | */patch-*.yaml) ;; *) $validate "$file" ;; esac
done
if command -v kubectl >/dev/null; then
    for folder in deploy/kubernetes/*/; do
        kubectl kustomize "$folder" >"$work/rendered.yaml"
        $validate "$work/rendered.yaml"
    done
else
    echo "kustomizations NOT CHECKED: there is no kubectl here" >&2
fi

echo "systemd unit"
sed "s#/usr/bin/ketenpoort#$PWD/target/debug/ketenpoort#" deploy/systemd/ketenpoort.service >"$work/ketenpoort.service"
# What it does not know it only warns of.
said=$(systemd-analyze verify --man=no "$work/ketenpoort.service" 2>&1) || true
[ -z "$said" ] || { echo "$said" >&2; exit 1; }
# In tenths: the most that the unit may be open to.
systemd-analyze security --offline=true --threshold=20 --no-pager "$work/ketenpoort.service" >"$work/security"
tail -n 1 "$work/security"
