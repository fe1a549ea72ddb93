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

static int64_t call(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t rcx)
{
	int64_t result;

	__asm__ volatile("vmcall"
			 : "=a"(result)
			 : "a"(number), "D"(rdi), "S"(rsi), "d"(rdx), "c"(rcx)
			 : "memory");
	return result;
}

/* Child 1, which writes to a trapped port for ever. */
static bool make_child(void)
{
	return call(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0) == 1 &&
	       !call(HYPERCALL_GUEST_ADD_MEMORY, 1, 0, 0x10000, 0) &&
	       !call(HYPERCALL_GUEST_WRITE, 1, 0x1000, (uint64_t)child_code, sizeof(child_code)) &&
	       !call(HYPERCALL_GUEST_SET_TRAP, 1, (uint64_t)&trap, 0, 0) &&
	       !call(HYPERCALL_VCPU_CREATE, 1, 0x1000, HYPERCALL_MODE_REAL, 0);
}

/* As MEASURE, but that RSI is an argument. */
static void measure_resume(void)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint32_t start, end;

		__asm__ volatile("rdtsc" : "=a"(start) : : "rdx", "memory");
		(void)call(HYPERCALL_VCPU_RESUME, 1, (uint64_t)&packet, 0, 0);
		__asm__ volatile("rdtsc" : "=a"(end) : : "rdx", "memory");
		sample[i] = end - start;
	}
	print_samples("vcpu_resume_roundtrip", 0);
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
	print_text("bench done\n");
	return 0;
}
