# demo, test, bench and check set up everything they need, on a fresh machine too.
#
#   make demo     the tour: crashes, resumes, waits
#   make test     the whole gate: format, lint, types, layers, tidy, every test
#   make check    the quick loop: the same without tests/system
#   make bench    measurements, with competitors beside, in an environment of its own: make bench ARGS="W2 --on postgres"
#   make setup    only the virtual environment (.venv), as demo needs it; another interpreter: make setup PYTHON=python3.12
#   make lock     new hashed locks from requirements/*.in
#   make clean    removes what these commands made

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp-dev
ORACLE := tests/mermaid/oracle
TESTS_STAMP := $(ORACLE)/node_modules/.stamp
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.stamp-bench

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench lock clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml tools/setup
	@PYTHON="$(PYTHON)" tools/setup $(VENV) requirements/dev.txt
	@touch $@

$(TESTS_STAMP): $(ORACLE)/package-lock.json tools/setup_tests | $(STAMP)
	@tools/setup_tests $(VENV)
	@touch $@

$(BENCH_STAMP): requirements/bench.txt requirements/dev.txt pyproject.toml tools/setup
	@PYTHON="$(PYTHON)" tools/setup $(BENCH_VENV) requirements/dev.txt requirements/bench.txt
	@touch $@

demo: $(STAMP)
	@$(VENV)/bin/perdure demo

test: $(STAMP) $(TESTS_STAMP)
	@./check --all

check: $(STAMP) $(TESTS_STAMP)
	@./check

bench: $(BENCH_STAMP)
	@$(BENCH_VENV)/bin/python -m bench $(ARGS)

lock: $(STAMP)
	@tools/lock

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(ORACLE)/node_modules build dist .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	find src tests tools bench -type d -name __pycache__ -prune -exec rm -rf {} +
