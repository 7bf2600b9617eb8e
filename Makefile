# Each target prepares `.venv` with all it needs, then runs.
PYTHON ?= python3
DEMO ?= demo
BIN := .venv/bin
INSTALLED := .venv/installed.stamp

.DEFAULT_GOAL := help
.PHONY: help demo test unit slow soak test-next check bench docs

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: $(INSTALLED)  ## train, evaluate, align and compare a small VLM on this machine; results in $(DEMO)/
	$(BIN)/sightline demo --output_dir $(DEMO)

test: check unit slow  ## everything that must hold: lint, types, unit tests, slow tests

unit: $(INSTALLED)  ## the tests that take seconds
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not soak" --durations=5

slow: $(INSTALLED)  ## the tests that train and evaluate
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "slow and not soak" --durations=5

soak: $(INSTALLED)  ## long trials that `make test` leaves out
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m soak --durations=5

test-next: $(INSTALLED)  ## engine and trainers on the newest transformers, TRL and PEFT, in an environment of its own
	$(BIN)/python -m tests.next_versions

check: $(INSTALLED)  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED)  ## speed against TRL and transformers on the same work; JSON beside the scripts
	$(BIN)/python benchmarks/data_check.py
	$(BIN)/python benchmarks/dpo_step.py
	$(BIN)/python benchmarks/dpo_memory.py
	$(BIN)/python benchmarks/doctor_memory.py
	$(BIN)/python benchmarks/eval_options.py
	$(BIN)/python benchmarks/eval_questions.py
	$(BIN)/python benchmarks/first_step.py
	$(BIN)/python benchmarks/packing.py
	$(BIN)/python benchmarks/projector_stage.py
	$(BIN)/python benchmarks/sft_questions.py
	$(BIN)/python benchmarks/tsv_memory.py
	$(BIN)/python benchmarks/vilt_retrieval.py

docs: $(INSTALLED)  ## write the generated pages of docs/ and the folders of ARCHITECTURE.md anew
	$(BIN)/python -m tests.project_tree
	$(BIN)/python -m tests.cli_reference
	$(BIN)/python -m tests.task_reference
	$(BIN)/python -m tests.families_table
	$(BIN)/python -m tests.formats_table
	$(BIN)/python -m tests.python_reference

# pyproject.toml names all that is installed, so its change is the one reason to install again.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Sightline needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version 2>&1). Name one: make PYTHON=python3.12" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@
