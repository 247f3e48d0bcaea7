# Needs Python >= 3.11, make and git; everything else goes into .venv. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

# Where everything is installed; `make test-matrix` has one for each Python.
export VENV ?= .venv
BIN := $(VENV)/bin
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml)
RUN := $(VENV)/.stamp-run
DEV := $(VENV)/.stamp-dev
# Workers of the test run; `make test WORKERS=0` runs everything in one process.
WORKERS ?= 4
# What `make test-matrix` looks for: names or paths of interpreters.
PYTHONS ?= python3.11 python3.12 python3.13
# More arguments for pytest: `make test ARGS="-k money -x"`.
ARGS ?=

.PHONY: help demo setup test test-matrix check format lint types imports docs docs-serve bench proof mutants coverage lock clean

help:  ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUN)  ## set up what a user needs, then pay, query and refund at a local gateway
	@$(BIN)/paycore demo

setup: $(DEV)  ## make .venv with everything for development

test: $(DEV)  ## run every test (browser tests need Chromium, which is looked for or installed)
	@scripts/chromium
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not proof" $(ARGS)

test-matrix:  ## run every test on each of PYTHONS that this machine has, and say which it has not
	@scripts/test-matrix $(PYTHONS)

check: lint types imports docs  ## format, lint, types, import layers, documentation

format: $(DEV)  ## rewrite the code in the one format, and fix what ruff can fix safely
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# Each plugin's tests need a run of their own, by package: by path they would be a second package `tests`.
types: $(DEV)
	$(BIN)/mypy
	$(BIN)/mypy --package plugins.qfpay_alipay.tests
	$(BIN)/mypy --package plugins.stripe_checkout.tests
	$(BIN)/mypy --package plugins.paypal_orders.tests

imports: $(DEV)
	$(BIN)/lint-imports --no-cache

docs: $(DEV)  ## build the documentation into build/site; every warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs-serve: $(DEV)  ## serve the documentation on a local port and rebuild on change
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

bench: $(DEV)  ## measure, and print each figure beside its bar
	@$(BIN)/python -m benchmarks

proof: $(DEV)  ## kill matrix, simulation, races and planted bugs; then the kit under its planted bugs
	@$(BIN)/python -m tests.proof
	@$(BIN)/python -m tests.conformance
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m proof

mutants: $(DEV)  ## change the code that decides about money in small ways, each of which must fail a test
	@$(BIN)/python -m tests.mutants

coverage: $(DEV)  ## run the tests and print what they do not reach
	$(BIN)/python -m pytest -n $(WORKERS) --cov --cov-report=term-missing:skip-covered $(ARGS)

lock:  ## choose the newest versions that fit, and write requirements/*.txt
	@test -x $(BIN)/uv || $(MAKE) --no-print-directory setup
	scripts/lock

clean:  ## remove .venv and everything built
	rm -rf .venv build dist site htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): scripts/setup requirements/run.txt $(PROJECTS)
	@scripts/setup requirements/run.txt
	@touch $@

# The development set holds the run set at the same versions, so one install stamps both.
$(DEV): scripts/setup requirements/run.txt requirements/dev.txt $(PROJECTS)
	@scripts/setup requirements/dev.txt
	@touch $(RUN) $@
