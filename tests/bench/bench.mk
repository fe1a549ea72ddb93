# The bench: a guest that times VM exits (tests/bench), booted and compared by scripts/bench.

BENCH_CFLAGS := -std=gnu17 -O2 -Iinclude $(WARNINGS) -ffreestanding -mno-red-zone -mgeneral-regs-only -fno-pic -fno-pie \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns
BENCH_GUEST := $(B)/bench/bench.bin

$(BENCH_GUEST): tests/bench/start.S tests/bench/bench.c tests/bench/bench.lds $(wildcard include/crvm/*.h include/crvm/*/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BENCH_CFLAGS) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-z,noexecstack \
	  -T tests/bench/bench.lds tests/bench/start.S tests/bench/bench.c -o $(@:.bin=.elf)
	$(Q)objcopy -O binary $(@:.bin=.elf) $@

.PHONY: bench bench-ceiling
bench: $(KERNEL) $(BENCH_GUEST) ## what a VM exit costs in instructions, against the peers (build/bench.json)
	@scripts/deps build iso run-bochs
	$(Q)B='$(B)' $(PY) scripts/bench -k $(KERNEL) -g $(BENCH_GUEST) -o $(B)/bench.json

bench-ceiling: bench ## make the figures just reached what tests/integration/test_bench.py enforces
	$(Q)$(PY) scripts/bench --ceiling $(B)/bench.json

test-build test-integration: $(BENCH_GUEST)
