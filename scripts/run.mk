# From build/crvm.elf to something that boots: the ISO, the USB stick, a run in an emulator.

CMDLINE ?=
KERNEL ?= $(B)/crvm.elf
MACHINE ?=
CPUS ?=
MEM ?=
MODEL ?=
# Which VMs: a configuration and the boot modules that it names (FILE=NAME), or a folder of uCore images.
CONFIG ?= iso/crvm.conf
MODULES ?= $(B)/guest-images/labos.img=labos.img $(B)/guest-images/clock64.elf=clock64.elf
UCORE ?=

ISO_MODULES := $(CONFIG)=config $(B)/guest-images/firmware.bin=firmware $(MODULES)
ISO_FILES := $(foreach m,$(ISO_MODULES),$(firstword $(subst =, ,$(m))))
ISO := $(B)/$(if $(UCORE),ucore,crvm).iso

# Also made anew when another command line is asked for.
$(B)/iso.cmdline: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CMDLINE))' '$(ISO_MODULES)' > $@.$$$$.new; \
	  cmp -s $@.$$$$.new $@ && rm $@.$$$$.new || mv $@.$$$$.new $@

$(B)/crvm.iso: $(KERNEL) $(ISO_FILES) $(B)/iso.cmdline iso/grub.cfg scripts/mkiso
	$(Q)scripts/mkiso -o $@ -k $(KERNEL) -c '$(subst ','\'',$(CMDLINE))' $(ISO_MODULES)
	@ls -l $@ | awk '{printf "%s: %.1f MB\n", $$NF, $$5 / 1e6}'

$(B)/ucore.iso: $(KERNEL) $(B)/guest-images/firmware.bin scripts/ucore-iso scripts/mkiso FORCE
	$(Q)scripts/ucore-iso -o $@ '$(UCORE)'

# With DEPS=check, the jobs below end after looking for packages.
ONLY_CHECK := $(filter check,$(DEPS))

.PHONY: deps iso run usb
deps: ## install the Debian packages that building and running take (DEPS=check: only report)
	@scripts/deps build iso run-bochs

iso: ## make build/crvm.iso, which boots by BIOS and UEFI, from CD and USB stick (CMDLINE=...)
	@scripts/deps build iso
	$(if $(ONLY_CHECK),,@$(MAKE) --no-print-directory $(B)/crvm.iso)

run: ## boot CRVM and its VMs with the console here: KVM if it offers VMX, else Bochs (MACHINE= CPUS= MEM= MODEL= UCORE= CONFIG= MODULES=)
	@scripts/deps build iso $(if $(UCORE),sparse) $(if $(ONLY_CHECK),run-bochs)
	$(if $(ONLY_CHECK),,@$(MAKE) --no-print-directory $(ISO))
	$(if $(ONLY_CHECK),,@MACHINE='$(MACHINE)' CPUS='$(CPUS)' MEM='$(MEM)' MODEL='$(MODEL)' \
	  $(PY) scripts/vm --dir $(B)/run $(ISO))

usb: iso ## write build/crvm.iso to a USB stick, after asking (DEV=/dev/sdX)
	$(if $(ONLY_CHECK),,@scripts/usb $(B)/crvm.iso '$(DEV)')
