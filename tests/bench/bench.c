/*
 * The bench guest: what each kind of VM exit costs, in TSC ticks. Prints a line `bench KEY MEDIAN
 * MIN P99` for each operation. It must not know what the figures should be: scripts/bench does.
 *
 * One sample is RDTSC, operation, RDTSC, less what the same pair costs without the operation. Where
 * a tick is an instruction (Bochs), that is the hypervisor's instructions and the operation's own
 * one.
 */
#include <crvm/compiler.h>
#include <crvm/devices/debug.h>
#include <crvm/devices/testdev.h>
#include <crvm/hypercall.h>

#define SAMPLES		1000u
#define TEST_PORT	0xe000u
#define TEST_MMIO	0xfed10000u
#define MSR_MISC_ENABLE 0x1a0u

int bench_main(void);

static uint32_t sample[SAMPLES];
static uint32_t buffer[128] aligned_to(4096);

static void print_char(char c)
{
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)DEBUG_PORT_CONSOLE));
}

static void print_text(const char *s)
{
	while (*s)
		print_char(*s++);
}

static void print_number(uint32_t n)
{
	char digit[10];
	unsigned count = 0;

	do
		digit[count++] = (char)('0' + n % 10);
	while (n /= 10);
	while (count)
		print_char(digit[--count]);
}

static void sort_samples(void)
{
	for (unsigned gap = SAMPLES / 2; gap; gap /= 2) {
		for (unsigned i = gap; i < SAMPLES; i++) {
			uint32_t v = sample[i];
			unsigned k = i;

			for (; k >= gap && sample[k - gap] > v; k -= gap)
				sample[k] = sample[k - gap];
			sample[k] = v;
		}
	}
}

static void print_samples(const char *key, uint32_t empty)
{
	sort_samples();
	print_text("bench ");
	print_text(key);
	for (unsigned i = 0; i < 3; i++) {
		const unsigned at[3] = {SAMPLES / 2, 0, SAMPLES * 99 / 100};

		print_char(' ');
		print_number(sample[at[i]] - empty);
	}
	print_char('\n');
}

/*
 * Ticks between two RDTSC with `setup` and `op` in between. RSI holds the first; operations may use
 * RAX, RBX, RCX, RDX and RDI, and find the argument in R8.
 */
#define TICKS(setup, op, arg)                                                          \
	({                                                                             \
		uint32_t ticks_;                                                       \
		register uint64_t arg_ __asm__("r8") = (arg);                          \
                                                                                       \
		__asm__ volatile("rdtsc\n\t"                                           \
				 "mov %%eax, %%esi\n\t" setup "\n\t" op "\n\t"         \
				 "rdtsc\n\t"                                           \
				 "sub %%esi, %%eax"                                    \
				 : "=a"(ticks_), "+r"(arg_)                            \
				 :                                                     \
				 : "rbx", "rcx", "rdx", "rsi", "rdi", "cc", "memory"); \
		ticks_;                                                                \
	})

#define MEASURE(key, setup, op, arg)                        \
	do {                                                \
		uint32_t empty_ = TICKS(setup, "", arg);    \
                                                            \
		for (unsigned i_ = 0; i_ < SAMPLES; i_++)   \
			sample[i_] = TICKS(setup, op, arg); \
		print_samples(key, empty_);                 \
	} while (0)

/* The value that the MSR has: writing it changes nothing. */
static uint64_t msr_value(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

#define MSR_OUT "mov %%r8, %%rdx\n\tshr $32, %%rdx\n\tmov %%r8d, %%eax\n\tmov $0x1a0, %%ecx"

/* Whether REP INSL has put the stream's next numbers into the buffer, in their order. */
static bool stream_was_right(void)
{
	for (unsigned i = 1; i < array_count(buffer); i++)
		if (buffer[i] != buffer[0] + i)
			return false;
	return true;
}

static struct hypercall_trap trap = {.kind = HYPERCALL_TRAP_IO, .at = 0x3f8, .size = 8};
static struct hypercall_packet packet;
/* mov $0x3f8, %dx; 1: out %al, %dx; jmp 1b */
static const uint8_t child_code[] = {0xba, 0xf8, 0x03, 0xee, 0xeb, 0xfd};

/* Child 1, which writes to a trapped port for ever. */
static bool make_child(void)
{
	return hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0) == 1 &&
	       !hypercall(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x10000, 0) &&
	       !hypercall(HYPERCALL_GUEST_WRITE, 1, 0x1000, (uint64_t)child_code,
			  sizeof(child_code)) &&
	       !hypercall(HYPERCALL_GUEST_SET_TRAP, 1, (uint64_t)&trap, 0, 0) &&
	       !hypercall(HYPERCALL_VCPU_CREATE, 1, 0x1000, HYPERCALL_MODE_REAL, 0);
}

/* As MEASURE, but that RSI is an argument. */
static void measure_resume(void)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint32_t start, end;

		__asm__ volatile("rdtsc" : "=a"(start) : : "rdx", "memory");
		(void)hypercall(HYPERCALL_VCPU_RESUME, 1, (uint64_t)&packet, 0, 0);
		__asm__ volatile("rdtsc" : "=a"(end) : : "rdx", "memory");
		sample[i] = end - start;
	}
	print_samples("vcpu_resume_roundtrip", 0);
}

/* --- VMs made and destroyed --------------------------------------------------------------- */

#define CYCLES 21u

enum { SMALL_MIB = 1, LARGE_MIB = 16 };

struct cycles {
	uint32_t create[CYCLES], destroy[CYCLES];
};

static const char small_config[] = "[vm made]\nboot = flat\nkernel = kernel\nautostart = no\n"
				   "memory = 1M\n";
static const char large_config[] = "[vm made]\nboot = flat\nkernel = kernel\nautostart = no\n"
				   "memory = 16M\n";
static struct cycles small_vm, large_vm;

/* A call that waits; the ticks until it is back. */
static uint32_t call_ticks(int64_t *result, uint64_t number, uint64_t rdi, uint64_t rsi)
{
	uint32_t start, end;

	__asm__ volatile("rdtsc" : "=a"(start) : : "rdx", "memory");
	*result = hypercall(number, rdi, rsi, 0, 0);
	__asm__ volatile("rdtsc" : "=a"(end) : : "rdx", "memory");
	return end - start;
}

/* What the log says of the last one is on its way by then. */
static void let_the_console_work(void)
{
	int64_t end = hypercall(HYPERCALL_TIME, 0, 0, 0, 0) + 10000000;

	while (hypercall(HYPERCALL_TIME, 0, 0, 0, 0) < end)
		(void)hypercall(HYPERCALL_YIELD, 0, 0, 0, 0);
}

static bool cycle(const char *config, size_t length, struct cycles *c)
{
	uint32_t number[8];
	int64_t made, count, gone;

	for (unsigned i = 0; i < CYCLES; i++) {
		c->create[i] = call_ticks(&made, HYPERCALL_VM_CREATE, (uint64_t)config, length);
		let_the_console_work();
		count = hypercall(HYPERCALL_VM_LIST, (uint64_t)number, array_count(number), 0, 0);
		if (made != 1 || count < 2)
			return false;
		c->destroy[i] = call_ticks(&gone, HYPERCALL_VM_DESTROY, number[count - 1], 0);
		if (gone)
			return false;
		let_the_console_work();
	}
	return true;
}

static void print_cycles(const char *key, uint32_t *ticks)
{
	for (unsigned i = 1; i < CYCLES; i++) {
		uint32_t v = ticks[i];
		unsigned k = i;

		for (; k && ticks[k - 1] > v; k--)
			ticks[k] = ticks[k - 1];
		ticks[k] = v;
	}
	print_text("bench ");
	print_text(key);
	for (unsigned i = 0; i < 3; i++) {
		const unsigned at[3] = {CYCLES / 2, 0, CYCLES - 1};

		print_char(' ');
		print_number(ticks[at[i]]);
	}
	print_char('\n');
}

/*
 * Of what the large VM costs, the part that grows with its RAM is told apart: what it costs more
 * than the small one, for all of its RAM. What stays is the price of any VM.
 */
static void print_split(const char *key, const char *ram_key, const uint32_t *small,
			uint32_t *large)
{
	static uint32_t ram[CYCLES];

	for (unsigned i = 0; i < CYCLES; i++) {
		ram[i] = (large[i] - small[i]) / (LARGE_MIB - SMALL_MIB) * LARGE_MIB;
		large[i] -= ram[i];
	}
	print_cycles(key, large);
	print_cycles(ram_key, ram);
}

static bool measure_cycles(void)
{
	if (!cycle(small_config, sizeof(small_config) - 1, &small_vm) ||
	    !cycle(large_config, sizeof(large_config) - 1, &large_vm))
		return false;
	print_split("vm_create", "vm_create_zeroing", small_vm.create, large_vm.create);
	print_split("vm_destroy", "vm_destroy_scrubbing", small_vm.destroy, large_vm.destroy);
	return true;
}

int bench_main(void)
{
	MEASURE("rdtsc", "", "rdtsc", 0);
	MEASURE("cpuid", "xor %%eax, %%eax", "cpuid", 0);
	MEASURE("cpuid_1", "mov $1, %%eax", "cpuid", 0);
	MEASURE("vmcall", "mov %%r8, %%rax", "vmcall", HYPERCALL_NOP);
	MEASURE("rdmsr", "mov %%r8d, %%ecx", "rdmsr", MSR_MISC_ENABLE);
	MEASURE("wrmsr", MSR_OUT, "wrmsr", msr_value(MSR_MISC_ENABLE));
	MEASURE("port_in", "mov %%r8d, %%edx", "in %%dx, %%eax", TEST_PORT);
	MEASURE("port_out", "mov %%r8d, %%edx", "out %%eax, %%dx", TEST_PORT);
	MEASURE("mmio_read", "mov %%r8, %%rbx", "mov (%%rbx), %%eax", TEST_MMIO);
	MEASURE("mmio_write", "mov %%r8, %%rbx", "mov %%eax, (%%rbx)", TEST_MMIO);
	MEASURE("rep_ins_512", "mov $0xe008, %%edx\n\tmov $128, %%ecx\n\tmov %%r8, %%rdi",
		"rep insl", (uint64_t)buffer);
	if (!stream_was_right()) {
		print_text("bench: REP INS read wrong numbers\n");
		return 1;
	}
	MEASURE("hypercall", "mov %%r8, %%rax", "vmcall", HYPERCALL_NOP);
	if (!make_child()) {
		print_text("bench: no child\n");
		return 1;
	}
	measure_resume();
	if (packet.kind != HYPERCALL_PACKET_IO) {
		print_text("bench: the child is gone\n");
		return 1;
	}
	if (!measure_cycles()) {
		print_text("bench: no VM\n");
		return 1;
	}
	print_text("bench done\n");
	return 0;
}
