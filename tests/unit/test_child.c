/*
 * core/child.c, child_run.c, child_port.c: memory and traps, turns and packets, interrupts.
 * needs: core/vm_parts.c
 * needs: core/run.c core/exits.c core/exits_cpu.c core/exits_cr.c core/exits_mem.c core/quick.c
 * needs: core/sched.c core/fair.c core/hypercall.c core/hypercall_child.c core/child.c
 * needs: core/child_run.c core/child_port.c core/hypercall_shared.c core/shared.c
 * needs: core/inject.c core/io_bus.c core/cpuid_policy.c core/msr_policy.c core/emulate.c
 * needs: core/emu_alu.c core/emu_fetch.c core/emu_mem.c core/emu_string.c core/decode.c
 * needs: core/gwalk.c core/string_io.c core/exit_stats.c core/trace.c mm/gmem.c devices/debug.c
 * needs: devices/testdev.c lib/printf.c lib/text.c tests/fake/backend.c
 * needs: tests/fake/backend_nested.c
 * needs: tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c tests/fake/run_machine.c
 */
#include "child_rig.h"

#define PACKET 0x2000u
#define DATA   0x3000u
#define PORT   0x3f8u
#define MEM_AT 0x100000u

static struct child *c;
static struct vm_vcpu *cv;
static struct virt_vcpu *fake;
static struct hypercall_packet packet;

static int set_trap(uint32_t kind, uint64_t at, uint64_t size, uint64_t key)
{
	const struct hypercall_trap t = {.kind = kind, .at = at, .size = size, .key = key};

	put(DATA, &t, sizeof(t));
	return (int)call(HYPERCALL_GUEST_SET_TRAP, 1, DATA, 0, 0);
}

/* A child with 64 KiB, three traps, and a vCPU that spins. */
static int with_child(void **state)
{
	child_setup(state);
	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	c = child_find(&parent->vm, 1);
	assert_non_null(c);
	assert_int_equal(call(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x10000, 0), 0);
	assert_int_equal(set_trap(HYPERCALL_TRAP_IO, PORT, 8, 0x10), 0);
	assert_int_equal(set_trap(HYPERCALL_TRAP_MEM, MEM_AT, 0x1000, 0x20), 0);
	assert_int_equal(set_trap(HYPERCALL_TRAP_BELL, MEM_AT + 0x1000, 0x1000, 0x30), 0);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0x1000, HYPERCALL_MODE_REAL, 0), 0);
	cv = c->vm->vcpu;
	fake = cv->v.virt;
	fake_set_guest(&cv->v, spin, NULL);
	return 0;
}

#define K(name) cmocka_unit_test_setup_teardown(name, with_child, child_teardown)

static int64_t resume(void)
{
	int64_t kind = call(HYPERCALL_VCPU_RESUME, 1, PACKET, 0, 0);

	get(PACKET, &packet, sizeof(packet));
	if (kind > 0)
		assert_int_equal(packet.kind, kind);
	return kind;
}

static struct vcpu_exit port_exit(uint16_t port, uint8_t size, bool in)
{
	return (struct vcpu_exit){
		.kind = EXIT_PORT, .insn_len = 1, .port = {.port = port, .size = size, .in = in}};
}

static int64_t resume_at(const struct vcpu_exit *e)
{
	fake_push_exit(&cv->v, e);
	return resume();
}

static void test_parameters_of_memory_and_traps(void **state)
{
	(void)state;
	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	assert_int_equal(arenas, 1);
	const struct {
		uint64_t at, size;
		int want;
	} memory[] = {
		{0, 0, E_INVAL},
		{0x800, 0x1000, E_INVAL},
		{0, 0x800, E_INVAL},
		{1ul << 32, 0x1000, E_INVAL},
		{0xfffff000, 0x2000, E_INVAL},
		{~0xffful, 0x1000, E_INVAL},
		{0x1000, ~0xffful, E_INVAL},
		{0, 1001 * 4096, E_NOMEM},
		{0x4000, 0x2000, OK},
		{0x5000, 0x1000, E_EXIST},
		{0x3000, 0x2000, E_EXIST},
		{0x3000, 0x1000, OK},
		{0xfffff000, 0x1000, OK},
		{0x100000, 0x11000, E_NOMEM},
		{0x200000, 0x1000, E_BUSY}, /* the last one has spoilt it */
	};

	for (unsigned i = 0; i < array_count(memory); i++)
		assert_int_equal(
			call(HYPERCALL_GUEST_ADD_MEMORY, 1, memory[i].at, memory[i].size, 0),
			memory[i].want);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0, 0, 0), E_BUSY);
	assert_int_equal(set_trap(HYPERCALL_TRAP_MEM, 0x8000, 0x1000, 0), E_BUSY);
	assert_int_equal(call(HYPERCALL_GUEST_DESTROY, 1, 0, 0, 0), OK);
	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	assert_int_equal(call(HYPERCALL_GUEST_ADD_MEMORY, 1, 0x4000, 0x2000, 0), OK);
	assert_int_equal(set_trap(3, 0x8000, 0x1000, 0), E_INVAL);
	assert_int_equal(set_trap(HYPERCALL_TRAP_MEM, 0x4000, 0x1000, 0), E_EXIST);
	assert_int_equal(set_trap(HYPERCALL_TRAP_MEM, 0x8000, 0x800, 0), E_INVAL);
	assert_int_equal(set_trap(HYPERCALL_TRAP_MEM, ~0xffful, 0x1000, 0), E_INVAL);
	assert_int_equal(set_trap(HYPERCALL_TRAP_IO, 0x10000, 1, 0), E_INVAL);
	assert_int_equal(set_trap(HYPERCALL_TRAP_IO, 0xffff, 2, 0), E_INVAL);
	assert_int_equal(set_trap(HYPERCALL_TRAP_IO, 1, ~0ul, 0), E_INVAL);
	/* Ports and memory are two spaces. */
	for (unsigned i = 0; i < HYPERCALL_TRAP_MAX; i++)
		assert_int_equal(set_trap(HYPERCALL_TRAP_IO, 0x3000 + i, 1, 0), OK);
	assert_int_equal(set_trap(HYPERCALL_TRAP_IO, 0x3000, 1, 0), E_EXIST);
	assert_int_equal(set_trap(HYPERCALL_TRAP_IO, 0x4000, 1, 0), E_NOMEM);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0, 0, 0), OK);
	assert_int_equal(set_trap(HYPERCALL_TRAP_MEM, 0x8000, 0x1000, 0), E_BUSY);
	assert_int_equal(call(HYPERCALL_GUEST_DESTROY, 1, 0, 0, 0), OK);
	assert_int_equal(arenas, 0);
	assert_int_equal(call(HYPERCALL_GUEST_DESTROY, 1, 0, 0, 0), E_NOENT);
}

static void test_parameters_of_a_vcpu(void **state)
{
	(void)state;
	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0x100000, HYPERCALL_MODE_REAL, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 1ul << 32, HYPERCALL_MODE_64, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0, 2, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0, 1ul << 32, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_VCPU_RESUME, 1, PACKET, 0, 0), E_BUSY);
	assert_int_equal(call(HYPERCALL_VCPU_READ_STATE, 1, PACKET, 0, 0), E_BUSY);
	assert_int_equal(call(HYPERCALL_VCPU_INTERRUPT, 1, 32, 0, 0), E_BUSY);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0x12345, HYPERCALL_MODE_REAL, 0), OK);
	fake = parent->vm.children[0]->vcpu->v.virt;
	assert_int_equal(fake->segment[SEG_CS].selector, 0x1234);
	assert_int_equal(fake->segment[SEG_CS].base, 0x12340);
	assert_int_equal(fake->reg[REG_RIP], 5);
	assert_int_equal(call(HYPERCALL_VCPU_CREATE, 1, 0, HYPERCALL_MODE_REAL, 0), E_BUSY);
	for (uint64_t n = HYPERCALL_VCPU_CREATE; n <= HYPERCALL_VCPU_INTERRUPT; n++) {
		assert_int_equal(call(n, 2, PACKET, 0, 0), E_NOENT);
		assert_int_equal(call(n, 0, PACKET, 0, 0), E_NOENT);
		assert_int_equal(call(n, ~0ul, PACKET, 0, 0), E_NOENT);
	}
}

static void test_ports_make_packets(void **state)
{
	struct vcpu_exit out = port_exit(PORT + 2, 2, false), in = port_exit(PORT + 3, 1, true);
	const struct hypercall_io answer = {.size = 1, .count = 1, .data = 0xabcdef99};
	uint64_t rip = fake->reg[REG_RIP];

	(void)state;
	cv->v.gpr[REG_RAX] = 0x1122334455667788;
	assert_int_equal(resume_at(&out), HYPERCALL_PACKET_IO);
	assert_int_equal(packet.kind, HYPERCALL_PACKET_IO);
	assert_int_equal(packet.key, 0x10);
	assert_int_equal(packet.at, PORT + 2);
	assert_int_equal(packet.io.size, 2);
	assert_int_equal(packet.io.input, 0);
	assert_int_equal(packet.io.data, 0x7788);
	assert_int_equal(fake->reg[REG_RIP], rip + 1);
	assert_int_equal(resume_at(&in), HYPERCALL_PACKET_IO);
	assert_int_equal(packet.io.input, 1);
	assert_int_equal(packet.io.data, 0);
	put(DATA, &answer, sizeof(answer));
	assert_int_equal(call(HYPERCALL_VCPU_WRITE_STATE, 1, HYPERCALL_WRITE_IO, DATA, 0), OK);
	assert_int_equal(cv->v.gpr[REG_RAX], 0x1122334455667799);
	assert_null(pv->guest);
}

/* What is nobody's: the child goes on, until its parent has an interrupt. */
static void test_what_no_trap_is_for_stays_inside(void **state)
{
	struct vcpu_exit across = port_exit(PORT + 6, 4, true), none = port_exit(0x60, 1, true);

	(void)state;
	cv->v.gpr[REG_RAX] = 0;
	fake_push_exit(&cv->v, &across);
	fake_push_exit(&cv->v, &none);
	ask(HYPERCALL_VCPU_RESUME, 1, PACKET, 0, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_true(turn());
	assert_ptr_equal(pv->guest, cv);
	assert_int_equal(cv->v.gpr[REG_RAX], 0xffffffff);
	assert_int_equal(fake->script_count, 0);
	run_raise_irq(parent, 0x50);
	assert_true(turn());
	assert_null(pv->guest);
	assert_int_equal(pv->v.gpr[REG_RAX], HYPERCALL_PACKET_NONE);
	assert_int_equal(pv->v.virt->delivery_count, 1);
}

static void test_memory_traps_and_bells(void **state)
{
	const uint8_t code[] = {0x26, 0x88, 0x07}; /* mov %al, %es:(%bx) */
	struct vcpu_exit e = {.kind = EXIT_NESTED_FAULT,
			      .fault = {.gpa = MEM_AT + 5,
					.linear = MEM_AT + 5,
					.linear_valid = true,
					.access = FAULT_WRITE}};

	(void)state;
	assert_int_equal(gmem_write(&c->vm->mem, gpa(0x1000), code, sizeof(code)), OK);
	assert_int_equal(resume_at(&e), HYPERCALL_PACKET_MEM);
	assert_int_equal(packet.key, 0x20);
	assert_int_equal(packet.at, MEM_AT + 5);
	assert_int_equal(packet.mem.write, 1);
	assert_int_equal(packet.mem.length, 3);
	assert_int_equal(packet.mem.operand_size, 2);
	assert_memory_equal(packet.mem.instruction, code, sizeof(code));
	assert_int_equal(packet.mem.instruction[3], 0);
	assert_int_equal(fake->reg[REG_RIP], 3);
	fake->reg[REG_RIP] = 0;
	e.fault.gpa += 0x1000;
	assert_int_equal(resume_at(&e), HYPERCALL_PACKET_BELL);
	assert_int_equal(packet.key, 0x30);
	assert_int_equal(fake->reg[REG_RIP], 3);
	/* A bell cannot be read; nor can code be fetched from there. */
	const uint8_t read[] = {0x26, 0x8a, 0x07};
	struct vcpu_exit out = port_exit(PORT, 1, false);

	assert_int_equal(gmem_write(&c->vm->mem, gpa(0x1000), read, sizeof(read)), OK);
	fake->reg[REG_RIP] = 0;
	cv->v.gpr[REG_RBX] = 0;
	fake->segment[SEG_ES].base = e.fault.gpa;
	e.fault.linear = e.fault.gpa;
	e.fault.access = FAULT_READ;
	fake_push_exit(&cv->v, &e);
	assert_int_equal(resume_at(&out), HYPERCALL_PACKET_IO);
	assert_int_equal(packet.io.data, 0xff);
	e.fault.access = FAULT_EXEC;
	assert_int_equal(resume_at(&e), HYPERCALL_PACKET_STOPPED);
	assert_memory_equal(packet.text, "code at", 7);
	assert_int_equal(resume(), E_BUSY);
}

/* Guest code: HLT, and handlers of one IRET. */
static bool sleeps(struct vcpu *v2, void *ctx)
{
	(void)ctx;
	if (v2->virt->frame_count) {
		fake_guest_iret(v2);
		return false;
	}
	v2->exit = (struct vcpu_exit){.kind = EXIT_HLT, .insn_len = 1};
	return true;
}

static void test_no_interrupt_is_lost(void **state)
{
	(void)state;
	fake->reg[REG_RFLAGS] |= IF;
	fake_set_guest(&cv->v, sleeps, NULL);
	assert_int_equal(resume(), HYPERCALL_PACKET_HALT);
	assert_int_equal(resume(), HYPERCALL_PACKET_HALT);
	assert_int_equal(fake->run_count, 1);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(call(HYPERCALL_VCPU_INTERRUPT, 1, i, 0, 0), OK);
	assert_int_equal(call(HYPERCALL_VCPU_INTERRUPT, 1, 256, 0, 0), E_INVAL);
	for (unsigned i = 0; i < 600 && fake->delivery_count < 256; i++)
		resume();
	assert_int_equal(fake->delivery_count, 256);
	assert_int_equal(fake_delivered(&cv->v, 0)->event.kind, EVENT_NMI);
	for (unsigned i = 1, vector = 255; i < 256; i++, vector--) {
		vector -= vector == 2;
		assert_int_equal(fake_delivered(&cv->v, i)->event.kind, EVENT_EXTINT);
		assert_int_equal(fake_delivered(&cv->v, i)->event.vector, vector);
	}
}

static void test_what_has_woken_stays_awake(void **state)
{
	const struct vcpu_exit out = port_exit(PORT, 1, false);

	(void)state;
	fake->reg[REG_RFLAGS] |= IF;
	fake_set_guest(&cv->v, sleeps, NULL);
	assert_int_equal(resume(), HYPERCALL_PACKET_HALT);
	assert_int_equal(call(HYPERCALL_VCPU_INTERRUPT, 1, 0x40, 0, 0), OK);
	assert_int_equal(resume_at(&out), HYPERCALL_PACKET_IO);
	assert_int_equal(resume_at(&out), HYPERCALL_PACKET_IO);
	assert_int_equal(fake->delivery_count, 1);
}

static void test_state_is_read_and_written(void **state)
{
	struct hypercall_state s;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		cv->v.gpr[i] = 0x100 + i;
	fake_push_exit(&cv->v, &(struct vcpu_exit){.kind = EXIT_PORT,
						   .insn_len = 2,
						   .port = {.port = PORT, .size = 1}});
	assert_int_equal(resume(), HYPERCALL_PACKET_IO);
	assert_int_equal(call(HYPERCALL_VCPU_READ_STATE, 1, DATA, 0, 0), OK);
	get(DATA, &s, sizeof(s));
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(s.gpr[i], i == REG_RSP ? fake->reg[REG_RSP] : 0x100 + i);
	assert_int_equal(s.rip, fake->reg[REG_RIP]);
	assert_int_equal(s.rflags, fake->reg[REG_RFLAGS]);
	memset(&s, 0x5a, sizeof(s));
	s.rflags = ~0ul;
	put(DATA, &s, sizeof(s));
	assert_int_equal(call(HYPERCALL_VCPU_WRITE_STATE, 1, HYPERCALL_WRITE_STATE, DATA, 0), OK);
	assert_int_equal(resume_at(&(struct vcpu_exit){.kind = EXIT_PORT,
						       .insn_len = 2,
						       .port = {.port = PORT, .size = 1}}),
			 HYPERCALL_PACKET_IO);
	assert_int_equal(fake->reg[REG_RSP], 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(fake->reg[REG_RFLAGS], 2 | 0xcd5);
	assert_int_equal(cv->v.gpr[REG_R15], 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(call(HYPERCALL_VCPU_WRITE_STATE, 1, 2, DATA, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_VCPU_WRITE_STATE, 1, HYPERCALL_WRITE_IO, DATA, 0), E_INVAL);
	assert_int_equal(call(HYPERCALL_VCPU_READ_STATE, 1, RUN_RAM_SIZE - 8, 0, 0), E_FAULT);
	assert_int_equal(call(HYPERCALL_VCPU_RESUME, 1, RUN_RAM_SIZE - 8, 0, 0), E_FAULT);
}

static void test_a_child_stands_still_with_its_parent(void **state)
{
	(void)state;
	ask(HYPERCALL_VCPU_RESUME, 1, PACKET, 0, 0);
	turn();
	pv->paused = true;
	assert_false(turn());
	sched_unload();
	pv->paused = false;
	assert_true(turn());
	assert_ptr_equal(pv->guest, cv);
	sched_remove(pv);
	assert_false(fake->loaded);
	/* Another CPU from here on. */
	run_around.fpu = NULL;
	fake_cpu_become(++rig_cpu);
	fake_cpu = rig_cpu;
	sched_add(pv, this_cpu());
	assert_true(turn());
	assert_true(fake->loaded);
	assert_int_equal(fake->cpu, rig_cpu);
	assert_ptr_equal(cv->cpu, this_cpu());
}

static void test_children_end_with_their_parent(void **state)
{
	(void)state;
	hypercall_work();
	assert_int_equal(arenas, 1);
	parent->vm.life++;
	memset(parent->vm.children, 0, sizeof(parent->vm.children));
	hypercall_work();
	assert_int_equal(arenas, 0);
	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	atomic_store(&parent->vm.state, VM_STOPPED);
	hypercall_work();
	assert_int_equal(arenas, 0);
	atomic_store(&parent->vm.state, VM_RUNNING);
	assert_int_equal(call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), 1);
	child_reap(&parent->vm);
	assert_int_equal(arenas, 0);
	assert_null(parent->vm.children[0]);
}

static struct vcpu_exit string_exit(uint8_t size, bool in)
{
	return (struct vcpu_exit){.kind = EXIT_PORT,
				  .insn_len = 2,
				  .port = {.port = PORT,
					   .size = size,
					   .in = in,
					   .string = true,
					   .rep = true,
					   .addr_size = 2,
					   .segment = SEG_DS}};
}

static void expect_items(const struct vcpu_exit *e, uint32_t count)
{
	assert_int_equal(resume_at(e), HYPERCALL_PACKET_IO);
	assert_int_equal(packet.key, 0x10);
	assert_int_equal(packet.at, PORT);
	assert_int_equal(packet.io.string, 1);
	assert_int_equal(packet.io.input, e->port.in);
	assert_int_equal(packet.io.size, e->port.size);
	assert_int_equal(packet.io.count, count);
}

static int answer_string(uint32_t size, uint32_t count, uint8_t first)
{
	struct hypercall_io io = {.size = size, .count = count};

	for (unsigned i = 0; i < sizeof(io.bytes); i++)
		io.bytes[i] = (uint8_t)(first + i);
	put(DATA, &io, sizeof(io));
	return (int)call(HYPERCALL_VCPU_WRITE_STATE, 1, HYPERCALL_WRITE_IO, DATA, 0);
}

static void test_outs_comes_in_packets_of_512_bytes(void **state)
{
	const struct vcpu_exit e = string_exit(2, false);
	uint8_t bytes[600];

	(void)state;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	assert_int_equal(gmem_write(&c->vm->mem, gpa(0x2000), bytes, sizeof(bytes)), OK);
	cv->v.gpr[REG_RSI] = 0x2000;
	cv->v.gpr[REG_RCX] = 0xabc00000 + sizeof(bytes) / 2; /* 16-bit addresses: CX */
	fake->reg[REG_RIP] = 0x100;
	expect_items(&e, 256);
	assert_memory_equal(packet.io.bytes, bytes, 512);
	assert_int_equal(fake->reg[REG_RIP], 0x100);
	assert_int_equal(cv->v.gpr[REG_RCX], 0xabc00000 + (sizeof(bytes) - 512) / 2);
	expect_items(&e, (sizeof(bytes) - 512) / 2);
	assert_memory_equal(packet.io.bytes, bytes + 512, sizeof(bytes) - 512);
	assert_int_equal(fake->reg[REG_RIP], 0x102);
	assert_int_equal(cv->v.gpr[REG_RSI], 0x2000 + sizeof(bytes));
	assert_int_equal(cv->v.gpr[REG_RCX], 0xabc00000);
}

static void test_ins_waits_for_its_answer(void **state)
{
	const struct vcpu_exit e = string_exit(2, true), end = port_exit(PORT, 1, false);
	uint8_t bytes[10];

	(void)state;
	cv->v.gpr[REG_RDI] = 0x3000;
	cv->v.gpr[REG_RCX] = 4;
	fake->reg[REG_RIP] = 0x100;
	expect_items(&e, 4);
	/* Without an answer it asks again. */
	expect_items(&e, 4);
	assert_int_equal(fake->reg[REG_RIP], 0x100);
	assert_int_equal(cv->v.gpr[REG_RCX], 4);
	assert_int_equal(answer_string(2, 5, 1), E_INVAL);
	assert_int_equal(answer_string(1, 4, 1), E_INVAL);
	assert_int_equal(answer_string(2, 0, 1), E_INVAL);
	assert_int_equal(answer_string(2, 257, 1), E_INVAL);
	assert_int_equal(answer_string(3, 1, 1), E_INVAL);
	/* Three items first, the last one when it asks for that. */
	assert_int_equal(answer_string(2, 3, 1), OK);
	fake_push_exit(&cv->v, &e);
	expect_items(&e, 1);
	assert_int_equal(fake->reg[REG_RIP], 0x100);
	assert_int_equal(cv->v.gpr[REG_RCX], 1);
	assert_int_equal(answer_string(2, 1, 0x77), OK);
	fake_push_exit(&cv->v, &e);
	assert_int_equal(resume_at(&end), HYPERCALL_PACKET_IO);
	assert_int_equal(packet.io.string, 0);
	assert_int_equal(fake->reg[REG_RIP], 0x103);
	assert_int_equal(cv->v.gpr[REG_RDI], 0x3008);
	assert_int_equal(gmem_read(&c->vm->mem, gpa(0x3000), bytes, sizeof(bytes)), OK);
	assert_memory_equal(bytes, "\1\2\3\4\5\6\x77\x78\0\0", sizeof(bytes));
}

static void test_a_string_of_nothing_makes_no_packet(void **state)
{
	const struct vcpu_exit in = string_exit(1, true), out = string_exit(1, false),
			       end = port_exit(PORT + 1, 1, false);

	(void)state;
	cv->v.gpr[REG_RCX] = 0x10000;
	fake->reg[REG_RIP] = 0x100;
	fake_push_exit(&cv->v, &in);
	fake_push_exit(&cv->v, &out);
	assert_int_equal(resume_at(&end), HYPERCALL_PACKET_IO);
	assert_int_equal(packet.at, PORT + 1);
	assert_int_equal(fake->reg[REG_RIP], 0x105);
}

/* What was answered is for the instruction that asked: a page fault may come in between. */
static void test_an_answer_outlives_an_exception(void **state)
{
	struct vcpu_exit e = string_exit(1, true);
	const struct vcpu_exit end = port_exit(PORT, 1, false);
	uint8_t bytes[2];

	(void)state;
	cv->v.gpr[REG_RDI] = 0x3000;
	cv->v.gpr[REG_RCX] = 2;
	expect_items(&e, 2);
	assert_int_equal(answer_string(1, 2, 0x41), OK);
	fake->segment[SEG_ES].limit = 0x3000; /* the second item is beyond it: #GP */
	fake_push_exit(&cv->v, &e);
	assert_int_equal(resume_at(&end), HYPERCALL_PACKET_IO);
	assert_int_equal(cv->v.gpr[REG_RCX], 1);
	fake->segment[SEG_ES].limit = 0xffff;
	fake_push_exit(&cv->v, &e);
	assert_int_equal(resume_at(&end), HYPERCALL_PACKET_IO);
	assert_int_equal(cv->v.gpr[REG_RCX], 0);
	assert_int_equal(gmem_read(&c->vm->mem, gpa(0x3000), bytes, sizeof(bytes)), OK);
	assert_memory_equal(bytes, "AB", 2);
}

/* As the VMX backend does it: from VMCALL to OUT and back without leaving run(). */
static void test_the_turn_is_passed_within_a_quick_exit(void **state)
{
	const struct vcpu_exit out = port_exit(PORT + 1, 1, false);
	struct vcpu *to;

	(void)state;
	assert_int_equal(resume_at(&out), HYPERCALL_PACKET_IO);
	sched_load(pv);
	pv->v.deadline = 77;
	pv->v.gpr[REG_RAX] = HYPERCALL_VCPU_RESUME;
	pv->v.gpr[REG_RDI] = 1;
	pv->v.gpr[REG_RSI] = PACKET;
	assert_int_equal(vcpu_quick.handler[EXIT_HYPERCALL](&pv->v, 0), QUICK_PASS);
	to = vcpu_quick.pass(&pv->v);
	assert_ptr_equal(to, &cv->v);
	assert_true(fake->loaded && !pv->v.virt->loaded && pv->v.virt->bound);
	assert_int_equal(to->deadline, 77);
	to->gpr[REG_RAX] = 0x55;
	assert_int_equal(to->quick->port_out(to, PORT + 2, 1), QUICK_PASS);
	assert_ptr_equal(to->quick->pass(to), &pv->v);
	assert_true(!fake->loaded && pv->v.virt->loaded);
	assert_int_equal(pv->v.gpr[REG_RAX], HYPERCALL_PACKET_IO);
	get(PACKET, &packet, sizeof(packet));
	assert_int_equal(packet.at, PORT + 2);
	assert_int_equal(packet.io.data, 0x55);
	/* Ports without a trap are nobody's business here. */
	assert_int_equal(cv->v.quick->port_out(&cv->v, PORT + 8, 1), QUICK_NOT);
	/* Not past somebody who waits for the CPU, or for the parent. */
	for (unsigned i = 0; i < 2; i++) {
		pv->v.gpr[REG_RAX] = HYPERCALL_VCPU_RESUME;
		assert_int_equal(vcpu_quick.handler[EXIT_HYPERCALL](&pv->v, 0), QUICK_PASS);
		atomic_store(&this_cpu()->work, i ? 0 : WORK_TIMER);
		atomic_store(&pv->v.requests, i ? REQ_NMI : 0);
		assert_null(vcpu_quick.pass(&pv->v));
		assert_true(pv->v.virt->loaded);
		pv->guest = NULL;
	}
	pv->blocked = false;
	atomic_store(&pv->v.requests, 0);
}

/* A child's hypercalls are those of a VM without rights. */
static void test_a_child_has_no_children(void **state)
{
	const struct vcpu_exit e = {.kind = EXIT_HYPERCALL, .insn_len = 3};
	const uint64_t numbers[] = {HYPERCALL_VERSION, HYPERCALL_CONSOLE_WRITE,
				    HYPERCALL_GUEST_CREATE, HYPERCALL_VM_START};

	(void)state;
	for (unsigned i = 0; i < array_count(numbers); i++) {
		struct vcpu_exit out = port_exit(PORT, 1, false);

		cv->v.gpr[REG_RAX] = numbers[i];
		fake_push_exit(&cv->v, &e);
		assert_int_equal(resume_at(&out), HYPERCALL_PACKET_IO);
		assert_int_equal(cv->v.gpr[REG_RAX], E_NOSYS);
	}
	assert_int_equal(arenas, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		C(test_parameters_of_memory_and_traps),
		C(test_parameters_of_a_vcpu),
		K(test_ports_make_packets),
		K(test_what_no_trap_is_for_stays_inside),
		K(test_memory_traps_and_bells),
		K(test_no_interrupt_is_lost),
		K(test_what_has_woken_stays_awake),
		K(test_state_is_read_and_written),
		K(test_a_child_stands_still_with_its_parent),
		K(test_children_end_with_their_parent),
		K(test_outs_comes_in_packets_of_512_bytes),
		K(test_ins_waits_for_its_answer),
		K(test_a_string_of_nothing_makes_no_packet),
		K(test_an_answer_outlives_an_exception),
		K(test_the_turn_is_passed_within_a_quick_exit),
		K(test_a_child_has_no_children),
	};

	return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
