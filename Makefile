# Python 3.11+, git and make are all that these targets need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo up test test-real bench bench-quick lint prices reference dist site clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Coalmine needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.installed  ## play the whole story: a bad version rolled back, a good one graduated
	$(BIN)/coalmine demo $(ARGS)

up: $(VENV)/.installed  ## start everything on this machine; ARGS='--repo … --issues … --ci … --agent …'
	$(BIN)/coalmine up $(ARGS)

lint: $(VENV)/.developed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The suites start hundreds of processes: none compiles anew what another has compiled.
test test-real chaos soak bench bench-quick demo: export PYTHONDONTWRITEBYTECODE =

# Its tests wait more than they compute, so three times as many run at once as the smallest machine has cores.
test: $(VENV)/.developed  ## all that is quick and needs nothing but Python, git and make
	$(BIN)/python -m pytest -n 6 --dist loadgroup -m "not long"

test-real: $(VENV)/.developed  ## long stories, and suites that need programs of others (installs them)
	PYTHON=$(BIN)/python tests/real/install.sh .real
	REAL_PROGRAMS=.real $(BIN)/python -m pytest -n 4 --dist loadgroup -m long tests tests/real

chaos: $(VENV)/.developed  ## a real fleet under faults; ARGS='--seed 1 --jobs 2000 --workers 5 --seconds 120 --report …'
	$(BIN)/python -m tests.chaos $(ARGS)

soak: $(VENV)/.developed  ## a fleet at work for long: does anything grow? ARGS='--minutes 30 --report … --plots …'
	$(BIN)/python -m tests.soak $(ARGS)

$(VENV)/.benched: $(VENV)/.developed
	$(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

bench: $(VENV)/.benched  ## measure; writes benchmarks/results.json
	$(BIN)/python -m benchmarks.run $(ARGS)

bench-quick: $(VENV)/.developed  ## the same with fewer runs a cell
	$(BIN)/python -m benchmarks.run --quick

# A Python that has hatchling; by default one of its own.
BUILDER ?= build/venv/bin/python

build/venv/bin/python: constraints.txt
	$(PYTHON) -m venv build/venv
	$@ -m pip --disable-pip-version-check --quiet install -c constraints.txt hatchling
	@touch $@

# hatchling sets every file's time and mode, so a commit has one wheel, on every machine.
dist: $(BUILDER)  ## build the wheel and the source distribution, in dist/
	rm -rf dist
	$(BUILDER) -m hatchling build --directory dist

build/site-venv/bin/mkdocs: constraints.txt
	$(PYTHON) -m venv build/site-venv
	build/site-venv/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt mkdocs-material
	@touch $@

# A link, or a heading in one, that leads nowhere ends it; nothing is asked of another host.
site: build/site-venv/bin/mkdocs  ## build the documentation as a site, in build/site/
	NO_MKDOCS_2_WARNING=1 $< build --strict

reference: $(VENV)/.developed  ## write docs/api.md from what /openapi.json says
	$(BIN)/python -m tests.api_reference

prices: $(VENV)/.developed  ## take the list prices of models from the pinned genai-prices
	$(BIN)/python -m tests.price_list

clean:  ## remove what the targets above made
	rm -rf $(VENV) .real build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
