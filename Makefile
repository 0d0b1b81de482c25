# Ordinaut: `make` alone prints what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format protos lock bench wheels clean

help: ## print this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(READY) ## make the virtual environment with everything pinned

demo: $(READY) ## run the morning briefing on embedded servers and tell its story
	@$(RUN) python -m examples.morning_briefing.demo

up: $(READY) ## start the whole system on this machine; data stays in .ordinaut/
	@$(RUN) ordinaut up --data-dir .ordinaut

test: $(READY) ## run every test on real servers
	@$(RUN) python -m pytest

check: $(READY) ## formatting, lint, types, import rules, SQL, protos
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports --no-cache
	@$(RUN) python -m ordinaut.store.check
	@$(RUN) sh scripts/protos.sh check

format: $(READY) ## format code and protos
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .
	@$(RUN) sh scripts/protos.sh format

protos: $(READY) ## generate ordinaut/v1 and ordinaut/internal/v1 from protos/
	@$(RUN) sh scripts/protos.sh generate .

lock: $(READY) ## choose versions anew and pin them in requirements.lock
	@$(RUN) uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --all-extras --group dev \
	  --custom-compile-command 'make lock' pyproject.toml deploy/build-requirements.in -o requirements.lock

bench: $(READY) ## measure the hot path beside pgbench on this machine
	@$(RUN) python -m benchmarks

wheels: $(READY) ## build the wheels `ordinaut` and `ordinaut-server` into dist/
	@$(RUN) python -m build --quiet --no-isolation --wheel --outdir dist .
	@$(RUN) python -m build --quiet --no-isolation --wheel --outdir dist deploy/server

clean: ## remove what was built here, not .ordinaut/
	rm -rf $(VENV) build dist protos/third_party .mypy_cache .pytest_cache .ruff_cache .hypothesis
