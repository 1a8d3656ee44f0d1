# The two commands a newcomer needs: `make demo` and `make test`. Everything else is for those who work on vultus.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m

.PHONY: help setup demo test quick check fix models bench new clean

help:            ## show this list
	@grep -E '^[a-z]+: .*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: .venv/.ready    ## create the environment and install vultus into it

.venv/.ready: pyproject.toml constraints.txt tools/setup.sh
	@PYTHON=$(PYTHON) sh tools/setup.sh

models: setup    ## fetch the default weights (about 30 MB, once)
	@$(BIN)/vultus models pull default

demo: models     ## enroll, identify and refuse on real photographs (yours: PHOTOS=folder make demo)
	@$(BIN)/python examples/demo.py

check: setup     ## format, lint, types
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then echo $(RUN) mypy; $(RUN) mypy; \
	else echo "types: NOT CHECKED; they are written for the stubs of the pinned versions, which need Python 3.11"; fi

test: check models    ## everything CI runs
	@sh tools/browser.sh
	$(RUN) pytest -n 2 --dist loadgroup

quick: setup     ## the tests that need neither weights nor data
	$(RUN) pytest -q -n 2 -m "not models and not data and not slow"

fix: setup       ## format and repair what can be repaired
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

bench: setup     ## run the benchmark suites and write benchmarks/results
	$(RUN) benchmarks.run

new: setup       ## scaffold a method: make new ROOM=detect NAME=mtcnn PAPER=arXiv:1604.02878 [CLASS=MTCNN] [RECIPE=1]
	$(BIN)/python tools/new_method.py $(ROOM) $(NAME) $(PAPER)

clean:           ## remove the environment and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-out
