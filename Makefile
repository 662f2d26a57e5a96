# Sapwood's own chores. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv demo test check bench docs soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with everything that is needed

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: venv ## raw reviews to a proven, deployed model; a page at demo/report.html
	$(BIN)/sapwood run recipes/reviews.yaml --store demo/store --report demo/report.html

test: venv ## the short form of every test, under 15 minutes on 2 cores
	$(BIN)/python -m pytest tests -m 'not soak' -n auto --dist loadfile

check: venv ## style, types, layers, budgets, fresh docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house tests/docs/test_docs_reference.py

bench: venv ## measure the claims: the loop, near-duplicates, cleaning, personal data; results are kept
	$(BIN)/python benchmarks/loop.py --keep benchmarks/results/loop.jsonl
	$(BIN)/python benchmarks/dedup.py --keep benchmarks/results/dedup.jsonl
	$(BIN)/python benchmarks/clean.py --keep benchmarks/results/clean.jsonl
	$(BIN)/python benchmarks/pii.py

docs: venv ## the documentation site, in site/
	$(BIN)/python -m sapwood.cli.reference docs/reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

soak: venv ## the long form of the tests, with new random examples
	$(BIN)/python -m pytest tests -n auto --dist loadfile --hypothesis-profile=searching

clean: ## remove what was built; stores and .venv stay
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
