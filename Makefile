# Two commands do everything on a fresh machine: `make up` and `make test`; `make check` is for work.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NODE_MODULES := node_modules/.installed
# Each run ends with where its time went, and each tier with what it took.
PYTEST := $(BIN)/python -m pytest --durations=10 --durations-min=5
TIER = $(BIN)/python -m tests.tiers run
COSTS := $(CURDIR)/.local/costs
ENGINE := engine or e2e or browser or torture
# To import tests takes each worker up to 15 CPU seconds: where there are none for a tier, it does not
# look. tests/conftest.py sees to it that none is overlooked.
NO_UNIT := $(addprefix --ignore=tests/,browser deployment e2e faults hostile parity)
ON_ACCOUNT := $(addprefix tests/,localaws security tools/local runtime/dagster/test_outputs.py \
  runtime/dagster/test_outputs_of_runs.py)

.PHONY: help up down env test check lint types page unit engine browser screenshots torture oracle \
  rights costs bench format lock clean

help:  ## what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

up: $(INSTALLED)  ## provision the local deployment with the real Pulumi engine and start it
	$(BIN)/python -m tools.local up

down: $(INSTALLED)  ## stop what `make up` started, and only that
	$(BIN)/python -m tools.local down

env: $(INSTALLED)  ## print the line that makes hand-typed pulumi commands work in this checkout
	@$(BIN)/python -m tools.local env

test: check engine  ## everything CI runs

check: lint types page unit  ## what needs no engine and no deployment, for work

lint: $(INSTALLED)  ## style, imports, docstrings
	$(TIER) lint -- sh -c '$(BIN)/ruff check . && $(BIN)/ruff format --check .'

types: $(INSTALLED)  ## strict type checking
	$(TIER) types -- $(BIN)/mypy

page: $(INSTALLED)  ## types and unit tests of the script in Dagster's page, where Node.js is found
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(NODE_MODULES) && $(TIER) page -- sh -c 'npm run --silent types && npm test --silent'; \
	else echo "make page: the types and unit tests of the page's script are skipped: no npm on PATH (apt-get install npm)"; fi

unit: $(INSTALLED)  ## tests that need neither the engine nor a running deployment
	@# One more than cores: a third of the time of these tests is waiting for processes.
	$(TIER) unit -- $(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder \
	  -m "not ($(ENGINE) or account)" $(NO_UNIT)
	$(TIER) account -- $(PYTEST) -n 2 --dist loadfile -m "account and not ($(ENGINE))" $(ON_ACCOUNT)

engine: $(INSTALLED)  ## tests that drive the real Pulumi engine, Dagster's processes and its page
	@# Before any test's time limit: a first build takes minutes.
	$(BIN)/python -m tools.pulumi_cli
	$(BIN)/python -m tools.environments
	@# Part by part: a deployment that waits for others' tests to end takes their CPU.
	$(TIER) live -- $(PYTEST) -m "($(ENGINE)) and not rival" -n 2 --dist loadgroup tests/browser tests/e2e
	$(TIER) engine -- $(PYTEST) -m "($(ENGINE)) and not rival" -n 2 --dist loadgroup --ignore tests/browser --ignore tests/e2e

costs: $(INSTALLED)  ## everything CI runs, and what each tier took into the table in CONTRIBUTING.md
	rm -rf $(COSTS)
	RUN_ISOLATION_COSTS=$(COSTS) $(MAKE) --no-print-directory test
	RUN_ISOLATION_COSTS=$(COSTS) $(BIN)/python -m tests.tiers table

browser: $(INSTALLED)  ## tests of Dagster's page alone, in Chromium where it is found
	$(PYTEST) -m browser

screenshots: $(INSTALLED)  ## take the pictures of docs/toggle.md again
	RUN_ISOLATION_SCREENSHOTS=docs/images $(PYTEST) -m browser tests/browser/test_looks.py

torture: $(INSTALLED)  ## torment slots, launches and the standing container, and count what must not happen (make torture NAMES="slots machine" SEED=7; RECORD=1 writes docs/benchmarks.md)
	$(BIN)/python -m tests.torture $(if $(SEED),--seed $(SEED)) $(if $(RECORD),--record) $(NAMES)

rights: $(INSTALLED)  ## record what the end-to-end tests ask IAM for; writes the table of rights in docs/operations.md
	$(BIN)/python -m tools.pulumi_cli
	$(BIN)/python -m tools.environments
	rm -rf .local/rights
	RIGHTS_REPORT=$(CURDIR)/.local/rights $(PYTEST) -m e2e -n 2 --dist loadgroup tests/e2e
	RIGHTS_REPORT=$(CURDIR)/.local/rights $(PYTEST) -m "e2e and not rival" -n 2 --dist loadgroup tests/faults
	$(BIN)/python -m tests.rights .local/rights

oracle: $(INSTALLED) $(NODE_MODULES)  ## hold the local account's IAM against another evaluator in 10,000 random cases (make oracle SEED=7)
	ORACLE_CASES=10000 ORACLE_SEED=$(or $(SEED),1) $(PYTEST) tests/localaws/iam/test_oracle.py

bench: $(VENV)/.bench  ## measure beside rivals; writes bench/results and the README's tables (make bench NAMES=slots)
	$(BIN)/python -m bench $(NAMES)

format: $(INSTALLED)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# How every lock is compiled: with hashes, without addresses, for Python 3.11 and up.
COMPILE := $(BIN)/uv pip compile --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-strip-extras --quiet --custom-compile-command "make lock"
IMAGE_COMPILE := $(COMPILE) --constraints requirements.txt --no-annotate \
  --python-version 3.12 --python-platform linux

lock: $(INSTALLED)  ## pin every dependency again, with hashes
	$(COMPILE) pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --upgrade -o requirements.txt
	$(IMAGE_COMPILE) pyproject.toml --extra dagster -o images/code-location/requirements.txt
	$(IMAGE_COMPILE) pyproject.toml --extra dagster --extra webserver \
	  -o images/control-plane/requirements.txt
	echo hatchling | $(IMAGE_COMPILE) - -o images/build-requirements.txt
	$(COMPILE) bench/requirements.in --constraints requirements.txt --universal --python-version 3.11 \
	  -o bench/requirements.txt
	$(COMPILE) bench/launch/prefect.in --universal --python-version 3.11 -o bench/launch/prefect.txt

clean: down  ## remove the environment and the local deployment's files
	rm -rf $(VENV) .local node_modules

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("run-isolation needs Python 3.11 or newer. Name one: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(NODE_MODULES): package.json
	npm install --no-audit --no-fund --ignore-scripts --loglevel=error
	touch $@

$(VENV)/.bench: $(INSTALLED) bench/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r bench/requirements.txt
	touch $@
