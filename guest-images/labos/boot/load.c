/*
 * The boot sector's second half: loads the kernel, an ELF file that begins at sector 1 of the
 * primary master, to where its program headers want it, and jumps there. Runs in protected mode
 * without paging and interrupts. It must stay tiny: the whole sector has 508 bytes.
 */

#include <stdint.h>

enum {
	IDE_DATA = 0x1f0,
	IDE_SECTOR_COUNT = 0x1f2,
	IDE_LBA_LOW = 0x1f3,
	IDE_LBA_MID = 0x1f4,
	IDE_LBA_HIGH = 0x1f5,
	IDE_DEVICE = 0x1f6,
	IDE_COMMAND = 0x1f7,
	IDE_STATUS = 0x1f7,
	IDE_READ_SECTORS = 0x20,
	IDE_BUSY_OR_READY = 0xc0,
	IDE_READY = 0x40,
	SECTOR = 512,
	KERNEL_SECTOR = 1,
	HEADER_SIZE = 8 * SECTOR,
	ELF_MAGIC = 0x464c457f,
};

/* "Tool Interface Standard Portable Formats Specification": ELF Header, Program Header. */
struct elf_header {
	uint32_t magic;
	uint8_t ident[12];
	uint16_t type, machine;
	uint32_t version, entry, phoff, shoff, flags;
	uint16_t ehsize, phentsize, phnum;
};

struct elf_segment {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

static struct elf_header *const header = (struct elf_header *)0x10000;

void boot_load(void);

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void wait_ready(void)
{
	uint8_t status;

	do {
		__asm__ volatile("inb %1, %0" : "=a"(status) : "d"((uint16_t)IDE_STATUS));
	} while ((status & IDE_BUSY_OR_READY) != IDE_READY);
}

/* Reads whole sectors so that byte `offset` of the kernel's file lies at `to`. */
static void read_file(uint32_t to, uint32_t size, uint32_t offset)
{
	uint32_t end = to + size;
	uint32_t lba = offset / SECTOR + KERNEL_SECTOR;

	for (to -= offset % SECTOR; to < end; lba++) {
		uint32_t count = SECTOR / 4;

		wait_ready();
		out8(IDE_SECTOR_COUNT, 1);
		out8(IDE_LBA_LOW, (uint8_t)lba);
		out8(IDE_LBA_MID, (uint8_t)(lba >> 8));
		out8(IDE_LBA_HIGH, (uint8_t)(lba >> 16));
		out8(IDE_DEVICE, 0xe0);
		out8(IDE_COMMAND, IDE_READ_SECTORS);
		wait_ready();
		__asm__ volatile("rep insl"
				 : "+D"(to), "+c"(count)
				 : "d"((uint16_t)IDE_DATA)
				 : "memory");
	}
}

void boot_load(void)
{
	const struct elf_segment *segment;
	uint16_t i;

	read_file((uint32_t)header, HEADER_SIZE, 0);
	if (header->magic == ELF_MAGIC) {
		segment = (const void *)((uint32_t)header + header->phoff);
		for (i = 0; i < header->phnum; i++, segment++)
			read_file(segment->paddr, segment->filesz, segment->offset);
		((void (*)(void))header->entry)();
	}
	/* A white E on red in the corner: no kernel. */
	*(volatile uint16_t *)0xb8000 = 0x4f45;
	for (;;)
		__asm__ volatile("cli; hlt");
}
