# The two commands of the README: `make quickstart` and `make test`. Each sets up what it needs; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python
FAST := $(VENV)/.fast
FULL := $(VENV)/.full
EXTRAS := $(VENV)/.extras
BENCH := $(VENV)/.bench
export RAY_USAGE_STATS_ENABLED := 0
export UV_COMPILE_BYTECODE := 1

.PHONY: help cluster-up cluster-down images kind quickstart test test-fast test-long test-gpu test-kube test-cluster test-crash bench-operator bench-auto bench-compression bench-data bench-elastic bench-scale bench-stream soak soak-data simulate check lint types layers generate requirements golden clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Headrace needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.11 …" >&2; exit 1; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check uv

$(FAST): requirements/dev.txt pyproject.toml | $(BIN)/uv
	@echo "installing the operator's and the developer's packages"
	@$(UV) --require-hashes -r requirements/dev.txt
	@$(UV) --no-deps --editable .
	@touch $@

$(FULL): requirements/workers.txt $(FAST)
	@echo "installing the workers' packages: torch, Ray and more, about 3 GB to download the first time"
	@$(UV) --require-hashes -r requirements/workers.txt
	@touch $@

$(EXTRAS): requirements/peft.txt requirements/transformers.txt requirements/lightning.txt $(FULL)
	@echo "installing what makes adapters, and the trainers that a loop of your own may use"
	@$(UV) --require-hashes -r requirements/peft.txt -r requirements/transformers.txt -r requirements/lightning.txt
	@touch $@

$(BENCH): requirements/bench.txt $(FULL)
	@echo "installing what the benchmarks learn from"
	@$(UV) --require-hashes -r requirements/bench.txt
	@touch $@

quickstart: $(FULL) ## Train, tune and serve a model of handwritten digits on this machine, ask it, and stop.
	@hack/quickstart $(BIN)

test: $(FULL) $(EXTRAS) ## Pass all tests but the long ones.
	@$(BIN)/pytest -q -n 3 -m "not workers and not ray and not slow and not cluster"
	@$(BIN)/pytest -q -n 2 -m "workers and not ray and not kafka and not slow and not gpu"
	@$(BIN)/pytest -q -m "(ray or kafka) and not slow"

test-fast: $(FAST) ## Pass the tests that need neither torch nor Ray.
	@$(BIN)/pytest -q -n 3 -m "not workers and not ray and not slow and not cluster" --ignore=tests/workers

test-long: $(FULL) $(EXTRAS) ## Pass the tests that take more than a minute each.
	@$(BIN)/pytest -q -m slow

test-gpu: $(FULL) ## Pass the tests of training on this machine's GPU.
	@$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "there is no GPU here that torch can use: nothing was tested")'
	@$(BIN)/pytest -q -m gpu tests/workers

test-kube: $(FAST) ## Pass the cluster tests that need no real node, Argo CD's too, on what is built (20 to 30 min the first time).
	@HEADRACE_TEST_CLUSTER="--fake-nodes 4 --pod-groups" $(BIN)/pytest -q -m cluster --durations=15 tests/cluster tests/charts

test-cluster: $(FULL) ## Pass all tests on a real cluster, which is built (an hour the first time), started and ended.
	@HEADRACE_TEST_CLUSTER="$${HEADRACE_TEST_CLUSTER:---node --network-policies --fake-nodes 4 --pod-groups --coscheduling}" $(BIN)/pytest -q -m cluster --durations=15 tests/cluster tests/charts

test-crash: $(FAST) ## Kill the operator before and after every write of a run of each kind, some 300 times.
	@HEADRACE_TEST_CLUSTER="--fake-nodes 4" HEADRACE_CRASH_STRIDE=1 $(BIN)/pytest -q -s tests/cluster/test_crash.py

bench-operator: $(FAST) ## Time the operator against a tight client, on the cluster of KUBECONFIG (up --fake-nodes 100 --raised-limits).
	@$(BIN)/python hack/bench/bench_operator.py

bench-compression: $(BENCH) ## Time every way for gradients to travel against plain DDP on a slow network (root; two hours).
	@$(BIN)/python hack/bench/bench_compression.py

bench-auto: $(BENCH) ## See whether auto takes the fastest way, on networks of four speeds (root; an hour).
	@$(BIN)/python hack/bench/bench_auto.py

bench-data: $(BENCH) ## Redaction, near duplicates in 1 GB and cleaning beside peers that are installed, and 10 GB through 2 GiB of memory (half an hour, 30 GB of disk, root).
	@$(BIN)/python hack/bench/bench_data.py

bench-stream: $(FULL) ## A Stream on a real Kafka broker: messages a second beside Quix Streams, and how late alerts are.
	@$(BIN)/python hack/bench/bench_stream.py

bench-elastic: $(BENCH) ## Kill, stop, cut off, add and remove workers that train on a slow network (root; an hour and a half).
	@RUST_LOG=warn TORCH_CPP_LOG_LEVEL=ERROR $(BIN)/python hack/bench/bench_elastic.py

bench-scale: $(FAST) ## Run 1,000 TrainJobs to their end on that cluster, and see that it is still afterwards.
	@$(BIN)/python hack/bench/bench_scale.py

soak: $(FAST) ## Make, end and delete TrainJobs on that cluster for half an hour, and see that the operator does not grow.
	@$(BIN)/python hack/bench/bench_scale.py --jobs 50 --minutes 30

soak-data: $(FULL) ## Kill all processes of pipelines at 50 seeded moments, from files and from a real Kafka broker (8 min).
	@$(BIN)/python hack/bench/soak_data.py

simulate: $(FAST) ## Run 20,000 seeds of the simulated cluster.
	@$(BIN)/python hack/simulate --seeds 20000

check: $(FAST) lint types layers ## Lint, types, layers, and whether generated files are fresh.
	@$(BIN)/python hack/generate --check

lint: $(FAST)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(FAST)
	@$(BIN)/mypy

layers: $(FAST)
	@$(BIN)/lint-imports

generate: $(FAST) ## Write crds/ and the chart's generated files.
	@$(BIN)/python hack/generate

golden: $(FAST) ## Rewrite the golden plans; review the diff.
	@$(BIN)/pytest -q tests/golden --update-golden

requirements: | $(BIN)/uv ## Pin the packages anew, with hashes and without addresses.
	@pin() { $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate "$$@"; }; \
	pin pyproject.toml --extra dev --extra operator -o requirements/dev.txt; \
	pin pyproject.toml -c requirements/dev.txt --extra operator -o requirements/operator.txt; \
	pin pyproject.toml -c requirements/dev.txt --extra workers -o requirements/workers.txt; \
	pin pyproject.toml -c requirements/dev.txt -c requirements/workers.txt --extra peft -o requirements/peft.txt; \
	pin pyproject.toml -c requirements/dev.txt -c requirements/workers.txt -c requirements/peft.txt --extra transformers -o requirements/transformers.txt; \
	pin pyproject.toml -c requirements/dev.txt -c requirements/workers.txt -c requirements/peft.txt --extra lightning -o requirements/lightning.txt; \
	pin pyproject.toml -c requirements/dev.txt -c requirements/workers.txt --extra wandb -o requirements/wandb.txt; \
	pin pyproject.toml -c requirements/dev.txt -c requirements/workers.txt --extra bench -o requirements/bench.txt; \
	echo 'hatchling>=1.25' | pin - -c requirements/dev.txt -o requirements/build.txt

cluster-up: ## Start a real cluster on this machine, without Docker: one real node (see hack/cluster/up).
	@hack/cluster/up --node

cluster-down: ## End that cluster and all its pods.
	@hack/cluster/down

images: ## Build both images without Docker, and put them into that cluster.
	@hack/images --import

kind: ## Start a cluster by kind and Docker, with both images and the CustomResourceDefinitions.
	@kind create cluster --config hack/kind.yaml
	@docker build --tag localhost/headrace-operator:1 --file operator/Dockerfile .
	@docker build --tag localhost/headrace-worker:1 --file workers/Dockerfile .
	@kind load docker-image --name headrace localhost/headrace-operator:1 localhost/headrace-worker:1
	@kubectl --context kind-headrace apply --server-side --filename crds/

clean: ## Remove the virtual environment and the local state.
	rm -rf $(VENV) .headrace
