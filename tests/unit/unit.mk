# Host unit tests: each tests/unit/test_X.c is one cmocka program; a line "needs: file.c ..." in it names what
# it is linked with. ASan and UBSan are on.

UNIT_CFLAGS := -std=gnu17 -g -O1 -Iinclude -Itests/unit -Itests/fake -D_GNU_SOURCE $(filter-out -Wmissing-prototypes \
	-Wmissing-declarations -Wredundant-decls -Wundef,$(WARNINGS)) \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(UNIT_EXTRA)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)

unit_needs = $(shell sed -n 's,.*needs: *\([^*]*\).*,\1,p' $(1))
# What several tests need is compiled once.
unit_objects = $(patsubst %.c,$(B)/unit/obj/%.o,tests/unit/$(1).c $(filter %.c,$(call unit_needs,tests/unit/$(1).c)))

$(B)/unit/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) $(UNIT_CFLAGS) -MMD -MP -c $< -o $@

define unit_rule
$(B)/unit/$(1): $(call unit_objects,$(1))
	$$(Q)$$(HOSTCC) $$(UNIT_CFLAGS) $$^ -o $$@ -lcmocka
endef
$(foreach t,$(UNIT_SRC:tests/unit/%.c=%),$(eval $(call unit_rule,$(t))))
-include $(shell find $(B)/unit/obj -name '*.d' 2>/dev/null)

.PHONY: test-unit
test-unit: $(UNIT_BIN) ## run the unit tests (cmocka, ASan, UBSan)
	@set -e; for t in $(UNIT_BIN); do echo "== $$t"; $$t; done
