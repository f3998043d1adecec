#!/usr/bin/env bash
# Checks the manifests in a directory, as kustomize has built them, by the schemas of Kubernetes and of the custom resources. The schemas come
# with packages of PyPI and npm, so that no cluster is needed. Needs Python 3 with venv, Node and npm; the packages are installed once.
#
#   .ci/deploycheck/schemas.sh .cache/deploy
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kubernetes_validate=1.37.0
# The newest and the oldest version of Kubernetes that the manifests are for.
versions=(1.37.0 1.29.1)
models=(@kubernetes-models/keda@2.0.0 @kubernetes-models/prometheus-operator@6.0.0 yaml@2.8.1)

work=.cache/deploy-tools
stamp=$work/installed-$(cksum <.ci/deploycheck/schemas.sh | cut -d" " -f1)
mkdir -p "$work"
if [[ ! -e $stamp ]]; then
  [[ -x $work/venv/bin/pip ]] || python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --retries 1 "kubernetes-validate==$kubernetes_validate"
  npm install --silent --no-save --no-audit --no-fund --ignore-scripts --fetch-retries 1 --prefix "$work" "${models[@]}"
  touch "$stamp"
fi

for version in "${versions[@]}"; do
  # It warns of kinds that it has no schema for. Those come below.
  "$work/venv/bin/kubernetes-validate" --strict --quiet --no-warn -k "$version" "$1"/*.yaml
done
cp .ci/deploycheck/customresources.mjs "$work/"
node "$work/customresources.mjs" "$1"/*.yaml
