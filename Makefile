# Ordinaut: `make` prints the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Three for each of two cores: most of the time tests wait.
TEST_PROCESSES ?= 6
# Processes start in four fifths of the time, and tests are collected in half of it, with compiled modules at hand.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH= PYTHONDONTWRITEBYTECODE=
READY := $(VENV)/.ready
# the generator of protos/ is older than the packages of $(VENV), and conflicts with them
GENERATOR := $(VENV)-protos
GENERATOR_READY := $(GENERATOR)/.ready
PROTOS := GENERATOR=$(GENERATOR) $(RUN) sh scripts/protos.sh
PIN := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-unit test-full fuzz-fixes check format protos protos-baseline lock bench wheels npm clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(GENERATOR_READY): scripts/generator-requirements.lock
	$(PYTHON) -m venv $(GENERATOR)
	$(GENERATOR)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

setup: $(READY) ## make the virtual environment with everything pinned

demo: $(READY) ## run the morning briefing on embedded servers and print its steps
	@$(RUN) python -m examples.morning_briefing.demo

up: $(READY) ## start the whole system on this machine; data stays in .ordinaut/
	@$(RUN) ordinaut up --data-dir .ordinaut

test: $(READY) ## run every test on real servers, with a sample of the kills and random cases
	@$(RUN) python -m pytest -n $(TEST_PROCESSES)

test-unit: $(READY) ## run the tests that need no server
	@$(RUN) python -m pytest -n 2 tests/unit

test-full: $(READY) ## run every test with every kill and all random cases
	@$(RUN) ORDINAUT_TEST_FULL=1 python -m pytest -n $(TEST_PROCESSES)

fuzz-fixes: $(READY) ## check the fixes of 10 000 requests with random mistakes (ORDINAUT_FIX_SEED, ORDINAUT_FIX_CASES)
	@$(RUN) ORDINAUT_FIX_CASES=$${ORDINAUT_FIX_CASES:-10000} python -m pytest -q -s tests/integration/fixes -k random

check: $(READY) $(GENERATOR_READY) ## formatting, lint, types, import rules, SQL, protos
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports --no-cache
	@$(RUN) python -m ordinaut.store.check
	@$(PROTOS) check

format: $(READY) $(GENERATOR_READY) ## format code and protos
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .
	@$(PROTOS) format

protos: $(READY) $(GENERATOR_READY) ## generate ordinaut/v1 and ordinaut/internal/v1 from protos/
	@$(PROTOS) generate .

protos-baseline: $(READY) $(GENERATOR_READY) ## accept the current public contract as the baseline (until 0.1.0 is released)
	@$(PROTOS) baseline

lock: $(READY) ## update the versions that are pinned in requirements.lock and scripts/generator-requirements.lock
	@$(RUN) $(PIN) --all-extras --group dev pyproject.toml deploy/build-requirements.in -o requirements.lock
	@$(RUN) $(PIN) scripts/generator-requirements.in -o scripts/generator-requirements.lock

bench: $(READY) ## measure throughput, latency and cost (benchmarks/README.md)
	@$(RUN) python -m benchmarks

wheels: $(READY) ## build the wheels `ordinaut` and `ordinaut-server` into dist/
	@$(RUN) python -m build --quiet --no-isolation --wheel --outdir dist .
	@$(RUN) python -m build --quiet --no-isolation --wheel --outdir dist deploy/server

npm: $(READY) ## build the npm package into build/npm/ (needs Node)
	@$(RUN) sh scripts/npm.sh build/npm

clean: ## remove what was built here, not .ordinaut/
	rm -rf $(VENV) $(GENERATOR) build dist protos/third_party .mypy_cache .pytest_cache .ruff_cache .hypothesis
