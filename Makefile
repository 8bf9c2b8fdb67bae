# Everything a person or CI does here, by name. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHARED ?= ../shared
PROCESSES ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help install demo demo-model test check eval bench lock format clean

help: ## List what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "  make %-11s %s\n", $$1, $$2}'

# The stamp holds the hash of what was installed: a changed lock installs again, an unchanged one does nothing.
$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: $(VENV)/.installed ## Create .venv with everything, from the lock file

demo: install ## Compose an illustrated article from examples/ and print where the page is
	$(BIN)/interleaf compose examples/tides/brief.yaml --out out/demo --home out/home

demo-model: install ## Make a small model, teach it three articles, compose through it alone (a few minutes)
	$(BIN)/python examples/lessons/teach_and_compose.py --home out/model-home --out out/demo-model

# Neighbours run in one process, which keeps what they share; who is done takes over half of the other's rest.
test: install ## Run the whole test suite, on PROCESSES=2
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal

check: install ## Lint, types, import rules, stale documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=sdk:. $(BIN)/lint-imports
	$(BIN)/python scripts/check_readme.py
	$(BIN)/python scripts/check_security.py

eval: install ## Measure quality on real articles (SHARED/eval/dev) beside the baselines
	$(BIN)/interleaf eval report $(SHARED)/eval/dev

bench: install ## Speed as ratios against named baselines
	$(BIN)/python benchmarks/compose.py
	$(BIN)/python benchmarks/index.py

lock: ## Resolve pyproject.toml anew into requirements.lock
	$(BIN)/python scripts/lock.py

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv, caches and outputs
	rm -rf $(VENV) out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
