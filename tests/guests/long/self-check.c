/*
 * A guest whose checks fail: what the library must say of it, so that a real failure is seen.
 */
#include "cpu.h"

void guest_main(void)
{
	uint64_t two = 2;

	CHECK_EQ(two, 2);
	CHECK_EQ(two, 3);
	CHECK(two == 4);
	CHECK_EQ(TRY("ud2", OUT(), IN()), GP);
}
