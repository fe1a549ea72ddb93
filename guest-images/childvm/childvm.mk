# childvm, a 32-bit Multiboot guest that runs a VM of its own: build/guest-images/childvm.elf.

CHILDVM := guest-images/childvm
CHILDVM_B := $(B)/guest-images/childvm
CHILDVM_CFLAGS := -std=gnu17 -O2 -g -m32 -march=i686 -Iinclude $(WARNINGS) -Wno-main -ffreestanding -fno-pic -fno-pie \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing \
	-fno-common -ffile-prefix-map=$(CURDIR)/=
CHILDVM_LDFLAGS := -m32 -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments

.PHONY: childvm
childvm: $(B)/guest-images/childvm.elf ## build the guest that runs a VM itself: build/guest-images/childvm.elf

$(CHILDVM_B)/start.o: $(CHILDVM)/start.S $(CHILDVM)/childvm.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CHILDVM_CFLAGS) -c $< -o $@

$(CHILDVM_B)/main.o: $(CHILDVM)/main.c include/crvm/hypercall.h $(CHILDVM)/childvm.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CHILDVM_CFLAGS) -c $< -o $@

$(B)/guest-images/childvm.elf: $(CHILDVM)/childvm.lds $(CHILDVM_B)/start.o $(CHILDVM_B)/main.o
	$(Q)$(CC) $(CHILDVM_LDFLAGS) -Wl,-T,$^ -o $@

test-build test-integration: childvm
