/*
 * childvm: a guest that is a VMM. By hypercalls it makes a VM of its own, gives it a PC of CRVM's
 * device models, and boots it by the firmware and from the disks that come as Multiboot modules.
 * Needs `privileged = yes`. It must not know how any of this is done.
 * Source: Multiboot Specification, "Boot information format".
 */
#include <crvm/compiler.h>
#include <crvm/hypercall.h>
#include <crvm/string.h>

#include "child.h"
#include "clock.h"
#include "host.h"
#include "machine.h"

#define MULTIBOOT_LOADER_MAGIC 0x2badb002u
#define MULTIBOOT_INFO_MODS    (1u << 3)
#define FIRMWARE	       "firmware" /* the name of the module; all others are disks */
#define CPUID_HV	       0x40000000u
#define CPUID_1_ECX_HV	       (1u << 31)

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
};
_Static_assert(offsetof(struct multiboot_info, mods_addr) == 24, "Multiboot information");

struct multiboot_module {
	uint32_t start, end, string, reserved;
};
_Static_assert(sizeof(struct multiboot_module) == 16, "Multiboot module");

struct rom {
	const uint8_t *data;
	uint64_t size;
};

void main(uint32_t magic, uint32_t info);

static struct child child;

/* Elsewhere VMCALL is an invalid instruction. */
static bool is_crvm(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (!(ecx & CPUID_1_ECX_HV))
		return false;
	eax = CPUID_HV;
	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx == HYPERCALL_SIGNATURE;
}

static void *at(uint32_t address)
{
	return (void *)(uintptr_t)address;
}

/* Disks in their order; returns the firmware, or nothing if there is none. */
static struct rom take_modules(const struct multiboot_info *info)
{
	const struct multiboot_module *module = at(info->mods_addr);
	struct rom rom = {NULL, 0};
	unsigned disks = 0;

	for (uint32_t i = 0; info->flags & MULTIBOOT_INFO_MODS && i < info->mods_count; i++) {
		const uint64_t size = module[i].end - module[i].start;

		if (!strcmp(at(module[i].string), FIRMWARE))
			rom = (struct rom){at(module[i].start), size};
		else if (disks < MACHINE_DISK_COUNT)
			machine_attach_disk(disks++, at(module[i].start), size);
	}
	return rom;
}

static void print_error(const char *what, int64_t err)
{
	host_print("childvm: %s: error %d%s\n", what, (int)-err,
		   err == HYPERCALL_E_PERM ? ": this VM needs `privileged = yes`" : "");
}

static void print_counts(const struct child *c, uint64_t ns)
{
	host_print("childvm: in %lu ms: packets: %lu I/O, %lu halts, %lu for interrupts of ours; "
		   "%lu interrupts given\n",
		   ns / 1000000, c->packets[HYPERCALL_PACKET_IO], c->packets[HYPERCALL_PACKET_HALT],
		   c->packets[HYPERCALL_PACKET_NONE], c->irqs);
	for (unsigned i = 0; machine_region(i); i++)
		if (c->at_region[i])
			host_print("childvm: %8lu at %3lxh, %s\n", c->at_region[i],
				   machine_region(i)->base, machine_region(i)->name);
}

/* Whether it wants to be run again. */
static bool run_once(struct child *c, const struct rom *rom)
{
	int64_t err = child_build(c, rom->data, rom->size);
	enum child_state state;
	uint64_t start;

	if (err) {
		print_error("no child", err);
		return false;
	}
	machine_reset();
	clock_forget();
	start = clock_now();
	state = child_run(c);
	if (state == CHILD_RESETS)
		host_print("childvm: the child has reset itself\n");
	else if (state == CHILD_STOPPED)
		host_print("childvm: the child has ended: %s\n", child_reason(c));
	else
		print_error("the child cannot be run", c->error);
	print_counts(c, clock_now() - start);
	err = child_destroy(c);
	if (err)
		print_error("the child stays", err);
	return !err && state == CHILD_RESETS;
}

/* Back in start.S all ends. */
void main(uint32_t magic, uint32_t info)
{
	struct rom rom;

	host_init();
	host_print("childvm: making a VM of my own\n");
	if (magic != MULTIBOOT_LOADER_MAGIC || !is_crvm()) {
		host_print("childvm: this needs CRVM\n");
		return;
	}
	machine_init((uint64_t)hypercall(HYPERCALL_WALL_CLOCK, 0, 0, 0, 0) -
		     (uint64_t)hypercall(HYPERCALL_TIME, 0, 0, 0, 0));
	rom = take_modules(at(info));
	if (!rom.size || rom.size > CHILD_ROM_MAX) {
		host_print("childvm: no child: no module `" FIRMWARE
			   "`, or not of 1 byte to 64 KiB\n");
		return;
	}
	while (run_once(&child, &rom))
		;
}
