# `make` without a target lists the targets. Most targets run the bootstrap first, which is fast if all tools are ready.
PYTHON ?= python3
VENV := .venv/bin/python
UV := .venv-lock/bin/uv

.DEFAULT_GOAL := help
.PHONY: help bootstrap demo demo-down demo-clean rehearse nginx promtool verifiers chromium test test-long test-all coverage smoke-aws smoke-aws-clean bench fuzz lint format lock clean
.NOTPARALLEL:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

bootstrap: ## install packages, the Pulumi engine and the local services
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) is missing: install Python 3.11 or newer (Debian, Ubuntu: apt install python3 python3-venv)" >&2; \
		exit 1; }
	@echo "== bootstrap"
	@$(PYTHON) tools/bootstrap.py

demo: bootstrap ## start the local services, run `pulumi up`, show the result
	@$(VENV) -m tools.demo up

demo-down: ## stop the services of `make demo`, keep their data
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.demo down

demo-clean: ## stop the services of `make demo`, delete their data
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.demo clean

rehearse: bootstrap nginx ## run two cycles of a pair with the real engine, MDM server and TLS server
	@$(VENV) -m tools.rehearsal

nginx:
	@$(PYTHON) tools/bootstrap.py --only nginx

promtool:
	@$(PYTHON) tools/bootstrap.py --only promtool

verifiers:
	@$(PYTHON) tools/bootstrap.py --only verifiers

chromium:
	@$(PYTHON) tools/bootstrap.py --only chromium

test: bootstrap nginx promtool verifiers chromium lint ## check the code and run all tests
	@echo "== pytest"
	@$(VENV) -m pytest -n auto --dist worksteal

test-long: ## run the tests with larger searches, more examples and more mutations
	@TEST_LONG=1 $(MAKE) test

test-all: ## run `make test` with each Python from 3.11 on that is on PATH
	@$(PYTHON) -m tools.interpreters

# Tests that run the code in their own process: no tests with the engine, and no models of such runs.
COVERED := core app adapters settings cli resources components test_address.py test_configuration.py test_files.py test_parallel.py

coverage: bootstrap nginx verifiers chromium ## measure the coverage of the in-process tests, with the minimum in pyproject.toml
	@$(VENV) -m pytest -n auto --cov --cov-report=term $(addprefix tests/,$(COVERED))

smoke-aws: ## run the checks that need a real AWS account, on the account in IOS_MDM_SMOKE_ACCOUNT
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.smoke

smoke-aws-clean: ## delete the resources of `make smoke-aws` from the account
	@$(PYTHON) tools/bootstrap.py --only venv
	@$(VENV) -m tools.smoke clean

bench: bootstrap ## measure runs without pending changes, `validate`, issuing, and the collector
	@$(VENV) -m benchmarks
	@$(VENV) -m benchmarks.validate
	@$(VENV) -m benchmarks.issuing
	@$(VENV) -m benchmarks.collector
	@$(VENV) -m benchmarks.fleet

fuzz: bootstrap ## test the bundle reader with mutated files for some minutes
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-20000} $(VENV) -m pytest -q tests/core/bundle/fuzz

lint: bootstrap ## run ruff, mypy, codespell and the check of wording
	@echo "== ruff check"
	@$(VENV) -m ruff check .
	@echo "== ruff format"
	@$(VENV) -m ruff format --check .
	@echo "== mypy"
	@$(VENV) -m mypy
	@echo "== codespell"
	@$(dir $(VENV))codespell
	@echo "== wording"
	@$(VENV) -m tools.prose

format: bootstrap ## format the code and apply the fixes of ruff
	@$(VENV) -m ruff check --fix .
	@$(VENV) -m ruff format .

# Unlike pip, uv resolves for all platforms at once. Only this target needs uv, so it has a separate virtualenv.
lock: ## pin the newest versions that requirements*.in allow, with hashes
	@$(PYTHON) -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	@for name in requirements requirements-dev tools/emulator/requirements tools/go/requirements; do \
		echo "== $$name.txt"; \
		(cd $$(dirname $$name) && "$(CURDIR)/$(UV)" pip compile --quiet --upgrade --universal --python-version 3.11 \
			--generate-hashes --no-header $$(basename $$name).in -o $$(basename $$name).txt) || exit 1; \
	done
	@rm -rf .venv-lock

clean: ## delete virtualenvs and caches from the checkout, keep the cache directory and the demo
	rm -rf .venv .venv-lock .pythons .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.demo/*' -prune -exec rm -rf {} +
