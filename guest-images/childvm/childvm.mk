# childvm, a 64-bit Multiboot guest that is a VMM: build/guest-images/childvm.elf. Its child's PC is made of the
# hypervisor's own device models, compiled once more for it: they know neither who calls them, nor where they run. It is
# linked as ELF64 (childvm.elf.debug, for gdb) and put into an ELF32, as boot loaders of Multiboot 1 want it.

CHILDVM := guest-images/childvm
CHILDVM_B := $(B)/guest-images/childvm
CHILDVM_C := $(sort $(wildcard $(CHILDVM)/*.c)) $(filter-out devices/testdev.c,$(sort $(wildcard devices/*.c))) \
	lib/date.c lib/printf.c lib/string.c
CHILDVM_O := $(CHILDVM_B)/start.o $(CHILDVM_C:%.c=$(CHILDVM_B)/%.o)
CHILDVM_CFLAGS := -std=gnu17 -O2 -g -Iinclude $(WARNINGS) -Wno-main -ffreestanding -fno-builtin-printf -fno-pic -fno-pie \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fno-common -ffile-prefix-map=$(CURDIR)/=
CHILDVM_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments
# Its disks, in this order.
CHILDVM_DISKS := labos.img labos-swap.img labos-fs.img

.PHONY: childvm run-childvm
childvm: $(B)/guest-images/childvm.elf ## build the guest that is a VMM: build/guest-images/childvm.elf

run-childvm: ## boot CRVM, in it childvm, and in that labos (MACHINE= CPUS= MEM= MODEL=)
	@$(MAKE) --no-print-directory run CONFIG=$(CHILDVM)/crvm.conf \
	  MODULES='$(foreach f,childvm.elf $(CHILDVM_DISKS),$(B)/guest-images/$(f)=$(f))'

$(CHILDVM_B)/start.o: $(CHILDVM)/start.S $(CHILDVM)/childvm.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CHILDVM_CFLAGS) -c $< -o $@

$(CHILDVM_B)/%.o: %.c $(CHILDVM)/childvm.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CHILDVM_CFLAGS) -MMD -MP -c $< -o $@

$(B)/guest-images/childvm.elf.debug: $(CHILDVM)/childvm.lds $(CHILDVM_O)
	$(Q)$(CC) $(CHILDVM_LDFLAGS) -Wl,-T,$^ -o $@

$(B)/guest-images/childvm.elf: $(B)/guest-images/childvm.elf.debug
	$(Q)objcopy -O elf32-i386 --strip-all $< $@

-include $(CHILDVM_C:%.c=$(CHILDVM_B)/%.d)

test-build test-integration: childvm
