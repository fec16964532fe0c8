# Furrow from the command line. Paths are relative throughout, so the checkout may lie in a folder with spaces.

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory
# Compiled once, every process of ours starts a good bit sooner.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP_INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input
# Two commands at once take turns at the environment (where util-linux is installed: on every Linux).
LOCKED := $(if $(shell command -v flock),flock requirements.txt)
DEPLOY := .venv/bin/python -m deploy
# For commands that act on what runs already: installing first would be absurd.
IF_INSTALLED := test -x .venv/bin/python || { echo "Nothing was started here; make up does that."; exit 0; };

.PHONY: help demo hello up down status logs test quick check screenshots format bench-quick bench bench-cases bench-pages bench-locks

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: .venv/.runtime  ## Start everything, run the demo workload, say where to look
	@$(DEPLOY) demo

hello: .venv/.runtime  ## Start everything, publish Hello as RabbitMQ's tutorial does, show the jobs and their log
	@$(DEPLOY) hello

up: .venv/.runtime  ## Start everything and wait until it works
	@$(DEPLOY) up

down:  ## Stop what was started here; data stays
	@$(IF_INSTALLED) $(DEPLOY) down

status:  ## Say what runs
	@$(IF_INSTALLED) $(DEPLOY) status || [ $$? -eq 3 ]  # 3: nothing runs, which is no error

logs:  ## Follow the logs of all processes
	@$(IF_INSTALLED) $(DEPLOY) logs

test: .venv/.development  ## Run all tests on PostgreSQL, and the engine's on SQLite as well; ARGS=path: only those
	@.venv/bin/python -m tests.lanes $(ARGS)

quick: .venv/.development  ## Run the tests that need no server (half a minute)
	@FURROW_TEST_RUN=.run/test-quick DATABASE=sqlite .venv/bin/python -m pytest -q tests/unit tests/architecture $(ARGS)

check: .venv/.development  ## Format, lint, types, import contracts, missing migrations
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/python -m mypy
	PYTHONPATH=.:apps:platform .venv/bin/lint-imports
	.venv/bin/python manage.py makemigrations --check --dry-run

screenshots: .venv/.development  ## Take the pictures of docs/screenshots anew (about five minutes)
	.venv/bin/python -m tests.gallery $(ARGS)

format: .venv/.development  ## Format the code and repair what the linter can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench-quick: .venv/.runtime  ## Measure against Celery (under three minutes): .run/bench-quick.json
	.venv/bin/python -m benchmarks quick $(ARGS)

bench: .venv/.runtime  ## Measure against all peers (under 25 minutes): .run/bench.json
	.venv/bin/python -m benchmarks full $(ARGS)

bench-cases: .venv/.runtime  ## Try what kills queue tables (35 minutes): .run/bench-cases.json
	.venv/bin/python -m benchmarks.cases $(ARGS)

bench-pages: .venv/.runtime  ## Time the admin's pages with a million jobs (five minutes the first time)
	.venv/bin/python -m benchmarks.pages $(ARGS)

bench-locks: .venv/.runtime  ## Time lock and unlock against redis-py and python-redis-lock (two minutes)
	.venv/bin/python -m benchmarks.locks $(ARGS)

.venv/.runtime: requirements.txt pyproject.toml
	@$(LOCKED) $(MAKE) .install-runtime

.venv/.development: requirements-dev.txt requirements.txt pyproject.toml
	@$(LOCKED) $(MAKE) .install-development

.PHONY: .install-runtime .install-development .python

.install-runtime: .python
	@echo "Installing the pinned requirements into .venv ..."
	@$(PIP_INSTALL) -r requirements.txt
	@touch .venv/.runtime

.install-development: .python
	@echo "Installing the pinned requirements, with those for development, into .venv ..."
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch .venv/.runtime .venv/.development

# A .venv whose interpreter is gone (moved, upgraded) or that was left half-made is made anew.
.python:
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || { \
	  test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and no python3 was found." >&2; exit 1; }; \
	  "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Python 3.11 or newer is needed; $(PYTHON) is `"$(PYTHON)" --version 2>&1`." >&2; \
	    echo "Name another one:  make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }; \
	  "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu type:" >&2; \
	    echo "    sudo apt-get install python3-venv" >&2; exit 1; }; \
	  echo "Creating .venv with $(PYTHON) ..."; \
	  rm -rf .venv && "$(PYTHON)" -m venv .venv; }
