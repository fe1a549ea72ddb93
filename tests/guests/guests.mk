# Test guests: each tests/guests/{real,prot,long}/X.c is one flat image for a VM, build/guests/X.bin; the directory says
# in which mode its C code runs. tests/guests/cases.py says what is expected of each.

GUEST_SRC := $(sort $(wildcard tests/guests/real/*.c tests/guests/prot/*.c tests/guests/long/*.c))
GUEST_BIN := $(foreach s,$(GUEST_SRC),$(B)/guests/$(basename $(notdir $(s))).bin)
GUEST_LIB := tests/guests/lib/start.S tests/guests/lib/print.c tests/guests/lib/trap.c
GUEST_DEP := $(GUEST_LIB) include/crvm/hypercall.h $(wildcard tests/guests/lib/*.h tests/guests/*/*.h) tests/guests/lib/guest.lds tests/guests/guests.mk

GUEST_CFLAGS := -std=gnu17 -O1 -g0 -Wall -Wextra -Werror -Wno-array-bounds -Itests/guests/lib -Iinclude -ffreestanding -fno-pic -fno-pie \
	-mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-strict-aliasing \
	-fno-asynchronous-unwind-tables -fno-builtin -fno-tree-loop-distribute-patterns -nostdlib -static -no-pie \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,-T,tests/guests/lib/guest.lds
GUEST_MODE_real := -m16 -DGUEST_BITS=16
GUEST_MODE_prot := -m32 -march=i686 -DGUEST_BITS=32
GUEST_MODE_long := -m64 -DGUEST_BITS=64

# $(call guest_rule,directory,name)
define guest_rule
$(B)/guests/$(2).bin: tests/guests/$(1)/$(2).c $(GUEST_DEP)
	@mkdir -p $$(@D)
	$$(Q)gcc $(GUEST_CFLAGS) $(GUEST_MODE_$(1)) -DGUEST_NAME='"$(2)"' $$< $(GUEST_LIB) -o $$(@:.bin=.elf)
	$$(Q)objcopy -O binary -j .image $$(@:.bin=.elf) $$@
endef
$(foreach s,$(GUEST_SRC),$(eval $(call guest_rule,$(notdir $(patsubst %/,%,$(dir $(s)))),$(basename $(notdir $(s))))))

.PHONY: guests
guests: $(GUEST_BIN)

test-build test-integration: $(GUEST_BIN)
