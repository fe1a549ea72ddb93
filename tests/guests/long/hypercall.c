/*
 * What a VM without `privileged = yes` may ask, bad pointers, and that it may do nothing to others.
 */
#include "hypercall.h"

static void check_console(void)
{
	static const char text[] = "written whole\n";
	const uint64_t end = 0x400000;

	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, address(text), sizeof(text) - 1, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, 0, 0, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, ~0ul, 0, 0, 0), 0);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, address(text), 4097, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, address(text), ~0ul, 0, 0), HYPERCALL_E_INVAL);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, end, 1, 0, 0), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, ~0ul, 1, 0, 0), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, ~0ul - 1, 4, 0, 0), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, 1ul << 63, 4096, 0, 0), HYPERCALL_E_FAULT);
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, TESTDEV_MEM, 4, 0, 0), HYPERCALL_E_FAULT);
	/* All or nothing: these bytes would be a line. */
	for (uint64_t at = end - 512; at < end; at++)
		*(volatile char *)at = "FAIL half a line\n"[at % 17];
	CHECK_EQ(hypercall(HYPERCALL_CONSOLE_WRITE, end - 512, 513, 0, 0), HYPERCALL_E_FAULT);
}

static void check_time(void)
{
	int64_t now = hypercall(HYPERCALL_TIME, 0, 0, 0, 0), then = now;
	int64_t wall = hypercall(HYPERCALL_WALL_CLOCK, 0, 0, 0, 0);

	CHECK(now > 0 && wall > 0);
	for (unsigned i = 0; i < 100; i++) {
		then = now;
		CHECK_EQ(hypercall(HYPERCALL_YIELD, 0, 0, 0, 0), 0);
		now = hypercall(HYPERCALL_TIME, 0, 0, 0, 0);
		CHECK(now > then);
	}
	CHECK(hypercall(HYPERCALL_WALL_CLOCK, 0, 0, 0, 0) > wall);
}

void guest_main(void)
{
	uint64_t seed = 88172645463325252;

	CHECK_EQ(hypercall(HYPERCALL_VERSION, 0, 0, 0, 0), HYPERCALL_ABI);
	check_console();
	check_time();
	for (uint64_t n = 7; n < 400; n++) {
		int64_t want =
			n < 10 ? HYPERCALL_E_NOENT
			: (n >= 16 && n <= 33) || (n >= 64 && n <= 69) || (n >= 72 && n <= 76)
				? HYPERCALL_E_PERM
				: HYPERCALL_E_NOSYS;

		for (unsigned i = 0; i < 4; i++)
			CHECK_EQ(hypercall(n, random_wild(&seed), random_wild(&seed),
					   random_wild(&seed), random_wild(&seed)),
				 want);
		CHECK_EQ(hypercall(n, 1, 0, 0x1000, 16), want);
	}
}
