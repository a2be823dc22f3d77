# make quickstart and make test do all the set-up. Settings:
#   PYTHON           the Python (3.11 or newer) that makes the environment, e.g. make PYTHON=python3.12 quickstart
#   TORCH_INDEX_URL  where torch comes from, e.g. https://download.pytorch.org/whl/cpu for the build without CUDA
#   ARGS             further arguments for pytest, e.g. make test ARGS="tests/sampling -x"
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)
ARGS ?=

.DELETE_ON_ERROR:
.PHONY: help quickstart test lint types benchmark clean distclean

help:
	@echo "make quickstart  install and run a first comparison on a simulated shop log (no download of data)"
	@echo "make test        install the test extras and run the tests (RECSYS_DATA=folder adds those on real data)"
	@echo "make lint        ruff"
	@echo "make types       mypy"
	@echo "make benchmark   print speeds next to the limits of this machine"
	@echo "make clean       remove caches and build products (make distclean: the environment as well)"

quickstart: $(VENV)/.installed
	$(VENV)/bin/recsys quickstart

test: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .

types: $(VENV)/.installed-dev
	$(VENV)/bin/mypy

benchmark: $(VENV)/.installed-test
	$(VENV)/bin/python -m pytest -m benchmark -s $(ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find recsys pipelines tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)

# Each step leaves a stamp, so that a second call has nothing to do until the pins or pyproject.toml change.
$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { \
		echo "there is no command $(PYTHON); install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1); 3.11 or newer is needed, name one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch first and alone: no range of another package may choose its build.
$(VENV)/.torch: $(VENV)/.made constraints.txt
	$(PIP) install $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) $(TORCH)
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt -e ".[tracking]"
	@touch $@

$(VENV)/.installed-test: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt -e ".[test]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@
