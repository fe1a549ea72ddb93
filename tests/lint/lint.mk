# Everything that can be said about the code without running it. Each lint is a target of its own; checks of
# single files leave a stamp in build/lint/, so that only what changed is looked at again.

L := $(B)/lint
CLANG_FORMAT := clang-format
CLANG_TIDY := clang-tidy
CPPCHECK := cppcheck
LINTS := layers symbols headers format tidy cppcheck analyzer clang text scripts docs

HEADERS := $(sort $(wildcard include/crvm/*.h include/crvm/*/*.h))
HV_H := $(foreach d,$(HV_DIRS),$(sort $(wildcard $(d)/*.h)))
TEST_C := $(sort $(wildcard tests/unit/*.[ch] tests/fuzz/*.[ch] tests/fake/*.[ch]))
FORMATTED := $(HEADERS) $(HV_H) $(HV_C) $(TEST_C)
SHELL_SCRIPTS := $(shell grep -lE '^#!/bin/(ba)?sh' scripts/* .ci/* 2>/dev/null)

# clang-tidy reads C as clang does; this is gcc's alone.
TIDY_CFLAGS = $(filter-out -ffile-prefix-map=%,$(HV_CFLAGS))
GENERATED := $(B)/gen/version.h $(B)/gen/font.h

.PHONY: lint $(LINTS:%=lint-%)
lint: $(LINTS:%=lint-%) ## run all lints (each is a target too: lint-layers, lint-tidy, ...)

define lint_ok
@echo 'lint: $(@:lint-%=%): ok'
endef

# The order of the layers: from what files include, and from what objects call.
lint-layers:
	$(Q)$(PY) tests/lint/layers.py includes $(HEADERS) $(HV_H) $(HV_C) $(HV_S)
	$(lint_ok)

lint-symbols: $(HV_O)
	$(Q)$(PY) tests/lint/layers.py symbols $(B)/hv
	$(lint_ok)

# Each header compiles by itself, twice in a row, with both compilers.
$(L)/header/%.ok: % $(HEADERS)
	@mkdir -p $(@D)
	$(Q)for cc in $(CC) $(CLANG); do \
	  printf '#include "%s"\n#include "%s"\n' '$<' '$<' | \
	    $$cc $(filter-out -Wmissing-prototypes,$(HV_CFLAGS)) -I. -x c -fsyntax-only - || exit 1; done
	@touch $@

lint-headers: $(HEADERS:%=$(L)/header/%.ok) $(HV_H:%=$(L)/header/%.ok)
	$(lint_ok)

$(L)/format/%.ok: % .clang-format
	@mkdir -p $(@D)
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $<
	@touch $@

lint-format: $(FORMATTED:%=$(L)/format/%.ok)
	$(lint_ok)

$(L)/tidy/%.ok: % .clang-tidy $(HEADERS) $(HV_H) | $(GENERATED)
	@mkdir -p $(@D)
	$(Q)$(CLANG_TIDY) --quiet --checks='-clang-analyzer-*' $< -- $(TIDY_CFLAGS) 2>&1 | grep -vE '^[0-9]+ warnings? (generated|treated)' ; \
	  exit $${PIPESTATUS[0]}
	@touch $@

lint-tidy: $(HV_C:%=$(L)/tidy/%.ok)
	$(lint_ok)

# clang's static analyzer takes as long as all the rest, and gcc's looks for the same: not part of `make lint`.
$(L)/deep/%.ok: % .clang-tidy $(HEADERS) $(HV_H) | $(GENERATED)
	@mkdir -p $(@D)
	$(Q)$(CLANG_TIDY) --quiet $< -- $(TIDY_CFLAGS) 2>&1 | grep -vE '^[0-9]+ warnings? (generated|treated)' ; \
	  exit $${PIPESTATUS[0]}
	@touch $@

.PHONY: lint-deep
lint-deep: $(HV_C:%=$(L)/deep/%.ok) ## clang's static analyzer over the hypervisor: some minutes
	$(lint_ok)

$(L)/cppcheck/%.ok: % $(HEADERS) $(HV_H) tests/lint/cppcheck.txt | $(GENERATED)
	@mkdir -p $(@D)
	$(Q)$(CPPCHECK) --quiet --error-exitcode=1 --std=c11 --platform=unix64 --inline-suppr \
	  --enable=warning,performance,portability --suppressions-list=tests/lint/cppcheck.txt \
	  -D__x86_64__ -D__STDC_NO_THREADS__ -Iinclude -I$(B)/gen $<
	@touch $@

lint-cppcheck: $(HV_C:%=$(L)/cppcheck/%.ok)
	$(lint_ok)

$(L)/analyzer/%.ok: % $(HEADERS) $(HV_H) | $(GENERATED)
	@mkdir -p $(@D)
	$(Q)gcc $(HV_CFLAGS) -fanalyzer $(ANALYZER_FLAGS) -c $< -o $(@:.ok=.o)
	@touch $@

# The shell's `crash` command violates write protection on purpose.
$(L)/analyzer/core/crash.c.ok: ANALYZER_FLAGS := -Wno-analyzer-write-to-const

lint-analyzer: $(HV_C:%=$(L)/analyzer/%.ok)
	$(lint_ok)

# The other compiler must build the whole tree too, without a word (it calls -no-pie useless).
lint-clang:
	$(Q)said=$$($(MAKE) --no-print-directory B=$(B)/clang CC=$(CLANG) \
	  HV_LDFLAGS='$(filter-out -no-pie,$(HV_LDFLAGS))' $(B)/clang/crvm.elf 2>&1 >/dev/null) && \
	  [ -z "$$said" ] || { echo "$$said"; exit 1; }
	$(lint_ok)

lint-text:
	$(Q)$(PY) tests/lint/text.py
	$(lint_ok)

# Places, functions and targets that documents name exist.
lint-docs:
	$(Q)$(PY) tests/lint/docs.py
	$(lint_ok)

# Syntax only; that of Python is lint-text's.
lint-scripts:
	$(Q)for f in $(SHELL_SCRIPTS); do $$(sed -n '1s/^#!//p' $$f) -n $$f || exit 1; done
	$(lint_ok)

# For editors and clangd: how each source is compiled.
.PHONY: compile-commands
compile-commands: compile_commands.json ## write compile_commands.json, for clangd and other tools

compile_commands.json: FORCE
	$(Q)HV_FLAGS='$(CC) $(TIDY_CFLAGS)' UNIT_FLAGS='$(HOSTCC) $(UNIT_CFLAGS)' FUZZ_FLAGS='$(CLANG) $(FUZZ_CFLAGS)' \
	  $(PY) tests/lint/compile_commands.py $@ $(HV_C) $(UNIT_SRC) $(FUZZ_SRC)
