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
SOURCES := processing_service instructors tests benchmarks scripts examples

.PHONY: help demo serve test test-slow check proto bench models clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

demo: models ## Read the example pages with embedded services; the results lie in demo-output/
	$(BIN)/processing-service demo

serve: models ## Run the coordinator with its embedded services on port 50051
	$(BIN)/processing-service serve

test: models ## Run the tests, with coverage, and the C# contract test where there is a dotnet
	$(BIN)/python -m pytest -q -m "not slow" --cov --cov-report=term:skip-covered

test-slow: models ## Run the tests that take more than a few seconds
	$(BIN)/python -m pytest -q -m slow

check: .venv/ok .venv-proto/ok ## Lint, type-check, and prove that the contract is unbroken and its generated code fresh
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/buf breaking protos --against $(BASELINE)
	rm -rf .cache/generated
	protos/generate.sh .cache/generated $(GENERATORS)
	$(BIN)/python -m processing_service.wire.naming_rules .cache/generated/python/coordinator/coordinator.binpb
	diff -r -x __pycache__ .cache/generated generated || { echo "generated/ is stale: run make proto" >&2; exit 1; }

proto: .venv-proto/ok ## Generate Python and C# into generated/ from protos/
	protos/generate.sh generated $(GENERATORS)

bench: models ## Measure, and print the table
	$(BIN)/python -m benchmarks

models: .venv/ok ## Make the model repository that demo, serve, test and bench use
include models.mk

clean: ## Remove what the other targets made
	rm -rf .venv .venv-proto .cache .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf demo-output dist models tests/contract/csharp/{bin,obj}
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
