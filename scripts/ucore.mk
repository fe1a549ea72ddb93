# The uCore labs of a folder as VMs of CRVM: `make test-ucore UCORE=DIR`. See docs/ucore.md.

# Only these: LABS='lab1 lab8'.
LABS ?=

.PHONY: test-ucore
test-ucore: ## boot lab1 ... lab8 of a folder and say which pass (UCORE=DIR LABS='lab1 lab8'); not part of `make test`
	$(if $(UCORE),,$(error which folder? make test-ucore UCORE=DIR))
	@scripts/deps build iso sparse run-bochs
	$(if $(ONLY_CHECK),,@$(MAKE) --no-print-directory $(B)/crvm.elf $(B)/guest-images/firmware.bin)
	$(if $(ONLY_CHECK),,$(Q)B='$(B)' PYTHONDONTWRITEBYTECODE=1 $(PY) scripts/test-ucore '$(UCORE)' $(LABS))
