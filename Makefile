# Two commands matter: `make drill` and `make test`. Both set up what they need, and may be run again.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  && echo $$p && break; done)
SEED ?= 1
INCIDENT ?= undersized-pool

.PHONY: help drill test lint format bench setup setup-dev clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

drill: setup ## Set up, replay the outage, write its report
	$(BIN)/pooldrill run $(INCIDENT) --seed $(SEED)

test: setup-dev lint ## Set up, check style, types and layers, run the tests (SLOW=1: the slow ones too)
	$(BIN)/pytest $(if $(SLOW),,-m "not slow") $(PYTEST_ARGS)

lint: setup-dev ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-dev ## Bring the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .make/bench ## Ratios, measured side by side in one run
	$(BIN)/python -m benchmarks

setup: .make/packages .make/prometheus .make/pgbouncer ## Virtual environment, packages, Prometheus, PgBouncer

setup-dev: .make/dev .make/prometheus .make/pgbouncer

.make/venv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with make PYTHON=..." >&2; exit 4; }
	$(PYTHON) -m venv $(VENV) || { echo "remedy: install the venv module (Debian: apt-get install python3-venv)" >&2; exit 4; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	@mkdir -p .make && touch $@

.make/packages: .make/venv pyproject.toml
	$(BIN)/pip install --quiet --editable .
	@touch $@

.make/dev: .make/packages
	$(BIN)/pip install --quiet --editable . --group dev
	@touch $@

.make/bench: .make/dev
	$(BIN)/pip install --quiet --group bench
	@touch $@

.make/prometheus .make/pgbouncer: .make/%: tools/install-program
	@mkdir -p .make
	tools/install-program $*
	@touch $@

clean: ## Remove what the set-up made here (runs are kept)
	rm -rf $(VENV) .make .mypy_cache .ruff_cache .pytest_cache .hypothesis
