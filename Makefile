# The two commands that matter: `make run` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS ?= 1
export PYTHONDONTWRITEBYTECODE ?=
# Processes that tests run in; each makes the heavy fixtures of its own, so more than a few gain little.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help run test test-quick test-long test-faults test-team test-matrix test-pythons check docs notebook format lock lowest bench-env wheel clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "analognas needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned dependencies into $(VENV): 7 GB, a few minutes the first time ..."
	@# The lock is complete, so nothing is left to resolve; --no-deps keeps pip from trying.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP)  ## install, then run the whole pipeline on the embedded digits
	@$(BIN)/analognas run

test: $(STAMP)  ## install, then run the tests (those of minutes: the three below)
	$(PYTEST)

test-quick: $(STAMP)  ## all but those that run a whole pipeline or a real server
	$(PYTEST) -m "not slow"

test-long: $(STAMP)  ## examples of the docs as they stand, benchmarks that train, an hour of a team: five minutes
	$(PYTEST) -m long tests

test-faults: $(STAMP)  ## end processes, fill the disk, damage files: about half an hour
	$(BIN)/python -m pytest -m faults tests

test-team: $(STAMP)  ## a month of a team of two and a schedule, with real servers: six minutes; TEAM_DATABASE=postgresql TEAM_REMOTE=s3
	$(BIN)/python -m pytest -m team tests

test-matrix: $(STAMP)  ## the default run for 20 seeds on five instruction sets: hours; FOLDER=... keeps it
	$(BIN)/python -m benchmarks.matrix $(if $(FOLDER),--folder $(FOLDER))

test-pythons:  ## hardware tests and a short pipeline on every other supported Python that is installed
	@sh .ci/pythons

check: $(STAMP)  ## lint, formatting, types, and the site without a warning
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory docs

docs: $(STAMP)  ## the pages of docs/ and a reference as a site: docs/_build/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

notebook: $(STAMP)  ## run the tutorial as a notebook: docs/tutorial.ipynb
	$(BIN)/python -m pip install --quiet --disable-pip-version-check ipykernel nbclient nbformat
	$(BIN)/python docs/notebook.py

format: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## resolve the dependencies anew (needs uv); the file holds versions, no addresses
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --no-header --no-annotate --quiet --upgrade -o requirements.lock

lowest:  ## install the lowest versions that pyproject.toml allows beside the pinned ones, and run the quick tests (needs uv)
	@test -x $(VENV)-lowest/bin/python || uv venv --quiet --python 3.11 $(VENV)-lowest
	@uv pip compile pyproject.toml --group dev --python-version 3.11 --resolution lowest-direct --no-header \
		--no-annotate --quiet -o $(VENV)-lowest/requirements.txt
	@uv pip install --quiet --python $(VENV)-lowest/bin/python -r $(VENV)-lowest/requirements.txt
	@uv pip install --quiet --python $(VENV)-lowest/bin/python --no-deps --no-build-isolation -e .
	PATH="$(CURDIR)/$(VENV)-lowest/bin:$$PATH" $(VENV)-lowest/bin/python -m pytest -n $(WORKERS) --dist worksteal \
		-m "not slow" --deselect tests/test_golden.py --deselect tests/test_tutorial_page.py  # figures of the pinned ones

bench-env: $(STAMP)  ## install what the benchmarks compare with
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/requirements.txt

wheel: $(STAMP)  ## build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

clean:  ## remove the environment and everything that can be made anew (never data/)
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
