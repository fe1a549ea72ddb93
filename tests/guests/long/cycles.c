/*
 * A guest that makes and destroys VMs, and children of its own: of all sizes from 64 KiB to 1 MiB,
 * some of them run, some end by themselves, some are there at the same time. A VM that is called
 * `cycles` makes a thousand, any other fifty, beside others that do the same. Needs `privileged
 * = yes`, and `real-mode` as a boot module. Who started it compares what is free before and after.
 */
#include "hypercall.h"

enum { VMS = 1000, AT_ONCE = 4, LIST_MAX = 64 };

static struct hypercall_vm vm;
static struct hypercall_packet packet;
static uint32_t number[LIST_MAX];
static uint64_t there[AT_ONCE]; /* VMs; 0: none */
static uint64_t own;		/* this VM's number */
static uint64_t seed = 0x20240229c0ffee;
static char config[512], name[16];

static unsigned put(char *to, const char *text)
{
	unsigned n = 0;

	for (; text[n]; n++)
		to[n] = text[n];
	return n;
}

static unsigned put_number(char *to, unsigned value)
{
	unsigned n = 0;

	for (unsigned unit = 1000; unit; unit /= 10)
		to[n++] = (char)('0' + value / unit % 10);
	return n;
}

static bool is_same(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return *a == *b;
}

static int64_t call(uint64_t what, uint64_t who)
{
	return hypercall(what, who, 0, 0, 0);
}

/* The number of the VM that is called `name`, or of this one; 0: there is none. */
static uint64_t find(bool self)
{
	int64_t count = hypercall(HYPERCALL_VM_LIST, address(number), LIST_MAX, 0, 0);

	CHECK(count > 0 && count <= LIST_MAX);
	for (int64_t i = 0; i < count; i++) {
		/* Others may have destroyed it meanwhile. */
		if (hypercall(HYPERCALL_VM_DESCRIBE, number[i], address(&vm), 0, 0))
			continue;
		if (self ? (vm.flags & 2) != 0 : is_same(vm.name, name))
			return number[i];
	}
	return 0;
}

/* Zeroing takes most of the time, so most are small. */
static unsigned memory_kib(void)
{
	uint64_t a = random_next(&seed) % 241, b = random_next(&seed) % 241;

	return 64 + 4 * (unsigned)(a < b ? a : b);
}

static uint64_t create(unsigned index)
{
	unsigned kib = memory_kib(), n = put(name, "by-0-");
	uint64_t who;

	name[3] = (char)('0' + own);
	n += put_number(name + n, index);
	name[n] = '\0';
	n = put(config, "[vm ");
	n += put(config + n, name);
	n += put(config + n, "]\nboot = flat\nkernel = real-mode\nautostart = no\nconsole = none\n"
			     "restart = never\nexit-port = on\ndisk0 = blank:1M\nmemory = ");
	n += put_number(config + n, kib);
	n += put(config + n, "K");
	CHECK_EQ(hypercall(HYPERCALL_VM_CREATE, address(config), n, 0, 0), 1);
	who = find(false);
	CHECK(who != 0);
	CHECK_EQ(vm.memory, kib * 1024);
	CHECK_EQ(vm.state, HYPERCALL_VM_CREATED);
	return who;
}

/* One in eight; it may have ended by itself before it is stopped. */
static void live(uint64_t who)
{
	uint64_t r = random_next(&seed) >> 32;

	if (r % 8)
		return;
	CHECK_EQ(call(HYPERCALL_VM_START, who), 0);
	for (unsigned i = r >> 8 & 3; i > 0; i--)
		(void)hypercall(HYPERCALL_YIELD, 0, 0, 0, 0);
	if (r & 0x400)
		(void)call(HYPERCALL_VM_PAUSE, who);
	if (r & 0x800)
		(void)call(HYPERCALL_VM_RESET, who);
}

static void end(uint64_t who)
{
	int64_t err = call(HYPERCALL_VM_STOP, who);

	CHECK(err == 0 || err == HYPERCALL_E_BUSY);
	CHECK_EQ(call(HYPERCALL_VM_DESTROY, who), 0);
}

static void cycle_vms(unsigned count)
{
	for (unsigned made = 0; made < count; made++) {
		uint64_t *slot = &there[random_next(&seed) % AT_ONCE];

		if (*slot)
			end(*slot);
		*slot = create(made);
		live(*slot);
	}
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (there[i])
			end(there[i]);
}

/* Half of them have run: HLT with interrupts off ends them. */
static void cycle_children(unsigned count)
{
	static const uint8_t hlt[] = {0xf4};

	for (unsigned i = 0; i < count; i++) {
		uint64_t size = (16 + random_next(&seed) % 64) << 12;
		uint64_t child = (uint64_t)hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0);

		CHECK_EQ(child, 1);
		CHECK_EQ(hypercall(HYPERCALL_GUEST_ADD_MEMORY, child, 0, size, 0), 0);
		if (i & 1) {
			CHECK_EQ(hypercall(HYPERCALL_GUEST_WRITE, child, 0x1000, address(hlt), 1),
				 0);
			CHECK_EQ(hypercall(HYPERCALL_VCPU_CREATE, child, 0x1000,
					   HYPERCALL_MODE_REAL, 0),
				 0);
			CHECK_EQ(hypercall(HYPERCALL_VCPU_RESUME, child, address(&packet), 0, 0),
				 HYPERCALL_PACKET_STOPPED);
		}
		CHECK_EQ(call(HYPERCALL_GUEST_DESTROY, child), 0);
	}
}

void guest_main(void)
{
	unsigned count;

	own = find(true);
	CHECK(own > 0 && own < 10);
	count = is_same(vm.name, "cycles") ? VMS : VMS / 20;
	seed += own;
	cycle_vms(count);
	cycle_children(count / 5);
}
