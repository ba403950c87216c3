# Everything one does with the project. `make help` lists it.
# Each target sets up what it needs, once: in a virtual environment, remembered by stamp files in it.

PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= 2
ARGS    ?=

BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
# Reproducible figures: one BLAS thread per worker, and no kernel chosen by hand.
PYTEST  := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
           $(BIN)/python -m pytest -q
# An environment as it is where Numba and SciPy cannot be had, in a browser for example.
BARE       ?= $(VENV)-bare
BARE_TESTS := backends fit model mission checkpoint safetensors keeping structure cli source optim layers sweep compiled \
              explain blackbox check_gradients check_backprop draw callbacks history tables preparing commands metrics
# The stamp carries the interpreter's name: asking for another PYTHON makes the environment again.
MADE    := $(VENV)/.made-by-$(subst /,_,$(PYTHON))

COMMA   := ,

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test test-bare test-slow conformance conformance-setup check lint types docs fix bench \
        bench-parts doctor-bench slips-bench sklearn-bench faults clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'Another Python: make test PYTHON=python3.13 VENV=.venv313.  Chosen tests: make test ARGS="-k grad"'

demo: $(VENV)/.has-plot  ## install, and run the demonstration
	@$(BIN)/pellucid demo

test: $(VENV)/.has-test  ## run all tests but the slow ones
	@$(PYTEST) -n $(WORKERS) $(ARGS)

test-bare: $(BARE)/.has-bare  ## run the tests of models with NumPy alone: no Numba, no SciPy
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OMP_NUM_THREADS=1 $(BARE)/bin/python -m pytest \
	    -q -n $(WORKERS) $(wildcard $(BARE_TESTS:%=tests/test_%.py)) $(ARGS)

test-slow: $(VENV)/.has-test  ## run the slow tests
	@$(PYTEST) -n $(WORKERS) -m slow $(ARGS)

conformance: conformance-setup  ## compare with PyTorch and mpmath
	@$(PYTEST) -rs -m conformance $(ARGS)

conformance-setup: $(VENV)/.has-test $(VENV)/.has-conformance

check: lint types docs  ## everything but the tests: lint, types, docs

lint: $(VENV)/.has-lint  ## format and lint, checked only
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.has-lint  ## type check src
	@$(BIN)/mypy

docs: $(VENV)/.has-docs $(VENV)/.has-test  ## build the pages into docs/_build, run their examples
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@$(PYTEST) tests/test_docs.py

fix: $(VENV)/.has-lint  ## format, and repair what lint can repair
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.has-bench  ## compare with other libraries: bench/RESULTS.md; quicker: ARGS="--quick"
	@$(BIN)/python -m bench $(ARGS)

bench-parts: $(VENV)/.has-numpy  ## time parts alone: imports, a step, nodes of a graph
	@$(BIN)/python -m bench.parts $(ARGS)

doctor-bench: $(VENV)/.has-numpy  ## how often the doctor is right: bench/DOCTOR.md; ARGS="--each 2"
	@$(BIN)/python -m bench.doctor --out bench/DOCTOR.md $(ARGS)

slips-bench: $(VENV)/.has-numpy  ## slips in backward passes, caught and named: bench/SLIPS.md
	@$(BIN)/python -m bench.slips $(ARGS)

sklearn-bench: $(VENV)/.has-test  ## the estimators beside scikit-learn's networks: bench/SKLEARN.md
	@$(BIN)/python -m bench.estimators $(ARGS)

faults: $(VENV)/.has-test  ## plant faults in the code: each must make some test fail
	@$(BIN)/python scripts/plant_faults.py $(ARGS)

clean:  ## remove everything that make has made
	@rm -rf build dist docs/_build docs/ops.md bench/partial src/*.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests docs scripts bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@for venv in $(VENV) $(BARE); do if [ -f $$venv/pyvenv.cfg ]; then rm -rf $$venv; fi; done

# ---- setting up: the last thing a recipe does is its stamp, so a half-made step is done again ----

# A refused install leaves the environment as it was; a killed one leaves .busy, and it is made again.
define install
@echo "Installing pellucid$(1) into $(VENV)"
@touch $(VENV)/.busy; $(PIP) install -e '.$(1)'; status=$$?; rm -f $(VENV)/.busy; exit $$status
@$(BIN)/python -m compileall -q src/pellucid
@touch $@
endef

$(VENV)/.has-numpy: $(MADE) pyproject.toml
	$(call install,)

# scikit-learn brings SciPy, so it is no part of `test`: `make test-bare` goes without.
$(VENV)/.has-test: $(MADE) pyproject.toml
	$(call install,[test$(COMMA)sklearn])

$(VENV)/.has-%: $(MADE) pyproject.toml
	$(call install,[$*])

# Whom the benchmarks cannot have they leave out, and ask for again the next time.
$(VENV)/.has-bench: $(VENV)/.has-numpy pyproject.toml
	@touch $(VENV)/.busy; $(BIN)/python -m bench.peers; missing=$$?; rm -f $(VENV)/.busy; \
	    if [ $$missing -eq 0 ]; then touch $@; fi

$(BARE)/.has-bare: pyproject.toml
	@echo "Installing pellucid with NumPy alone into $(BARE)"
	@$(PYTHON) -m venv --clear $(BARE)
	@$(BARE)/bin/python -m pip --disable-pip-version-check --no-input -qq install \
	    $$($(PYTHON) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	        deps = p["dependencies"][:1] + p["optional-dependencies"]["test"]; \
	        print(*(repr(d.replace(" ", "")) for d in deps))' | tr -d "'")
	@$(BARE)/bin/python -m pip --disable-pip-version-check --no-input -qq install --no-deps -e .
	@touch $@

# --clear empties the folder, so a folder that is no virtual environment is left alone.
$(MADE):
	@command -v $(PYTHON) >/dev/null || \
	    { echo "$(PYTHON) not found. Try another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "pellucid needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	           "Try another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@if [ ! -f $(VENV)/pyvenv.cfg ] && [ -n "$$(ls -A $(VENV) 2>/dev/null)" ]; then \
	    echo "$(VENV) is a folder of something else. Try another one: make VENV=.venv2 ..." >&2; exit 1; fi
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# An environment whose Python has gone (upgraded, or moved with the folder) is made again too.
ifeq ($(shell test ! -e $(VENV)/.busy && $(BIN)/python -c 'print(1)' 2>/dev/null),)
.PHONY: $(MADE)
endif
