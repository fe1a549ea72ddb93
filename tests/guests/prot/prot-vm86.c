/*
 * Virtual-8086 mode: exits from there, its privileges, string I/O with its segments.
 */
#include "cpu.h"

#define CODE 0x20000u /* segment 2000h for all */

/* Copies code there, runs it to its end (INT 40h). */
static unsigned run(const uint8_t *code, unsigned size, unsigned iopl)
{
	for (unsigned i = 0; i < size; i++)
		MEM8(CODE + i) = code[i];
	MEM8(CODE + size) = 0xcd;
	MEM8(CODE + size + 1) = 0x40;
	trap.vector = NO_TRAP;
	return vm86_enter(0, CODE / 16, RFLAGS_VM | iopl << 12 | 2);
}

#define RUN(iopl, ...) \
	run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), iopl)

void guest_main(void)
{
	/* With IOPL below 3, INT n is #GP; the frame says VM. */
	CHECK_EQ(RUN(0, 0x90), GP);
	CHECK_EQ(trap.rip, 1);
	CHECK_EQ(trap.rflags & RFLAGS_VM, RFLAGS_VM);
	/* MOV EAX, 0; CPUID; MOV [1000h], EBX */
	CHECK_EQ(RUN(3, 0x66, 0xb8, 0, 0, 0, 0x40, 0x0f, 0xa2, 0x66, 0x89, 0x1e, 0, 0x10),
		 USER_DONE);
	CHECK_EQ(MEM32(CODE + 0x1000), 0x4d565243);
	CHECK_EQ(RUN(3, 0xf4), GP);		/* HLT */
	CHECK_EQ(RUN(3, 0x0f, 0x20, 0xc0), GP); /* MOV EAX, CR0 */
	CHECK_EQ(RUN(3, 0x0f, 0x32), GP);	/* RDMSR */
	CHECK_EQ(RUN(3, 0x0f, 0x01, 0xc4), UD); /* VMXOFF */
	/* VMCALL with EAX 0: refused by its result, not by a fault. MOV EAX, 0; VMCALL; MOV
	 * [1000h], EAX */
	CHECK_EQ(RUN(3, 0x66, 0x31, 0xc0, 0x0f, 0x01, 0xc1, 0x66, 0xa3, 0, 0x10), USER_DONE);
	CHECK_EQ(MEM32(CODE + 0x1000) >> 31, 1);
	/* Ports by the bitmap, even with IOPL 3. MOV DX, E000h; MOV AL, 5Ah; OUT DX, AL */
	CHECK_EQ(RUN(3, 0xba, 0, 0xe0, 0xb0, 0x5a, 0xee), GP);
	port_allow(TESTDEV);
	testdev_reset();
	CHECK_EQ(RUN(3, 0xba, 0, 0xe0, 0xb0, 0x5a, 0xee), USER_DONE);
	CHECK_EQ(in8(TESTDEV), 0x5a);
	CHECK_EQ(RUN(3, 0xba, 0, 0xe0, 0xef), GP); /* a word touches E001h too */
	/* MOV DX, E008h; MOV DI, 1100h; MOV CX, 3; REP INSB */
	port_allow(TESTDEV_PORT_STREAM);
	testdev_reset();
	CHECK_EQ(RUN(3, 0xba, 8, 0xe0, 0xbf, 0, 0x11, 0xb9, 3, 0, 0xf3, 0x6c), USER_DONE);
	CHECK_EQ(MEM8(CODE + 0x1100), 0);
	CHECK_EQ(MEM8(CODE + 0x1101), 1);
	CHECK_EQ(MEM8(CODE + 0x1102), 2);
	/* MOV SI, 1101h; MOV CX, 2; CS REP OUTSB */
	CHECK_EQ(RUN(3, 0xba, 8, 0xe0, 0xbe, 1, 0x11, 0xb9, 2, 0, 0xf3, 0x2e, 0x6e), USER_DONE);
	CHECK_EQ(testdev_count(COUNT_SUM), 3);
}
