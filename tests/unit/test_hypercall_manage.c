/*
 * core/hypercall_manage.c: creating, listing and describing VMs, their states, who may ask, and the
 * caller that names itself. See test_hypercall_look.c for the rest of the calls.
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

/* --- Who may ask, and whom ---------------------------------------------------------------- */

static void test_a_vm_without_the_privilege_may_nothing(void **state)
{
	static const char text[] = FLAT("new");
	struct vm *plain;

	(void)state;
	assert_int_equal(create("[vm plain]\nkernel = k\nboot = flat\nmemory = 64K\ncpu = 1\n"), 1);
	plain = vms[2];
	assert_int_equal(gmem_write(&plain->mem, gpa(0x1000), text, sizeof(text)), OK);
	for (enum vm_state s = VM_CREATED; s <= VM_STOPPED; s++) {
		for (uint64_t n = HYPERCALL_VM_CREATE; n <= HYPERCALL_VM_STATISTICS; n++) {
			if (n == HYPERCALL_VM_CREATE || n == HYPERCALL_VM_LIST)
				refused_to(plain, E_PERM, n, 0x1000, sizeof(text) - 1, 0, 0);
			else
				refused_to(plain, E_PERM, n, VICTIM, 1, 0x1000, 8);
			/* Not even itself. */
			refused_to(plain, E_PERM, n, 3, 1, 0x1000, 8);
		}
		if (s < VM_STOPPED)
			assert_int_equal(simple(s == VM_CREATED	  ? HYPERCALL_VM_START
						: s == VM_RUNNING ? HYPERCALL_VM_PAUSE
								  : HYPERCALL_VM_STOP),
					 0);
	}
}

static void test_ring_3_may_nothing(void **state)
{
	(void)state;
	caller->vcpu->v.virt->segment[SEG_SS].attr |= 3 << 5;
	for (uint64_t n = HYPERCALL_VM_CREATE; n <= HYPERCALL_VM_STATISTICS; n++)
		refused(E_PERM, n, VICTIM, DATA_AT, DATA_AT, 8);
}

static void test_numbers_that_no_vm_has(void **state)
{
	(void)state;
	for (uint64_t n = HYPERCALL_VM_START; n <= HYPERCALL_VM_STATISTICS; n++)
		for (unsigned i = 0; i < array_count(nobody) && n != HYPERCALL_VM_LIST; i++)
			refused(E_NOENT, n, nobody[i], DATA_AT, DATA_AT, 8);
}

/* The one below is gone, the one above is there. */
static void test_a_number_is_free_when_its_vm_is_gone(void **state)
{
	uint32_t list[4] = {0};

	(void)state;
	assert_int_equal(create(FLAT("last") NO_START), 1);
	assert_int_equal(simple(HYPERCALL_VM_DESTROY), 0);
	for (uint64_t n = HYPERCALL_VM_START; n <= HYPERCALL_VM_STATISTICS; n++)
		if (n != HYPERCALL_VM_LIST)
			refused(E_NOENT, n, VICTIM, DATA_AT, DATA_AT, 8);
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, 4, 0, 0), 2);
	get(DATA_AT, list, sizeof(list));
	assert_int_equal(list[0], 1);
	assert_int_equal(list[1], 3);
	assert_int_equal(create(FLAT("again") NO_START), 1);
	assert_string_equal(vms[VICTIM - 1]->name, "again");
}

/* --- States ------------------------------------------------------------------------------- */

enum { NO = -1, GONE = 4 };

static const struct {
	const char *name;
	uint64_t number, b, c, d;
	int becomes[4]; /* out of each state; NO: refused */
} rules[] = {
	{"start", HYPERCALL_VM_START, 0, 0, 0, {VM_RUNNING, NO, NO, VM_RUNNING}},
	{"pause", HYPERCALL_VM_PAUSE, 0, 0, 0, {NO, VM_PAUSED, NO, NO}},
	{"resume", HYPERCALL_VM_RESUME, 0, 0, 0, {NO, NO, VM_RUNNING, NO}},
	{"reset", HYPERCALL_VM_RESET, 0, 0, 0, {NO, VM_RUNNING, VM_RUNNING, NO}},
	{"stop", HYPERCALL_VM_STOP, 0, 0, 0, {NO, VM_STOPPED, VM_STOPPED, NO}},
	{"destroy", HYPERCALL_VM_DESTROY, 0, 0, 0, {GONE, NO, NO, GONE}},
	{"describe", HYPERCALL_VM_DESCRIBE, DATA_AT, 0, 0, {0, 1, 2, 3}},
	{"set weight", HYPERCALL_VM_SET_WEIGHT, 5, 0, 0, {0, 1, 2, 3}},
	{"set cpu", HYPERCALL_VM_SET_CPU, 1, 0, 0, {0, 1, 2, 3}},
	{"read", HYPERCALL_VM_READ, 0, DATA_AT, 64, {0, NO, 2, 3}},
	{"write", HYPERCALL_VM_WRITE, 0, DATA_AT, 64, {0, NO, 2, 3}},
	{"get regs", HYPERCALL_VM_GET_REGS, DATA_AT, 0, 0, {0, NO, 2, 3}},
	{"set reg", HYPERCALL_VM_SET_REG, HYPERCALL_RBX, 77, 0, {0, NO, 2, 3}},
	{"nmi", HYPERCALL_VM_INJECT_NMI, 0, 0, 0, {NO, 1, 2, NO}},
	{"irq", HYPERCALL_VM_INJECT_IRQ, 5, 0, 0, {NO, 1, 2, NO}},
	{"statistics", HYPERCALL_VM_STATISTICS, DATA_AT, 0, 0, {0, 1, 2, 3}},
};

static void test_each_call_in_each_state(void **state)
{
	(void)state;
	for (unsigned r = 0; r < array_count(rules); r++) {
		for (enum vm_state s = VM_CREATED; s <= VM_STOPPED; s++) {
			const int becomes = rules[r].becomes[s];

			victim_to(s);
			if (becomes == NO) {
				refused(E_BUSY, rules[r].number, VICTIM, rules[r].b, rules[r].c,
					rules[r].d);
			} else {
				assert_int_equal(call(rules[r].number, VICTIM, rules[r].b,
						      rules[r].c, rules[r].d),
						 0);
				if (becomes == GONE)
					assert_null(vms[VICTIM - 1]);
				else
					assert_int_equal(state_of_victim(), becomes);
			}
			/* A new one for the next. */
			if (vms[VICTIM - 1]) {
				if (vm_is_on(victim))
					assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
				assert_int_equal(simple(HYPERCALL_VM_DESTROY), 0);
			}
			assert_int_equal(create(FLAT("victim") NO_START), 1);
			victim = vms[VICTIM - 1];
		}
	}
}

static void test_a_started_one_runs_and_a_paused_one_does_not(void **state)
{
	unsigned runs;

	(void)state;
	victim_to(VM_RUNNING);
	assert_true(turn(0));
	assert_int_equal(victim->vcpu->v.virt->reg[REG_RIP] >> 4, 0x7c0);
	runs = victim->vcpu->v.virt->run_count;
	assert_int_equal(simple(HYPERCALL_VM_PAUSE), 0);
	assert_false(turn(0));
	assert_int_equal(simple(HYPERCALL_VM_RESUME), 0);
	assert_true(turn(0));
	assert_true(victim->vcpu->v.virt->run_count > runs);
	assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
	assert_false(turn(0));
}

/* Its clock stands still, and no alarm rings. */
static void test_a_paused_one_has_no_time(void **state)
{
	(void)state;
	victim_to(VM_RUNNING);
	assert_int_equal(rig.timers, 0);
	io_bus_write(&victim->ports, 0x43, 1, 0x34); /* the PIT: mode 2 */
	io_bus_write(&victim->ports, 0x40, 1, 0);
	io_bus_write(&victim->ports, 0x40, 1, 0);
	assert_int_equal(rig.timers, 1);
	assert_int_equal(victim->paused_tsc, 0);
	assert_int_equal(simple(HYPERCALL_VM_PAUSE), 0);
	assert_int_equal(rig.timers, 0);
	assert_int_not_equal(victim->paused_tsc, 0);
	assert_int_equal(simple(HYPERCALL_VM_RESUME), 0);
	assert_int_equal(rig.timers, 1);
	assert_int_equal(victim->paused_tsc, 0);
	assert_int_equal(simple(HYPERCALL_VM_STOP), 0);
	assert_int_equal(rig.timers, 0);
}

/* Its alarms go with it. */
static void test_a_moved_one_keeps_its_alarms(void **state)
{
	(void)state;
	victim_to(VM_RUNNING);
	io_bus_write(&victim->ports, 0x43, 1, 0x34);
	io_bus_write(&victim->ports, 0x40, 1, 0);
	io_bus_write(&victim->ports, 0x40, 1, 0);
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 1, 0, 0), 0);
	assert_int_equal(rig.timers, 1);
	assert_int_equal(simple(HYPERCALL_VM_PAUSE), 0);
	assert_int_equal(call(HYPERCALL_VM_SET_CPU, VICTIM, 0, 0, 0), 0);
	assert_int_equal(rig.timers, 0);
	assert_int_equal(simple(HYPERCALL_VM_RESUME), 0);
	assert_int_equal(rig.timers, 1);
}

static void test_reset_begins_at_power_on(void **state)
{
	(void)state;
	victim_to(VM_RUNNING);
	assert_true(turn(0));
	victim->vcpu->v.gpr[REG_RBX] = 5;
	io_bus_write(&victim->ports, 0x21, 1, 0x55);
	assert_int_equal(simple(HYPERCALL_VM_RESET), 0);
	assert_int_equal(victim->vcpu->v.gpr[REG_RBX], 0);
	assert_int_equal(victim->vcpu->v.virt->reg[REG_RIP], 0x7c00);
	assert_int_not_equal(io_bus_read(&victim->ports, 0x21, 1), 0x55);
}

/* Its kernel is none. */
static void test_one_that_cannot_start_stays_as_it_was(void **state)
{
	(void)state;
	assert_int_equal(create("[vm none]\nkernel = k\nboot = elf\nmemory = 1M\ncpu = 0\n"), 1);
	assert_int_equal(atomic_load(&vms[2]->state), VM_CREATED);
	assert_int_equal(call(HYPERCALL_VM_START, 3, 0, 0, 0), E_INVAL);
	assert_int_equal(atomic_load(&vms[2]->state), VM_CREATED);
	assert_false(turn(0));
	assert_int_equal(call(HYPERCALL_VM_DESTROY, 3, 0, 0, 0), 0);
}

/* --- Creation ----------------------------------------------------------------------------- */

static void test_create_tells_how_many(void **state)
{
	(void)state;
	assert_int_equal(create(FLAT("a") FLAT("b") NO_START FLAT("c")), 3);
	assert_int_equal(vm_count, 5);
	assert_true(vm_is_on(vms[2]));
	assert_int_equal(atomic_load(&vms[3]->state), VM_CREATED);
	assert_true(vm_is_on(vms[4]));
	/* The good ones of several: one is bad, one lacks its module, one is too large. */
	assert_int_equal(create(FLAT("d") NO_START "nonsense = 1\n" FLAT("e") NO_START
				"[vm f]\nkernel = none\nboot = flat\n"
				"[vm g]\nkernel = k\nboot = flat\nmemory = 1G\n"),
			 1);
	assert_string_equal(vms[5]->name, "e");
	assert_int_equal(vm_count, 6);
	/* A name that there is already, and one that there is not. */
	assert_int_equal(create(FLAT("a") FLAT("h")), 1);
	assert_string_equal(vms[6]->name, "h");
}

static void test_create_refuses(void **state)
{
	static const char taken[] = FLAT("victim"), bad[] = "[vm",
			  large[] = "[vm g]\nkernel = k\nboot = flat\nmemory = 1G\n";

	(void)state;
	put(TEXT_AT, bad, sizeof(bad));
	refused(E_INVAL, HYPERCALL_VM_CREATE, TEXT_AT, sizeof(bad) - 1, 0, 0);
	assert_non_null(strstr(fake_log_line, "caller creates VMs: 1:"));
	refused(E_INVAL, HYPERCALL_VM_CREATE, TEXT_AT, 0, 0, 0);
	refused(E_INVAL, HYPERCALL_VM_CREATE, ~0ul, 0, 0, 0);
	put(TEXT_AT, taken, sizeof(taken));
	refused(E_NOMEM, HYPERCALL_VM_CREATE, TEXT_AT, sizeof(taken) - 1, 0, 0);
	put(TEXT_AT, large, sizeof(large));
	refused(E_NOMEM, HYPERCALL_VM_CREATE, TEXT_AT, sizeof(large) - 1, 0, 0);
}

/* What a VM can never get is not taken from the others, nor zeroed, before that is found out. */
static void test_more_than_there_is_takes_nothing(void **state)
{
	static const char large[] = "[vm g]\nkernel = k\nboot = flat\nmemory = 1G\n";
	uint64_t *word = phys_to_virt(hpa(RIG_RAM / 2));

	(void)state;
	assert_int_equal(frames_owner(hpa(RIG_RAM / 2)), FRAME_FREE);
	*word = 0x5a5a;
	put(TEXT_AT, large, sizeof(large));
	refused(E_NOMEM, HYPERCALL_VM_CREATE, TEXT_AT, sizeof(large) - 1, 0, 0);
	assert_int_equal(*word, 0x5a5a);
	*word = 0;
}

/* One that could not be started is not tried again for that. */
static void test_a_text_without_vms_starts_none(void **state)
{
	static const char bad[] = "[vm";

	(void)state;
	assert_int_equal(create("[vm none]\nkernel = k\nboot = elf\nmemory = 1M\ncpu = 0\n"), 1);
	assert_non_null(strstr(fake_log_line, "does not start"));
	put(TEXT_AT, bad, sizeof(bad));
	refused(E_INVAL, HYPERCALL_VM_CREATE, TEXT_AT, sizeof(bad) - 1, 0, 0);
	assert_null(strstr(fake_log_line, "does not start"));
}

static void test_a_text_of_exactly_the_longest_length(void **state)
{
	static const char text[] = FLAT("new") NO_START;
	static char longest[HYPERCALL_LENGTH_MAX + 1];

	(void)state;
	memset(longest, '\n', sizeof(longest));
	memcpy(longest + HYPERCALL_LENGTH_MAX - strlen(text), text, strlen(text));
	put(TEXT_AT, longest, sizeof(longest));
	refused(E_INVAL, HYPERCALL_VM_CREATE, TEXT_AT, 4097, 0, 0);
	refused(E_INVAL, HYPERCALL_VM_CREATE, TEXT_AT, ~0ul, 0, 0);
	refused(E_INVAL, HYPERCALL_VM_CREATE, TEXT_AT, 1ul << 32, 0, 0);
	assert_int_equal(call(HYPERCALL_VM_CREATE, TEXT_AT, 4096, 0, 0), 1);
	assert_string_equal(vms[2]->name, "new");
}

static void test_a_text_at_the_end_of_memory(void **state)
{
	static const char text[] = FLAT("new") NO_START;
	const size_t n = strlen(text);

	(void)state;
	put(END(n), text, n);
	refused(E_FAULT, HYPERCALL_VM_CREATE, END(n - 1), n, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_CREATE, END(0), n, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_CREATE, 0 - n / 2, n, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_CREATE, 0xfed10000, n, 0, 0);
	assert_int_equal(call(HYPERCALL_VM_CREATE, END(n), n, 0, 0), 1);
}

static void test_the_table_of_vms_may_be_full(void **state)
{
	uint32_t list[VM_MAX];
	char text[256];

	(void)state;
	rig_quiet(true);
	for (unsigned i = 3; i <= VM_MAX; i++) {
		snprintf(text, sizeof(text),
			 "[vm v%u]\nkernel = k\nboot = flat\nmemory = 64K\nautostart = no\n", i);
		assert_int_equal(create(text), 1);
	}
	rig_quiet(false);
	put(TEXT_AT, FLAT("more"), sizeof(FLAT("more")));
	refused(E_NOMEM, HYPERCALL_VM_CREATE, TEXT_AT, sizeof(FLAT("more")) - 1, 0, 0);
	fill(DATA_AT, sizeof(list) + 4);
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, 100, 0, 0), VM_MAX);
	get(DATA_AT, list, sizeof(list));
	for (unsigned i = 0; i < VM_MAX; i++)
		assert_int_equal(list[i], i + 1);
	assert_true(is_filled(DATA_AT + sizeof(list), 4));
	assert_int_equal(call(HYPERCALL_VM_DESTROY, VM_MAX, 0, 0, 0), 0);
	assert_int_equal(call(HYPERCALL_VM_CREATE, TEXT_AT, sizeof(FLAT("more")) - 1, 0, 0), 1);
	rig_quiet(true);
	rig_end();
	rig_quiet(false);
}

/* --- The list, and descriptions ----------------------------------------------------------- */

static void test_list_writes_what_there_is_room_for(void **state)
{
	uint32_t one;

	(void)state;
	fill(DATA_AT, 64);
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, 0, 0, 0), 2);
	assert_true(is_filled(DATA_AT, 64));
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, 1, 0, 0), 2);
	get(DATA_AT, &one, 4);
	assert_int_equal(one, 1);
	assert_true(is_filled(DATA_AT + 4, 60));
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, ~0ul, 0, 0), 2);
	get(DATA_AT + 4, &one, 4);
	assert_int_equal(one, VICTIM);
	assert_true(is_filled(DATA_AT + 8, 56));
	/* At the end of memory, and where there is none. */
	assert_int_equal(call(HYPERCALL_VM_LIST, END(8), 2, 0, 0), 2);
	assert_int_equal(call(HYPERCALL_VM_LIST, END(4), 1, 0, 0), 2);
	assert_int_equal(call(HYPERCALL_VM_LIST, ~0ul, 0, 0, 0), 2);
	refused(E_FAULT, HYPERCALL_VM_LIST, END(7), 2, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_LIST, END(4), 2, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_LIST, END(3), 1, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_LIST, ~0ul - 3, 2, 0, 0);
}

static struct hypercall_vm describe(uint64_t who)
{
	struct hypercall_vm d;

	fill(DATA_AT, sizeof(d) + 8);
	assert_int_equal(call(HYPERCALL_VM_DESCRIBE, who, DATA_AT, 0, 0), 0);
	assert_true(is_filled(DATA_AT + sizeof(d), 8));
	get(DATA_AT, &d, sizeof(d));
	assert_int_equal(d.number, who);
	return d;
}

static void test_describe(void **state)
{
	struct hypercall_vm d = describe(VICTIM);

	(void)state;
	assert_string_equal(d.name, "victim");
	assert_int_equal(d.state, HYPERCALL_VM_CREATED);
	assert_int_equal(d.memory, VICTIM_RAM);
	assert_int_equal(d.weight, 100);
	assert_int_equal(d.cpu, -1);
	assert_int_equal(d.vcpus, 1);
	assert_int_equal(d.flags, 0);
	victim_to(VM_PAUSED);
	assert_int_equal(call(HYPERCALL_VM_SET_WEIGHT, VICTIM, 1000, 0, 0), 0);
	d = describe(VICTIM);
	assert_int_equal(d.state, HYPERCALL_VM_PAUSED);
	assert_int_equal(d.weight, 1000);
	assert_int_equal(d.cpu, 0);
	d = describe(1);
	assert_string_equal(d.name, "caller");
	assert_int_equal(d.state, HYPERCALL_VM_RUNNING);
	assert_int_equal(d.memory, CALLER_RAM);
	assert_int_equal(d.cpu, 1);
	assert_int_equal(d.flags, 3);
	assert_int_equal(create("[vm other]\nkernel = k\nboot = flat\nprivileged = yes\n"), 1);
	assert_int_equal(describe(3).flags, 1);
}

static void test_describe_at_the_end_of_memory(void **state)
{
	(void)state;
	assert_int_equal(
		call(HYPERCALL_VM_DESCRIBE, VICTIM, END(sizeof(struct hypercall_vm)), 0, 0), 0);
	refused(E_FAULT, HYPERCALL_VM_DESCRIBE, VICTIM, END(sizeof(struct hypercall_vm) - 1), 0, 0);
	refused(E_FAULT, HYPERCALL_VM_DESCRIBE, VICTIM, ~0ul, 0, 0);
	refused(E_FAULT, HYPERCALL_VM_DESCRIBE, VICTIM, 1ul << 63, 0, 0);
}

/* --- Itself ------------------------------------------------------------------------------- */

static void test_what_a_caller_cannot_do_to_itself(void **state)
{
	(void)state;
	refused(E_BUSY, HYPERCALL_VM_START, 1, 0, 0, 0);
	refused(E_BUSY, HYPERCALL_VM_RESUME, 1, 0, 0, 0);
	refused(E_BUSY, HYPERCALL_VM_DESTROY, 1, 0, 0, 0);
	refused(E_BUSY, HYPERCALL_VM_READ, 1, 0, DATA_AT, 8);
	refused(E_BUSY, HYPERCALL_VM_WRITE, 1, 0, DATA_AT, 8);
	refused(E_BUSY, HYPERCALL_VM_GET_REGS, 1, DATA_AT, 0, 0);
	refused(E_BUSY, HYPERCALL_VM_SET_REG, 1, HYPERCALL_RBX, 1, 0);
}

static void test_a_caller_moves_and_weighs_itself(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(call(HYPERCALL_VM_SET_CPU, 1, i & 1, 0, 0), 0);
		assert_int_equal(caller->vcpu->cpu->index, i & 1);
		assert_int_equal(call(HYPERCALL_VM_SET_WEIGHT, 1, 10 + i, 0, 0), 0);
		assert_int_equal(caller->vcpu->fair.weight, 10 + i);
	}
}

static void test_a_caller_pauses_itself_until_others_resume_it(void **state)
{
	(void)state;
	ask(caller, HYPERCALL_VM_PAUSE, 1, 0, 0, 0);
	boot_cpu();
	assert_int_equal(atomic_load(&caller->state), VM_PAUSED);
	assert_false(turn(1));
	assert_true(caller->vcpu->blocked);
	assert_int_equal(manage_resume(caller), OK);
	assert_true(turn(1));
	assert_false(caller->vcpu->blocked);
	assert_int_equal(caller->vcpu->v.gpr[REG_RAX], 0);
}

static void test_a_caller_stops_itself(void **state)
{
	(void)state;
	ask(caller, HYPERCALL_VM_STOP, 1, 0, 0, 0);
	boot_cpu();
	assert_int_equal(atomic_load(&caller->state), VM_STOPPED);
	assert_false(turn(1));
	boot_cpu();
	assert_int_equal(manage_start(caller), OK);
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, 0, 0, 0), 2);
}

static void test_a_caller_resets_itself(void **state)
{
	(void)state;
	ask(caller, HYPERCALL_VM_RESET, 1, 0, 0, 0);
	boot_cpu();
	assert_true(vm_is_on(caller));
	assert_true(turn(1));
	/* Nothing of the call is left. */
	assert_false(caller->vcpu->blocked);
	assert_int_equal(caller->vcpu->v.gpr[REG_RAX], 0);
	assert_int_equal(caller->vcpu->v.gpr[REG_RDI], 0);
	assert_int_equal(call(HYPERCALL_VM_LIST, DATA_AT, 0, 0, 0), 2);
}

static void test_a_caller_interrupts_itself(void **state)
{
	(void)state;
	assert_int_equal(call(HYPERCALL_VM_INJECT_NMI, 1, 0, 0, 0), 0);
	for (unsigned i = 0; i < 3 && !caller->vcpu->v.virt->delivery_count; i++)
		assert_true(turn(1));
	assert_int_equal(caller->vcpu->v.virt->delivery_count, 1);
	assert_int_equal(fake_delivered(&caller->vcpu->v, 0)->event.kind, EVENT_NMI);
}

/* Two that do away with each other: whose call comes first. */
static void test_two_callers_stop_each_other(void **state)
{
	struct vm *other;

	(void)state;
	assert_int_equal(create("[vm other]\nkernel = k\nboot = flat\nmemory = 256K\ncpu = 0\n"
				"privileged = yes\n"),
			 1);
	other = vms[2];
	ask(caller, HYPERCALL_VM_STOP, 3, 0, 0, 0);
	ask(other, HYPERCALL_VM_STOP, 1, 0, 0, 0);
	boot_cpu();
	assert_true(vm_is_on(caller));
	assert_int_equal(atomic_load(&other->state), VM_STOPPED);
	assert_true(turn(1));
	assert_int_equal(caller->vcpu->v.gpr[REG_RAX], 0);
	assert_int_equal(call(HYPERCALL_VM_DESTROY, 3, 0, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		V(test_a_vm_without_the_privilege_may_nothing),
		V(test_ring_3_may_nothing),
		V(test_numbers_that_no_vm_has),
		V(test_a_number_is_free_when_its_vm_is_gone),
		V(test_each_call_in_each_state),
		V(test_a_started_one_runs_and_a_paused_one_does_not),
		V(test_a_paused_one_has_no_time),
		V(test_a_moved_one_keeps_its_alarms),
		V(test_reset_begins_at_power_on),
		V(test_one_that_cannot_start_stays_as_it_was),
		V(test_create_tells_how_many),
		V(test_create_refuses),
		V(test_more_than_there_is_takes_nothing),
		V(test_a_text_without_vms_starts_none),
		V(test_a_text_of_exactly_the_longest_length),
		V(test_a_text_at_the_end_of_memory),
		V(test_the_table_of_vms_may_be_full),
		V(test_list_writes_what_there_is_room_for),
		V(test_describe),
		V(test_describe_at_the_end_of_memory),
		V(test_what_a_caller_cannot_do_to_itself),
		V(test_a_caller_moves_and_weighs_itself),
		V(test_a_caller_pauses_itself_until_others_resume_it),
		V(test_a_caller_stops_itself),
		V(test_a_caller_resets_itself),
		V(test_a_caller_interrupts_itself),
		V(test_two_callers_stop_each_other),
	};

	return cmocka_run_group_tests_name("hypercalls that manage", tests, NULL, NULL);
}
