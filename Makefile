# kongtx: `make run` runs the gateway, `make test` installs what the tests need and passes them.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Such as: make test PYTEST_OPTIONS="-n 2 --dist worksteal"
PYTEST_OPTIONS ?=
# How long each target of `make fuzz` runs.
SECONDS ?= 300

.PHONY: help run test fuzz lint bench docs programs clean
help:
	@echo "make run    run the gateway on the quick-start configuration (Ctrl-C stops it)"
	@echo "make test   install what the tests need, check the code, pass the tests"
	@echo "make fuzz   look for inputs that show faults, SECONDS=300 for each target"
	@echo "make lint   format check, linter, import rules, types, container file"
	@echo "make bench  measure against nginx and write benchmarks/results/"
	@echo "make docs   build the documentation into docs/_build/html"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make: kongtx needs Python 3.11 or newer as $(PYTHON) (apt-get install python3)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "make: python3 has no venv module (apt-get install python3-venv)" >&2; exit 1; }

# The installed package and, in .dev, the checkout with what tests and documentation need.
$(VENV)/.run: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install -q --config-settings editable_mode=compat -e .
	@touch $@

run: $(VENV)/.run
	@$(BIN)/kongtx quickstart --prefix $(CURDIR)/run

$(VENV)/.dev: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install -q --config-settings editable_mode=compat -e .[dev]
	@touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	[ ! -x $(BIN)/hadolint ] || $(BIN)/hadolint conf/Containerfile

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W -q -b html docs docs/_build/html

programs:
	@sh tests/install-programs

bench: $(VENV)/.dev programs
	$(BIN)/python -m benchmarks.run

test: lint docs programs
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(TARGETS)

clean:
	rm -rf $(VENV) .venv-sslyze .cassandra .fuzz build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache
