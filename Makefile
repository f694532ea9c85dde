# Everything runs in .venv, installed from a hashed lock file. Needs Python >= 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench bench-scale bench-pace bench-faults bench-load docs lock clean

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

install: .venv/installed ## set up .venv with what inboxsync needs to run

demo: .venv/installed ## sync a 10,000-conversation sandbox Page at Meta's call rate
	@$(BIN)/inboxsync demo

test: .venv/installed-dev ## run every test
	$(BIN)/python -m pytest

check: .venv/installed-dev ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev ## format the code and fix what ruff can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench: .venv/installed-dev .venv-bench/installed ## time syncs beside a plain loop and dlt, exports, and the service under load
	$(BIN)/python bench/speed.py
	$(BIN)/python bench/scale.py 50000
	$(BIN)/python bench/export.py
	$(BIN)/python bench/load.py
	$(BIN)/python bench/views.py

bench-scale: .venv/installed-dev .venv-bench/installed ## a million conversations in each database: first sync, derive pass, changes, and the curve (hours, 30 GB)
	mkdir -p .bench
	$(BIN)/python bench/scale.py 1000000 --notes .bench
	.venv-bench/bin/python -m pip --disable-pip-version-check -qq install matplotlib
	.venv-bench/bin/python bench/curve.py docs/scale.png .bench/scale-*-1000000.txt

bench-pace: .venv/installed-dev ## time a sync at Meta's call rate beside its predecessor (five minutes)
	$(BIN)/python bench/pace.py

bench-faults: .venv/installed-dev ## count the calls of syncs where much goes wrong at once (a few minutes)
	$(BIN)/python bench/faults.py

bench-load: .venv/installed-dev ## time the HTTP service with 200 readers and 50 listeners while two Pages sync
	$(BIN)/python bench/load.py

docs: .venv/installed ## write docs/reference/ from the code
	$(BIN)/python docs/render.py

lock: .venv/installed ## resolve the dependencies again into the lock files (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		pyproject.toml --group build --group dev -o requirements-dev.lock

clean: ## remove .venv and what the tools left
	rm -rf .venv .venv-bench .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/python:
	@test -n "$(PYTHON)" || { echo "inboxsync needs Python 3.11 or newer: install it, or say 'make PYTHON=/path/to/python'." >&2; exit 1; }
	@echo "setting up .venv ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "this Python cannot make a virtual environment: install its venv package (Debian: apt install python3-venv)." >&2; exit 1; }
	@touch $@

.venv/installed: requirements.lock pyproject.toml | .venv/python
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

.venv-bench/installed: | .venv/python
	@.venv/bin/python -m venv .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check -qq install 'dlt[postgres]' 'sqlalchemy>=2' || echo "dlt cannot be installed: the bench continues without it."
	@touch $@
