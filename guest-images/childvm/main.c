/*
 * childvm: a guest that is a VMM. By hypercalls it makes a VM of its own, whose program it runs in
 * real mode, and is that VM's serial port: what the child sends appears on childvm's own COM1 with
 * a name in front, what is typed there goes to the child. Needs `privileged = yes`.
 * Source: docs/hypercalls.md; National PC16550D data sheet.
 */
#include <stdbool.h>
#include <stdint.h>
#include <crvm/hypercall.h>

enum {
	COM1 = 0x3f8,
	UART_RBR_THR = 0,
	UART_IER = 1,
	UART_IIR = 2,
	UART_LCR = 3,
	UART_MCR = 4,
	UART_LSR = 5,
	UART_MSR = 6,
	UART_SCR = 7,
	UART_COUNT = 8,
	UART_IIR_NONE = 1,
	UART_LCR_DLAB = 1 << 7,
	UART_LSR_DR = 1 << 0,
	UART_LSR_THRE_TEMT = 3 << 5,
	UART_MSR_READY = 0xb0, /* DCD, DSR, CTS */
};
#define CHILD_MEMORY 0x10000
#define CHILD_CODE   0x2000
#define CHILD_KEY    0xc01

int main(void);

extern const uint8_t child_program[], child_program_end[];

/* The child's serial port. It sends at once, and receives what waits in ours. */
static struct {
	uint8_t reg[UART_COUNT];
	uint8_t divisor[2];
	bool in_line; /* the name stands there already */
} uart;

static struct hypercall_packet packet;
static struct hypercall_io io;
static struct hypercall_trap trap = {
	.kind = HYPERCALL_TRAP_IO, .at = COM1, .size = UART_COUNT, .key = CHILD_KEY};

static int hypercall(uint32_t number, uint32_t rdi, uint32_t rsi, uint32_t rdx, uint32_t rcx)
{
	int result;

	__asm__ volatile("vmcall"
			 : "=a"(result)
			 : "a"(number), "D"(rdi), "S"(rsi), "d"(rdx), "c"(rcx)
			 : "memory");
	return result;
}

static uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void print_char(char c)
{
	while (!(inb(COM1 + UART_LSR) & 1 << 5))
		;
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)(COM1 + UART_RBR_THR)));
}

static void print(const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			print_char('\r');
		print_char(*s);
	}
}

static void print_number(uint32_t n)
{
	if (n >= 10)
		print_number(n / 10);
	print_char((char)('0' + n % 10));
}

static uint8_t uart_read(unsigned r)
{
	bool dlab = uart.reg[UART_LCR] & UART_LCR_DLAB;

	switch (r) {
	case UART_RBR_THR:
		return dlab ? uart.divisor[0] : inb(COM1 + UART_RBR_THR);
	case UART_IER:
		return dlab ? uart.divisor[1] : uart.reg[UART_IER];
	case UART_IIR:
		return UART_IIR_NONE;
	case UART_LSR:
		return UART_LSR_THRE_TEMT | (inb(COM1 + UART_LSR) & UART_LSR_DR);
	case UART_MSR:
		return UART_MSR_READY;
	default:
		return uart.reg[r];
	}
}

static void uart_send(uint8_t byte)
{
	if (!uart.in_line)
		print("child: ");
	uart.in_line = byte != '\n';
	print_char((char)byte);
}

static void uart_write(unsigned r, uint8_t value)
{
	if (uart.reg[UART_LCR] & UART_LCR_DLAB && r <= UART_IER)
		uart.divisor[r] = value;
	else if (r == UART_RBR_THR)
		uart_send(value);
	else if (r != UART_IIR && r != UART_LSR && r != UART_MSR)
		uart.reg[r] = value;
}

/* Byte by byte: the port that is wider than its registers has them side by side. */
static void answer_io(int child)
{
	unsigned r = (unsigned)packet.at - COM1;

	io = (struct hypercall_io){.size = packet.io.size};
	for (unsigned i = 0; i < packet.io.size && r + i < UART_COUNT; i++) {
		if (packet.io.input)
			io.data |= (uint32_t)uart_read(r + i) << 8 * i;
		else
			uart_write(r + i, (uint8_t)(packet.io.data >> 8 * i));
	}
	if (packet.io.input)
		(void)hypercall(HYPERCALL_VCPU_WRITE_STATE, (uint32_t)child, HYPERCALL_WRITE_IO,
				(uint32_t)&io, 0);
}

/* Its number, or an error. */
static int make_child(void)
{
	const uint32_t length = (uint32_t)(child_program_end - child_program);
	int child = hypercall(HYPERCALL_GUEST_CREATE, 0, 0, 0, 0), err;

	if (child < 0)
		return child;
	err = hypercall(HYPERCALL_GUEST_ADD_MEMORY, (uint32_t)child, 0, CHILD_MEMORY, 0);
	if (!err)
		err = hypercall(HYPERCALL_GUEST_WRITE, (uint32_t)child, CHILD_CODE,
				(uint32_t)child_program, length);
	if (!err)
		err = hypercall(HYPERCALL_GUEST_SET_TRAP, (uint32_t)child, (uint32_t)&trap, 0, 0);
	if (!err)
		err = hypercall(HYPERCALL_VCPU_CREATE, (uint32_t)child, CHILD_CODE,
				HYPERCALL_MODE_REAL, 0);
	return err ? err : child;
}

static void fail(const char *what, int err)
{
	print(what);
	print(": error ");
	print_number((uint32_t)-err);
	print(err == HYPERCALL_E_PERM ? ": this VM needs `privileged = yes`\n" : "\n");
}

int main(void)
{
	uint32_t count = 0;
	int child, kind;

	print("childvm: making a VM of my own\n");
	child = make_child();
	if (child < 0) {
		fail("childvm: no child", child);
		return 1;
	}
	for (;;) {
		kind = hypercall(HYPERCALL_VCPU_RESUME, (uint32_t)child, (uint32_t)&packet, 0, 0);
		if (kind == HYPERCALL_PACKET_IO)
			answer_io(child);
		else if (kind != HYPERCALL_PACKET_NONE)
			break;
		count += kind == HYPERCALL_PACKET_IO;
	}
	if (kind == HYPERCALL_PACKET_STOPPED) {
		print("childvm: the child has ended: ");
		print(packet.text);
	} else {
		fail("childvm: the child cannot be run", kind);
	}
	print("\nchildvm: its serial port was used ");
	print_number(count);
	print(" times\n");
	kind = hypercall(HYPERCALL_GUEST_DESTROY, (uint32_t)child, 0, 0, 0);
	if (kind)
		fail("childvm: the child stays", kind);
	return 0;
}
