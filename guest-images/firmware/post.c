/*
 * Power-on: vectors, data areas, interrupt controllers, clock, consoles, disks; then the boot. It
 * knows in which order things must come up, and leaves each to its own file. Source: IBM PC/AT
 * Technical Reference, "System BIOS", "Power-On Self Test"; Intel 8259A data sheet.
 */
#include "firmware.h"

enum { PIC1_COMMAND = 0x20, PIC1_DATA = 0x21, PIC2_COMMAND = 0xa0, PIC2_DATA = 0xa1 };

enum { ICW1_INIT_ICW4 = 0x11, ICW4_8086 = 0x01, OCW2_EOI = 0x20, OCW3_READ_ISR = 0x0b };

enum { CPUID_EDX_APIC = 1 << 9, IA32_APIC_BASE = 0x1b, APIC_BASE_ENABLED = 1 << 11 };

enum { APIC_SVR = 0xf0, APIC_SVR_ENABLED = 0x100, APIC_LVT_LINT0 = 0x350, APIC_LVT_LINT1 = 0x360 };

enum { APIC_NMI = 0x400, APIC_EXTINT = 0x700 };

enum {
	EQUIPMENT_FPU = 0x0002,
	EQUIPMENT_80_COLUMNS = 0x0020,
	EQUIPMENT_COM = 1 << 9,
	EQUIPMENT_LPT = 1 << 14
};

enum {
	VECTOR_DISKETTE_TABLE = 0x1e,
	VECTOR_IRQ0 = 0x08,
	VECTOR_SERVICES = 0x10,
	VECTOR_IRQ8 = 0x70
};

/* For programs that look at INT 1Eh; there is no diskette drive. */
static const uint8_t diskette_table[11] = {0xaf, 2, 0x25, 2, 18, 0x1b, 0xff, 0x6c, 0xf6, 15, 8};

static void vector_set(uint32_t vector, uintptr_t offset)
{
	IVT[vector] = (uint32_t)ROM_SEGMENT << 16 | (uint16_t)offset;
}

static void vectors_init(void)
{
	for (uint32_t v = 0; v < 256; v++)
		vector_set(v, (uintptr_t)vector_none);
	for (uint32_t i = 0; i < 2; i++)
		vector_set(VECTOR_IRQ0 + i, vectors_irq[i]);
	for (uint32_t i = 2; i < 8; i++)
		vector_set(VECTOR_IRQ0 + i, (uintptr_t)vector_irq_master);
	for (uint32_t i = 0; i < 8; i++)
		vector_set(VECTOR_IRQ8 + i, (uintptr_t)vector_irq_slave);
	for (uint32_t i = 0; i < 11; i++)
		vector_set(VECTOR_SERVICES + i, vectors_service[i]);
	vector_set(VECTOR_DISKETTE_TABLE, (uintptr_t)diskette_table);
}

static void data_areas_init(void)
{
	for (uint16_t i = 0; i < 0x100; i++)
		((volatile uint8_t __seg_fs *)0x400)[i] = 0;
	for (uint16_t i = 0; i < 1024; i++)
		far_write8(EBDA_SEGMENT, i, 0);
	EBDA_WRITE16(length_kib, 1);
	BDA->ebda_segment = EBDA_SEGMENT;
	BDA->memory_kib = BASE_MEMORY_KIB;
}

static void pic_init(void)
{
	outb(PIC1_COMMAND, ICW1_INIT_ICW4);
	outb(PIC2_COMMAND, ICW1_INIT_ICW4);
	outb(PIC1_DATA, VECTOR_IRQ0);
	outb(PIC2_DATA, VECTOR_IRQ8);
	outb(PIC1_DATA, 1 << 2);
	outb(PIC2_DATA, 2);
	outb(PIC1_DATA, ICW4_8086);
	outb(PIC2_DATA, ICW4_8086);
	/* Timer, keyboard and cascade; who wants more unmasks it. */
	outb(PIC1_DATA, 0xf8);
	outb(PIC2_DATA, 0xff);
}

/*
 * A local APIC stands between the PIC and the CPU: "virtual wire mode", in which LINT0 passes the
 * PIC's interrupts on and LINT1 NMIs. Source: Intel SDM Vol. 3A, "Local Vector Table";
 * MultiProcessor Specification, "Virtual Wire Mode".
 */
static void apic_init(void)
{
	uint32_t base;

	if (!(cpuid_edx(1) & CPUID_EDX_APIC))
		return;
	__asm__ volatile("rdmsr" : "=a"(base) : "c"(IA32_APIC_BASE) : "edx");
	if (!(base & APIC_BASE_ENABLED))
		return;
	base &= 0xfffff000;
	physical_write32(base + APIC_SVR, APIC_SVR_ENABLED | 0xff);
	physical_write32(base + APIC_LVT_LINT0, APIC_EXTINT);
	physical_write32(base + APIC_LVT_LINT1, APIC_NMI);
}

static uint8_t pic_in_service(uint16_t command)
{
	outb(command, OCW3_READ_ISR);
	return inb(command);
}

/* An interrupt that nobody handles. None in service: it was a spurious one, and must not be ended.
 */
void irq_default_master(void)
{
	if (pic_in_service(PIC1_COMMAND))
		outb(PIC1_COMMAND, OCW2_EOI);
}

void irq_default_slave(void)
{
	if (pic_in_service(PIC2_COMMAND))
		outb(PIC2_COMMAND, OCW2_EOI);
	/* The cascade was in service even for a spurious one. */
	outb(PIC1_COMMAND, OCW2_EOI);
}

static void equipment_init(void)
{
	BDA->equipment =
		(uint16_t)(EQUIPMENT_FPU | EQUIPMENT_80_COLUMNS |
			   (BDA->com[0] ? EQUIPMENT_COM : 0) | (BDA->lpt[0] ? EQUIPMENT_LPT : 0));
}

static void banner_print(void)
{
	print_string("CRVM firmware, ");
	print_decimal(memory_units() * 64);
	print_string(" KiB of RAM, ");
	disk_print();
}

static void boot(void)
{
	for (uint8_t i = 0; i < BDA->disk_count; i++)
		if (disk_read_boot_sector(i))
			boot_jump(0x80u + i);
	__asm__ volatile("int $0x18" : : : "memory");
}

void int19_boot(REGS *r)
{
	(void)r;
	boot();
}

/* With interrupts off, so that a halt for ever is seen from outside as one. */
void int18_no_boot(REGS *r)
{
	(void)r;
	print_string("No disk to boot from: none has a boot sector. The machine has stopped.\n");
	for (;;)
		__asm__ volatile("cli\n\thlt" : : : "memory");
}

void post_main(void)
{
	vectors_init();
	data_areas_init();
	pic_init();
	apic_init();
	time_init();
	a20_set(true);
	video_init();
	serial_init();
	keyboard_init();
	interrupts_on();
	disk_init();
	equipment_init();
	banner_print();
	__asm__ volatile("int $0x19" : : : "memory");
}
