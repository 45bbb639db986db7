# Every target makes its own environment in .venv when it is missing; stamp files make a second run quick.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
JOBS ?= 2
BUDGET ?= quick
OUT ?= report
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help reproduce test lint docs bench clean

help:
	@echo "make reproduce   rerun the claims of the papers (under 10 minutes on two cores); writes $(OUT)/index.html"
	@echo "make test        run the tests"
	@echo "make lint        check style and types"
	@echo "make docs        build the documentation into docs/_build/html"
	@echo "make bench       time the kernels and transforms against their peers"
	@echo "make clean       remove what these targets made"

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/pyvenv.cfg pyproject.toml
	$(PIP) install -e .
	@touch $@

$(VENV)/.test: $(VENV)/pyvenv.cfg pyproject.toml
	$(PIP) install -e ".[test]"
	@touch $@ $(VENV)/.core

$(VENV)/.lint: $(VENV)/pyvenv.cfg pyproject.toml
	$(PIP) install -e ".[lint]"
	@touch $@ $(VENV)/.core

$(VENV)/.docs: $(VENV)/pyvenv.cfg pyproject.toml
	$(PIP) install -e ".[docs]"
	@touch $@ $(VENV)/.core

reproduce: $(VENV)/.core
	$(BIN)/scinn reproduce --budget $(BUDGET) --jobs $(JOBS) --out $(OUT)
	@echo "report: $(OUT)/index.html"

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

# The peers (PyGSP, PyTorch) live in an environment of their own, named by SCINN_PEER_PYTHON; a peer that is
# not there is reported as not run.
bench: $(VENV)/.core
	$(BIN)/scinn bench

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info docs/_build docs/generated docs/gallery docs/sg_execution_times.rst
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find scinn tests examples docs -name __pycache__ -type d -prune -exec rm -rf {} +
