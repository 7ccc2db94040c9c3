# The two commands: `make course` and `make test`. Any Python from 3.10 to 3.13 does: make course PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# the option of `course report`: FAST=1 runs the solutions with small sizes
FAST_OPTION := $(if $(FAST),--fast,)

.PHONY: help course test lab build install doctor clean
.DEFAULT_GOAL := help

help:
	@echo "make course   install, build all notebooks, run every solution, check with the graders, report (FAST=1: small sizes)"
	@echo "make test     the project's tests and linters"
	@echo "make lab      open JupyterLab on the student notebooks"
	@echo "make doctor   what is wrong with this installation, and what to do"
	@echo "make clean    remove what is built under build/"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; ok = (3, 10) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "This is Python " + sys.version.split()[0] + "; the course needs 3.10 to 3.13. Try: make course PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(BIN)/python requirements.txt constraints.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]' --constraint constraints.txt
	@touch $(STAMP)

install: $(STAMP)

build: $(STAMP)
	$(BIN)/course build

course: build
	$(BIN)/course report $(FAST_OPTION)

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/python -m tests.machine
	$(BIN)/python -m pytest -n auto --dist loadgroup

lab: $(STAMP)
	$(BIN)/jupyter lab notebooks

doctor: $(STAMP)
	$(BIN)/course doctor

clean:
	rm -rf build
