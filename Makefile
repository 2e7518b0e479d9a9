# From a fresh clone: `make demo`, `make test`. Each target does its own set-up, once; it is done
# again only when pyproject.toml or constraints.txt change.
#
#   make demo    hide the face in a clip that facefx makes itself, and say where the result is
#   make test    every test (FACEFX_MEDIA and FACEFX_MODELS name folders with real footage and nets)
#   make lint    ruff, format, strict types
#   make bench   speed, memory, cover and more, judged and written to benchmarks/results/ (SHORT=1: a quick trial; ONLY="speed memory": just these)
#   make chaos   archives whose workers and drivers are killed, compared byte by byte (SHORT=1: a few of each)
#   make bench-effects   what each effect costs a face, in chains, and by way of RGB (SHORT=1: a quick trial)
#   make bench-archive   what a cluster costs beside the work itself, and what a second lane brings
#   make bench-live   what facefx adds to a live stream, what carrying frames costs, photos a second (SHORT=1: a quick trial)
#   make soak    ten minutes of a live stream while everything around it fails (SHORT=1: one minute)
#   make docs    write docs/cli.md, docs/effects.md and the gallery again from the code
#   make pin     write constraints.txt again from a clean environment
#   make test-gpu, make clean

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq -c constraints.txt
# An interpreter that is new enough and able to make virtual environments.
USABLE := -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'

.PHONY: help demo test test-gpu lint bench bench-effects bench-archive bench-live soak chaos docs pin clean setup setup-dev

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/facefx demo

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# Without a GPU these tests fail here instead of being skipped.
test-gpu: $(VENV)/.installed-dev
	@FACEFX_GPU=1 $(BIN)/python -m pytest -m gpu

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(if $(SHORT),--short) $(ONLY)

bench-effects: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(if $(SHORT),--short) effects

bench-archive: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(if $(SHORT),--short) archive scale

bench-live: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks $(if $(SHORT),--short) live frames images

soak: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.soak $(if $(SHORT),--short)

chaos: $(VENV)/.installed-dev
	@$(BIN)/python -m benchmarks.chaos $(if $(SHORT),--short)

docs: $(VENV)/.installed-dev
	@for page in cli effects; do \
	  $(BIN)/python -m facefx.$$page.reference > docs/$$page.md.new; \
	  mv docs/$$page.md.new docs/$$page.md; \
	done
	@$(BIN)/python -m facefx.pipeline.gallery_docs docs

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

# The build tools come first and pinned, so that no isolated build fetches others.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing facefx into $(VENV) (some minutes the first time) …"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need into $(VENV) …"
	@$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

# Debian leaves venv out of its python3: install it where we may, else say how.
$(BIN)/pip:
	@if ! $(PYTHON) $(USABLE) 2>/dev/null; then \
	  root=; [ "$$(id -u)" = 0 ] || root='sudo -n'; \
	  if ! { command -v apt-get && $$root true; } >/dev/null 2>&1; then \
	    echo "facefx needs Python 3.11 or newer with venv: as root, apt-get install python3-venv" \
	      "(or name another interpreter: make PYTHON=/path/to/python3)" >&2; exit 1; \
	  fi; \
	  echo "Installing python3-venv by apt-get …"; \
	  { $$root apt-get update && $$root env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y --no-install-recommends python3-venv; } >/dev/null; \
	fi; \
	$(PYTHON) $(USABLE) || { echo "$(PYTHON) is older than 3.11 or cannot make virtual environments:" \
	  "name another, make PYTHON=/path/to/python3" >&2; exit 1; }; \
	$(PYTHON) -m venv --clear $(VENV)

# One environment with everything, nothing pinned yet; its list becomes the pins. Local folders and
# extra indexes of the machine are left out, so that the pins are versions that PyPI has.
pin: PIN := $(VENV)-pin
pin: | $(BIN)/pip
	@$(BIN)/python -m venv --clear $(PIN)
	@env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_CONSTRAINT PIP_CONFIG_FILE=/dev/null \
	  $(PIN)/bin/python -m pip --disable-pip-version-check install -qq hatchling editables -e '.[dev]'
	@$(PIN)/bin/python -m pip freeze --exclude facefx | grep -E '^[A-Za-z0-9._-]+==[^ ]+$$' \
	  | LC_ALL=C sort -f > constraints.txt
	@rm -rf $(PIN)
	@wc -l < constraints.txt

clean:
	@rm -rf $(VENV) $(VENV)-pin build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
