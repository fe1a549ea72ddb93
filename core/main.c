/*
 * From the boot loader to the shell, as a list.
 */
#include <crvm/apic.h>
#include <crvm/cpufeat.h>
#include <crvm/fpu.h>
#include <crvm/frames.h>
#include <crvm/hostvm.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/power.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/spinlock.h>
#include <crvm/status.h>
#include <crvm/symbols.h>
#include <crvm/time.h>
#include <crvm/trap.h>
#include <crvm/wallclock.h>

#include "console.h"
#include "log_priv.h"
#include "machine.h"
#include "panic_priv.h"
#include "version.h"
#include "vm.h"

#define GIB4	   (1ul << 32)
#define MEMORY_MIN (31ul << 20) /* a machine of 32 MiB has some less in its map */

struct machine machine = {.backend = &vmx_backend};

/* Guards machine.verdict while the CPUs add to it. */
static struct spinlock verdict_lock = SPINLOCK_INIT(RANK_SMP, "verdict");

/* The boot CPU's stacks until there are some with guard pages. */
static uint8_t early_ist[3][4096] aligned_to(16);

extern const uint8_t image_phys_start[], image_phys_end[];

no_return void hv_main(uint64_t mbi, uint64_t tsc);

static void warn_cmdline(void *ctx, const char *text)
{
	(void)ctx;
	log_warn("command line: %s", text);
}

static void traps_early(void)
{
	const struct cpu_stacks stacks = {
		.main = 0,
		.df = (uint64_t)early_ist[0] + sizeof(early_ist[0]),
		.nmi = (uint64_t)early_ist[1] + sizeof(early_ist[1]),
		.mc = (uint64_t)early_ist[2] + sizeof(early_ist[2]),
	};

	trap_init();
	trap_init_cpu(&percpus[0], &stacks);
}

static void read_boot_info(uint64_t mbi)
{
	struct boot_info *b = &machine.boot;
	int err = boot_parse(b, phys_to_virt(hpa(mbi)), GIB4 - mbi);

	cmdline_parse(&machine.options, b->cmdline, warn_cmdline, NULL);
	log_set_level(machine.options.loglevel);
	panic_set_action(machine.options.panic);
	for (unsigned i = 0; i < b->note_count; i++)
		log_warn("boot information: %s", b->note[i]);
	if (err)
		panic("the boot loader's information at %lx cannot be used: %s", mbi,
		      status_name(err));
}

/* What lies in RAM and is not free. */
static void reserve_memory(void)
{
	const struct boot_info *b = &machine.boot;
	uint64_t image = (uint64_t)image_phys_start;
	int err = frames_reserve(0, PAGE_SIZE, FRAME_NONE);

	if (!err)
		err = frames_reserve(0xa0000, 0x60000, FRAME_NONE);
	if (!err)
		err = frames_reserve(image, (uint64_t)image_phys_end - image, FRAME_IMAGE);
	for (unsigned i = 0; !err && i < b->module_count; i++)
		if (b->module[i].end > b->module[i].start)
			err = frames_reserve(b->module[i].start,
					     b->module[i].end - b->module[i].start, FRAME_MODULE);
	for (unsigned i = 0; !err && i < b->reserve_count; i++)
		err = frames_reserve(b->reserve[i].start, b->reserve[i].end - b->reserve[i].start,
				     FRAME_MODULE);
	/* RAM ranges and others overlap on some machines: what is anything but RAM is not ours. */
	for (unsigned i = 0; !err && i < b->mmap_count; i++)
		if (b->mmap[i].type != BOOT_MEM_RAM && b->mmap[i].base < GIB4)
			err = frames_reserve(b->mmap[i].base, b->mmap[i].len, FRAME_NONE);
	if (err)
		panic("the boot loader's memory map is too complicated: %s", status_name(err));
}

/* RAM in [from, to); what cannot hold its own table is too small to matter. */
static void add_memory(uint64_t from, uint64_t to)
{
	const struct boot_info *b = &machine.boot;

	for (unsigned i = 0; i < b->mmap_count; i++) {
		uint64_t start = b->mmap[i].base, end = start + b->mmap[i].len;

		start = start < from ? from : start;
		end = end > to ? to : end;
		if (b->mmap[i].type != BOOT_MEM_RAM || start >= end)
			continue;
		if (frames_add(start, end - start))
			log_debug("RAM at %lx, %lu bytes, is left out", start, end - start);
	}
}

static void init_memory(void)
{
	uint64_t limit = 1ul << boot_cpu_features.phys_bits;
	int err;

	frames_init();
	reserve_memory();
	add_memory(0, GIB4); /* the boot page tables reach that far */
	err = hostvm_init(&machine.boot);
	if (err)
		panic("cannot build the host page tables: %s (%lu free frames)", status_name(err),
		      frames_count(FRAME_FREE));
	add_memory(GIB4, limit < DIRECT_MAP_SIZE ? limit : DIRECT_MAP_SIZE);
	if (frames_total() * PAGE_SIZE < MEMORY_MIN)
		verdict_add(&machine.verdict, "there is too little memory",
			    "give the machine more memory: 32 MiB are the least for CRVM itself, "
			    "and each "
			    "VM needs its own on top",
			    "%lu KiB of RAM in the boot loader's map",
			    frames_total() * PAGE_SIZE / 1024);
}

static const void *acpi_map(void *ctx, uint64_t addr, size_t len)
{
	(void)ctx;
	return hostvm_map(addr, len, MAP_R);
}

static void init_acpi(void)
{
	const struct acpi_env env = {acpi_map, NULL};
	struct acpi_info *a = &machine.acpi;

	machine.acpi_ok = !acpi_parse(a, &env, machine.boot.rsdp, machine.boot.rsdp_len);
	for (unsigned i = 0; i < a->note_count; i++)
		log_warn("ACPI: %s", a->note[i]);
	power_init(a);
}

static void init_interrupts_and_time(void)
{
	int err;

	pic_disable();
	err = lapic_init(machine.acpi.lapic_base, machine.options.x2apic);
	if (err)
		panic("no local APIC (CPUID.1:EDX[9] = %u): CRVM needs one",
		      boot_cpu_features.leaf1.edx >> 9 & 1);
	smp_enumerate(&machine.acpi, machine.options.cpus);
	ioapic_init(&machine.acpi);
	if (time_init(&machine.acpi))
		panic("no clock: neither HPET nor PM timer nor PIT counts, and CPUID.15h is "
		      "silent");
	timer_init_cpu();
}

static void init_wallclock(void)
{
	if (wallclock_init(machine.acpi.century))
		log_warn("the CMOS clock does not answer: VMs will find themselves in 1970");
}

/* Adds what one CPU found to the machine's verdict. */
static void verdict_merge(const struct verdict *v)
{
	spin_lock(&verdict_lock);
	for (unsigned i = 0; i < v->count; i++)
		verdict_add(&machine.verdict, v->item[i].fact, v->item[i].todo, "%s",
			    v->item[i].saw);
	spin_unlock(&verdict_lock);
}

static void cpu_enable_virt(void)
{
	struct verdict v = {0};

	if (!machine.verdict.count && machine.backend->cpu_enable(this_cpu()->index, &v))
		verdict_merge(&v);
}

/* Where smp_start brings each application processor. */
static void ap_enter(void)
{
	struct percpu *cpu = this_cpu();
	struct cpu_features f;
	struct verdict v = {0};

	cpufeat_read(&f, &cpu_ops_native);
	cpufeat_compare(&boot_cpu_features, &f, cpu->index, &v);
	verdict_merge(&v);
	cpu_enable_virt();
	atomic_store(&cpu->state, CPU_ONLINE);
	cpu_loop();
}

/* On the boot CPU's final stack. */
static no_return void hv_main_on_stack(void)
{
	init_acpi();
	console_init(&machine.options, &machine.acpi, &machine.boot);
	symbols_init(&machine.boot.symbols);
	init_interrupts_and_time();
	init_wallclock();
	machine.backend->probe(machine.options.without, &machine.verdict);
	cpu_enable_virt();
	smp_start(&machine.acpi, ap_enter);
	machine.up_ticks = rdtsc() - machine.start_tsc;
	hostvm_audit();
	console_use_interrupts(&machine.acpi);
	irq_enable();

	log_info("%u CPU%s up, %lu TSC ticks after the boot loader's jump", cpu_count,
		 cpu_count == 1 ? "" : "s", machine.up_ticks);
	report_machine();
	report_verdict();
	machine.waited_ticks = time_waited_ticks();
	vms_start();
	shell_start();
	cpu_loop();
}

void hv_main(uint64_t mbi, uint64_t tsc)
{
	struct cpu_stacks stacks;

	time_set_start(tsc);
	machine.start_tsc = tsc;
	traps_early();
	log_printf("CRVM %s\n", CRVM_VERSION);
	cpufeat_read(&boot_cpu_features, &cpu_ops_native);
	cpufeat_enable(&boot_cpu_features);
	fpu_init_cpu();
	read_boot_info(mbi);
	init_memory();
	if (!smp_boot_stacks(&stacks))
		panic("no memory for the boot CPU's stacks");
	trap_init_cpu(&percpus[0], &stacks);
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "push %%rbp\n\t" /* ends the backtrace */
			 "call *%1"
			 :
			 : "r"(stacks.main), "r"(hv_main_on_stack)
			 : "memory");
	__builtin_unreachable();
}
