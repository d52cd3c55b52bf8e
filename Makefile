# Every target sets up what it needs: on a machine with Python 3.10+ and make, `make demo` or `make test` is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.viscera-ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: setup demo test test-all test-oracles bench lint clean
.DEFAULT_GOAL := test

setup: $(STAMP)

# sam2 is a source package that is built against an installed torch, so torch comes first; see docs/decisions/0003.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
	  || { echo "Viscera needs Python 3.10 to 3.13; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=23" "setuptools>=77" wheel
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --no-deps torchvision
	$(PIP) install --quiet --constraint constraints.txt "numpy" "hydra-core" "iopath" "tqdm" "pillow"
	SAM2_BUILD_CUDA=0 $(PIP) install --quiet --constraint constraints.txt --no-build-isolation --no-deps sam2
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/viscera run trainer/configs/demo-pipeline.yaml --out out/demo

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" --durations=10

test-all: $(STAMP)
	$(BIN)/python -m pytest

# Independent packages, some of them GPL or AGPL, that the renderers are compared with; docs/decisions/0014.
test-oracles: $(STAMP)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[dev,oracles]"
	$(BIN)/python -m pytest -rfEs --durations=10 tests/oracles

bench: $(STAMP)
	mkdir -p out
	$(BIN)/viscera bench | tee out/benchmarks.md

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache
