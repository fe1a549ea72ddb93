/*
 * Stands in for trap_entry.S where the code under test is linked with the native cpu_ops but not
 * run on them.
 */
#include <crvm/cpu.h>
#include <crvm/status.h>

int rdmsr_safe(uint32_t msr, uint64_t *v)
{
	(void)msr;
	*v = 0;
	return E_FAULT;
}

int wrmsr_safe(uint32_t msr, uint64_t v)
{
	(void)msr;
	(void)v;
	return E_FAULT;
}
