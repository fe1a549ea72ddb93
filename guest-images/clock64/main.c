/*
 * clock64: a 64-bit guest that tells the time on its serial port and answers what is typed in upper
 * case. It lives by interrupts alone: PIT, serial port and PICs as a PC has them, HLT in between.
 * Source: Intel 8259A and 8254 data sheets; National PC16550D data sheet; Motorola MC146818A data
 * sheet; Multiboot Specification, "Boot information format".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	COM1 = 0x3f8,
	UART_IER = 1,
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_LSR_DR = 1 << 0,
	UART_LSR_THRE = 1 << 5,
	PIC1 = 0x20,
	PIC2 = 0xa0,
	PIC_EOI = 0x20,
	PIC_READ_ISR = 0x0b,
	PIC_VECTOR = 0x20,
	PIT_COUNTER0 = 0x40,
	PIT_CONTROL = 0x43,
	PIT_MODE2 = 0x34, /* counter 0, low and high byte */
	PIT_HZ = 1193182,
	TICK_HZ = 100,
	RTC_INDEX = 0x70,
	RTC_DATA = 0x71,
	RTC_A = 0x0a,
	RTC_A_UIP = 1 << 7,
	RTC_B = 0x0b,
	RTC_B_24H = 1 << 1,
	RTC_B_BINARY = 1 << 2,
	RTC_PM = 1 << 7,
	RTC_ABSENT = 0xff,
};
enum { IRQ_TIMER = 0, IRQ_CASCADE = 2, IRQ_COM1 = 4, IRQ_COUNT = 16, EXCEPTION_COUNT = 32 };
enum { MULTIBOOT_LOADER_MAGIC = 0x2badb002, CODE64 = 0x08, INTERRUPT_GATE = 0x8e };
enum { VECTOR_COUNT = EXCEPTION_COUNT + IRQ_COUNT, VECTOR_SIZE = 16, RING_SIZE = 256 };

#define MULTIBOOT_INFO_MEMORY  (1u << 0)
#define MULTIBOOT_INFO_CMDLINE (1u << 2)
#define MULTIBOOT_INFO_LOADER  (1u << 9)

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t unused[11];
	uint32_t boot_loader_name;
};
_Static_assert(offsetof(struct multiboot_info, boot_loader_name) == 64, "Multiboot information");

struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t stack, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "64-bit interrupt gate");

struct __attribute__((packed)) idt_pointer {
	uint16_t limit;
	uint64_t base;
};

extern const uint8_t vectors[VECTOR_COUNT * VECTOR_SIZE];

void main(uint32_t magic, uint32_t info);
void interrupt(uint64_t vector, uint64_t rip, uint64_t error);

static struct idt_gate idt[VECTOR_COUNT];
static volatile uint64_t ticks;
/* What was received: the interrupt handler writes, the main loop reads. */
static volatile uint8_t ring[RING_SIZE];
static volatile uint32_t ring_in, ring_out;

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

/* --- Output -------------------------------------------------------------------------------- */

static void put_char(char c)
{
	while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
		;
	outb(COM1, (uint8_t)c);
}

static void put_text(const char *s)
{
	for (; *s; s++)
		put_char(*s);
}

static void put_number(uint64_t v, unsigned base, unsigned digits)
{
	char text[20];
	unsigned n = 0;

	do {
		text[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v || n < digits);
	while (n > 0)
		put_char(text[--n]);
}

/* --- Interrupts ----------------------------------------------------------------------------- */

static void serial_receive(void)
{
	while (inb(COM1 + UART_LSR) & UART_LSR_DR) {
		const uint8_t byte = inb(COM1);

		if (ring_in - ring_out < RING_SIZE)
			ring[ring_in++ % RING_SIZE] = byte;
	}
}

/* Level 7 without its ISR bit is no interrupt: only the master that handed on the slave's had one.
 */
static bool irq_is_spurious(unsigned irq)
{
	const uint16_t pic = irq < 8 ? PIC1 : PIC2;

	if (irq % 8 != 7)
		return false;
	outb(pic, PIC_READ_ISR);
	if (inb(pic) & 0x80)
		return false;
	if (pic == PIC2)
		outb(PIC1, PIC_EOI);
	return true;
}

static void irq_handle(unsigned irq)
{
	if (irq_is_spurious(irq))
		return;
	if (irq == IRQ_TIMER)
		ticks++;
	else if (irq == IRQ_COM1)
		serial_receive();
	if (irq >= 8)
		outb(PIC2, PIC_EOI);
	outb(PIC1, PIC_EOI);
}

/* Called by start.S with interrupts off. */
void interrupt(uint64_t vector, uint64_t rip, uint64_t error)
{
	if (vector >= EXCEPTION_COUNT) {
		irq_handle((unsigned)vector - EXCEPTION_COUNT);
		return;
	}
	put_text("clock64: exception ");
	put_number(vector, 10, 1);
	put_text(", error 0x");
	put_number(error, 16, 1);
	put_text(", at 0x");
	put_number(rip, 16, 1);
	put_text("\r\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void idt_init(void)
{
	const struct idt_pointer p = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

	for (unsigned i = 0; i < VECTOR_COUNT; i++) {
		const uint64_t at = (uint64_t)(uintptr_t)(vectors + i * VECTOR_SIZE);

		idt[i] = (struct idt_gate){
			.offset_low = (uint16_t)at,
			.selector = CODE64,
			.type = INTERRUPT_GATE,
			.offset_middle = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
		};
	}
	__asm__ volatile("lidt %0" : : "m"(p));
}

static void pic_init(void)
{
	const uint16_t open = 1u << IRQ_TIMER | 1u << IRQ_CASCADE | 1u << IRQ_COM1;

	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	outb(PIC1 + 1, PIC_VECTOR);
	outb(PIC2 + 1, PIC_VECTOR + 8);
	outb(PIC1 + 1, 1u << IRQ_CASCADE);
	outb(PIC2 + 1, IRQ_CASCADE);
	outb(PIC1 + 1, 0x01);
	outb(PIC2 + 1, 0x01);
	outb(PIC1 + 1, (uint8_t)~open);
	outb(PIC2 + 1, 0xff);
}

static void pit_init(void)
{
	const unsigned count = (PIT_HZ + TICK_HZ / 2) / TICK_HZ;

	outb(PIT_CONTROL, PIT_MODE2);
	outb(PIT_COUNTER0, (uint8_t)count);
	outb(PIT_COUNTER0, count >> 8);
}

/* 115200 8n1, FIFOs on, received bytes interrupt (through OUT2, as a PC is wired). */
static void serial_init(void)
{
	outb(COM1 + UART_IER, 0);
	outb(COM1 + UART_LCR, 0x83);
	outb(COM1, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + UART_LCR, 0x03);
	outb(COM1 + UART_FCR, 0x07);
	outb(COM1 + UART_MCR, 0x0b);
	outb(COM1 + UART_IER, 0x01);
}

/* --- What is told --------------------------------------------------------------------------- */

static uint8_t rtc_read(uint8_t index)
{
	outb(RTC_INDEX, index);
	return inb(RTC_DATA);
}

static unsigned rtc_number(uint8_t v, uint8_t b)
{
	return b & RTC_B_BINARY ? v : (unsigned)(v >> 4) * 10 + (v & 0x0f);
}

/* hh:mm:ss, or nothing if there is no such clock. Read twice: it may have moved meanwhile. */
static void put_time_of_day(void)
{
	uint8_t b, h, m, s;
	unsigned hour;

	do {
		for (unsigned i = 0; i < 10000 && (rtc_read(RTC_A) & RTC_A_UIP); i++)
			;
		s = rtc_read(0);
		m = rtc_read(2);
		h = rtc_read(4);
		b = rtc_read(RTC_B);
	} while (s != rtc_read(0) && s != RTC_ABSENT);
	if (s == RTC_ABSENT)
		return;
	hour = rtc_number(h & (uint8_t)~RTC_PM, b);
	if (!(b & RTC_B_24H))
		hour = hour % 12 + (h & RTC_PM ? 12 : 0);
	put_text(", ");
	put_number(hour, 10, 2);
	put_char(':');
	put_number(rtc_number(m, b), 10, 2);
	put_char(':');
	put_number(rtc_number(s, b), 10, 2);
}

static void put_banner(uint32_t magic, uint32_t info)
{
	const struct multiboot_info *mb = (const void *)(uintptr_t)info;

	put_text("clock64: 64-bit mode");
	if (magic != MULTIBOOT_LOADER_MAGIC) {
		put_text(", no Multiboot loader\r\n");
		return;
	}
	if (mb->flags & MULTIBOOT_INFO_MEMORY) {
		put_text(", ");
		put_number(mb->mem_upper / 1024 + 1, 10, 1);
		put_text(" MiB");
	}
	if (mb->flags & MULTIBOOT_INFO_LOADER) {
		put_text(", loaded by ");
		put_text((const char *)(uintptr_t)mb->boot_loader_name);
	}
	if (mb->flags & MULTIBOOT_INFO_CMDLINE) {
		put_text(", command line \"");
		put_text((const char *)(uintptr_t)mb->cmdline);
		put_char('"');
	}
	put_text("\r\n");
}

/* What was typed appears when its line ends, so that the clock does not come between. */
static void line_take(char c)
{
	static char line[80];
	static unsigned len;

	if (c == '\r' || c == '\n') {
		line[len] = '\0';
		if (len > 0) {
			put_text(line);
			put_text("\r\n");
		}
		len = 0;
	} else if (c == '\b' || c == 0x7f) {
		len -= len > 0;
	} else if (len < sizeof(line) - 1) {
		line[len++] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
}

/* Interrupts are off between the look and HLT; STI lets none in before it. */
static void sleep_until(uint64_t next)
{
	__asm__ volatile("cli");
	if (ring_in == ring_out && ticks < next)
		__asm__ volatile("sti; hlt");
	else
		__asm__ volatile("sti");
}

void main(uint32_t magic, uint32_t info)
{
	uint64_t next = TICK_HZ;

	idt_init();
	pic_init();
	serial_init();
	put_banner(magic, info);
	pit_init();
	for (;;) {
		sleep_until(next);
		while (ring_in != ring_out)
			line_take((char)ring[ring_out++ % RING_SIZE]);
		if (ticks >= next) {
			put_text("clock64: ");
			put_number(next / TICK_HZ, 10, 1);
			put_text(" s");
			put_time_of_day();
			put_text("\r\n");
			next += TICK_HZ;
		}
	}
}
