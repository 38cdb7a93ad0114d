# `make help` lists everything. Nothing outside this folder is changed, except for system packages
# that `make setup` may install (bubblewrap), and it says so.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_HOME ?= .albufera-demo

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo serve test check docs bench lock clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	@scripts/setup runtime $(PYTHON)

$(VENV)/.dev: requirements/dev.lock pyproject.toml
	@scripts/setup dev $(PYTHON)

setup: $(VENV)/.runtime ## Make the virtual environment from the lock file, and see to bubblewrap
	@scripts/system-packages bubblewrap

setup-dev: $(VENV)/.dev
	@scripts/system-packages bubblewrap

demo: setup ## Bring up a node with a demonstration project, and serve it on loopback
	@$(BIN)/albufera --home $(DEMO_HOME) demo

serve: setup ## Serve the node of ALBUFERA_HOME (default ~/.albufera)
	@$(BIN)/albufera serve

test: setup-dev ## Run the whole test suite
	@$(BIN)/python -m pytest -n auto --dist loadgroup -m "not heavy" --cov --cov-report=term:skip-covered $(ARGS)

check: setup-dev ## Lint, types, architecture contracts, documentation
	@scripts/check

docs: setup-dev ## Generate the reference pages from the code
	@$(BIN)/python scripts/reference

bench: setup ## Run the benchmarks: each prints ratios against a peer or a limit
	@$(BIN)/albufera bench all

lock: ## Renew the lock files from pyproject.toml (needs uv)
	@scripts/lock

clean: ## Remove what setup and tests made
	rm -rf $(VENV) .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
