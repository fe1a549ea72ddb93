/*
 * Instructions as functions, for test guests of any mode.
 */
#pragma once

#include "guest.h"

enum {
	PORT_EXIT = 0xf4,
	PORT_CONSOLE = 0xe9,
	TESTDEV = 0xe000,
	TESTDEV_PORT_STREAM = TESTDEV + 8,
	TESTDEV_PORT_COUNTER = TESTDEV + 12,
};
#define TESTDEV_MEM 0xfed10000ul

enum { COUNT_READS, COUNT_WRITES, COUNT_STREAM_READS, COUNT_STREAM_WRITES, COUNT_SUM, COUNT_CALLS };

#define CR0_PE 1u
#define CR0_MP 2u
#define CR0_EM 4u
#define CR0_TS 8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

#define CR4_TSD	       4u
#define CR4_DE	       8u
#define CR4_PSE	       0x10u
#define CR4_PAE	       0x20u
#define CR4_PGE	       0x80u
#define CR4_OSFXSR     0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_OSXSAVE    0x40000u

#define RFLAGS_TF   0x100u
#define RFLAGS_IF   0x200u
#define RFLAGS_DF   0x400u
#define RFLAGS_IOPL 0x3000u
#define RFLAGS_RF   0x10000u
#define RFLAGS_VM   0x20000u

#define MSR_EFER 0xc0000080u
#define MSR_PAT	 0x277u

#define DEFINE_IO(size, type, reg)                                     \
	static inline type in##size(uint16_t port)                     \
	{                                                              \
		type v;                                                \
		__asm__ volatile("in %1, %0" : "=a"(v) : "Nd"(port));  \
		return v;                                              \
	}                                                              \
	static inline void out##size(uint16_t port, type v)            \
	{                                                              \
		__asm__ volatile("out %0, %1" : : "a"(v), "Nd"(port)); \
	}
DEFINE_IO(8, uint8_t, al)
DEFINE_IO(16, uint16_t, ax)
DEFINE_IO(32, uint32_t, eax)

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline unsigned try_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	return TRY("rdmsr", OUT("=a"(lo), "=d"(hi)), IN("c"(msr)));
}

static inline unsigned try_wrmsr(uint32_t msr, uint64_t v)
{
	return TRY("wrmsr", OUT(), IN("c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))));
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

#define DEFINE_REG(name)                                                    \
	static inline unsigned long read_##name(void)                       \
	{                                                                   \
		unsigned long v;                                            \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(v));          \
		return v;                                                   \
	}                                                                   \
	static inline void write_##name(unsigned long v)                    \
	{                                                                   \
		__asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory"); \
	}                                                                   \
	static inline unsigned try_##name(unsigned long v)                  \
	{                                                                   \
		return TRY("mov %0, %%" #name, OUT(), IN("r"(v)));          \
	}
DEFINE_REG(cr0)
DEFINE_REG(cr2)
DEFINE_REG(cr3)
DEFINE_REG(cr4)
DEFINE_REG(dr0)
DEFINE_REG(dr1)
DEFINE_REG(dr2)
DEFINE_REG(dr3)
DEFINE_REG(dr6)
DEFINE_REG(dr7)
#if GUEST_BITS == 64
DEFINE_REG(cr8)
#endif

static inline unsigned long read_flags(void)
{
	unsigned long v;

	__asm__ volatile("pushf\n\tpop %0" : "=r"(v));
	return v;
}

static inline void invlpg(const volatile void *p)
{
	__asm__ volatile("invlpg (%0)" : : "r"(p) : "memory");
}

static inline void testdev_reset(void)
{
	out32(TESTDEV_PORT_COUNTER, 0xff);
}

static inline uint32_t testdev_count(unsigned counter)
{
	out32(TESTDEV_PORT_COUNTER, counter);
	return in32(TESTDEV_PORT_COUNTER);
}

/* A memory operand of any type at an address; also of the test device. */
#define MEM8(a)	    (*(volatile uint8_t *)(a))
#define MEM16(a)    (*(volatile uint16_t *)(a))
#define MEM32(a)    (*(volatile uint32_t *)(a))
#define MEM64(a)    (*(volatile uint64_t *)(a))
#define MEMBLOCK(a) (*(volatile uint8_t(*)[64])(a))
