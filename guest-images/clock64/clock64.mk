# clock64, a 64-bit Multiboot guest: build/guest-images/clock64.elf. It is linked as ELF64 (clock64.elf.debug, for gdb)
# and put into an ELF32, which is what boot loaders of Multiboot 1 take everywhere.

CLOCK64 := guest-images/clock64
CLOCK64_B := $(B)/guest-images/clock64
CLOCK64_CFLAGS := -std=gnu17 -O2 -g $(WARNINGS) -Wno-main -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common \
	-ffile-prefix-map=$(CURDIR)/=
CLOCK64_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments

.PHONY: clock64
clock64: $(B)/guest-images/clock64.elf ## build the 64-bit guest: build/guest-images/clock64.elf

$(CLOCK64_B)/start.o: $(CLOCK64)/start.S $(CLOCK64)/clock64.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CLOCK64_CFLAGS) -c $< -o $@

$(CLOCK64_B)/main.o: $(CLOCK64)/main.c $(CLOCK64)/clock64.mk
	@mkdir -p $(@D)
	$(Q)$(CC) $(CLOCK64_CFLAGS) -c $< -o $@

$(B)/guest-images/clock64.elf.debug: $(CLOCK64)/clock64.lds $(CLOCK64_B)/start.o $(CLOCK64_B)/main.o
	$(Q)$(CC) $(CLOCK64_LDFLAGS) -Wl,-T,$^ -o $@

$(B)/guest-images/clock64.elf: $(B)/guest-images/clock64.elf.debug
	$(Q)objcopy -O elf32-i386 --strip-all $< $@
