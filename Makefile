# make demo: set up and run the pipeline on the demo pool. make test: set up and pass the tests.
# PYTHON chooses the interpreter (3.11 or 3.12). Everything is written inside this folder.
# FAISS=cpu|gpu chooses the build of faiss; without it, one for GPUs where nvidia-smi finds any.
# Modules are compiled on all cores; a few of them are for other Pythons and cannot be. Those that hardly anybody imports
# are left to who does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FAISS ?= $(shell nvidia-smi --list-gpus 2> /dev/null | grep -q GPU && echo gpu || echo cpu)
ifeq ($(filter cpu gpu,$(FAISS)),)
$(error FAISS is '$(FAISS)'; allowed: cpu, gpu)
endif
SELDOM := /tests?/|/testing/|/pip/|/matplotlib/|/fontTools/|/nltk/|transformers/models/|torch/_inductor/|ray/(rllib|serve|tune|llm)/
STAMP := $(VENV)/.set-up-$(FAISS)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_CACHE_DIR := 1
export PIP_USER := 0
unexport PIP_TARGET PIP_PREFIX PIP_ROOT
export DVC_SITE_CACHE_DIR := $(CURDIR)/.presel/dvc/site
export DVC_GLOBAL_CONFIG_DIR := $(CURDIR)/.presel/dvc/global
export DVC_SYSTEM_CONFIG_DIR := $(CURDIR)/.presel/dvc/system
export HF_HOME := $(CURDIR)/.presel/huggingface
export XDG_CACHE_HOME := $(CURDIR)/.presel/cache

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak lint types ui repro clean stack stack-stop stack-status stack-clean

help:
	@echo "make demo    set up, draw the demo pool, run the whole pipeline on it"
	@echo "make test    set up, run the tests (about 14 minutes on 2 cores)"
	@echo "make soak    the tests that take long: faults, the server stack, Retry in a browser, properties with many examples"
	@echo "make lint    ruff and mypy, as CI runs them"
	@echo "make ui      MLflow on http://127.0.0.1:5000 and Prefect on http://127.0.0.1:4200, over this folder's runs"
	@echo "make stack   PostgreSQL, Prefect, MLflow, an S3 store and a worker as local processes (stack-status, stack-stop, stack-clean)"
	@echo "make clean   remove what runs made (data, runs, .presel); the virtual environment, the stack and the ledger of what was paid for stay"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt infra/install.py
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 12); sys.exit(0 if ok else "presel needs Python 3.11 or 3.12, and $(PYTHON) is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	@[ ! -e $(VENV)/pyvenv.cfg ] || grep -q "^version.* = $$($(PYTHON) -c 'import sys; print("%d[.]%d" % sys.version_info[:2])')[.]" $(VENV)/pyvenv.cfg \
		|| { echo "$(VENV) was made by another Python than $(PYTHON): remove the folder, or name that one with PYTHON=" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools uv
	@rm -f $(VENV)/.set-up*
	@$(BIN)/python -m pip uninstall --quiet --yes faiss-cpu faiss-gpu 2> /dev/null
	$(BIN)/python infra/install.py --constraint constraints.txt --no-build-isolation --editable ".[dev,ray,stack,$(FAISS)]"
	@$(BIN)/python -m compileall -q -j 0 -x "$(SELDOM)" $(VENV)/lib > /dev/null || true
	@touch $@

demo: $(STAMP)
	@$(BIN)/presel demo

test: $(STAMP)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder -m "not soak"

soak: $(STAMP)
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile thorough -m "soak or hypothesis"

lint: $(STAMP)
	$(BIN)/pre-commit run --all-files

ui: $(STAMP)
	@$(BIN)/presel ui

repro: $(STAMP)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

stack: $(STAMP)
	@infra/stack.sh start

stack-stop stack-status stack-clean: stack-%: $(STAMP)
	@infra/stack.sh $*

clean:
	rm -rf data runs .dvc/cache .dvc/tmp
	if [ -d .presel ]; then find .presel -mindepth 1 -maxdepth 1 ! -name 'ledger.sqlite*' ! -name stack -exec rm -rf {} +; fi
