/*
 * The application processors: who they are, how they start, how CPUs call each other.
 * Source: Intel SDM Vol. 3A, "Multiple-Processor (MP) Initialization".
 */
#include <crvm/apic.h>
#include <crvm/cpufeat.h>
#include <crvm/fpu.h>
#include <crvm/frames.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>
#include <crvm/trap.h>

#define STACK_PAGES	4
#define IST_STACK_PAGES 2
#define START_WAIT_US	1000000

struct percpu percpus[CPU_MAX];
unsigned cpu_count = 1;

/* boot/trampoline.S: the end of the copied page. */
struct trampoline_params {
	uint64_t gdt[4];
	uint64_t entry;
	uint32_t cr3, efer;
	uint32_t far32;
	uint16_t far32_selector;
	uint32_t far64;
	uint16_t far64_selector;
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint16_t unused;
} packed;
_Static_assert(sizeof(struct trampoline_params) == 68, "boot/trampoline.S lays it out");

extern const uint8_t trampoline_start[], trampoline_end[], trampoline_params[];
extern const uint8_t trampoline_code32[], trampoline_code64[], ap_start[];

struct ap_slot { /* boot/trampoline.S searches it */
	uint32_t apic_id;
	uint32_t cpu;
	uint64_t stack_top;
};
struct ap_slot smp_ap_slot[CPU_MAX];
uint32_t smp_ap_slot_count;
no_return void ap_main(uint32_t index);

static const struct acpi_info *smp_acpi;
static void (*smp_ap_loop)(void);
static struct cpu_stacks stacks[CPU_MAX];
static uint32_t acpi_uid[CPU_MAX];

void smp_enumerate(const struct acpi_info *acpi, unsigned limit)
{
	uint32_t self = lapic_id();
	unsigned left_out = 0;

	percpus[0].apic_id = self;
	atomic_store(&percpus[0].state, CPU_ONLINE);
	for (unsigned i = 0; i < acpi->cpu_count; i++) {
		uint32_t id = acpi->cpu[i].apic_id;

		if (id == self)
			acpi_uid[0] = acpi->cpu[i].uid;
		if (!acpi->cpu[i].enabled || id == self)
			continue;
		if (id > 254 && !lapic_is_x2apic()) {
			log_warn("CPU with APIC ID %u left out: it needs x2APIC", id);
			continue;
		}
		if (cpu_count >= CPU_MAX || (limit && cpu_count >= limit)) {
			left_out++;
			continue;
		}
		percpus[cpu_count].index = cpu_count;
		percpus[cpu_count].apic_id = id;
		acpi_uid[cpu_count] = acpi->cpu[i].uid;
		cpu_count++;
	}
	lapic_init_cpu(acpi, acpi_uid[0]);
	if (left_out)
		log_info("%u more CPUs are left out (%s)", left_out,
			 limit ? "cpus= on the command line" : "CRVM uses at most 64");
}

static void kick_interrupt(void *ctx)
{
	(void)ctx; /* The bits are set already: the interrupt only ends HLT. */
}

no_return void ap_main(uint32_t index)
{
	struct percpu *cpu = &percpus[index];
	struct cpu_features features;

	write_cr3(host_map.root.v);
	trap_init_cpu(cpu, &stacks[index]);
	cpufeat_read(&features, &cpu_ops_native);
	cpufeat_enable(&features);
	fpu_init_cpu();
	lapic_init_cpu(smp_acpi, acpi_uid[index]);
	timer_init_cpu();
	smp_ap_loop();
	panic("the loop of CPU %u returned", index);
}

/*
 * The trampoline's page and its own tables: the page at its physical address, and all that the
 * hypervisor maps. Returns the page's address, 0 if there is no memory below 1 MiB.
 */
static uint64_t trampoline_prepare(void)
{
	size_t size = (size_t)(trampoline_end - trampoline_start);
	struct hostmap map;
	struct trampoline_params *params;
	uint64_t *root, *host_root = phys_to_virt(host_map.root);
	uint8_t *code;
	hpa_t page;

	if (frames_alloc_below(0, FRAME_HV, 0xa0000, &page) || !page.v ||
	    hostmap_init(&map, host_map.nx, false) ||
	    hostmap_map(&map, page.v, page, PAGE_SIZE, MAP_X))
		return 0;
	check(map.root.v < 1ul << 32 && size <= PAGE_SIZE);
	root = phys_to_virt(map.root);
	memcpy(root + 256, host_root + 256, 256 * sizeof(*root));

	code = phys_to_virt(page);
	memcpy(code, trampoline_start, size);
	params =
		(struct trampoline_params *)(void *)(code + (trampoline_params - trampoline_start));
	params->entry = (uint64_t)ap_start;
	params->cr3 = (uint32_t)map.root.v;
	params->efer = EFER_LME | (host_map.nx ? EFER_NXE : 0);
	params->far32 = (uint32_t)(page.v + (uint64_t)(trampoline_code32 - trampoline_start));
	params->far64 = (uint32_t)(page.v + (uint64_t)(trampoline_code64 - trampoline_start));
	params->gdt_base = (uint32_t)(page.v + (uint64_t)(trampoline_params - trampoline_start));
	return page.v;
}

static bool stacks_alloc(struct cpu_stacks *s)
{
	s->main = hostvm_stack(STACK_PAGES);
	s->df = hostvm_stack(IST_STACK_PAGES);
	s->nmi = hostvm_stack(IST_STACK_PAGES);
	s->mc = hostvm_stack(IST_STACK_PAGES);
	return s->main && s->df && s->nmi && s->mc;
}

static unsigned count_waiting(void)
{
	unsigned n = 0;

	for_each_cpu (cpu)
		n += atomic_load(&cpu->state) == CPU_STARTING;
	return n;
}

/* True if all have come before the time is over. */
static bool wait_for_all(unsigned us)
{
	for (unsigned spent = 0; count_waiting(); spent += 10) {
		if (spent >= us)
			return false;
		time_delay_us(10);
	}
	return true;
}

static void send_startup(uint64_t page)
{
	for_each_cpu (cpu)
		if (atomic_load(&cpu->state) == CPU_STARTING)
			lapic_send_startup(cpu->apic_id, (uint8_t)(page >> PAGE_SHIFT));
}

bool smp_boot_stacks(struct cpu_stacks *s)
{
	trap_set_handler(VECTOR_KICK, kick_interrupt, NULL);
	return stacks_alloc(s);
}

void smp_start(const struct acpi_info *acpi, void (*ap_loop)(void))
{
	uint64_t page;

	smp_acpi = acpi;
	smp_ap_loop = ap_loop;
	if (cpu_count == 1)
		return;
	for (unsigned i = 1; i < cpu_count; i++) {
		if (!stacks_alloc(&stacks[i])) {
			log_warn("no memory for the stacks of CPU %u: going on with %u CPUs", i, i);
			cpu_count = i;
			break;
		}
		smp_ap_slot[i - 1] = (struct ap_slot){percpus[i].apic_id, i, stacks[i].main};
	}
	smp_ap_slot_count = cpu_count - 1;
	page = trampoline_prepare();
	if (!page) {
		log_warn("no free page below 1 MiB (or no memory) for the CPU start code: going on "
			 "with one CPU");
		cpu_count = 1;
		return;
	}

	for (unsigned i = 1; i < cpu_count; i++) {
		atomic_store(&percpus[i].state, CPU_STARTING);
		lapic_send_init(percpus[i].apic_id);
	}
	time_delay_us(10000);
	send_startup(page);
	if (!wait_for_all(200))
		send_startup(
			page); /* the second one that the manual asks for; awake CPUs ignore it */
	if (wait_for_all(START_WAIT_US))
		return;
	for_each_cpu (cpu) {
		uint32_t starting = CPU_STARTING;

		if (atomic_compare_exchange_strong(&cpu->state, &starting, CPU_FAILED))
			log_warn(
				"CPU %u (APIC ID %u) did not start within 1 s: going on without it",
				cpu->index, cpu->apic_id);
	}
}

void smp_kick(struct percpu *cpu, enum cpu_work work)
{
	uint32_t before = atomic_fetch_or(&cpu->work, work);

	if (!(before & work) && cpu != this_cpu())
		lapic_send_fixed(cpu->apic_id, VECTOR_KICK);
}

void smp_serve_calls(void)
{
	struct percpu *cpu = this_cpu();

	if (!atomic_load_explicit(&cpu->call_busy, memory_order_acquire))
		return;
	cpu->call_fn(cpu->call_arg);
	atomic_store_explicit(&cpu->call_busy, 0, memory_order_release);
}

int smp_call(struct percpu *cpu, void (*fn)(void *arg), void *arg)
{
	uint32_t idle = 0;

	if (atomic_load(&cpu->state) != CPU_ONLINE)
		return E_NODEV;
	if (cpu == this_cpu()) {
		fn(arg);
		return OK;
	}
	/* Two CPUs that call each other both serve while they wait. */
	while (!atomic_compare_exchange_weak(&cpu->call_claim, &idle, 1)) {
		idle = 0;
		smp_serve_calls();
		cpu_relax();
	}
	cpu->call_fn = fn;
	cpu->call_arg = arg;
	atomic_store_explicit(&cpu->call_busy, 1, memory_order_release);
	smp_kick(cpu, WORK_CALL);
	while (atomic_load_explicit(&cpu->call_busy, memory_order_acquire)) {
		smp_serve_calls();
		cpu_relax();
	}
	atomic_store_explicit(&cpu->call_claim, 0, memory_order_release);
	return OK;
}

void smp_stop_others(void)
{
	struct percpu *self = this_cpu();
	uint64_t end;

	trap_park_on_nmi();
	for_each_cpu (cpu)
		if (cpu != self && atomic_load(&cpu->state) == CPU_ONLINE)
			lapic_send_nmi(cpu->apic_id);
	end = rdtsc() + time_ns_to_tsc(10000000);
	for_each_cpu (cpu)
		while (cpu != self && atomic_load(&cpu->state) == CPU_ONLINE &&
		       !atomic_load(&cpu->stopped_rip) && (int64_t)(rdtsc() - end) < 0)
			cpu_relax();
}
