/*
 * core/hypercall_manage.c: a VM's memory, registers, interrupts, share, CPU and statistics. See
 * test_hypercall_manage.c for lives and lists.
 * needs: core/vm_parts.c
 * needs: core/manage.c core/hypercall.c core/hypercall_manage.c core/hypercall_child.c core/child.c
 * needs: core/hypercall_shared.c core/shared.c
 * needs: core/child_run.c core/child_port.c core/vm.c core/vms.c core/vm_config.c core/vm_console.c
 * needs: core/config_keys.c core/config_check.c core/config_report.c core/config_modules.c
 * needs: core/pc.c core/pc_boot.c core/pc_disks.c core/disk_image.c core/disk_overlay.c
 * needs: core/load_elf.c core/load_multiboot.c core/load_multiboot_info.c core/sched.c core/fair.c
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c
 * needs: core/shared.c core/hypercall_shared.c
 * needs: devices/debug.c devices/ide.c devices/ide_cmd.c devices/ide_data.c devices/ide_identify.c
 * needs: devices/kbc.c devices/keyboard.c devices/pic8259.c devices/pit8254.c devices/pit_counter.c
 * needs: devices/port92.c devices/printer.c devices/rtc.c devices/serial.c devices/testdev.c
 * needs: devices/vga.c mm/arena.c mm/frames.c mm/frames_region.c mm/gmem.c mm/hostmap.c lib/date.c
 * needs: lib/printf.c lib/ring.c lib/text.c tests/fake/backend.c tests/fake/backend_nested.c
 * needs: tests/fake/host_cpu.c tests/fake/panic.c tests/fake/spinlock.c
 */
#include "victim_rig.h"

#define MAX HYPERCALL_LENGTH_MAX

static uint8_t block[MAX], back[MAX];

static void make_block(unsigned salt)
{
	for (unsigned i = 0; i < MAX; i++)
		block[i] = (uint8_t)(i * 7 + i / 256 + salt);
}

/* --- Memory ------------------------------------------------------------------------------- */

static void expect_write(uint64_t to, uint64_t from, uint64_t n)
{
	assert_int_equal(call(HYPERCALL_VM_WRITE, VICTIM, to, from, n), 0);
	get(from, block, n);
	assert_int_equal(gmem_read(&victim->mem, gpa(to), back, n), OK);
	assert_memory_equal(block, back, n);
}

static void expect_read(uint64_t from, uint64_t to, uint64_t n)
{
	fill(to, n);
	assert_int_equal(call(HYPERCALL_VM_READ, VICTIM, from, to, n), 0);
	get(to, block, n);
	assert_int_equal(gmem_read(&victim->mem, gpa(from), back, n), OK);
	assert_memory_equal(block, back, n);
}

static void test_all_of_a_vms_memory_is_written_and_read(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < VICTIM_RAM; at += MAX) {
		make_block((unsigned)(at / MAX));
		put(DATA_AT, block, MAX);
		expect_write(at, DATA_AT, MAX);
	}
	for (uint64_t at = 0; at < VICTIM_RAM; at += MAX)
		expect_read(at, DATA_AT + 1, MAX);
}

static void test_bytes_around_stay(void **state)
{
	uint8_t seen[9];

	(void)state;
	make_block(0);
	put(DATA_AT, block, MAX);
	expect_write(0x5003, DATA_AT, 5);
	assert_int_equal(gmem_read(&victim->mem, gpa(0x5001), seen, 9), OK);
	assert_memory_equal(seen, "\0\0", 2);
	assert_memory_equal(seen + 2, block, 5);
	assert_memory_equal(seen + 7, "\0\0", 2);
	fill(DATA_AT + 0x2000, 64);
	assert_int_equal(call(HYPERCALL_VM_READ, VICTIM, 0x5003, DATA_AT + 0x2008, 5), 0);
	assert_true(is_filled(DATA_AT + 0x2000, 8));
	assert_true(is_filled(DATA_AT + 0x200d, 8));
}

static void test_memory_at_both_ends(void **state)
{
	(void)state;
	make_block(3);
	put(END(MAX), block, MAX);
	expect_write(VICTIM_END(MAX), END(MAX), MAX);
	expect_read(VICTIM_END(MAX), END(MAX), MAX);
	expect_write(VICTIM_END(1), END(1), 1);
	expect_read(VICTIM_END(1), 0, 1);
	expect_write(0, 0, 1);
	for (uint64_t n = HYPERCALL_VM_READ; n <= HYPERCALL_VM_WRITE; n++) {
		const uint64_t wild[] = {0xfed10000, 1ul << 32, 1ul << 63, ~0ul, ~0ul - 7};

		refused(E_FAULT, n, VICTIM, VICTIM_END(MAX - 1), DATA_AT, MAX);
		refused(E_FAULT, n, VICTIM, VICTIM_END(0), DATA_AT, 1);
		refused(E_FAULT, n, VICTIM, 0, END(MAX - 1), MAX);
		refused(E_FAULT, n, VICTIM, 0, END(0), 1);
		for (unsigned i = 0; i < array_count(wild); i++) {
			refused(E_FAULT, n, VICTIM, wild[i], DATA_AT, 8);
			refused(E_FAULT, n, VICTIM, 0, wild[i], 8);
		}
	}
}

static void test_lengths(void **state)
{
	const uint64_t wrong[] = {MAX + 1, 1ul << 32, (1ul << 32) + 1, 1ul << 63, ~0ul};

	(void)state;
	for (uint64_t n = HYPERCALL_VM_READ; n <= HYPERCALL_VM_WRITE; n++) {
		for (unsigned i = 0; i < array_count(wrong); i++)
			refused(E_INVAL, n, VICTIM, 0, DATA_AT, wrong[i]);
		/* Nothing, from anywhere, is nothing. */
		refused(0, n, VICTIM, 0, DATA_AT, 0);
		refused(0, n, VICTIM, ~0ul, ~0ul, 0);
	}
}

/* Of what is copied nothing is of another call: the buffer is the same. */
static void test_a_call_that_fails_shows_nothing_of_others(void **state)
{
	(void)state;
	make_block(9);
	put(DATA_AT, block, MAX);
	expect_write(0, DATA_AT, MAX);
	fill(DATA_AT, MAX);
	refused(E_FAULT, HYPERCALL_VM_READ, VICTIM, VICTIM_END(8), DATA_AT, 16);
	assert_true(is_filled(DATA_AT, MAX));
}

static void test_what_was_decoded_is_forgotten(void **state)
{
	struct emu_cache *cache;

	(void)state;
	victim_to(VM_PAUSED);
	cache = &victim->vcpu->emu;
	cache->entry[5].mode = 64;
	refused(0, HYPERCALL_VM_READ, VICTIM, 0x7c00, END(8), 0);
	assert_int_equal(cache->entry[5].mode, 64);
	assert_int_equal(call(HYPERCALL_VM_WRITE, VICTIM, 0x7c00, DATA_AT, 1), 0);
	assert_int_equal(cache->entry[5].mode, 0);
}

/* It has said that it ends, and its CPU is not out of the exit yet. */
static unsigned settled;

static void leaves_the_exit(void)
{
	settled++;
}

static void test_one_that_ends_just_now_is_waited_for(void **state)
{
	(void)state;
	victim_to(VM_RUNNING);
	for (uint64_t n = HYPERCALL_VM_READ; n <= HYPERCALL_VM_SET_REG; n++) {
		atomic_store(&victim->state, VM_STOPPED);
		settled = 0;
		rig.before_call = leaves_the_exit;
		assert_int_equal(
			call(n, VICTIM, n == HYPERCALL_VM_GET_REGS ? DATA_AT : 0, DATA_AT, 8), 0);
		assert_int_equal(settled, 1);
		rig.before_call = NULL;
		atomic_store(&victim->state, VM_RUNNING);
	}
}

/* --- Registers ---------------------------------------------------------------------------- */

static struct hypercall_regs get_regs(void)
{
	struct hypercall_regs r;

	fill(DATA_AT, sizeof(r) + 8);
	assert_int_equal(call(HYPERCALL_VM_GET_REGS, VICTIM, DATA_AT, 0, 0), 0);
	assert_true(is_filled(DATA_AT + sizeof(r), 8));
	get(DATA_AT, &r, sizeof(r));
	return r;
}

/* The numbers are those of instructions, not the backend's. */
static void test_registers_are_numbered_as_instructions_do(void **state)
{
	static const enum vcpu_reg order[HYPERCALL_REG_COUNT] = {
		[HYPERCALL_RAX] = REG_RAX,
		[HYPERCALL_RCX] = REG_RCX,
		[HYPERCALL_RDX] = REG_RDX,
		[HYPERCALL_RBX] = REG_RBX,
		[HYPERCALL_RSP] = REG_RSP,
		[HYPERCALL_RBP] = REG_RBP,
		[HYPERCALL_RSI] = REG_RSI,
		[HYPERCALL_RDI] = REG_RDI,
		[HYPERCALL_R8] = REG_R8,
		[9] = REG_R9,
		[10] = REG_R10,
		[11] = REG_R11,
		[12] = REG_R12,
		[13] = REG_R13,
		[14] = REG_R14,
		[HYPERCALL_R15] = REG_R15,
		[HYPERCALL_RIP] = REG_RIP,
		[HYPERCALL_RFLAGS] = REG_RFLAGS,
		[HYPERCALL_CR0] = REG_CR0,
		[HYPERCALL_CR2] = REG_CR2,
		[HYPERCALL_CR3] = REG_CR3,
		[HYPERCALL_CR4] = REG_CR4,
		[HYPERCALL_EFER] = REG_EFER,
	};
	struct hypercall_regs r;

	(void)state;
	victim_to(VM_PAUSED);
	rig_backend.vcpu_load(&victim->vcpu->v);
	for (unsigned i = 0; i < HYPERCALL_REG_COUNT; i++)
		rig_backend.set_reg(&victim->vcpu->v, order[i], 0x1111000000000000 + i);
	rig_backend.vcpu_unload(&victim->vcpu->v);
	r = get_regs();
	for (unsigned i = 0; i < HYPERCALL_REG_COUNT; i++)
		assert_int_equal(r.reg[i], 0x1111000000000000 + i);
	assert_int_equal(r.unused, 0);
	for (unsigned i = 0; i < HYPERCALL_REG_COUNT; i++)
		assert_int_equal(call(HYPERCALL_VM_SET_REG, VICTIM, i, 0x2222000000000000 + i, 0),
				 0);
	rig_backend.vcpu_load(&victim->vcpu->v);
	for (unsigned i = 0; i < HYPERCALL_REG_COUNT; i++)
		assert_int_equal(rig_backend.get_reg(&victim->vcpu->v, order[i]),
				 0x2222000000000000 + i);
	rig_backend.vcpu_unload(&victim->vcpu->v);
	assert_null(rig.loaded[0]);
}

static void test_segments_in_their_order(void **state)
{
	static const enum vcpu_segreg order[8] = {SEG_ES, SEG_CS, SEG_SS,   SEG_DS,
						  SEG_FS, SEG_GS, SEG_LDTR, SEG_TR};
	struct hypercall_regs r;

	(void)state;
	victim_to(VM_PAUSED);
	for (unsigned i = 0; i < 8; i++)
		victim->vcpu->v.virt->segment[order[i]] = (struct vcpu_segment){
			.selector = (uint16_t)(8 * i),
			.attr = (uint16_t)(0x93 + (i << 12)),
			.limit = 0xffff0000 + i,
			.base = 0xffff800000000000 + i,
		};
	r = get_regs();
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(r.segment[i].selector, 8 * i);
		assert_int_equal(r.segment[i].attributes, 0x93 + (i << 12));
		assert_int_equal(r.segment[i].limit, 0xffff0000 + i);
		assert_int_equal(r.segment[i].base, 0xffff800000000000 + i);
	}
}

static void test_registers_where_there_is_no_memory(void **state)
{
	const uint64_t size = sizeof(struct hypercall_regs);

	(void)state;
	assert_int_equal(call(HYPERCALL_VM_GET_REGS, VICTIM, END(size), 0, 0), 0);
	refused(E_FAULT, HYPERCALL_VM_GET_REGS, VICTIM, END(size - 1), 0, 0);
	refused(E_FAULT, HYPERCALL_VM_GET_REGS, VICTIM, ~0ul, 0, 0);
}

static void test_registers_that_there_are_not(void **state)
{
	const uint64_t wrong[] = {HYPERCALL_REG_COUNT, REG_XCR0, 255, 256, 1ul << 32, ~0ul};

	(void)state;
	for (unsigned i = 0; i < array_count(wrong); i++)
		refused(E_INVAL, HYPERCALL_VM_SET_REG, VICTIM, wrong[i], 0x5a5a, 0);
}

/* Its CPU has the caller's registers loaded, or another's: they are not touched. */
static void test_registers_of_one_on_the_callers_cpu(void **state)
{
	(void)state;
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 1, 0, 0), 0);
	victim_to(VM_PAUSED);
	caller->vcpu->v.gpr[REG_RBX] = 1234;
	assert_int_equal(call(HYPERCALL_VM_SET_REG, VICTIM, HYPERCALL_RBX, 99, 0), 0);
	assert_int_equal(get_regs().reg[HYPERCALL_RBX], 99);
	assert_int_equal(caller->vcpu->v.gpr[REG_RBX], 1234);
}

/* --- Interrupts --------------------------------------------------------------------------- */

static void test_an_nmi_comes_when_it_runs(void **state)
{
	(void)state;
	victim_to(VM_PAUSED);
	assert_int_equal(simple(HYPERCALL_VM_INJECT_NMI), 0);
	assert_false(turn(0));
	assert_int_equal(simple(HYPERCALL_VM_RESUME), 0);
	assert_true(turn(0));
	assert_int_equal(victim->vcpu->v.virt->delivery_count, 1);
	assert_int_equal(fake_delivered(&victim->vcpu->v, 0)->event.kind, EVENT_NMI);
}

static uint8_t irr(unsigned chip)
{
	return pic_chip_irr(&victim->pc->pic.chip[chip]);
}

static void test_each_line_is_pulsed(void **state)
{
	(void)state;
	for (unsigned irq = 0; irq < PC_IRQ_COUNT; irq++) {
		const unsigned chip = irq / 8;

		if (irq == PIC_IRQ_CASCADE)
			continue;
		victim_to(VM_RUNNING);
		assert_int_equal(irr(chip) & 1 << irq % 8, 0);
		assert_int_equal(call(HYPERCALL_VM_INJECT_IRQ, VICTIM, irq, 0, 0), 0);
		assert_int_equal(irr(chip) & ~(chip ? 0 : 4), 1 << irq % 8);
		assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
	}
}

static void test_lines_that_there_are_not(void **state)
{
	const uint64_t wrong[] = {2, 16, 17, 255, 256, 1ul << 32, (1ul << 32) + 5, ~0ul};

	(void)state;
	victim_to(VM_PAUSED);
	for (unsigned i = 0; i < array_count(wrong); i++)
		refused(E_INVAL, HYPERCALL_VM_INJECT_IRQ, VICTIM, wrong[i], 0, 0);
}

/* --- Share and CPU ------------------------------------------------------------------------ */

static void test_weights(void **state)
{
	const uint64_t wrong[] = {0, 1001, UINT32_MAX, 1ul << 32, (1ul << 32) + 1, ~0ul};

	(void)state;
	for (enum vm_state s = VM_CREATED; s <= VM_STOPPED; s++) {
		victim_to(s);
		for (unsigned i = 0; i < array_count(wrong); i++)
			refused(E_INVAL, HYPERCALL_VM_SET_WEIGHT, VICTIM, wrong[i], 0, 0);
		assert_int_equal(call(HYPERCALL_VM_SET_WEIGHT, VICTIM, 1, 0, 0), 0);
		assert_int_equal(victim->vcpu->fair.weight, 1);
		assert_int_equal(call(HYPERCALL_VM_SET_WEIGHT, VICTIM, 1000, 0, 0), 0);
		assert_int_equal(victim->vcpu->fair.weight, 1000);
		assert_int_equal(victim->config.weight, 1000);
		if (vm_is_on(victim))
			assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
		/* It is kept for the next start. */
		assert_int_equal(simple(HYPERCALL_VM_START), 0);
		assert_int_equal(victim->vcpu->fair.weight, 1000);
		assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
	}
}

static void test_it_runs_where_it_is_moved_to(void **state)
{
	(void)state;
	victim_to(VM_RUNNING);
	assert_true(turn(0));
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 1, 0, 0), 0);
	assert_false(turn(0));
	assert_true(turn_of_vm(victim));
	assert_ptr_equal(rig.loaded[1], victim->vcpu);
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 0, 0, 0), 0);
	assert_true(turn(0));
	assert_ptr_equal(rig.loaded[0], victim->vcpu);
	/* Where it is already. */
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 0, 0, 0), 0);
	assert_ptr_equal(rig.loaded[0], victim->vcpu);
}

static void test_moved_while_it_is_not_running(void **state)
{
	(void)state;
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 1, 0, 0), 0);
	victim_to(VM_PAUSED);
	assert_int_equal(victim->vcpu->cpu->index, 1);
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 0, 0, 0), 0);
	assert_false(turn(0));
	assert_int_equal(simple(HYPERCALL_VM_RESUME), 0);
	assert_true(turn(0));
	assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 1, 0, 0), 0);
	assert_int_equal(simple(HYPERCALL_VM_START), 0);
	assert_false(turn(0));
	assert_int_equal(victim->vcpu->cpu->index, 1);
}

static void test_cpus_that_there_are_not(void **state)
{
	const uint64_t wrong[] = {2, 63, 64, UINT32_MAX, 1ul << 32, (1ul << 32) + 1, ~0ul};

	(void)state;
	for (enum vm_state s = VM_CREATED; s <= VM_PAUSED; s++) {
		for (unsigned i = 0; i < array_count(wrong); i++)
			refused(E_NODEV, HYPERCALL_VM_SET_CPU, VICTIM, wrong[i], 0, 0);
		if (s < VM_PAUSED)
			assert_int_equal(
				simple(s == VM_CREATED ? HYPERCALL_VM_START : HYPERCALL_VM_PAUSE),
				0);
	}
}

/* One beyond the last, and one that has failed: of that nothing can be asked any more. */
static void test_cpus_that_do_not_work(void **state)
{
	static struct seen before, after;
	const struct hypercall_args to_1 = {.rdi = VICTIM, .rsi = 1};

	(void)state;
	atomic_store(&percpus[RIG_CPUS].state, CPU_ONLINE);
	refused(E_NODEV, HYPERCALL_VM_SET_CPU, VICTIM, RIG_CPUS, 0, 0);
	atomic_store(&percpus[RIG_CPUS].state, CPU_ABSENT);
	victim_to(VM_PAUSED);
	atomic_store(&percpus[1].state, CPU_FAILED);
	look(&before);
	assert_int_equal(hypercall_manage_find(HYPERCALL_VM_SET_CPU)(caller, &to_1), E_NODEV);
	look(&after);
	atomic_store(&percpus[1].state, CPU_ONLINE);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(simple(HYPERCALL_VM_RESUME), 0);
	assert_true(turn(0));
}

/* --- Statistics --------------------------------------------------------------------------- */

static void test_statistics(void **state)
{
	struct exit_counter *kind = victim->vcpu->stats.kind;
	struct hypercall_statistics s;
	uint64_t all = 0;

	(void)state;
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		all += kind[i].count = 1000 + i;
	victim->vcpu->ran_ticks = 1ul << 40;
	fill(DATA_AT, sizeof(s) + 8);
	assert_int_equal(call(HYPERCALL_VM_STATISTICS, VICTIM, DATA_AT, 0, 0), 0);
	assert_true(is_filled(DATA_AT + sizeof(s), 8));
	get(DATA_AT, &s, sizeof(s));
	assert_int_equal(s.ran_ns, 1ul << 40);
	assert_int_equal(s.exits, all);
	assert_int_equal(s.port_exits, 1000 + EXIT_PORT);
	assert_int_equal(s.memory_exits, 1000 + EXIT_NESTED_FAULT);
	assert_int_equal(s.hlt_exits, 1000 + EXIT_HLT);
	assert_int_equal(s.hypercall_exits, 1000 + EXIT_HYPERCALL);
	assert_int_equal(s.irq_exits, 1000 + EXIT_HOST_IRQ);
	assert_int_equal(s.unused, 0);
	assert_int_equal(call(HYPERCALL_VM_STATISTICS, VICTIM, END(sizeof(s)), 0, 0), 0);
	refused(E_FAULT, HYPERCALL_VM_STATISTICS, VICTIM, END(sizeof(s) - 1), 0, 0);
	refused(E_FAULT, HYPERCALL_VM_STATISTICS, VICTIM, ~0ul, 0, 0);
}

static void test_statistics_of_oneself_count_this_call(void **state)
{
	struct hypercall_statistics s, later;

	(void)state;
	assert_int_equal(call(HYPERCALL_VM_STATISTICS, 1, DATA_AT, 0, 0), 0);
	get(DATA_AT, &s, sizeof(s));
	assert_int_equal(call(HYPERCALL_VM_STATISTICS, 1, DATA_AT, 0, 0), 0);
	get(DATA_AT, &later, sizeof(later));
	assert_int_equal(later.hypercall_exits, s.hypercall_exits + 1);
	assert_true(later.ran_ns > s.ran_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		V(test_all_of_a_vms_memory_is_written_and_read),
		V(test_bytes_around_stay),
		V(test_memory_at_both_ends),
		V(test_lengths),
		V(test_a_call_that_fails_shows_nothing_of_others),
		V(test_what_was_decoded_is_forgotten),
		V(test_one_that_ends_just_now_is_waited_for),
		V(test_registers_are_numbered_as_instructions_do),
		V(test_segments_in_their_order),
		V(test_registers_where_there_is_no_memory),
		V(test_registers_that_there_are_not),
		V(test_registers_of_one_on_the_callers_cpu),
		V(test_an_nmi_comes_when_it_runs),
		V(test_each_line_is_pulsed),
		V(test_lines_that_there_are_not),
		V(test_weights),
		V(test_it_runs_where_it_is_moved_to),
		V(test_moved_while_it_is_not_running),
		V(test_cpus_that_there_are_not),
		V(test_cpus_that_do_not_work),
		V(test_statistics),
		V(test_statistics_of_oneself_count_this_call),
	};

	return cmocka_run_group_tests_name("hypercalls that look", tests, NULL, NULL);
}
