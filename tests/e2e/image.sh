#!/usr/bin/env bash
# The example operator's image as a cluster would run it, but without a cluster: as nobody, with nothing to write to but /tmp, against an
# embedded API server on this machine; seen to do its work, and to stop in order.
#   tests/e2e/image.sh IMAGE     needs Linux, kubectl, curl, and docker or podman (CONTAINER_TOOL=podman); make test-image builds IMAGE first
set -euo pipefail
cd "$(dirname "$0")/../.."

tool=${CONTAINER_TOOL:-docker}
image=$1
container=operator-kit-e2e
port=${PORT:-38081}

for each in "$tool" kubectl curl; do
  command -v "$each" >/dev/null || { echo "image.sh: $each is not installed" >&2; exit 2; }
done

say() { printf '\n== %s\n' "$*"; }
fail() { echo "image.sh: $*" >&2; exit 1; }

folder=$(mktemp -d)
export KUBECONFIG=$folder/kubeconfig
sandbox=

finish() {
  code=$?
  if [ "$code" -ne 0 ] && "$tool" container inspect "$container" >/dev/null 2>&1; then
    say "failed; the operator's last words"
    "$tool" logs "$container" || true
  fi
  "$tool" rm --force "$container" >/dev/null 2>&1 || true
  [ -z "$sandbox" ] || kill "$sandbox"
  rm -rf "$folder"
  exit "$code"
}
trap finish EXIT

say "what it is"
user=$("$tool" image inspect --format '{{.Config.User}}' "$image")
[ "$user" = 65532:65532 ] || fail "it runs as '$user'"
locked=(--network host --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 256m)
"$tool" run --rm "${locked[@]}" "$image" --version
"$tool" run --rm "${locked[@]}" "$image" run --print-settings /operator >/dev/null

say "it does its work"
.venv/bin/operator-kit sandbox --kubeconfig "$KUBECONFIG" --workloads --load examples/website/crd.yaml --load deploy/samples/namespace.yaml &
sandbox=$!
for _ in {1..120}; do
  kubectl get --raw /readyz >/dev/null 2>&1 && break
  sleep 0.5
done
chmod 644 "$KUBECONFIG"  # the operator is somebody else
"$tool" run --detach --name "$container" "${locked[@]}" --volume "$KUBECONFIG:/kubeconfig:ro" \
  --env POD_NAME=website-0 --env POD_NAMESPACE=default "$image" \
  run --kubeconfig /kubeconfig --leader-elect --leader-election-id website --health-probe-bind-address "127.0.0.1:$port" /operator
kubectl apply --filename deploy/samples/blog.yaml
kubectl wait website/blog --for=condition=Available --timeout=180s
for probe in livez readyz; do
  curl --fail --silent --show-error --retry 30 --retry-delay 1 --retry-all-errors "http://127.0.0.1:$port/$probe" && echo " $probe"
done
holder() { kubectl get lease website --output jsonpath='{.spec.holderIdentity}'; }
[[ $(holder) == website-0_* ]] || fail "the lease is held by '$(holder)'"

say "it stops in order"
"$tool" stop -t 40 "$container"
code=$("$tool" inspect --format '{{.State.ExitCode}}' "$container")
[ "$code" = 0 ] || fail "it ended with $code"
[ -z "$(holder)" ] || fail "it kept the lease: '$(holder)'"

say "all of it works"
