/*
 * The firmware's common ground: registers of a caller, the BIOS data area, ports, far memory, and
 * who offers what. All of it is real-mode C: DS is the ROM (constants only), SS the caller's stack,
 * FS is 0, GS equals SS. So the address of a local variable is of no use, nothing is written by
 * plain pointers, and there are no variables but those in the BIOS data areas. It must not know
 * CRVM: any small PC will do. Source: IBM PC/AT Technical Reference, "System BIOS"; Phoenix,
 * "System BIOS for IBM PCs, Compatibles, and EISA Computers".
 */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What entry.S saves of the caller, on the caller's stack. */
struct frame {
	uint16_t gs, fs, es, ds;
	union {
		uint32_t edi;
		uint16_t di;
	};
	union {
		uint32_t esi;
		uint16_t si;
	};
	union {
		uint32_t ebp;
		uint16_t bp;
	};
	uint32_t esp;
	union {
		uint32_t ebx;
		uint16_t bx;
		struct {
			uint8_t bl, bh;
		};
	};
	union {
		uint32_t edx;
		uint16_t dx;
		struct {
			uint8_t dl, dh;
		};
	};
	union {
		uint32_t ecx;
		uint16_t cx;
		struct {
			uint8_t cl, ch;
		};
	};
	union {
		uint32_t eax;
		uint16_t ax;
		struct {
			uint8_t al, ah;
		};
	};
	uint32_t handler;
	uint16_t ip, cs, flags;
};

_Static_assert(offsetof(struct frame, flags) == 48, "entry.S counts on it");

#define REGS struct frame __seg_gs

enum { FLAG_CF = 1 << 0, FLAG_ZF = 1 << 6, FLAG_IF = 1 << 9 };

static inline void frame_ok(REGS *r)
{
	r->flags &= (uint16_t)~FLAG_CF;
}

/* The usual end of a service that failed: carry, and why in AH. */
static inline void frame_fail(REGS *r, uint8_t ah)
{
	r->ah = ah;
	r->flags |= FLAG_CF;
}

/* BIOS data area, 0040:0000. */
struct bda {
	uint16_t com[4];
	uint16_t lpt[3];
	uint16_t ebda_segment;
	uint16_t equipment;
	uint8_t post;
	uint16_t memory_kib;
	uint16_t reserved_15;
	uint8_t kbd_flags, kbd_flags2, kbd_alt;
	uint16_t kbd_head, kbd_tail;
	uint16_t kbd_buffer[16];
	uint8_t diskette[11];
	uint8_t video_mode;
	uint16_t video_columns;
	uint16_t video_page_size;
	uint16_t video_page_start;
	uint16_t video_cursor[8];
	uint16_t video_cursor_shape;
	uint8_t video_page;
	uint16_t video_crtc;
	uint8_t video_mode_control, video_palette;
	uint8_t reserved_67[5];
	uint32_t ticks;
	uint8_t ticks_midnight;
	uint8_t kbd_break;
	uint16_t reset_flag;
	uint8_t disk_status, disk_count;
	uint8_t reserved_76[2];
	uint8_t lpt_timeout[4], com_timeout[4];
	uint16_t kbd_buffer_start, kbd_buffer_end;
	uint8_t video_last_row;
	uint16_t video_char_height;
	uint8_t reserved_87[15];
	uint8_t kbd_flags3, kbd_leds;
} __attribute__((packed));

_Static_assert(offsetof(struct bda, video_mode) == 0x49, "BIOS data area");
_Static_assert(offsetof(struct bda, ticks) == 0x6c, "BIOS data area");
_Static_assert(offsetof(struct bda, kbd_buffer_start) == 0x80, "BIOS data area");
_Static_assert(offsetof(struct bda, kbd_flags3) == 0x96, "BIOS data area");

#define BDA ((volatile struct bda __seg_fs *)0x400)
#define IVT ((volatile uint32_t __seg_fs *)0)

enum { DISK_MAX = 4 };

/* Extended BIOS data area: the last KiB of base memory. Behind its length come our own variables.
 */
enum { EBDA_SEGMENT = 0x9fc0, ROM_SEGMENT = 0xf000, BASE_MEMORY_KIB = 639 };

struct ebda {
	uint16_t length_kib;
	uint16_t serial_cursor; /* where the cursor of the terminal on COM1 is: row, column */
	uint32_t disk_sectors[DISK_MAX]; /* LBA28 */
	uint8_t disk_unit[DISK_MAX];	 /* bit 0 slave, bit 1 secondary channel */
};

/* ---- ports, flags, far memory ------------------------------------------------------------- */

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline uint32_t flags_read(void)
{
	uint32_t v;

	__asm__ volatile("pushfl\n\tpopl %0" : "=r"(v) : : "memory");
	return v;
}

static inline void flags_write(uint32_t v)
{
	__asm__ volatile("pushl %0\n\tpopfl" : : "r"(v) : "memory", "cc");
}

static inline uint8_t far_read8(uint16_t segment, uint16_t offset)
{
	uint8_t v;

	__asm__ volatile("movw %1, %%es\n\tmovb %%es:(%2), %0"
			 : "=q"(v)
			 : "r"(segment), "r"((uint32_t)offset)
			 : "memory");
	return v;
}

static inline void far_write8(uint16_t segment, uint16_t offset, uint8_t v)
{
	__asm__ volatile("movw %1, %%es\n\tmovb %0, %%es:(%2)"
			 :
			 : "q"(v), "r"(segment), "r"((uint32_t)offset)
			 : "memory");
}

/* Wider ones go byte by byte where an offset may come from a caller: FFFFh must wrap, not fault
 * (entry.S, util.c). */
uint16_t far_read16(uint16_t segment, uint16_t offset);
uint32_t far_read32(uint16_t segment, uint16_t offset);
void far_write16(uint16_t segment, uint16_t offset, uint16_t v);
void far_write32(uint16_t segment, uint16_t offset, uint32_t v);

#define EBDA_READ32(field)     far_read32(EBDA_SEGMENT, (uint16_t)offsetof(struct ebda, field))
#define EBDA_WRITE32(field, v) far_write32(EBDA_SEGMENT, (uint16_t)offsetof(struct ebda, field), v)
#define EBDA_READ16(field)     far_read16(EBDA_SEGMENT, (uint16_t)offsetof(struct ebda, field))
#define EBDA_WRITE16(field, v) far_write16(EBDA_SEGMENT, (uint16_t)offsetof(struct ebda, field), v)

/* ---- entry.S ------------------------------------------------------------------------------ */

/* Handlers of interrupts, as addresses in the ROM segment. */
void vector_none(void);
void vector_irq_master(void);
void vector_irq_slave(void);
extern const uint16_t vectors_irq[2], vectors_service[11];

/* Copies 16-bit words between physical addresses, upward. */
void block_move(uint32_t from, uint32_t to, uint32_t words);
void physical_write32(uint32_t address, uint32_t v);
/* EDX of a CPUID leaf, 0 on a CPU without CPUID. */
uint32_t cpuid_edx(uint32_t leaf);
/* Starts the boot sector at 0000:7C00 with DL. */
void boot_jump(uint32_t drive) __attribute__((noreturn));
/* INT 15h/4Fh: may a program's hook have this scan code? Returns the code, or 0 if it is taken. */
uint32_t keyboard_intercept(uint32_t code);

/* ---- time.c, util.c ----------------------------------------------------------------------- */

enum { PIT_HALF_STEPS_PER_MS = 2386 }; /* the counter falls by two each 838 ns in mode 3 */

uint8_t cmos_read(uint8_t index);
void cmos_write(uint8_t index, uint8_t v);
uint16_t pit_read(void);
/* Half steps between two readings that are less than 27 ms apart. */
uint16_t pit_passed(uint16_t last, uint16_t now);
void time_init(void);
void time_wait_us(uint32_t us);
void int1a_time(REGS *r);
void irq0_timer(void);

void print_char(char c);
void print_string(const char *s);
void print_decimal(uint32_t v);
void print_hex8(uint8_t v);

/* ---- video.c, serial.c -------------------------------------------------------------------- */

void video_init(void);
void video_teletype(uint8_t page, uint8_t c);
void int10_video(REGS *r);

void serial_init(void);
/* Shows on COM1 what appeared at a place of the screen; `next` is where the cursor went. */
void serial_mirror(uint16_t position, uint8_t c, uint16_t next);
void serial_mirror_clear(void);
int serial_poll(void);
void int14_serial(REGS *r);
void int17_printer(REGS *r);

/* ---- keyboard.c, disk.c, ata.c, system.c, post.c ------------------------------------------ */

void keyboard_init(void);
void irq1_keyboard(void);
void int16_keyboard(REGS *r);

/* Status codes of INT 13h. */
enum {
	DISK_OK = 0x00,
	DISK_BAD_PARAMETER = 0x01,
	DISK_NO_ADDRESS_MARK = 0x02,
	DISK_NOT_FOUND = 0x04,
	DISK_BOUNDARY = 0x09,
	DISK_BAD_SECTOR = 0x0a,
	DISK_ECC = 0x10,
	DISK_CONTROLLER = 0x20,
	DISK_TIMEOUT = 0x80,
};

enum { ATA_READ = 0x20, ATA_WRITE = 0x30, ATA_VERIFY = 0x40, SECTOR_SIZE = 512 };

void disk_init(void);
void disk_print(void);
/* One sector to 0000:7C00: is it a boot sector? */
bool disk_read_boot_sector(uint8_t index);
void int13_disk(REGS *r);

/* Sectors of an ATA disk, 0: there is none. */
uint32_t ata_identify(uint8_t unit);
void ata_reset(uint8_t unit);
/* Up to 128 sectors; returns a status, and in bits 15:8 how many sectors were done. */
uint16_t ata_transfer(uint8_t unit, uint8_t command, uint32_t lba, uint8_t count, uint32_t linear);

/* RAM in units of 64 KiB from 0 on, 3 GiB at most; at least 1 MiB. */
uint32_t memory_units(void);
/* RAM above 1 MiB in KiB. */
uint32_t memory_extended_kib(void);
void int11_equipment(REGS *r);
void int12_memory(REGS *r);
void int15_system(REGS *r);
void a20_set(bool on);

void int18_no_boot(REGS *r);
void int19_boot(REGS *r);
void post_main(void);
void irq_default_master(void);
void irq_default_slave(void);

#endif
