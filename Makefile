# Needs git, make and Python 3.11 or newer; everything else goes into .venv (and .uv).

# Your own uv when you have one, otherwise a private one: nothing is installed system-wide.
# (Asked for its version, as a version manager can put a name on PATH that runs nothing.)
UV := $(shell uv --version >/dev/null 2>&1 && command -v uv || echo .uv/bin/uv)
# Another Python gets a folder of its own: `make test VENV=.venv-3.13 PYTHON=python3.13`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
NODE_READY := .venv/node/.installed
# Mutation testing has an environment of its own, with what is locked; it works in a folder in which `src` is mcp_server.
MUTMUT := mutmut==3.8.1
MUTMUT_READY := .venv-mutants/.installed
MUTANTS := build/mutants

# Some for each dependency, and nothing twice.
SELECTION := tests/provider tests/end_to_end/contract/test_output.py \
	$(patsubst %,tests/server/test_%.py,ask commands door http mcp metrics pool progress resources tracing)

# Neither the tests nor the demo may see, let alone use, the account of whoever runs make.
unexport $(filter ANTHROPIC% CLAUDE%,$(.VARIABLES))
# Otherwise pyright goes online at each run to see whether a newer pyright exists.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

# The modules of one file share servers, so a file stays with one worker. A worker needs 1 GB with its CLI processes.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test coverage test-selection test-slow test-lowest test-docker conformance bundle cli-check lint format \
	types check mutants bench lock clean ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

install: $(READY) ## set up .venv (the other targets do this by themselves)

demo: $(READY) ## show the server at work, without an account
	$(BIN)/claude-max demo

test: $(READY) ## run the tests, but for those that have a command of their own, below
	$(BIN)/pytest $(PARALLEL)

coverage: $(READY) ## run them and cli-check, and show what they do not reach; fails below what pyproject.toml asks for
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL) tests tests/cli; status=$$?; \
		$(BIN)/coverage combine --quiet && $(BIN)/coverage report && exit $$status

test-selection: $(READY) ## run only what test-lowest runs, such as with another Python (VENV=.venv-3.14 PYTHON=python3.14)
	$(BIN)/pytest $(PARALLEL) $(SELECTION)

test-slow: $(READY) ## test the page in a browser (needs Chromium), replicas (nginx), the examples, the benchmarks
	$(BIN)/pytest $(PARALLEL) tests/slow

test-lowest: $(UV) ## run some of the tests with the oldest dependencies that pyproject.toml allows, in .venv-lowest
	$(UV) venv --quiet --clear .venv-lowest
	$(UV) pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
		--group build --group dev --editable . --editable "./provider[embedded]"
	.venv-lowest/bin/pytest $(PARALLEL) $(SELECTION)

cli-check: $(READY) ## show what a new version of the CLI has changed: the facts that this project rests on
	$(BIN)/pytest $(PARALLEL) tests/cli

test-docker: $(READY) ## build the image and test the service in a container (needs Docker with compose)
	$(BIN)/pytest tests/docker

conformance: $(NODE_READY) ## run MCP's official conformance suite and the Inspector against the server (needs npm)
	$(BIN)/pytest tests/conformance -rP

bundle: $(NODE_READY) $(UV) ## build dist/claude-max.mcpb, for hosts that install bundles (needs npm)
	rm -rf build/mcpb
	mkdir -p build/mcpb dist
	cp deploy/mcpb/manifest.json deploy/mcpb/main.py deploy/mcpb/pyproject.toml build/mcpb/
	$(UV) build --quiet --wheel --no-create-gitignore --out-dir build/mcpb
	$(UV) add --quiet --frozen --directory build/mcpb ./$$(basename build/mcpb/*.whl)
	.venv/node/node_modules/.bin/node .venv/node/node_modules/@anthropic-ai/mcpb/dist/cli/cli.js \
		pack build/mcpb dist/claude-max.mcpb

# ONLY="a name, or a pattern of names" tests those alone, once more, and keeps what is known of the others.
mutants: $(MUTMUT_READY) ## change the pure code in two thousand ways, and show which of them no test notices; takes half an hour
	$(if $(ONLY),,rm -rf $(MUTANTS))
	mkdir -p $(MUTANTS)
	ln -sfn ../../mcp_server $(MUTANTS)/src
	ln -sfn ../../tests $(MUTANTS)/tests
	ln -sfn ../../pyproject.toml $(MUTANTS)/pyproject.toml
	cd $(MUTANTS) && $(CURDIR)/.venv-mutants/bin/mutmut run $(ONLY)
	@cd $(MUTANTS) && $(CURDIR)/.venv-mutants/bin/mutmut results --all true | $(CURDIR)/$(BIN)/python tests/mutants.py

lint: $(READY) ## check formatting and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(READY) ## sort the imports and format the code
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

types: $(READY) ## check the types (pyright, strict)
	$(BIN)/pyright

check: lint types ## all static checks

bench: $(READY) ## run the benchmarks, for some ten minutes; what they measure also goes to build/bench/, as JSON
	@mkdir -p build/bench
	@for file in benchmarks/*.py; do \
		json="build/bench/$$(basename "$$file" .py).json"; \
		echo "$(BIN)/python $$file --json $$json"; \
		$(BIN)/python "$$file" --json "$$json" || exit; \
	done

ci: ## what CI runs: all of the above that this machine has the programs for; it installs none outside of this folder
	bash .ci/run --install-nothing

lock: $(UV) ## move every dependency to its newest version
	sed -i.old "s/^exclude-newer = .*/exclude-newer = \"$$(date -u +%Y-%m-%dT00:00:00Z)\"/" pyproject.toml
	rm pyproject.toml.old
	$(UV) lock --upgrade
	@# uv.lock names the package index it was made with, so it stays out of git; this file names none.
	$(UV) export --quiet --frozen --all-packages --all-groups --no-emit-workspace --no-annotate \
		--output-file requirements.lock
	@# A part of the same, for the image: what the server needs, and what builds its wheel.
	$(UV) export --quiet --frozen --package claude-max-mcp --no-default-groups --group build --no-emit-workspace \
		--no-annotate --output-file requirements-server.lock

clean: ## remove all that make and uv have made here
	rm -rf .venv .venv-* .uv uv.lock dist build .coverage .coverage.* .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --python: an environment that happens to be active must not be installed into.
# The two packages come last, without dependencies, as those are pinned and checked by then.
$(READY): requirements.lock pyproject.toml provider/pyproject.toml | $(UV)
	$(BIN)/python -c "" 2>/dev/null || \
		$(UV) venv --clear $(if $(filter-out file,$(origin PYTHON)),--python "$(PYTHON)") $(VENV)
	$(UV) pip sync --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --python $(BIN)/python --no-deps --editable . --editable ./provider
	@touch $@

$(MUTMUT_READY): requirements.lock pyproject.toml provider/pyproject.toml Makefile | $(READY)
	$(UV) venv --quiet --clear $(if $(filter-out file,$(origin PYTHON)),--python "$(PYTHON)") .venv-mutants
	$(UV) pip sync --quiet --python .venv-mutants/bin/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python .venv-mutants/bin/python --no-deps --editable . --editable ./provider
	$(UV) pip install --quiet --python .venv-mutants/bin/python $(MUTMUT)
	@touch $@

# The registry's tools of `make conformance`, with a node of their own; pinned there, so no lock is needed.
$(NODE_READY): tests/conformance/package.json | $(READY)
	rm -rf .venv/node
	mkdir -p .venv/node
	cp $< .venv/node/
	npm install --prefix .venv/node --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
