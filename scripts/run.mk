# From build/crvm.elf to something that boots: the ISO, the USB stick, a run in an emulator.

CMDLINE ?=
KERNEL ?= $(B)/crvm.elf
MACHINE ?=
CPUS ?=
MEM ?=
MODEL ?=

# Also made anew when another command line is asked for.
$(B)/iso.cmdline: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CMDLINE))' > $@.$$$$.new; \
	  cmp -s $@.$$$$.new $@ && rm $@.$$$$.new || mv $@.$$$$.new $@

$(B)/crvm.iso: $(KERNEL) $(B)/iso.cmdline iso/grub.cfg scripts/mkiso
	$(Q)scripts/mkiso -o $@ -k $(KERNEL) -c '$(subst ','\'',$(CMDLINE))'
	@ls -l $@ | awk '{printf "%s: %.1f MB\n", $$NF, $$5 / 1e6}'

# With DEPS=check, the jobs below end after looking for packages.
ONLY_CHECK := $(filter check,$(DEPS))

.PHONY: deps iso run usb
deps: ## install the Debian packages that building and running take (DEPS=check: only report)
	@scripts/deps build iso run-bochs

iso: ## make build/crvm.iso, which boots by BIOS and UEFI, from CD and USB stick (CMDLINE=...)
	@scripts/deps build iso
	$(if $(ONLY_CHECK),,@$(MAKE) --no-print-directory $(B)/crvm.iso)

run: ## boot CRVM with its console here: KVM if it offers VMX, else Bochs (MACHINE= CPUS= MEM= MODEL=)
	@scripts/deps build iso $(if $(ONLY_CHECK),run-bochs)
	$(if $(ONLY_CHECK),,@$(MAKE) --no-print-directory $(B)/crvm.iso)
	$(if $(ONLY_CHECK),,@MACHINE='$(MACHINE)' CPUS='$(CPUS)' MEM='$(MEM)' MODEL='$(MODEL)' \
	  $(PY) scripts/vm --dir $(B)/run $(B)/crvm.iso)

usb: iso ## write build/crvm.iso to a USB stick, after asking (DEV=/dev/sdX)
	$(if $(ONLY_CHECK),,@scripts/usb $(B)/crvm.iso '$(DEV)')
