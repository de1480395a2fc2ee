#!/usr/bin/env bash
# The example operator in a cluster of its own: built, installed by Helm and by kustomize, and seen to do its work there.
#   tests/e2e/kind.sh            needs docker, kind, kubectl and helm; KEEP=1 leaves the cluster for a look
set -euo pipefail
cd "$(dirname "$0")/../.."

cluster=operator-kit-e2e
namespace=website-system
image=website-operator:e2e

for tool in docker kind kubectl helm; do
  command -v "$tool" >/dev/null || { echo "kind.sh: $tool is not installed" >&2; exit 2; }
done

say() { printf '\n== %s\n' "$*"; }

folder=$(mktemp -d)
export KUBECONFIG=$folder/kubeconfig

finish() {
  code=$?
  if [ "$code" -ne 0 ] && [ -e "$KUBECONFIG" ]; then
    say "failed; the operator's last words"
    kubectl get pods --all-namespaces || true
    kubectl --namespace "$namespace" describe pods || true
    kubectl --namespace "$namespace" logs --selector app.kubernetes.io/component=operator --tail 50 || true
  fi
  if [ -n "${KEEP:-}" ]; then
    echo "the cluster stays: export KUBECONFIG=$KUBECONFIG; kind delete cluster --name $cluster"
  else
    kind delete cluster --name "$cluster"
    rm -rf "$folder"
  fi
  exit "$code"
}
trap finish EXIT

# The site is served, its domain registered, and both go away with it: cleanup and garbage collection.
does_its_work() {
  kubectl apply --kustomize deploy/samples
  kubectl wait website/blog --for=condition=Available --timeout=180s
  kubectl get configmap default.blog --namespace dns
  kubectl delete website/blog --timeout=60s
  kubectl wait deployment/blog --for=delete --timeout=60s
  if kubectl get configmap default.blog --namespace dns 2>/dev/null; then
    echo "the record of a deleted site is still there" >&2
    return 1
  fi
}

say "cluster"
kind create cluster --name "$cluster" --wait 120s
make docker-build IMG="$image"
kind load docker-image "$image" --name "$cluster"

say "Helm, two replicas, in a namespace that lets in nothing but restricted pods"
kubectl create namespace "$namespace"
kubectl label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted
release() {
  helm upgrade --install website charts/operator-kit --namespace "$namespace" --wait --timeout 180s \
    --values deploy/values.yaml --values deploy/rbac-values.yaml --set-file crds.files.websites=examples/website/crd.yaml \
    --set image.tag=e2e --set replicaCount=2 --set podDisruptionBudget.enabled=true --set networkPolicy.enabled=true "$@"
}
release
helm test website --namespace "$namespace" --logs
does_its_work

say "the leader is killed; the other takes over"
leader=$(kubectl get lease website-operator --namespace "$namespace" --output jsonpath='{.spec.holderIdentity}')
kubectl delete pod "${leader%%_*}" --namespace "$namespace" --grace-period=0 --force
does_its_work

say "an upgrade, and the end: definitions stay"
release --set log.level=debug
helm uninstall website --namespace "$namespace" --wait
kubectl get crd websites.example.com
kubectl delete namespace "$namespace" --timeout=120s
kubectl delete crd websites.example.com

say "kustomize"
make deploy IMG="$image"
kubectl rollout status deployment/website-operator --namespace "$namespace" --timeout=180s
does_its_work
make undeploy uninstall

say "all of it works"
