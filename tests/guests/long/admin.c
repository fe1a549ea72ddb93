/*
 * A guest that manages VMs: makes one, looks into it, ends it, again and again; and mistakes
 * in every call. Needs `privileged = yes`, and `witness` as a boot module. Several may run at once.
 */
#include "hypercall.h"

#define MEMORY_AT 0x20000

static struct hypercall_vm vm;
static struct hypercall_regs regs;
static struct hypercall_statistics statistics;
static char config[4096], name[16];
static uint8_t block[4096];

static unsigned put(char *to, const char *text)
{
	unsigned n = 0;

	for (; text[n]; n++)
		to[n] = text[n];
	return n;
}

static bool is_same(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

static int64_t call(uint64_t number, uint64_t who)
{
	return hypercall(number, who, 0, 0, 0);
}

static uint64_t find(const char *wanted, bool self)
{
	uint32_t number[64];
	int64_t count = hypercall(HYPERCALL_VM_LIST, address(number), 64, 0, 0);

	CHECK(count > 0 && count <= 64);
	for (int64_t i = 0; i < count; i++) {
		/* Another admin may have destroyed it meanwhile. */
		if (hypercall(HYPERCALL_VM_DESCRIBE, number[i], address(&vm), 0, 0))
			continue;
		CHECK_EQ(vm.number, number[i]);
		if (self ? (vm.flags & 2) != 0 : is_same(vm.name, wanted))
			return number[i];
	}
	return 0;
}

static void make_config(const char *kernel, const char *memory)
{
	unsigned n = put(config, "[vm ");

	n += put(config + n, name);
	n += put(config + n, "]\nboot = flat\nrestart = never\nconsole = none\nautostart = no\n"
			     "exit-port = on\nprivileged = yes\nkernel = ");
	n += put(config + n, kernel);
	n += put(config + n, "\nmemory = ");
	n += put(config + n, memory);
	config[n] = '\0';
}

static uint64_t length(const char *s)
{
	uint64_t n = 0;

	while (s[n])
		n++;
	return n;
}

static uint64_t create(const char *kernel, const char *memory)
{
	uint64_t number;

	make_config(kernel, memory);
	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, address(config), length(config), 0, 0), 1);
	number = find(name, false);
	CHECK(number != 0);
	return number;
}

static void check_memory(uint64_t who)
{
	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 7 + 1);
	CHECK_EQ(hypercall(HYPERCALL_VM_WRITE, who, MEMORY_AT, address(block), 4096), 0);
	for (unsigned i = 0; i < sizeof(block); i++)
		block[i] = 0;
	CHECK_EQ(hypercall(HYPERCALL_VM_READ, who, MEMORY_AT, address(block), 4096), 0);
	for (unsigned i = 0; i < sizeof(block); i++)
		if (block[i] != (uint8_t)(i * 7 + 1))
			CHECK_EQ(block[i], i);
	CHECK_EQ(hypercall(HYPERCALL_VM_READ, who, MEMORY_AT, address(block), 4097),
		 HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_READ, who, 0xffff8, address(block), 9), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_VM_READ, who, 0, 0x400000, 8), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_VM_WRITE, who, ~0ul, address(block), 8), HYPERCALL_E_FAULT);
}

static void check_registers(uint64_t who)
{
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_REG, who, HYPERCALL_R15, 0x123456789abc, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_REG, who, HYPERCALL_REG_COUNT, 0, 0),
		 HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_REG, who, ~0ul, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_GET_REGS, who, address(&regs), 0, 0), 0);
	CHECK_EQ(regs.reg[HYPERCALL_R15], 0x123456789abc);
	CHECK_EQ(hypercall(HYPERCALL_VM_GET_REGS, who, 0x400000 - 8, 0, 0), HYPERCALL_E_FAULT);
}

static void check_life(uint64_t self)
{
	uint64_t who = create("witness", "1M");

	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, address(config), length(config), 0, 0),
		 HYPERCALL_E_NOMEM); /* the name is taken */
	CHECK_EQ(vm.state, HYPERCALL_VM_CREATED);
	CHECK_EQ(vm.memory, 1 << 20);
	CHECK_EQ(call(HYPERCALL_VM_PAUSE, who), HYPERCALL_E_BUSY);
	CHECK_EQ(call(HYPERCALL_VM_INJECT_NMI, who), HYPERCALL_E_BUSY);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_WEIGHT, who, 7, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_WEIGHT, who, 0, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_WEIGHT, who, 1ul << 32, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_CPU, who, 1ul << 32, 0, 0), HYPERCALL_E_NODEV);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_CPU, who, 0, 0, 0), 0);
	check_memory(who);
	CHECK_EQ(call(HYPERCALL_VM_START, who), 0);
	CHECK_EQ(hypercall(HYPERCALL_VM_DESCRIBE, who, address(&vm), 0, 0), 0);
	CHECK_EQ(vm.weight, 7);
	CHECK_EQ(vm.cpu, 0);
	CHECK_EQ(vm.flags, 1);
	/* It runs, or has ended already. */
	if (!call(HYPERCALL_VM_PAUSE, who)) {
		CHECK_EQ(call(HYPERCALL_VM_PAUSE, who), HYPERCALL_E_BUSY);
		check_registers(who);
		check_memory(who);
		CHECK_EQ(hypercall(HYPERCALL_VM_INJECT_IRQ, who, 5, 0, 0), 0);
		CHECK_EQ(hypercall(HYPERCALL_VM_INJECT_IRQ, who, 2, 0, 0), HYPERCALL_E_INVAL);
		CHECK_EQ(hypercall(HYPERCALL_VM_INJECT_IRQ, who, ~0ul, 0, 0), HYPERCALL_E_INVAL);
		CHECK_EQ(hypercall(HYPERCALL_VM_STATISTICS, who, address(&statistics), 0, 0), 0);
		CHECK_EQ(call(HYPERCALL_VM_DESTROY, who), HYPERCALL_E_BUSY);
		CHECK_EQ(call(HYPERCALL_VM_RESUME, who), 0);
	}
	(void)call(HYPERCALL_VM_RESET, who);
	(void)call(HYPERCALL_VM_STOP, who);
	CHECK_EQ(call(HYPERCALL_VM_STOP, who), HYPERCALL_E_BUSY);
	CHECK_EQ(call(HYPERCALL_VM_DESTROY, who), 0);
	CHECK_EQ(find(name, false), 0);
	CHECK_EQ(call(HYPERCALL_VM_DESTROY, self), HYPERCALL_E_BUSY);
	CHECK_EQ(call(HYPERCALL_VM_RESUME, self), HYPERCALL_E_BUSY);
}

static void wait_us(int64_t us)
{
	int64_t end = hypercall(HYPERCALL_TIME, 0, 0, 0, 0) + us * 1000;

	while (hypercall(HYPERCALL_TIME, 0, 0, 0, 0) < end)
		(void)hypercall(HYPERCALL_YIELD, 0, 0, 0, 0);
}

/* Until it has asked for its child's first turn. */
static void wait_for_child(uint64_t who)
{
	uint64_t before;

	CHECK_EQ(hypercall(HYPERCALL_VM_STATISTICS, who, address(&statistics), 0, 0), 0);
	before = statistics.hypercall_exits;
	for (unsigned i = 0; i < 100 && statistics.hypercall_exits < before + 5; i++) {
		wait_us(1000);
		CHECK_EQ(hypercall(HYPERCALL_VM_STATISTICS, who, address(&statistics), 0, 0), 0);
	}
}

/* One whose child has its turns when it is paused, moved, reset and ended. */
static void check_parent(void)
{
	uint64_t who = create("child-spin", "4M");

	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(call(HYPERCALL_VM_START, who), 0);
		wait_for_child(who);
		CHECK_EQ(hypercall(HYPERCALL_VM_INJECT_IRQ, who, 0, 0, 0), 0);
		CHECK_EQ(hypercall(HYPERCALL_VM_SET_CPU, who, i & 1, 0, 0), 0);
		wait_us(1000);
		CHECK_EQ(call(HYPERCALL_VM_PAUSE, who), 0);
		check_registers(who);
		CHECK_EQ(hypercall(HYPERCALL_VM_SET_CPU, who, ~i & 1, 0, 0), 0);
		CHECK_EQ(hypercall(HYPERCALL_VM_STATISTICS, who, address(&statistics), 0, 0), 0);
		CHECK(statistics.hypercall_exits >= 5);
		CHECK_EQ(call(HYPERCALL_VM_RESUME, who), 0);
		wait_us(1000);
		CHECK_EQ(call(HYPERCALL_VM_RESET, who), 0);
		wait_us(i * 1000);
		CHECK_EQ(call(HYPERCALL_VM_STOP, who), 0);
	}
	CHECK_EQ(call(HYPERCALL_VM_START, who), 0);
	wait_for_child(who);
	CHECK_EQ(call(HYPERCALL_VM_STOP, who), 0);
	CHECK_EQ(call(HYPERCALL_VM_DESTROY, who), 0);
}

static void check_own(uint64_t self)
{
	CHECK_EQ(hypercall(HYPERCALL_VM_DESCRIBE, self, address(&vm), 0, 0), 0);
	CHECK_EQ(vm.flags, 3);
	CHECK_EQ(vm.state, HYPERCALL_VM_RUNNING);
	CHECK_EQ(hypercall(HYPERCALL_VM_READ, self, 0, address(block), 8), HYPERCALL_E_BUSY);
	CHECK_EQ(hypercall(HYPERCALL_VM_GET_REGS, self, address(&regs), 0, 0), HYPERCALL_E_BUSY);
	CHECK_EQ(hypercall(HYPERCALL_VM_SET_WEIGHT, self, 200, 0, 0), 0);
	/* There and back while it waits. */
	for (uint64_t i = 0; i < 10; i++) {
		CHECK_EQ(hypercall(HYPERCALL_VM_SET_CPU, self, i & 1, 0, 0), 0);
		CHECK_EQ(hypercall(HYPERCALL_VM_DESCRIBE, self, address(&vm), 0, 0), 0);
		CHECK_EQ(vm.cpu, i & 1);
	}
	CHECK_EQ(hypercall(HYPERCALL_VM_STATISTICS, self, address(&statistics), 0, 0), 0);
	CHECK(statistics.hypercall_exits >= 20 && statistics.ran_ns > 0);
}

static void check_mistakes(void)
{
	static const uint64_t nobody[] = {0, 65, 1ul << 32, ~0ul};

	for (uint64_t n = HYPERCALL_VM_START; n <= HYPERCALL_VM_STATISTICS; n++)
		for (unsigned i = 0; i < 4 && n != HYPERCALL_VM_LIST; i++)
			CHECK_EQ(hypercall(n, nobody[i], address(block), address(block), 8),
				 HYPERCALL_E_NOENT);
	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, 0x400000, 16, 0, 0), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, address(block), 4097, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, address("[vm"), 3, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, address(block), 0, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_VM_LIST, 0x400000, 1, 0, 0), HYPERCALL_E_FAULT);
	CHECK(hypercall(HYPERCALL_VM_LIST, 0x400000, 0, 0, 0) > 0);
	CHECK_EQ(hypercall(HYPERCALL_VM_DESCRIBE, 1, 0x400000 - 47, 0, 0), HYPERCALL_E_FAULT);
}

/* Whatever it may do without harming who has nothing to do with it: children of its own. */
static void check_wild(void)
{
	uint64_t seed = 0x9e3779b97f4a7c15;
	/* What is written goes to where nothing is needed. */
	const uint64_t scratch = 0x200000;

	for (unsigned i = 0; i < 3000; i++) {
		uint64_t number = HYPERCALL_GUEST_CREATE + random_next(&seed) % 13;
		uint64_t who = random_next(&seed) % 10, a[3];

		for (unsigned k = 0; k < 3; k++) {
			a[k] = random_wild(&seed);
			if (a[k] < 0x400000)
				a[k] = scratch + (a[k] & 0x1fffff);
			if (random_next(&seed) & 1)
				a[k] = random_next(&seed) & 0x3000;
		}
		/* A packet or a page of a child must not land in this program. */
		if (number == HYPERCALL_VCPU_RESUME || number == HYPERCALL_VCPU_READ_STATE)
			a[0] |= scratch;
		if (number == HYPERCALL_GUEST_READ)
			a[1] |= scratch;
		if (number == HYPERCALL_GUEST_ADD_MEMORY)
			a[1] = random_next(&seed) & 0x1ffff;
		(void)hypercall(number, who, a[0], a[1], a[2]);
	}
	for (uint64_t n = 1; n <= 8; n++)
		(void)call(HYPERCALL_GUEST_DESTROY, n);
}

void guest_main(void)
{
	uint64_t self = find("", true);

	CHECK(self != 0);
	put(name, "made-by-0");
	name[8] = (char)('0' + self);
	check_mistakes();
	check_life(self);
	check_own(self);
	check_parent();
	for (unsigned i = 0; i < 40; i++) {
		uint64_t who = create("witness", "64K");

		if (i % 10 == 0)
			CHECK_EQ(call(HYPERCALL_VM_START, who), 0);
		(void)call(HYPERCALL_VM_STOP, who);
		CHECK_EQ(call(HYPERCALL_VM_DESTROY, who), 0);
	}
	check_wild();
}
