# Everything works from a fresh clone: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
REPEAT ?= 1
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-package
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: docs reference
.PHONY: help demo test faults soak check lint types imports bench random nightly format clean test-kubernetes

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): setup.py autoscale_aks/__init__.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[emulator]'
	@touch $@

$(DEV_STAMP): dev-requirements.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement dev-requirements.txt
	@touch $@

demo: $(STAMP)  ## Run a captured Slurm queue against the embedded AKS emulator
	$(BIN)/azaks demo --conf conf

test: $(DEV_STAMP)  ## Install what tests need, then run every check and every test (WORKERS=2 at once)
	@$(MAKE) --no-print-directory check-only
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --cov --cov-report=term:skip-covered --durations=5
	$(BIN)/python -m coverage report --include='autoscale_aks/units.py,autoscale_aks/model/*,autoscale_aks/matching/*,autoscale_aks/planning/*,autoscale_aks/reports/*' --fail-under=90 --format=total

faults: $(DEV_STAMP)  ## Run the fault suite (REPEAT=20: twenty times in a row)
	@for run in $$(seq $(REPEAT)); do \
		echo "fault suite, run $$run of $(REPEAT)"; $(BIN)/python -m pytest -q tests/faults || exit 1; done

soak: $(DEV_STAMP)  ## Tests that take minutes: 500 kills, 200 storms (SOAK='-k storm' for a part)
	$(BIN)/python -m pytest -q -m soak --durations=10 $(SOAK)

check: $(DEV_STAMP)  ## Lint, types and import direction
	@$(MAKE) --no-print-directory check-only

.PHONY: check-only
check-only:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-kubernetes: $(DEV_STAMP)  ## Test against a real kube-apiserver and kube-scheduler (KUBE_TEST_BIN=DIR)
	@test -n "$$KUBE_TEST_BIN" || { echo "KUBE_TEST_BIN is not set: see docs/kubernetes.md, 'Against a real control plane'"; exit 2; }
	$(BIN)/python -m pytest -q -m kubernetes tests/e2e

bench: $(DEV_STAMP)  ## Measure the planner and audit every plan (BENCH='--case ca-51k --repeat 20')
	$(BIN)/python -m benchmarks.run $(BENCH)

.PHONY: bench-wire
bench-wire: $(DEV_STAMP)  ## Measure the requests to AKS against an emulator of its own process (BENCH='--repeat 40')
	$(BIN)/python -m benchmarks.wire $(BENCH)

docs: $(DEV_STAMP)  ## Build the documentation as pages into build/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "open build/docs/index.html"

reference: $(DEV_STAMP)  ## Write the generated pages of docs/ anew: the commands and the configuration
	$(BIN)/python -c 'from autoscale_aks.config.reference import render_reference; print(render_reference(), end="")' > docs/configuration.md
	$(BIN)/python -m autoscale_aks.cli.reference docs/cli.md

.PHONY: bench-cost
bench-cost: $(DEV_STAMP)  ## Cost of plans against a checked lower bound (BENCH='--data DIR --mix pow2 --jobs 10000')
	$(BIN)/python -m benchmarks.cost $(BENCH)

format: $(DEV_STAMP)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

random: $(DEV_STAMP)  ## 2,000 random scenarios through the independent checker, and 500 of every other law
	HYPOTHESIS_PROFILE=random $(BIN)/python -m pytest -q tests/property

nightly: $(DEV_STAMP)  ## Fuzz tests and laws with 10,000 examples each (an hour)
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -q tests/property

clean:  ## Remove the environment and caches
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
