/*
 * Out of long mode and back: 64-bit code, compatibility mode, protected mode without paging, real
 * mode, and up again; an exit of the guest in each.
 */
#include "cpu.h"

static volatile uint32_t leaf[4], efer_without_paging, efer_off, cr0_real;
extern const uint8_t leave_code[];
static uint32_t far[2];

/* Real mode's code lies below 64 KiB, as all of this image. */
__asm__("leave_code:\n\t"
	".code32\n\t"
	"mov $0x10, %eax\n\tmov %eax, %ds\n\tmov %eax, %es\n\tmov %eax, %ss\n\t"
	"mov $0x40000000, %eax\n\tcpuid\n\tmov %ebx, leaf\n\t"
	"mov %cr0, %eax\n\tand $0x7fffffff, %eax\n\tmov %eax, %cr0\n\t"
	"mov $0xc0000080, %ecx\n\trdmsr\n\tmov %eax, efer_without_paging\n\t"
	"and $~0x100, %eax\n\twrmsr\n\trdmsr\n\tmov %eax, efer_off\n\t"
	"mov $0x40000000, %eax\n\tcpuid\n\tmov %ebx, leaf + 4\n\t"
	"ljmp $0x20, $1f\n"
	".code16\n"
	"1:\tmov $0x28, %ax\n\tmov %ax, %ds\n\tmov %ax, %es\n\tmov %ax, %ss\n\t"
	"mov %cr0, %eax\n\tand $0xfe, %al\n\tmov %eax, %cr0\n\t"
	"ljmp $0, $2f\n"
	"2:\txor %ax, %ax\n\tmov %ax, %ds\n\tmov %ax, %es\n\tmov %ax, %ss\n\t"
	"mov $0x40000000, %eax\n\tcpuid\n\tmov %ebx, leaf + 8\n\t"
	"mov %cr0, %eax\n\tmov %eax, cr0_real\n\t"
	"or $1, %al\n\tmov %eax, %cr0\n\t"
	"ljmpl $0x18, $3f\n"
	".code32\n"
	"3:\tmov $0x10, %eax\n\tmov %eax, %ds\n\tmov %eax, %es\n\tmov %eax, %ss\n\t"
	"mov $0xc0000080, %ecx\n\trdmsr\n\tor $0x100, %eax\n\twrmsr\n\t"
	"mov %cr0, %eax\n\tor $0x80000000, %eax\n\tmov %eax, %cr0\n\t"
	"mov $0x40000000, %eax\n\tcpuid\n\tmov %ebx, leaf + 12\n\t"
	"ljmp $0x08, $4f\n"
	".code64\n"
	"4:\tret");

void guest_main(void)
{
	far[0] = (uint32_t)(uint64_t)leave_code;
	far[1] = 0x18;
	for (unsigned i = 0; i < 3; i++) {
		__asm__ volatile("pushq $1f\n\tljmp *%0\n1:\t"
				 :
				 : "m"(far)
				 : "rax", "rbx", "rcx", "rdx", "memory", "cc");
		for (unsigned j = 0; j < 4; j++) {
			CHECK_EQ(leaf[j], 0x4d565243);
			leaf[j] = 0;
		}
		CHECK_EQ(efer_without_paging, 0x100); /* LMA went with paging */
		CHECK_EQ(efer_off, 0);
		CHECK_EQ(cr0_real & (CR0_PE | CR0_PG), 0);
		CHECK_EQ(rdmsr(MSR_EFER), 0x500);
		CHECK_EQ(cpuid(0x40000000, 0).ebx, 0x4d565243);
	}
}
