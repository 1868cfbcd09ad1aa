# Everything happens in .venv, made here from python3 or from PYTHON=…; what is installed is not installed again until
# pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
OUT ?= out

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

.DELETE_ON_ERROR:
.PHONY: help demo demo-video test check lint types format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.demo ## refine the heat map of a photo under the embedded model, into out/
	@$(BIN)/borex refine examples/coffee.jpg --initial examples/coffee_rise.png --out $(OUT)

demo-video: $(VENV)/.demo ## make a clip of a moving thing, refine its space-time heat map under MotionNet, into out/
	@$(BIN)/python examples/motion_clips.py --motion right --seed 1 --out $(OUT)/motion.mp4
	@$(BIN)/borex refine $(OUT)/motion.mp4 --max-evals 400 --out $(OUT)

test: $(VENV)/.test ## run the whole suite
	@$(BIN)/python -m pytest

check: lint types ## lint, types and tests, as .ci/run does
	@$(MAKE) --no-print-directory test

lint: $(VENV)/.dev ## ruff: rules and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.dev ## mypy, strict, on src
	@$(BIN)/mypy

format: $(VENV)/.dev ## bring the code into ruff's format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: $(VENV)/.bench ## list the scripts behind the numbers in the docs, and how to run each
	@for script in benchmarks/*.py; do \
	  echo "$(BIN)/python $$script"; \
	  $(BIN)/python -c "import ast, sys; print('   ', ast.get_docstring(ast.parse(open(sys.argv[1]).read())).splitlines()[0])" $$script; \
	done

clean: ## remove what was made here: .venv, outputs, caches
	@rm -rf $(VENV) $(OUT) borex-out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"borex needs Python 3.11 or newer; $(PYTHON) is {sys.version.split()[0]}. Say which: make PYTHON=...")'
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# One stamp for each extra of pyproject.toml, and for those that it contains.
CONTAINED_test := demo
CONTAINED_dev := test demo
CONTAINED_bench := test demo
# quantus asks for another wheel of OpenCV than grad-cam, with the same files in it; that of grad-cam serves both.
$(VENV)/.%: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "installing borex[$*] into $(VENV)"
	@$(INSTALL) --editable '.[$*]'
	@$(if $(filter test,$* $(CONTAINED_$*)),$(INSTALL) --no-deps quantus)
	@touch $(addprefix $(VENV)/.,$* $(CONTAINED_$*))
