# Two commands for a newcomer: `make demo` and `make test`. Everything runs from .venv, which `make setup` creates.
PYTHON := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ARGS :=

.PHONY: help setup demo dev serve bento image audit test test-slow lint lock lock-peers bench-quality
help:  ## what there is
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.installed  ## the environment alone, from the lock, every package checked by hash
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed, found " + sys.version)'
	@echo "Installing the locked packages into .venv: about a minute"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q rec_assets
	@touch $@

demo: setup  ## the whole loop on MovieLens 100K; ARGS="--exit --report FILE", "--reset", "--help"
	@$(BIN)/rec demo $(ARGS)

dev: setup  ## Dagster alone: webserver, daemon, code server and warm worker
	@$(BIN)/python -m rec_assets.launcher.dev $(ARGS)

serve: setup  ## the BentoML service alone
	@$(BIN)/rec serve $(ARGS)

bento: setup  ## a bento with the promoted checkpoint; ARGS=--gpu: with JAX for CUDA
	@$(BIN)/python -m rec_assets.serving.bento $(ARGS)

image: setup  ## the same as a container image, recommender:cpu; GPU=1: recommender:gpu (needs Docker)
	@tag=$$($(BIN)/python -m rec_assets.serving.bento $(if $(GPU),--gpu) | tail -1) && \
	  $(BIN)/bentoml containerize $$tag -t recommender:$(if $(GPU),gpu,cpu)

audit: setup  ## known vulnerabilities of what is locked
	@$(BIN)/python .ci/audit.py

test: setup  ## the tests; under ten minutes on two cores
	@$(BIN)/python -m pytest $(ARGS)

test-slow: setup  ## the tests that take minutes each
	@$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup  ## ruff and mypy
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

bench-%: setup  ## bench/NAME.py: prints a table, writes bench/out/NAME.json; some take STREAMS=DIR, of each NAME/events.parquet
	@STREAMS=$(STREAMS) $(BIN)/python bench/$*.py $(ARGS)

bench-quality: setup  ## ours beside others' recommenders; STREAMS=DIR adds each DIR/NAME/events.parquet
	@$(BIN)/python bench/quality.py $(if $(STREAMS),--streams $(STREAMS)) $(ARGS)

lock: setup  ## resolve pyproject.toml anew into requirements.lock (needs uv on the PATH)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	  --no-header --no-annotate --extra pipeline --extra serve --extra dev pyproject.toml -o requirements.lock

lock-peers:  ## resolve bench/peers/*.in anew into their locks (needs uv on the PATH)
	@uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  bench/peers/requirements.in -o bench/peers/requirements.lock
	@uv pip compile --quiet --python-version 3.12 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  bench/peers/recotem.in -o bench/peers/recotem.lock
