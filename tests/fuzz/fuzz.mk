# libFuzzer targets: each tests/fuzz/fuzz_X.c with a line "needs: file.c ...", its corpus in tests/fuzz/corpus/X.

FUZZ_SECONDS := 5
FUZZ_CFLAGS := -std=gnu17 -g -O1 -Iinclude -Itests/fake -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined \
	-fno-sanitize-recover=all -Wall -Wextra -Werror
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

fuzz_objects = $(patsubst %.c,$(B)/fuzz/obj/%.o,tests/fuzz/$(1).c $(filter %.c,$(call unit_needs,tests/fuzz/$(1).c)))

$(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@

define fuzz_rule
$(B)/fuzz/$(1): $(call fuzz_objects,$(1))
	$$(Q)$$(CLANG) $$(FUZZ_CFLAGS) $$^ -o $$@
endef
$(foreach t,$(FUZZ_SRC:tests/fuzz/%.c=%),$(eval $(call fuzz_rule,$(t))))
-include $(shell find $(B)/fuzz/obj -name '*.d' 2>/dev/null)

# Every corpus file once, then new inputs (kept in build/) from a fixed seed for FUZZ_SECONDS. The whole output
# is in build/fuzz/X.log; of a failure its end is shown, and the input that did it is build/fuzz/crash-*.
FUZZ_RUN := -seed=1 -timeout=20 -artifact_prefix=$(B)/fuzz/

.PHONY: test-fuzz fuzz
test-fuzz: $(FUZZ_BIN) ## run each fuzz target on its corpus and for a few seconds more
	@set -e -o pipefail; for t in $(FUZZ_BIN); do n=$${t##*/fuzz_}; log=$(B)/fuzz/$$n.log; \
	  new=$(B)/fuzz/new/$$n; corpus=tests/fuzz/corpus/$$n; [ -d $$corpus ] || corpus=; \
	  mkdir -p $$new; echo "== $$t"; \
	  $$t $(FUZZ_RUN) -runs=0 $$corpus > $$log 2>&1 || { tail -n 40 $$log; exit 1; }; \
	  tail -n 1 $$log; \
	  $$t $(FUZZ_RUN) -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -print_final_stats=1 \
	    $$new $$corpus >> $$log 2>&1 || { tail -n 40 $$log; exit 1; }; \
	  grep -o 'cov: [0-9]*' $$log | tail -n 1; \
	  grep 'number_of_executed_units' $$log; done

fuzz: ## run each fuzz target for a long time (FUZZ_SECONDS=600)
	$(MAKE) test-fuzz FUZZ_SECONDS=$(if $(filter command line,$(origin FUZZ_SECONDS)),$(FUZZ_SECONDS),600)
