# All tests. The parts: test-unit (tests/unit), test-fuzz (tests/fuzz), lint (tests/lint), test-integration.

include tests/lint/lint.mk

JOBS := $(shell nproc)
# One integration test, or several: a part of the name, such as K='test_iso.py::test_boots'.
K ?=

.PHONY: test test-build test-integration coverage
test: ## run all tests: unit, fuzz, lint, integration (DEPS=check: only look for packages)
	@scripts/deps test
	$(if $(ONLY_CHECK),,$(Q)B='$(B)' MAKE='$(MAKE)' $(PY) tests/run-tests)

# What the parts need; built first, and by all CPUs.
test-build: $(B)/crvm.iso $(UNIT_BIN) $(FUZZ_BIN)

test-integration: $(B)/crvm.iso ## boot it in emulators and talk to it (K=part-of-a-test's-name)
	$(Q)B='$(B)' KERNEL='$(KERNEL)' PYTHONDONTWRITEBYTECODE=1 $(PY) -m pytest -p no:cacheprovider -q -rsfE \
	  --tb=short --durations=8 $(if $(K),--case='$(K)',-n $(JOBS) --dist=loadgroup) tests/integration

coverage: ## how much of the code the unit tests reach (gcov)
	@scripts/deps coverage
	@rm -rf $(B)/cov && mkdir -p $(B)
	$(Q)$(MAKE) --no-print-directory B=$(B)/cov UNIT_EXTRA=--coverage test-unit \
	  > $(B)/coverage.log 2>&1 || { tail -n 40 $(B)/coverage.log; exit 1; }
	$(Q)gcovr --root . --object-directory $(B)/cov --filter '(lib|mm|boot|core|devices|vmx|arch)/' \
	  --gcov-ignore-parse-errors --sort-uncovered --print-summary $(B)/cov
