/*
 * The way into CRVM: one VMCALL. Knows no call. Source: docs/hypercalls.md.
 */
#pragma once

#include <stdint.h>
#include <crvm/hypercall.h>

/* Memory is mapped where it is: a pointer is the address that a call wants. */
static inline uint64_t vmcall_pointer(const void *p)
{
	return (uintptr_t)p;
}

static inline int64_t vmcall(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx,
			     uint64_t rcx)
{
	int64_t result;

	__asm__ volatile("vmcall"
			 : "=a"(result)
			 : "a"(number), "D"(rdi), "S"(rsi), "d"(rdx), "c"(rcx)
			 : "memory");
	return result;
}
