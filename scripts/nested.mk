# CRVM on KVM with nested VMX, inside Bochs: `make test-nested`. See docs/nested.md.

NESTED_MODULES := scripts/nested.d/vm.conf=config $(B)/guest-images/firmware.bin=firmware \
	$(B)/guest-images/labos.img=labos.img

$(B)/nested/crvm.iso: $(KERNEL) $(foreach m,$(NESTED_MODULES),$(firstword $(subst =, ,$(m)))) iso/grub.cfg scripts/mkiso
	@mkdir -p $(@D)
	$(Q)scripts/mkiso -o $@ -k $(KERNEL) $(NESTED_MODULES)

.PHONY: test-nested
test-nested: ## boot the ISO in QEMU with nested VMX, all of it in Bochs: some minutes, not part of `make test`
	@scripts/deps build iso nested
	$(if $(ONLY_CHECK),,@$(MAKE) --no-print-directory $(B)/nested/crvm.iso)
	$(if $(ONLY_CHECK),,$(Q)PYTHONDONTWRITEBYTECODE=1 $(PY) scripts/nested --dir $(B)/nested $(B)/nested/crvm.iso)
