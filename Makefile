# make demo   from a bare machine to a first few-shot result
# make test   lint, types, import contracts and the whole test suite
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test check lint types imports tests install dev clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo    install, fetch the embedded model and data once, run the main job, show its table and report"
	@echo "make test    install the development tools, then lint, types, import contracts and all tests"
	@echo "make clean   remove the virtual environment and caches of tools (runs and the user's cache stay)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "icl-lab needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1); set PYTHON=python3.11" >&2; exit 2; }
	@echo "making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make $(VENV): is the venv module installed (Debian: python3-venv)?" >&2; exit 2; }

# torch first and alone: so that pip takes a CPU build where it is offered one, instead of what another package would pull in.
$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing icl-lab (pinned in constraints.txt; a few minutes the first time)"
	@$(PIP_INSTALL) "torch==2.13.0" || { echo "installing torch failed: see pip's message above" >&2; exit 2; }
	@$(PIP_INSTALL) --editable . || { echo "installing icl-lab failed: see pip's message above" >&2; exit 2; }
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing the development tools"
	@$(PIP_INSTALL) --editable ".[dev]" || { echo "installing the development tools failed: see pip's message above" >&2; exit 2; }
	@touch $@

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

demo: $(VENV)/.installed
	@echo "icl evaluate movie-sentiment --shots 8 --episodes 5 --queries 100"
	@$(BIN)/icl evaluate movie-sentiment --shots 8 --episodes 5 --queries 100

lint: $(VENV)/.installed-dev
	@echo "lint: ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .

types: $(VENV)/.installed-dev
	@echo "types: mypy --strict" && $(BIN)/mypy

imports: $(VENV)/.installed-dev
	@echo "import contracts: import-linter" && $(BIN)/lint-imports

tests: $(VENV)/.installed-dev
	@echo "tests: pytest, two at a time" && OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test: lint types imports tests
check: test

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
