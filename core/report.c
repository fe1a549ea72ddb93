/*
 * What the machine has and lacks, in words.
 */
#include <crvm/apic.h>
#include <crvm/cpufeat.h>
#include <crvm/date.h>
#include <crvm/frames.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/string.h>
#include <crvm/time.h>
#include <crvm/wallclock.h>

#include "console.h"
#include "log_priv.h"
#include "machine.h"
#include "pc.h"
#include "vm.h"

static void row(const char *name, const char *fmt, ...) printf_like(2, 3);

static void row(const char *name, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_printf("  %-11s %s\n", name, text);
}

static unsigned cpus_online(void)
{
	unsigned n = 0;

	for_each_cpu (cpu)
		n += atomic_load(&cpu->state) == CPU_ONLINE;
	return n;
}

/* The names of the present features, several on a line. */
static void present_row(const char *title, const struct feature *f, unsigned count)
{
	char text[100] = "";
	size_t used = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t need = strlen(f[i].name) + 2;

		if (!f[i].present)
			continue;
		if (used + need >= 84) {
			row(title, "%s,", text);
			title = "";
			used = 0;
		}
		used += (size_t)str_printf(text + used, sizeof(text) - used, "%s%s",
					   used ? ", " : "", f[i].name);
	}
	row(title, "%s", used ? text : "none");
}

static void absent_rows(const struct feature *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!f[i].present)
			row("absent", "%s (%s): %s", f[i].name, f[i].source,
			    f[i].without ? f[i].without : "CRVM cannot do without it");
}

static bool any_present(const struct feature *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (f[i].present)
			return true;
	return false;
}

static void tables_row(void)
{
	char text[160] = "";
	size_t used = 0;

	for (unsigned i = 0; i < machine.acpi.table_count && used < sizeof(text) - 6; i++)
		used += (size_t)str_printf(text + used, sizeof(text) - used, "%s%s", i ? " " : "",
					   machine.acpi.table[i].sig);
	if (machine.acpi_ok)
		row("ACPI", "revision %u, tables: %s", machine.acpi.revision, text);
	else
		row("ACPI", "no tables found: one CPU, no power-off");
}

static void memory_rows(void)
{
	char total[16], free_[16], modules[16];
	const struct boot_info *b = &machine.boot;
	uint64_t bytes = 0, top = 0;

	for (unsigned i = 0; i < b->mmap_count; i++) {
		if (b->mmap[i].type != BOOT_MEM_RAM)
			continue;
		bytes += b->mmap[i].len;
		if (b->mmap[i].base + b->mmap[i].len > top)
			top = b->mmap[i].base + b->mmap[i].len;
	}
	row("memory", "%s of RAM up to %lxh; %s free for VMs",
	    str_size(total, sizeof(total), bytes), top,
	    str_size(free_, sizeof(free_), frames_count(FRAME_FREE) * PAGE_SIZE));
	bytes = 0;
	for (unsigned i = 0; i < b->module_count; i++)
		bytes += b->module[i].end - b->module[i].start;
	row("modules", "%u, %s", b->module_count, str_size(modules, sizeof(modules), bytes));
}

static void row_wallclock(void)
{
	uint64_t seconds = wallclock_unix_ns() / 1000000000, day = seconds % 86400;
	uint32_t year, month, date;

	date_from_days(seconds / 86400 + DATE_DAYS_1970, &year, &month, &date);
	row("wall clock", "%04u-%02u-%02u %02lu:%02lu:%02lu", year, month, date, day / 3600,
	    day / 60 % 60, day % 60);
}

void report_machine(void)
{
	const struct cpu_features *c = &boot_cpu_features;
	const struct feature *f;
	unsigned count;

	log_printf("\nThis machine:\n");
	row("CPU", "%s \"%s\", family %u model %u stepping %u, %u address bits", c->vendor,
	    c->brand, c->family, c->model, c->stepping, c->phys_bits);
	row("CPUs", "%u of %u running", cpus_online(),
	    machine.acpi.cpu_count ? machine.acpi.cpu_count : 1);
	if (c->hypervisor)
		row("under", "a hypervisor that calls itself \"%s\"", c->hypervisor_vendor);
	memory_rows();
	row("firmware", "%s, loaded by %s", machine.boot.efi ? "UEFI" : "BIOS",
	    machine.boot.loader);
	tables_row();
	row("interrupts", "local APIC in %s mode, %u IOAPIC%s",
	    lapic_is_x2apic() ? "x2APIC" : "xAPIC", machine.acpi.ioapic_count,
	    machine.acpi.ioapic_count == 1 ? "" : "s");
	row("time", "TSC at %lu.%03lu MHz by %s; timers by %s", time_tsc_khz() / 1000,
	    time_tsc_khz() % 1000, time_source(),
	    time_tsc_deadline() ? "TSC deadline" : "one-shot APIC timer");
	row_wallclock();
	row("serial", "%s", console_serial_name());
	row("screen", "%s%s", console_screen_name(),
	    console_has_keyboard() ? "; PS/2 keyboard" : "");
	if (machine.acpi.dmar)
		row("IOMMU", "%u unit%s, %s, %u address bits (not used)",
		    machine.acpi.dmar_unit_count, machine.acpi.dmar_unit_count == 1 ? "" : "s",
		    machine.acpi.dmar_intr_remap ? "interrupt remapping" : "no interrupt remapping",
		    machine.acpi.dmar_haw);

	f = cpufeat_table(c);
	present_row("CPU has", f, CPUF_COUNT);
	absent_rows(f, CPUF_COUNT);
	f = machine.backend->features(&count);
	present_row("VMX has", f, count);
	if (any_present(f, count)) /* else the verdict says why, and the list would say it again */
		absent_rows(f, count);
}

void report_verdict(void)
{
	const struct verdict *v = &machine.verdict;

	if (!v->count) {
		log_printf("\nThis machine can run virtual machines (%s).\n\n",
			   machine.backend->name);
		return;
	}
	log_printf("\nThis machine CANNOT run virtual machines:\n");
	for (unsigned i = 0; i < v->count; i++) {
		log_printf("  %u. %s\n", i + 1, v->item[i].fact);
		log_printf("     seen: %s\n", v->item[i].saw);
		log_printf("     do:   %s\n", v->item[i].todo);
	}
	log_printf("\n");
}

void report_cpus(void)
{
	static const char *const states[] = {"absent", "starting", "online", "failed"};

	log_printf("  CPU  APIC ID  state     timer irqs       kicks      serial        NMIs\n");
	for_each_cpu (cpu)
		log_printf("  %3u  %7u  %-8s %11lu %11lu %11lu %11lu\n", cpu->index, cpu->apic_id,
			   states[atomic_load(&cpu->state) & 3], cpu->interrupts[0xf0],
			   cpu->interrupts[0xf1], cpu->interrupts[0x30], cpu->interrupts[2]);
}

void report_frames(void)
{
	static const struct {
		const char *name;
		frame_owner_t owner;
	} owners[] = {{"free", FRAME_FREE},	    {"firmware", FRAME_NONE},
		      {"image", FRAME_IMAGE},	    {"modules", FRAME_MODULE},
		      {"frame table", FRAME_TABLE}, {"hypervisor", FRAME_HV},
		      {"shared", FRAME_SHARED}};
	char size[16];

	for (size_t i = 0; i < array_count(owners); i++)
		log_printf("  %-12s %10lu frames  %s\n", owners[i].name,
			   frames_count(owners[i].owner),
			   str_size(size, sizeof(size), frames_count(owners[i].owner) * PAGE_SIZE));
	log_printf("  %-12s %10lu frames  %s\n", "total", frames_total(),
		   str_size(size, sizeof(size), frames_total() * PAGE_SIZE));
}

static void stats_line(void *ctx, const char *text)
{
	(void)ctx;
	log_printf("    %s\n", text);
}

/* Its share of its CPU since the machine is up, and how the timer ticks fared. */
static void report_vm_time(const struct vm *vm)
{
	struct pit_ticks t = pit_ticks(&vm->pc->pit);
	uint64_t up = time_ns() / 1000000, ran = time_tsc_to_ns(vm->vcpu[0].ran_ticks) / 1000000;

	log_printf("    ran %lu of %lu ms; PIT ticks: %lu due, %lu raised, %lu owed, %lu merged\n",
		   ran, up, t.due, t.raised, t.owed, t.merged);
}

void report_vms(void)
{
	static const char *const states[] = {"created", "running", "paused", "stopped"};

	if (!vm_count)
		log_printf("there are no VMs: no boot module is called `config` or `guest`\n");
	for (unsigned i = 0; i < vm_count; i++) {
		const struct vm *vm = vms[i];

		if (!vm)
			continue;
		log_printf("  VM %u %s: %s, %lu KiB, CPU %u\n", i + 1, vm->name,
			   states[atomic_load(&vm->state) & 3], vm->config.mem / 1024,
			   vm->vcpu[0].cpu ? vm->vcpu[0].cpu->index : 0);
		log_printf("    beside its RAM: %lu KiB, of these %lu KiB what it wrote to its "
			   "disks\n",
			   (vm->arena.frame_count * PAGE_SIZE - vm->config.mem) / 1024,
			   pc_disks_pages(vm->pc) * PAGE_SIZE / 1024);
		report_vm_time(vm);
		if (vm->vcpu[0].first_tsc)
			log_printf("    first entered %lu TSC ticks after the boot loader's jump, "
				   "%lu of "
				   "them spent waiting for clocks and CPUs\n",
				   vm->vcpu[0].first_tsc - machine.start_tsc, machine.waited_ticks);
		exit_stats_print(&vm->vcpu[0].stats, stats_line, NULL);
	}
}
