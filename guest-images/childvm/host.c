/*
 * See host.h. It must not know what runs here.
 * Source: Intel 8259A and 8254 data sheets; National PC16550D data sheet; Intel SDM Vol. 3A,
 * "64-Bit Mode IDT".
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <crvm/printf.h>

#include "host.h"

enum {
	COM1 = 0x3f8,
	UART_RBR_THR = 0,
	UART_IER = 1,
	UART_FCR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_IER_ERBFI = 1 << 0,
	UART_FCR_ENABLE = 1 << 0,
	UART_LCR_8N1 = 0x03,
	UART_LCR_DLAB = 1 << 7,
	UART_MCR_DTR_RTS_OUT2 = 0x0b,
	UART_LSR_DR = 1 << 0,
	UART_LSR_THRE = 1 << 5,
	PIC1 = 0x20,
	PIC2 = 0xa0,
	PIC_ICW1 = 0x11, /* edges, a cascade, ICW4 follows */
	PIC_ICW4 = 0x03, /* 8086, automatic EOI */
	PIC_CASCADE = 2,
	PIT_COUNTER0 = 0x40,
	PIT_CONTROL = 0x43,
	PIT_MODE0 = 0x30, /* counter 0, low and high byte: one edge when it has run down */
	PIT_HZ = 1193182,
	IRQ_TIMER = 0,
	IRQ_COM1 = 4,
	IRQ_SPURIOUS = 7,
	VECTOR_PIC1 = 0x20,
	VECTOR_PIC2 = 0x28,
	VECTOR_COUNT = 0x30,
	CODE64 = 0x08,
	INTERRUPT_GATE = 0x8e,
	LINE_SIZE = 200,
};
#define ALARM_NS_MAX  50000000u
#define NS_PER_SECOND 1000000000u

struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t stack, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "64-bit interrupt gate");

struct packed idt_pointer {
	uint16_t limit;
	uint64_t base;
};

/* What the CPU has pushed. */
struct interrupt_frame;

static struct idt_gate idt[VECTOR_COUNT];
static _Atomic unsigned events;
static bool line_is_open; /* what was put last was no newline */

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

/* --- Interrupts ----------------------------------------------------------------------------- */

static __attribute__((interrupt)) void timer_interrupt(struct interrupt_frame *frame)
{
	(void)frame;
	events |= HOST_ALARM;
}

static __attribute__((interrupt)) void serial_interrupt(struct interrupt_frame *frame)
{
	(void)frame;
	events |= HOST_INPUT;
}

static __attribute__((interrupt)) void spurious_interrupt(struct interrupt_frame *frame)
{
	(void)frame;
}

static void idt_set(unsigned irq, void (*handler)(struct interrupt_frame *))
{
	const uint64_t at = (uintptr_t)handler;

	idt[VECTOR_PIC1 + irq] = (struct idt_gate){
		.offset_low = (uint16_t)at,
		.selector = CODE64,
		.type = INTERRUPT_GATE,
		.offset_middle = (uint16_t)(at >> 16),
		.offset_high = (uint32_t)(at >> 32),
	};
}

static void pic_init(void)
{
	const uint8_t open = 1u << IRQ_TIMER | 1u << IRQ_COM1;

	outb(PIC1, PIC_ICW1);
	outb(PIC2, PIC_ICW1);
	outb(PIC1 + 1, VECTOR_PIC1);
	outb(PIC2 + 1, VECTOR_PIC2);
	outb(PIC1 + 1, 1u << PIC_CASCADE);
	outb(PIC2 + 1, PIC_CASCADE);
	outb(PIC1 + 1, PIC_ICW4);
	outb(PIC2 + 1, PIC_ICW4);
	outb(PIC1 + 1, (uint8_t)~open);
	outb(PIC2 + 1, 0xff);
}

/* 115200 baud, 8N1. The FIFO comes first: to turn it on clears it. */
static void serial_init(void)
{
	outb(COM1 + UART_FCR, UART_FCR_ENABLE);
	outb(COM1 + UART_LCR, UART_LCR_DLAB | UART_LCR_8N1);
	outb(COM1 + UART_RBR_THR, 1);
	outb(COM1 + UART_IER, 0);
	outb(COM1 + UART_LCR, UART_LCR_8N1);
	outb(COM1 + UART_MCR, UART_MCR_DTR_RTS_OUT2);
	outb(COM1 + UART_IER, UART_IER_ERBFI);
}

void host_init(void)
{
	const struct idt_pointer p = {sizeof(idt) - 1, (uintptr_t)idt};

	/* No others come; an exception would be our mistake, and ends us by a triple fault. */
	idt_set(IRQ_TIMER, timer_interrupt);
	idt_set(IRQ_COM1, serial_interrupt);
	idt_set(IRQ_SPURIOUS, spurious_interrupt);
	__asm__ volatile("lidt %0" : : "m"(p));
	pic_init();
	serial_init();
	__asm__ volatile("sti");
}

unsigned host_take_events(void)
{
	return atomic_load(&events) ? atomic_exchange(&events, 0) : 0;
}

bool host_close_unless_events(void)
{
	__asm__ volatile("cli" : : : "memory");
	if (!atomic_load(&events))
		return true;
	__asm__ volatile("sti" : : : "memory");
	return false;
}

/* STI lets no interrupt in before the next instruction. */
int64_t host_vmcall(uint64_t number, uint64_t rdi, uint64_t rsi)
{
	int64_t result;

	__asm__ volatile("sti; vmcall" : "=a"(result) : "a"(number), "D"(rdi), "S"(rsi) : "memory");
	return result;
}

void host_sleep(void)
{
	if (host_close_unless_events())
		__asm__ volatile("sti; hlt" : : : "memory");
}

/* At most ALARM_NS_MAX is what 16 bits of clocks can hold. Rounded up: never early. */
void host_set_alarm(uint64_t ns)
{
	const uint64_t wanted = ns < ALARM_NS_MAX ? ns : ALARM_NS_MAX;
	const uint64_t clocks = wanted * PIT_HZ / NS_PER_SECOND + 1;

	outb(PIT_CONTROL, PIT_MODE0);
	outb(PIT_COUNTER0, (uint8_t)clocks);
	outb(PIT_COUNTER0, (uint8_t)(clocks >> 8));
}

/* --- The console ---------------------------------------------------------------------------- */

int host_get(void)
{
	return inb(COM1 + UART_LSR) & UART_LSR_DR ? inb(COM1 + UART_RBR_THR) : -1;
}

void host_put(uint8_t byte)
{
	while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
		;
	outb(COM1 + UART_RBR_THR, byte);
	if (byte != '\r')
		line_is_open = byte != '\n';
}

void host_print(const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	str_vprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (line_is_open) {
		host_put('\r');
		host_put('\n');
	}
	for (const char *s = line; *s; s++) {
		if (*s == '\n')
			host_put('\r');
		host_put((uint8_t)*s);
	}
}
