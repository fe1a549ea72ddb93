/*
 * 32-bit code in long mode (compatibility mode), in ring 0: exits, strings and device memory from
 * there, with segments that count again.
 */
#include "cpu.h"

static volatile uint32_t leaf, byte, value, di, cx;
extern const uint8_t compat_code[];
static uint32_t far[2];

__asm__("compat_code:\n\t"
	".code32\n\t"
	"mov $0x10, %eax\n\tmov %eax, %ds\n\tmov %eax, %es\n\tmov %eax, %ss\n\t"
	"mov $0x40000000, %eax\n\tcpuid\n\tmov %ebx, leaf\n\t"
	"mov $0xe000, %edx\n\tmov $0x5a, %al\n\tout %al, %dx\n\txor %eax, %eax\n\t"
	"in %dx, %al\n\tmov %eax, byte\n\t"
	"mov $0xe008, %edx\n\tmov $0x100000, %edi\n\tmov $3, %ecx\n\trep insb\n\t"
	"mov %edi, di\n\tmov %ecx, cx\n\t"
	"mov $0x58, %eax\n\tmov %eax, %fs\n\t"
	"movl $0x77, %fs:(0x20)\n\t"
	"mov (0xfed10020), %eax\n\tmov %eax, value\n\t"
	"incl (0xfed10020)\n\t" /* 40h to 4Fh are no prefixes here */
	"ljmp $0x08, $compat_end\n\t"
	".code64\n\t"
	"compat_end:\n\tret");

void guest_main(void)
{
	far[0] = (uint32_t)(uint64_t)compat_code;
	far[1] = 0x18;
	gdt[11] = 0xfe4093d1000000ff; /* 256 bytes at the test device */
	testdev_reset();
	/* A call by a jump: the end of it is a RET of 64-bit code. */
	__asm__ volatile("pushq $1f\n\tljmp *%0\n1:\t"
			 :
			 : "m"(far)
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "memory", "cc");
	CHECK_EQ(leaf, 0x4d565243);
	CHECK_EQ(byte, 0x5a);
	CHECK_EQ(di, 0x100003);
	CHECK_EQ(cx, 0);
	CHECK_EQ(MEM8(0x100002), 2);
	CHECK_EQ(value, 0x77);
	CHECK_EQ(MEM32(TESTDEV_MEM + 0x20), 0x78);
}
