/*
 * See host_cpu.h. It must not include crvm/vcpu.h: <signal.h> has names of registers that are the
 * same.
 */
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <crvm/panic.h>
#include "host_cpu.h"

enum { OPCODE_CLI = 0xfa, OPCODE_STI = 0xfb };

struct percpu percpus[CPU_MAX];
unsigned cpu_count = CPU_MAX;
bool fake_irqs_on;
unsigned fake_irq_enable_count;
void (*fake_host_interrupt)(void);

static struct sigaction previous;

static void irqs_enabled(void)
{
	void (*handler)(void) = fake_host_interrupt;

	fake_irq_enable_count++;
	fake_host_interrupt = NULL;
	if (handler)
		handler();
}

/* All but the two instructions is for who had the signal before: they fault again. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
	uint8_t opcode = 0;

	(void)number;
	if (info->si_code == SI_KERNEL) /* #GP: the code itself is there */
		opcode = *(const uint8_t *)*rip;
	if (opcode != OPCODE_CLI && opcode != OPCODE_STI) {
		sigaction(SIGSEGV, &previous, NULL);
		return;
	}
	++*rip;
	fake_irqs_on = opcode == OPCODE_STI;
	if (fake_irqs_on)
		irqs_enabled();
}

void fake_cpu_catch(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, now;

	if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == on_fault)
		return;
	if (sigaction(SIGSEGV, &action, &previous) != 0) {
		perror("sigaction");
		abort();
	}
}

void fake_cpu_become(unsigned index)
{
	struct percpu *cpu = &percpus[index];

	check(index < CPU_MAX);
	cpu->self = cpu;
	cpu->index = index;
	atomic_store(&cpu->work, 0);
	atomic_store(&cpu->state, CPU_ONLINE);
	fake_irqs_on = false;
	fake_host_interrupt = NULL;
	fake_cpu_catch();
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, cpu) != 0) {
		perror("arch_prctl");
		abort();
	}
}
