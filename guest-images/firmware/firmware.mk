# The firmware of VMs: a small PC BIOS, build/guest-images/firmware.bin, exactly 64 KiB for F0000h-FFFFFh.

FIRMWARE_DIR := guest-images/firmware
FIRMWARE_SRC := $(sort $(wildcard $(FIRMWARE_DIR)/*.c $(FIRMWARE_DIR)/*.S))
FIRMWARE_O := $(FIRMWARE_SRC:$(FIRMWARE_DIR)/%=$(B)/guest-images/firmware/%.o)

# Locals live on the caller's stack and DS is the ROM: nothing may copy structures or lay tables down on the stack.
FIRMWARE_CFLAGS := -std=gnu17 -m16 -march=i386 -mregparm=3 -Os -g0 -Wall -Wextra -Werror -Wshadow -Wconversion -Wundef -Wvla \
	-Wmissing-prototypes -Wstrict-prototypes -Wcast-qual -Wimplicit-fallthrough -Wno-array-bounds -ffreestanding -fno-pic \
	-fno-pie -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-strict-aliasing -fno-jump-tables \
	-fno-asynchronous-unwind-tables -fno-builtin -fno-tree-loop-distribute-patterns -fno-delete-null-pointer-checks \
	-fomit-frame-pointer -ffunction-sections

$(B)/guest-images/firmware/%.o: $(FIRMWARE_DIR)/% $(FIRMWARE_DIR)/firmware.h $(FIRMWARE_DIR)/firmware.mk
	@mkdir -p $(@D)
	$(Q)gcc $(FIRMWARE_CFLAGS) -c $< -o $@

$(B)/guest-images/firmware.elf: $(FIRMWARE_O) $(FIRMWARE_DIR)/firmware.lds
	$(Q)ld -m elf_i386 -nostdlib -static --build-id=none --no-warn-rwx-segments -z noexecstack \
	  -T $(FIRMWARE_DIR)/firmware.lds $(FIRMWARE_O) -o $@

$(B)/guest-images/firmware.bin: $(B)/guest-images/firmware.elf
	$(Q)objcopy -O binary -j .image $< $@
	@[ $$(stat -c %s $@) = 65536 ]

.PHONY: firmware
firmware: $(B)/guest-images/firmware.bin ## build the firmware of VMs: build/guest-images/firmware.bin

# tests/integration/test_firmware.py boots it without CRVM.
test-build test-integration: $(B)/guest-images/firmware.bin
