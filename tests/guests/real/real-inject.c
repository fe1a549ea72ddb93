/*
 * Exceptions that the hypervisor raises in real mode: no error code, a frame of 6 bytes, RIP at the
 * instruction.
 */
#include "cpu.h"

static uint16_t frame_end;

static bool see_stack(struct trap_frame *f)
{
	frame_end = (uint16_t)(uintptr_t)(&f->rflags + 1);
	return false;
}

/* Alike, so that the stack is the same at the instruction. */
static __attribute__((noinline)) unsigned do_ud2(void)
{
	return TRY("ud2", OUT(), IN());
}

static __attribute__((noinline)) unsigned do_vmxoff(void)
{
	return TRY("vmxoff", OUT(), IN());
}

static __attribute__((noinline)) unsigned do_limit(void)
{
	return TRY("movw %%cs:(0xffff), %%cx", OUT(), IN(), "ecx");
}

static __attribute__((noinline)) unsigned do_rdpmc(void)
{
	return TRY("rdpmc", OUT(), IN(), "eax", "edx");
}

void guest_main(void)
{
	uint16_t end;

	trap_hook = see_stack;
	CHECK_EQ(do_ud2(), UD);
	end = frame_end;
	CHECK_EQ(do_vmxoff(), UD);
	CHECK_EQ(frame_end, end);
	CHECK_EQ(do_limit(), GP);
	end = frame_end;
	CHECK_EQ(do_rdpmc(), GP);
	CHECK_EQ(frame_end, end);
	trap_hook = NULL;
	CHECK_EQ(try_rdmsr(0x12345), GP);
	CHECK_EQ(try_wrmsr(MSR_EFER, 1ull << 63), GP);
	CHECK_EQ(TRY("mov %0, %%cr0", OUT(), IN("r"(CR0_PG))), GP);
	CHECK_EQ(TRY("mov %0, %%cr0", OUT(), IN("r"(CR0_NW))), GP);
	CHECK_EQ(TRY("mov %0, %%cr4", OUT(), IN("r"(1u << 31))), GP);
	CHECK_EQ(TRY("mwait", OUT(), IN("a"(0), "c"(0))), UD);
}
