/*
 * The end of the hypervisor: said once, by one CPU, with all others stopped.
 */
#include <crvm/cpu.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/power.h>
#include <crvm/printf.h>
#include <crvm/smp.h>
#include <crvm/symbols.h>
#include <crvm/time.h>
#include <crvm/trap.h>

#include "console.h"
#include "panic_priv.h"
#include "vm.h"

#define NOBODY ~0u

static _Atomic uint32_t owner = NOBODY;
static enum panic_action action = PANIC_HALT;

void panic_set_action(enum panic_action a)
{
	action = a;
}

static void backtrace_line(const char *text)
{
	log_err("%s", text);
}

static void show_others(void)
{
	char sym[96];

	for_each_cpu (cpu) {
		uint64_t rip = atomic_load(&cpu->stopped_rip);

		if (cpu == this_cpu() || atomic_load(&cpu->state) != CPU_ONLINE)
			continue;
		if (rip)
			log_err("  CPU %u was at %016lx  %s", cpu->index, rip,
				symbols_format(sym, sizeof(sym), rip));
		else
			log_err("  CPU %u did not answer the NMI", cpu->index);
	}
}

static no_return void panic_say(const struct trap_frame *f, const char *text, uint64_t rip,
				uint64_t rbp)
{
	uint32_t nobody = NOBODY, self = this_cpu()->index;

	irq_disable();
	if (!atomic_compare_exchange_strong(&owner, &nobody, self)) {
		/* Another CPU is at it, and stops us by NMI; or panicking itself went wrong. */
		if (nobody == self)
			log_err("and in its panic: %s", text);
		power_halt();
	}
	smp_stop_others();
	console_enter_panic();
	log_err("PANIC on CPU %u: %s", self, text);
	if (f)
		trap_dump(f);
	else
		symbols_backtrace(rip, rbp, backtrace_line);
	trace_tail(8);
	show_others();
	log_err("CPU %u panicked: %s", self, text); /* a screen may have scrolled */
	if (action == PANIC_REBOOT) {
		log_err("rebooting in 5 s (panic=reboot)");
		time_delay_us(5000000);
		power_reboot();
	}
	log_err("halted (panic=halt): reset the machine");
	power_halt();
}

void panic(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	panic_say(NULL, text, (uint64_t)__builtin_return_address(0) - 1,
		  *(const uint64_t *)__builtin_frame_address(0));
}

void panic_at(const struct trap_frame *f, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	panic_say(f, text, 0, 0);
}
