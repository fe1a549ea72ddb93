# labos, a teaching operating system for i386: the guest of the ISO and of many tests. See docs/labos.md.

LABOS := guest-images/labos
LABOS_B := $(B)/guest-images/labos
LABOS_C := $(sort $(wildcard $(LABOS)/kernel/*.c))
LABOS_S := $(sort $(wildcard $(LABOS)/kernel/*.S))
LABOS_O := $(LABOS_C:$(LABOS)/%.c=$(LABOS_B)/%.o) $(LABOS_S:$(LABOS)/%.S=$(LABOS_B)/%.S.o) $(LABOS_B)/user/programs.S.o
LABOS_H := $(wildcard $(LABOS)/*/*.h) $(LABOS)/labos.mk
LABOS_PROGRAMS := $(shell sed -n 's/^PROGRAM(\(.*\))/\1/p' $(LABOS)/user/programs.h)
LABOS_BIN := $(LABOS_PROGRAMS:%=$(LABOS_B)/user/%.bin)
LABOS_IMAGES := $(addprefix $(B)/guest-images/labos,.img -busy.img -swap.img -fs.img)

LABOS_CC := gcc
LABOS_CFLAGS := -m32 -march=i686 -std=gnu17 -g $(WARNINGS) -ffreestanding -fno-builtin-printf -fno-pic -fno-pie \
	-mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing -fno-common -ffile-prefix-map=$(CURDIR)/=
LABOS_LDFLAGS := -m32 -nostdlib -static -Wl,-m,elf_i386 -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments

.PHONY: labos
labos: $(LABOS_IMAGES) ## build the small guest system: build/guest-images/labos*.img

# The boot sector has 508 bytes for everything: optimized for size, arguments in registers.
$(LABOS_B)/boot/%.o: LABOS_CFLAGS += -Os -mregparm=3 -fomit-frame-pointer
$(LABOS_B)/kernel/%.o: LABOS_CFLAGS += -O2
$(LABOS_B)/user/%.o: LABOS_CFLAGS += -O2

$(LABOS_B)/%.o: $(LABOS)/%.c $(LABOS_H)
	@mkdir -p $(@D)
	$(Q)$(LABOS_CC) $(LABOS_CFLAGS) -c $< -o $@

$(LABOS_B)/%.S.o: $(LABOS)/%.S $(LABOS_H)
	@mkdir -p $(@D)
	$(Q)$(LABOS_CC) $(LABOS_CFLAGS) -Wa,-I$(LABOS_B)/user -c $< -o $@

$(LABOS_B)/boot.bin: $(LABOS)/boot/boot.lds $(LABOS_B)/boot/start.S.o $(LABOS_B)/boot/load.o
	$(Q)$(LABOS_CC) $(LABOS_LDFLAGS) -Wl,-T,$^ -o $(@:.bin=.elf)
	$(Q)objcopy -O binary -j .boot $(@:.bin=.elf) $@

$(LABOS_B)/user/%.bin: $(LABOS)/user/program.lds $(LABOS_B)/user/start.S.o $(LABOS_B)/user/%.o
	$(Q)$(LABOS_CC) $(LABOS_LDFLAGS) -Wl,-T,$^ -o $(@:.bin=.elf)
	$(Q)objcopy -O binary -j .image $(@:.bin=.elf) $@

$(LABOS_B)/user/programs.S.o: $(LABOS_BIN)
.SECONDARY: $(LABOS_PROGRAMS:%=$(LABOS_B)/user/%.o) $(LABOS_B)/user/start.S.o

# kernel.elf.debug is for gdb; what is loaded has no symbols.
$(LABOS_B)/kernel.elf: $(LABOS)/kernel/kernel.lds $(LABOS_O)
	$(Q)$(LABOS_CC) $(LABOS_LDFLAGS) -Wl,-z,max-page-size=4096 -Wl,-T,$^ -o $@.debug
	$(Q)objcopy --strip-all $@.debug $@

# Options: see boot/layout.h.
$(B)/guest-images/labos.img: LABOS_OPTIONS := 0
$(B)/guest-images/labos-busy.img: LABOS_OPTIONS := 1
$(B)/guest-images/labos.img $(B)/guest-images/labos-busy.img: $(LABOS_B)/boot.bin $(LABOS_B)/kernel.elf $(LABOS)/mkimage
	$(Q)$(PY) $(LABOS)/mkimage -o $@ -b $(LABOS_B)/boot.bin -k $(LABOS_B)/kernel.elf -O $(LABOS_OPTIONS)

# Blank disks: labos marks the one and formats the other when it first sees them.
$(B)/guest-images/labos-swap.img $(B)/guest-images/labos-fs.img: $(LABOS)/labos.mk
	@mkdir -p $(@D)
	$(Q)rm -f $@ && truncate -s 4M $@

test-build test-integration: labos
