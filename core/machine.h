/*
 * What this machine is, gathered at boot and read-only afterwards; core/ only.
 */
#pragma once

#include <crvm/acpi.h>
#include <crvm/boot_info.h>
#include <crvm/cmdline.h>
#include <crvm/virt.h>

struct machine {
	struct boot_info boot;
	struct acpi_info acpi;
	bool acpi_ok;
	struct cmdline_options options;
	const struct virt_backend *backend;
	struct verdict verdict; /* what keeps it from running VMs */
	uint64_t start_tsc;	/* at the boot loader's jump */
	uint64_t up_ticks;	/* from there to "all CPUs up" */
	uint64_t waited_ticks;	/* waits for clocks, CPUs and the keyboard before VMs start */
};

extern struct machine machine;

/* The table of what the machine has, and the verdict, to the console (report.c). */
void report_machine(void);
void report_verdict(void);
void report_cpus(void);
void report_frames(void);
void report_vms(void);

/* The command line on the console (shell.c), boot CPU's loop. */
void shell_start(void);
void shell_input(const char *bytes, unsigned n);

/* Wrongs done on purpose, for tests of the host kernel (crash.c): "panic", "pagefault", ... False:
 * unknown. */
bool crash_now(const char *kind);
const char *crash_kinds(void);

/* Each CPU's life after it is up (cpu.c). */
no_return void cpu_loop(void);
