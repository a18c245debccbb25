# Everything a person or CI does with BudFlow. `.venv` is made when first needed; `make clean` removes it.

PYTHON ?= python3
EXECUTOR ?= ray
JOBS ?= 3

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := budflow mcp_server ray_jobs
CODE := $(PACKAGES) tests $(wildcard benchmarks docs examples)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CHECKS := check-format check-lint check-types check-imports check-docs

# Empty is as unset: where no bytecode may be written, every server, Ray worker and test run compiles all it imports.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage crash-matrix chaos check $(CHECKS) bench fuzz fmt docs clean

help:
	@echo 'make demo [EXECUTOR=ray|inprocess]  the main job on real input, from an agent to a finished execution'
	@echo 'make serve                          run the server on loopback'
	@echo 'make test                           everything that CI runs'
	@echo 'make coverage                       what the fast tests do not reach'
	@echo 'make crash-matrix [SEED=n]          20,000 simulated schedules, real servers killed everywhere; docs/reliability.md'
	@echo 'make chaos [SEED=n]                 an installation on a Ray cluster, of which everything is killed; docs/reliability.md'
	@echo 'make check                          format, lint, types, import contracts, freshness of the docs'
	@echo 'make fuzz [RUNS=n] [SEED=n]           expressions from made-up texts; the report goes to build/fuzz.json'
	@echo 'make bench | fmt | docs | clean     benchmarks; format the code; generate the docs; remove what was made'

demo: $(VENV)/.installed
	@$(BIN)/budflow demo --executor $(EXECUTOR)

serve: $(VENV)/.installed
	@exec $(BIN)/budflow serve

# Fast tests first. Then those that generate cases, run servers or use Ray, of which those that share what the session
# starts stay on one worker (group `ray`), and of those that start a Ray of their own one runs at a time (`own_ray`).
FAST := not generated and not process and not ray and not docker
test: check
	@$(BIN)/python -m pytest -m '$(FAST)' -n $(JOBS)
	@$(BIN)/python -m pytest -m 'not ($(FAST))' -n $(JOBS) --dist loadgroup --durations=12

# Of the fast tests only: to measure it takes as long again, and up to ten times as long where servers run.
coverage: $(VENV)/.installed-dev
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -m '$(FAST)' -n $(JOBS) --cov --cov-report=term-missing:skip-covered

crash-matrix: $(VENV)/.installed-dev
	@BUDFLOW_SIMULATION_SCHEDULES=20000 $(BIN)/python -m pytest tests/execution/test_simulation.py
	@BUDFLOW_ROTATION_KILLS=all $(BIN)/python -m pytest tests/crash/test_rotation.py
	@$(BIN)/python -m tests.crash.matrix $(if $(SEED),--seed $(SEED))

# As root, and with Redis and iproute2: for the partition it makes a network namespace.
chaos: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED))

check: $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) --output-sync=target $(CHECKS) $(VENV)/.compiled

check-format: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check --quiet --output-format=concise $(CODE) || { echo 'run `make fmt`' >&2; exit 1; }

check-lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check --quiet --output-format=concise $(CODE)

check-types: $(VENV)/.installed-dev
	@$(BIN)/mypy --no-error-summary

check-imports: $(VENV)/.installed-dev
	@out=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$out" >&2; exit 1; }

check-docs: $(VENV)/.installed-dev
	@if [ -f docs/generate.py ]; then $(BIN)/python docs/generate.py --check; fi

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks

# Guided by coverage; the report goes to build/fuzz.json. As long as RUNS says, and from SEED.
fuzz: $(VENV)/.installed-fuzz
	@$(BIN)/python -m tests.fuzz.expressions --runs $(or $(RUNS),100000) --seed $(or $(SEED),1)

fmt: $(VENV)/.installed-dev
	@$(BIN)/ruff check --quiet --fix $(CODE) || true
	@$(BIN)/ruff format --quiet $(CODE)

docs: $(VENV)/.installed-dev
	@$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

# Two stamps, so that the demo and the server wait only for what they run; both renew when pyproject.toml changes.
$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@echo 'Installing BudFlow into $(VENV) ...' >&2
	@$(PIP) --editable . >&2
	@touch $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	@$(PIP) 'atheris==3.0.0' >&2
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.made
	@echo 'Installing BudFlow and its development tools into $(VENV) ...' >&2
	@$(PIP) --no-compile --editable '.[dev]' >&2
	@touch $@ $(VENV)/.installed

# As pip does it, but beside the checks, which leave a processor idle. Some files are for other versions of Python.
$(VENV)/.compiled: $(VENV)/.installed-dev
	@$(BIN)/python -m compileall -qq $(VENV)/lib || true
	@touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo 'BudFlow needs Python 3.11 or newer, which "$(PYTHON)" is not: make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo '"$(PYTHON)" cannot make virtual environments. On Debian: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >&2
	@touch $@
