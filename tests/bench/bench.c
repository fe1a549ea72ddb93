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
	print_text("bench done\n");
	return 0;
}
