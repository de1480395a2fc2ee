# What people type. Each verb sets up what it needs: a virtual environment in .venv, made from pyproject.toml.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest
SEEDS  ?= 200
FIRST  ?= 0
KILLS  ?= 10
EVENTS ?= 1000000
SEED   ?= 1

# The operator that docker-build makes and deploy runs (the example), and the base image it is made from.
VERSION        := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION       := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMG            ?= website-operator:$(VERSION)
BASE_IMG       ?= operator-kit:$(VERSION)
CONTAINER_TOOL ?= docker
# More for its build, such as a mount of the certificates that a proxy of your network needs.
BUILD_FLAGS    ?=
KUBECTL        ?= kubectl
# The official client's versions that are supported, and the tests of what stands on it.
CLIENTS      ?= 35 36.0.3 37
CLIENT_TESTS ?= tests/api tests/cache/test_table.py tests/leader/test_lease_api.py

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(MAKEFILE_LIST))

help: ## List the verbs
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer, or set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=…" >&2; exit 1; }
	@echo "making the environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(READY) ## The whole life of an object, on an embedded API server
	@$(BIN)/python -m examples.demo

run: $(READY) ## The example operator on an embedded API server, until Ctrl-C
	@$(BIN)/operator-kit run --sandbox --load examples/website examples/website.py

test: $(READY) ## All tests
	@$(PYTEST) -n 2

test-fast: $(READY) ## The tests without the slow ones
	@$(PYTEST) -n 2 -m 'not slow'

.venv-clients/%/.ready: pyproject.toml
	@echo "making an environment with kubernetes $* …"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' 'kubernetes==$*.*'
	@touch $@

test-clients: $(CLIENTS:%=.venv-clients/%/.ready) ## The tests of the API room on each supported version of the official client: CLIENTS="35 37"
	@set -e; for version in $(CLIENTS); do \
		.venv-clients/$$version/bin/python -c 'from importlib.metadata import version; print("kubernetes", version("kubernetes"))'; \
		.venv-clients/$$version/bin/python -m pytest -q -n 2 $(CLIENT_TESTS); \
	done

simulate: $(READY) ## Leader election on fake clocks under partitions, pauses and faults: SEEDS=1000 of them, from FIRST=0
	@$(BIN)/python -m tests.leader.simulate $(SEEDS) $(FIRST)

failover: $(READY) ## Three replicas as processes, the leader killed KILLS=10 times during a load of changes; prints what came of it
	@$(BIN)/python -m tests.failover --kills $(KILLS)

chaos: $(READY) ## The example operator under random mixtures of faults: SEEDS=1000 of them, from FIRST=0
	@$(BIN)/python -m tests.chaos --seeds $(SEEDS) --first $(FIRST)

soak: $(READY) ## Informers under EVENTS=1000000 events, faults and churn, and their memory along the way; SEED=1
	@MALLOC_ARENA_MAX=1 $(BIN)/python -m tests.soak --events $(EVENTS) --seed $(SEED)

lint: $(READY) ## ruff, mypy strict, the layers of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

build: $(READY) ## The wheel and the source distribution, in dist/
	@$(BIN)/python -m build

manifests: $(READY) ## deploy/ and the table in the chart's page, from the chart
	@$(BIN)/python -m tests.chart.manifests

docker-build: ## The base image BASE_IMG=…, and from it the example operator IMG=…
	$(CONTAINER_TOOL) build $(BUILD_FLAGS) --tag $(BASE_IMG) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) .
	$(CONTAINER_TOOL) build $(BUILD_FLAGS) --tag $(IMG) --build-arg BASE=$(BASE_IMG) examples

docker-push: ## Push IMG=… to its registry
	$(CONTAINER_TOOL) push $(IMG)

install: ## Install the example's CustomResourceDefinitions into the current cluster
	$(KUBECTL) apply --server-side --kustomize deploy/crd

uninstall: ## Delete them, and with them every object of their kinds
	$(KUBECTL) delete --ignore-not-found --kustomize deploy/crd

deploy: ## Run the example operator IMG=… in the current cluster
	$(KUBECTL) kustomize deploy/default | sed 's|image: website-operator:.*|image: $(IMG)|' | $(KUBECTL) apply --server-side --filename -

undeploy: ## Delete what deploy made, but not the CustomResourceDefinitions
	$(KUBECTL) delete --ignore-not-found --kustomize deploy/manager
	$(KUBECTL) delete --ignore-not-found --kustomize deploy/rbac

test-image: $(READY) docker-build ## The example's image run as a pod runs it, without a cluster; needs Linux, docker or podman, kubectl and curl
	@CONTAINER_TOOL="$(CONTAINER_TOOL)" tests/e2e/image.sh $(IMG)

test-kind: ## The example operator in a kind cluster of its own; needs docker, kind, kubectl and helm
	@tests/e2e/kind.sh

bench-sandbox: $(READY) ## What the embedded API server costs, beside a bare HTTP echo
	@$(BIN)/python -m benchmarks.sandbox

bench-cache: $(READY) ## What informers cost, beside bare loops and the official informer
	@$(BIN)/python -m benchmarks.cache --peer

bench-operator: $(READY) ## What a whole operator costs, beside a bare loop; on KUBECONFIG's cluster if that is set
	@$(BIN)/python -m benchmarks.operator

bench-resources: $(READY) ## What the example operator's pod needs, by the number of its objects: the chart's resources
	@$(BIN)/python -m benchmarks.resources

bench-queue: $(READY) ## What the WorkQueue costs, beside the standard library's queue
	@$(BIN)/python -m benchmarks.queue

clean: ## Remove what was made
	rm -rf $(VENV) .venv-clients build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
