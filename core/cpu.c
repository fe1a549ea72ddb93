/*
 * The loop that each physical CPU runs for ever: work bits, then sleep.
 */
#include <crvm/cpu.h>
#include <crvm/log.h>
#include <crvm/percpu.h>
#include <crvm/smp.h>
#include <crvm/time.h>

#include "console.h"
#include "machine.h"
#include "mux.h"
#include "vm.h"

static void console_work(void)
{
	char buf[64];
	unsigned n;

	while ((n = console_read(buf, sizeof(buf))))
		mux_input(buf, n);
	mux_work();
}

static void cpu_do_work(uint32_t work)
{
	if (work & WORK_TIMER)
		timer_run();
	if (work & WORK_CALL)
		smp_serve_calls();
	if (work & WORK_CONSOLE)
		console_work();
	if (work & WORK_HYPERCALL)
		hypercall_work();
	if (work & WORK_NMI)
		log_warn("an NMI came that nobody expected: a hardware fault, or a button");
}

no_return void cpu_loop(void)
{
	struct percpu *cpu = this_cpu();

	for (;;) {
		uint32_t work = atomic_exchange(&cpu->work, 0);

		if (work) {
			cpu_do_work(work);
			continue;
		}
		if (sched_run())
			continue;
		/* With interrupts off no bit can be set between the look and the sleep. */
		irq_disable();
		if (!atomic_load(&cpu->work))
			irq_enable_and_halt();
		irq_enable();
	}
}
