# The hypervisor itself: sources -> objects -> build/crvm.elf.

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wconversion -Wundef -Wvla -Wmissing-prototypes \
	-Wstrict-prototypes -Wold-style-definition -Wcast-qual -Wpointer-arith -Wwrite-strings \
	-Wmissing-declarations -Wredundant-decls -Wnested-externs -Wformat=2 -Wimplicit-fallthrough \
	-Wdouble-promotion

HV_CFLAGS := -std=gnu17 -O2 -g -Iinclude -I$(B)/gen $(WARNINGS) -ffreestanding -fno-builtin-printf \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
	-fno-strict-aliasing -fno-common -ffile-prefix-map=$(CURDIR)/=
HV_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings

HV_DIRS := boot arch/x86_64 mm vmx core devices lib
HV_C := $(foreach d,$(HV_DIRS),$(sort $(wildcard $(d)/*.c)))
HV_S := $(foreach d,$(HV_DIRS),$(sort $(wildcard $(d)/*.S)))
HV_O := $(HV_C:%.c=$(B)/hv/%.o) $(HV_S:%.S=$(B)/hv/%.S.o)

# On the way of every exit: a frame pointer each would be a tenth of it. In backtraces these functions are missing,
# what lies above and below them is not.
HV_HOT := devices/serial core/vm_console core/quick core/run core/exits core/exits_mem core/io_bus core/emulate arch/x86_64/spinlock vmx/run vmx/regs \
	core/sched core/child_run core/child_port core/hypercall core/hypercall_child vmx/switch vmx/tlb mm/gmem
$(HV_HOT:%=$(B)/hv/%.o): HV_CFLAGS += -fomit-frame-pointer

VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

$(B)/hv/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@

$(B)/hv/%.S.o: %.S
	@mkdir -p $(@D)
	$(Q)$(CC) $(HV_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c $< -o $@

# Rewritten only when the version changes, so that nothing is rebuilt without need.
$(B)/gen/version.h: FORCE
	@mkdir -p $(@D)
	@printf '#define CRVM_VERSION "%s"\n' '$(VERSION)' > $@.$$$$.new; \
	  cmp -s $@.$$$$.new $@ && rm $@.$$$$.new || mv $@.$$$$.new $@
.PHONY: FORCE
FORCE:

$(B)/hv/core/main.o: $(B)/gen/version.h

# The screen's font, from a Debian font package.
$(B)/gen/font.h: scripts/psf-to-header
	@mkdir -p $(@D)
	$(Q)$(PY) scripts/psf-to-header > $@

$(B)/hv/arch/x86_64/screen_font.o: $(B)/gen/font.h

# Debug sections stay in crvm.elf.debug (for gdb); GRUB loads the symbols of crvm.elf.
$(B)/crvm.elf.debug: $(HV_O) boot/crvm.lds
	$(Q)$(CC) $(HV_LDFLAGS) -T boot/crvm.lds $(HV_O) -o $@

$(B)/crvm.elf: $(B)/crvm.elf.debug
	$(Q)objcopy --strip-debug $< $@
	@size $@

-include $(HV_O:.o=.d)
