# `make` alone lists what there is. Everything starts with the bootstrap, which costs nothing when all is ready.
PYTHON ?= python3
VENV := .venv/bin/python
UV := .venv-lock/bin/uv

.DEFAULT_GOAL := help
.PHONY: help bootstrap demo demo-down demo-clean rehearse nginx verifiers test test-long test-all coverage smoke-aws smoke-aws-clean bench fuzz lint format lock clean
.NOTPARALLEL:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

bootstrap: ## make everything ready: packages, the Pulumi engine, the local services
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is missing: install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)" >&2; \
		exit 1; }
	@echo "== getting ready"
	@$(PYTHON) tools/bootstrap.py

demo: bootstrap ## start the local services, run `pulumi up` on them, show the result
	@$(VENV) -m tools.demo up

demo-down: ## stop what `make demo` started; its data stays
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.demo down

demo-clean: ## stop what `make demo` started and forget its data
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.demo clean

rehearse: bootstrap nginx ## play two cycles of a pair, with everything that is part of the switch
	@$(VENV) -m tools.rehearsal

nginx:
	@$(PYTHON) tools/bootstrap.py --only nginx

verifiers:
	@$(PYTHON) tools/bootstrap.py --only verifiers

test: bootstrap nginx verifiers lint ## check the code and run all tests
	@echo "== pytest"
	@$(VENV) -m pytest -n auto --dist worksteal

test-long: ## the same tests with larger searches, and more examples and mutations
	@TEST_LONG=1 FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(MAKE) test

test-all: ## `make test` with each Python from 3.11 on that PATH has
	@$(PYTHON) -m tools.interpreters

# The tests that run in one process with the code. Runs of the engine, and the models that repeat these, are left out.
COVERED := core app adapters settings cli resources components test_address.py test_configuration.py test_parallel.py

coverage: bootstrap nginx verifiers ## measure the coverage of the in-process tests; below the floor in pyproject.toml it fails
	@$(VENV) -m pytest -n auto --cov --cov-report=term $(addprefix tests/,$(COVERED))

smoke-aws: ## check what only AWS can show, on the account that IOS_MDM_SMOKE_ACCOUNT names
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.smoke

smoke-aws-clean: ## delete what runs of `make smoke-aws` left in the account
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.smoke clean

bench: bootstrap ## measure runs that find nothing to do, the check of a custom certificate, issuing, and the collector
	@$(VENV) -m benchmarks
	@$(VENV) -m benchmarks.validate
	@$(VENV) -m benchmarks.issuing
	@$(VENV) -m benchmarks.collector

fuzz: bootstrap ## read mutated custom certificates for some minutes
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(VENV) -m pytest -q tests/core/bundle/fuzz

lint: bootstrap ## ruff, mypy and codespell
	@echo "== ruff check"
	@$(VENV) -m ruff check .
	@echo "== ruff format"
	@$(VENV) -m ruff format --check .
	@echo "== mypy"
	@$(VENV) -m mypy
	@echo "== codespell"
	@$(dir $(VENV))codespell

format: bootstrap ## let ruff format the code, and fix what it can
	@$(VENV) -m ruff check --fix .
	@$(VENV) -m ruff format .

# uv resolves for all platforms at once, which pip cannot; it is needed only here, so it gets a virtualenv of its own.
lock: ## pin the newest versions that requirements*.in allow, with hashes
	@$(PYTHON) -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@for name in requirements requirements-dev tools/emulator/requirements tools/go/requirements; do \
		echo "== $$name.txt"; \
		(cd $$(dirname $$name) && "$(CURDIR)/$(UV)" pip compile --quiet --upgrade --universal --python-version 3.11 \
			--generate-hashes --no-header $$(basename $$name).in -o $$(basename $$name).txt) || exit 1; \
	done
	@rm -rf .venv-lock

clean: ## delete what was made in the checkout; the cache directory and the demo stay
	rm -rf .venv .venv-lock .pythons .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.demo/*' -prune -exec rm -rf {} +
