/*
 * XSAVE and FXSAVE areas of vCPUs. Knows no vCPU.
 */
#include <crvm/cpufeat.h>
#include <crvm/fpu.h>
#include <crvm/string.h>

enum { XCR0_X87 = 1, XCR0_SSE = 2, XCR0_AVX = 4 };

#define FXSAVE_SIZE 512u
#define FCW_RESET   0x0040u /* after reset; FNINIT gives 037Fh */
#define MXCSR_RESET 0x1f80u

/* Set once by the boot CPU: CPUID is slow under another hypervisor. */
static uint64_t xcr0_mask;
static size_t area_size = FXSAVE_SIZE;

static void xsetbv(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

uint64_t fpu_xcr0_mask(void)
{
	return xcr0_mask;
}

bool fpu_xcr0_valid(uint64_t xcr0)
{
	if (!(xcr0 & XCR0_X87) || (xcr0 & ~xcr0_mask))
		return false;
	return !(xcr0 & XCR0_AVX) || (xcr0 & XCR0_SSE);
}

void fpu_init_cpu(void)
{
	static const uint64_t known = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	bool xsave =
		cpufeat_has(&boot_cpu_features, CPUF_XSAVE) && boot_cpu_features.max_leaf >= 0xd;
	uint64_t mask = xsave ? cpuid(0xd, 0).eax & known : 0;

	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (mask ? CR4_OSXSAVE : 0));
	if (!mask)
		return;
	xsetbv(mask);
	xcr0_mask = mask;	       /* the same on every CPU, or there is a verdict */
	area_size = cpuid(0xd, 0).ebx; /* for what XCR0 has now */
}

size_t fpu_area_size(void)
{
	return area_size;
}

void fpu_area_reset(uint8_t *area)
{
	memset(area, 0, area_size);
	/* A zero XSTATE_BV says "initial state"; MXCSR and FCW count even so in the legacy part. */
	*(uint16_t *)(void *)area = FCW_RESET;
	*(uint32_t *)(void *)(area + 24) = MXCSR_RESET;
	if (xcr0_mask)
		*(uint64_t *)(void *)(area + FXSAVE_SIZE) = XCR0_X87;
}

void fpu_save(uint8_t *area)
{
	if (!xcr0_mask) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
		return;
	}
	xsetbv(xcr0_mask);
	__asm__ volatile("xsave64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)xcr0_mask), "d"((uint32_t)(xcr0_mask >> 32))
			 : "memory");
}

void fpu_restore(const uint8_t *area, uint64_t xcr0)
{
	if (!xcr0_mask) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
		return;
	}
	__asm__ volatile("xrstor64 (%0)"
			 :
			 : "r"(area), "a"((uint32_t)xcr0_mask), "d"((uint32_t)(xcr0_mask >> 32))
			 : "memory");
	xsetbv(xcr0);
}

/* XSETBV is slow, so only where it changes something. */
void fpu_switch(uint8_t *from, uint64_t from_xcr0, const uint8_t *to, uint64_t to_xcr0)
{
	const uint32_t low = (uint32_t)xcr0_mask, high = (uint32_t)(xcr0_mask >> 32);

	if (!xcr0_mask) {
		fpu_save(from);
		fpu_restore(to, to_xcr0);
		return;
	}
	if (from_xcr0 != xcr0_mask)
		xsetbv(xcr0_mask);
	__asm__ volatile("xsave64 (%0)" : : "r"(from), "a"(low), "d"(high) : "memory");
	__asm__ volatile("xrstor64 (%0)" : : "r"(to), "a"(low), "d"(high) : "memory");
	if (to_xcr0 != xcr0_mask)
		xsetbv(to_xcr0);
}

void fpu_set_xcr0(uint64_t xcr0)
{
	if (xcr0_mask)
		xsetbv(xcr0);
}
