# The one entry for people and for CI. Each target sets up what it needs; `make -j` is safe.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first Python of 3.11 or newer; `make PYTHON=...` chooses another.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# uv brings certificates of its own; like pip it is to trust those of the system, which know a company's proxy.
export UV_SYSTEM_CERTS ?= true
BIN := .venv/bin
GENERATORS := .venv-proto/bin
BASELINE := tests/contract/baseline.binpb
# Modules beside one another, each as a whole.
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadscope
QUICK := -m "not slow and not clients"

.PHONY: help demo serve orchestrator test coverage test-slow test-clients crash-loops check proto generate-clients bench models clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

demo: models ## Read the example pages with embedded services; the results lie in demo-output/
	$(BIN)/processing-service demo

serve: models ## Run the coordinator with its embedded services on port 50051
	$(BIN)/processing-service serve

orchestrator: models ## Run the coordinator and the web API in front of it; prints how to read a page over REST
	scripts/orchestrator.sh

test: models .venv-proto/ok ## Run the tests, and those of the C# half where there is a dotnet
	$(PYTEST) $(QUICK)
	scripts/csharp.sh test

coverage: models .venv-proto/ok ## Run the tests, and say which lines they leave out; it takes them half as long again
	$(PYTEST) $(QUICK) --cov --cov-report=term:skip-covered

test-slow: models .venv-proto/ok ## Run the tests that take more than a few seconds
	$(PYTEST) --dist worksteal -m slow
	scripts/csharp.sh test-slow

test-clients: models ## Build the clients of examples/clients and run them against the coordinator
	$(BIN)/python -m pytest -q -m clients

crash-loops: .venv/ok ## Kill servers 100 times at each crash point, and hold what is left to the promises; an hour
	$(BIN)/python -m tests.crashing

check: .venv/ok .venv-proto/ok ## Lint, type-check, and prove that the contract is unbroken and generated code fresh
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/buf breaking protos --against $(BASELINE)
	rm -rf .cache/generated
	protos/generate.sh .cache/generated $(GENERATORS)
	scripts/csharp.sh stubs .cache/generated/csharp
	$(BIN)/python -m processing_service.wire.naming_rules .cache/generated/python/coordinator/coordinator.binpb
	diff -r -x __pycache__ $$(ls .cache/generated/csharp/coordinator/*/*/*Grpc.cs >/dev/null 2>&1 || echo -x '*Grpc.cs') \
	  .cache/generated generated || { echo "generated/ is stale: run make proto" >&2; exit 1; }
	scripts/csharp.sh check

proto: .venv-proto/ok ## Generate Python and C# into generated/ from protos/
	protos/generate.sh generated $(GENERATORS)
	scripts/csharp.sh stubs generated/csharp

generate-clients: .venv-proto/ok ## Generate Go, Java and TypeScript into out/clients/ by protos/buf.gen.yaml
	protos/generate-clients.sh $(BIN)

bench: models ## Measure, and print the table
	$(BIN)/python -m benchmarks

models: .venv/ok ## Make the model repository that demo, serve, test and bench use
include models.mk

clean: ## Remove what the other targets made
	rm -rf .venv .venv-proto .cache .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf demo-output dist models tests/contract/csharp/{bin,obj} orchestrator/artifacts
	rm -rf out/clients examples/clients/*/{.venv,gen,bin,obj,target,dist,node_modules}
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/ok: requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements-dev.lock > .venv/uv.lock
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip install -q --require-hashes -r requirements-dev.lock
	$(BIN)/uv pip install -q --no-deps -e .
	touch $@

.venv-proto/ok: requirements-proto.lock .venv/ok
	$(BIN)/uv venv -q --allow-existing --python $(BIN)/python .venv-proto
	$(BIN)/uv pip install -q --python $(GENERATORS)/python --require-hashes -r requirements-proto.lock
	touch $@
