# make demo   the shipped network on real images, compiled for both chips: accuracy, energy, latency
# make test   lint, types, layers and the whole test suite
# make bench  engines and other simulators on the same networks (BENCH=--quick for three minutes)
# make clean  remove the environment, caches and results
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench clean

demo:
	@$(PYTHON) bootstrap.py demo
	@$(BIN)/spikeport demo -o demo/

test:
	@$(PYTHON) bootstrap.py test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 --dist loadfile

bench:
	@$(PYTHON) bootstrap.py demo
	@$(BIN)/python benchmarks/engines.py $(BENCH)

clean:
	rm -rf .venv demo bench dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
