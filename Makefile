# The targets install what they need into .venv, and again only when its lock has changed: to run takes much less than
# to test.
PYTHON ?= python3
BIN := .venv/bin
RUNNABLE := .venv/.runnable
INSTALLED := .venv/.installed
JOBS ?= 3

.PHONY: run test test-page check format docs install lock bench chaos chaos-postgres chaos-long test-analytics load clean help
.DEFAULT_GOAL := help

help:
	@echo "make run         install, start the pipeline on embedded stores, and send it a sample week"
	@echo "make test        install, and run the tests"
	@echo "make test-page   the tests of the console page, which need a Chromium on PATH"
	@echo "make check       format, lint, types, import contracts"
	@echo "make docs        the lists of settings and metrics in docs/"
	@echo "make bench       all benchmarks, as a table, JSON and a plot in .data;  ARGS=--quick"
	@echo "make chaos       the fault suite for a minute;  make chaos-long ROUNDS=200 SEED=1 ARGS=--cluster"
	@echo "make chaos-postgres   the fault suite with its documents in PostgreSQL"
	@echo "make install     .venv from the lock;  make lock: the lock from pyproject.toml"

run: $(RUNNABLE)
	@$(BIN)/python -m cmd.sample

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-page: $(INSTALLED)
	BROWSER_REQUIRED=1 $(BIN)/python -m pytest tests/page $(ARGS)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)
	$(BIN)/python -m cmd.docs

bench: $(INSTALLED)
	$(BIN)/python -m bench --json .data/bench.json --plot .data/bench.png $(ARGS)

chaos: $(INSTALLED)
	TEST_DEPTH=3 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(BY_EXAMPLES)
	$(BIN)/python -m tests.chaos --short
	$(BIN)/python -m tests.chaos.collector --kills 10 --collectors 2
	$(BIN)/python -m tests.chaos.sites --seconds 20
	$(BIN)/python -m tests.chaos.cards --users 300 --kills 6

chaos-postgres: $(INSTALLED)
	$(BIN)/python -m tests.chaos --short --postgres
	$(BIN)/python -m tests.chaos.cards --users 300 --kills 6 --postgres

load: $(INSTALLED)
	$(BIN)/python -m bench.load $(ARGS)

# Superset is not part of the lock: it gets a venv of its own, of 0.9 GB
test-analytics: $(INSTALLED)
	$(BIN)/python -m tests.chaos.analytics --broker $(KAFKA_BROKER) --druid $(DRUID_CLUSTER) --superset .data/superset \
		--pictures .data/pictures $(ARGS)

KAFKA_BROKER ?= ../shared/tools/kafka-broker
DRUID_CLUSTER ?= ../shared/tools/druid-cluster

BY_EXAMPLES := tests/chaos tests/unit/test_rules_against_naive.py

chaos-long: $(INSTALLED)
	$(BIN)/python -m tests.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

install: $(INSTALLED)

PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --retries 10 --timeout 60 --require-hashes

$(RUNNABLE): requirements-run.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed (PYTHON=… names another one)" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv …"
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) -r $<
	@printf '#!%s\nimport sys\nsys.path.insert(0, "%s")\nfrom infrastructure.command_line import main\nmain()\n' \
		"$(CURDIR)/$(BIN)/python" "$(CURDIR)" > $(BIN)/pomocore && chmod +x $(BIN)/pomocore
	@touch $@

$(INSTALLED): requirements-dev.lock $(RUNNABLE)
	@echo "Installing what the tests and checks need …"
	@$(PIP_INSTALL) -r $<
	@touch $@

# uv is needed here alone, so it is not part of the lock
lock:
	@$(PYTHON) -m venv .data/lock && .data/lock/bin/python -m pip install --quiet uv
	.data/lock/bin/uv pip compile pyproject.toml $(LOCK_OPTIONS) --extra otel --extra sites --extra collect --extra kafka --extra duckdb \
		--extra postgres 		--output-file requirements.lock
	.data/lock/bin/uv pip compile pyproject.toml $(LOCK_OPTIONS) --extra embedded \
		--constraints requirements.lock --output-file requirements-run.lock
	.data/lock/bin/uv pip compile pyproject.toml $(LOCK_OPTIONS) --extra embedded --group dev \
		--constraints requirements-run.lock --output-file requirements-dev.lock

LOCK_OPTIONS := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	--no-emit-find-links $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
