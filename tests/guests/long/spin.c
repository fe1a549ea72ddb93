/*
 * Computes alone on its CPU and checks its result: some of these run at the same time.
 */
#include "cpu.h"

void guest_main(void)
{
	uint64_t x = 1, count = 2000000;

	__asm__ volatile("sti"); /* the host's interrupts are not this VM's */
	for (uint64_t i = 0; i < count; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		if (!(i & 0xffff)) {
			out8(TESTDEV, (uint8_t)x);
			CHECK_EQ(in8(TESTDEV), x & 0xff); /* nobody else's device */
		}
	}
	uint64_t a = 1, c = 0, mul = 6364136223846793005, add = 1442695040888963407;

	for (; count; count >>= 1) {
		if (count & 1) {
			c = c * mul + add;
			a *= mul;
		}
		add = add * mul + add;
		mul *= mul;
	}
	CHECK_EQ(x, a + c);
}
