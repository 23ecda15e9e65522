# `make demo` and `make test` are all a fresh machine needs: Python 3.11 to 3.13, git and make.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint types clean

demo: $(VENV)/runs           ## run the main job: memorize the sample through an MCP client, then ask it
	$(BIN)/memorag demo

# models this small, and servers beside each other, only wait for more threads
test test-slow: export OMP_NUM_THREADS ?= 1
test: lint types              ## lint, types, and the default tests
	$(BIN)/pytest -n 2 --dist loadscope

test-slow: $(VENV)/ready      ## the tests on real models and documents
	$(BIN)/pytest -m slow -n 2 --dist loadscope

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

# torch first and alone: where a CPU build is at hand, nothing later asks for another; what is never imported is never compiled
$(VENV)/runs: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile $(TORCH)
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[cpu]'
	touch $@

# and what tests need
$(VENV)/ready: $(VENV)/runs
	$(BIN)/python -m pip install --quiet --editable '.[cpu,api,ocr,dev]'
	touch $@

clean:
	rm -rf $(VENV)
