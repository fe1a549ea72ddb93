# Host unit tests: each tests/unit/test_X.c is one cmocka program; a line "needs: file.c ..." in it names what
# it is linked with. ASan and UBSan are on.

UNIT_CFLAGS := -std=gnu17 -g -O1 -Iinclude -Itests/unit -Itests/fake -D_GNU_SOURCE $(filter-out -Wmissing-prototypes \
	-Wmissing-declarations -Wredundant-decls -Wundef,$(WARNINGS)) \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer $(UNIT_EXTRA)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)

# Files that the test includes instead of linking them: a line "includes: file.c ...".
unit_includes = $(shell sed -n 's,.*includes: *\([^*]*\).*,\1,p' $(1))
unit_needs = $(shell sed -n 's,.*needs: *\([^*]*\).*,\1,p' $(1))

define unit_rule
$(B)/unit/$(1): tests/unit/$(1).c $(call unit_needs,tests/unit/$(1).c) \
  $(call unit_includes,tests/unit/$(1).c) $(wildcard include/crvm/*.h include/crvm/*/*.h tests/unit/*.h tests/fake/*.h)
	@mkdir -p $$(@D)
	$$(Q)$$(HOSTCC) $$(UNIT_CFLAGS) $$(filter-out $(call unit_includes,tests/unit/$(1).c),$$(filter %.c,$$^)) -o $$@ -lcmocka
endef
$(foreach t,$(UNIT_SRC:tests/unit/%.c=%),$(eval $(call unit_rule,$(t))))

.PHONY: test-unit
test-unit: $(UNIT_BIN) ## run the unit tests (cmocka, ASan, UBSan)
	@set -e; for t in $(UNIT_BIN); do echo "== $$t"; $$t; done
