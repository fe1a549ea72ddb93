/*
 * The hypervisor's console. The serial sink and the screen sink run under the log's lock, so the
 * serial port has one producer at a time. Knows no command: see shell.c.
 */
#include <crvm/apic.h>
#include <crvm/cpu.h>
#include <crvm/hostvm.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/ps2kbd.h>
#include <crvm/screen.h>
#include <crvm/smp.h>
#include <crvm/status.h>
#include <crvm/string.h>
#include <crvm/time.h>
#include <crvm/trap.h>
#include <crvm/uart16550.h>

#include "console.h"
#include "log_priv.h"

#define TX_SIZE		(128u * 1024)
#define RX_SIZE		(16u * 1024)
#define POLL_NS		5000000ul /* for a port whose interrupt nobody names */
#define PANIC_SPINS	1000000u
#define VECTOR_SERIAL	(VECTOR_DEVICE + 0)
#define VECTOR_KEYBOARD (VECTOR_DEVICE + 1)
#define IRQ_KEYBOARD	1

static struct uart16550 uart;
static bool uart_ok, keyboard_ok;
static uint8_t tx_buf[TX_SIZE], rx_buf[RX_SIZE];
static struct console_arg where;
static uint32_t uart_gsi;     /* 0: go by the ISA interrupt */
static uint8_t uart_irq_line; /* ISA; 0: unknown */
static char serial_name[64] = "none", screen_name[64] = "none";
static struct timer poll_timer;
static struct screen screen;

/* Prompt and input now on the console's last line. Under the log's lock. */
static char input_line[160];

static uint8_t port_read(void *ctx, unsigned reg)
{
	(void)ctx;
	return in8((uint16_t)(where.address + reg));
}
static void port_write(void *ctx, unsigned reg, uint8_t v)
{
	(void)ctx;
	out8((uint16_t)(where.address + reg), v);
}
static uint8_t mem_read(void *ctx, unsigned reg)
{
	volatile uint8_t *base = ctx;

	if (where.stride == 4)
		return (uint8_t) * (volatile uint32_t *)(volatile void *)(base + 4 * reg);
	return base[reg];
}
static void mem_write(void *ctx, unsigned reg, uint8_t v)
{
	volatile uint8_t *base = ctx;

	if (where.stride == 4)
		*(volatile uint32_t *)(volatile void *)(base + 4 * reg) = v;
	else
		base[reg] = v;
}

static void serial_put(const char *text, size_t n)
{
	if (log_in_panic())
		uart_panic_write(&uart, text, (uint32_t)n, PANIC_SPINS);
	else
		(void)uart_send(&uart, text, (uint32_t)n); /* what is lost is counted there */
}

/* Terminals want CR LF. */
static void serial_text(const char *text, size_t n)
{
	size_t start = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] != '\n')
			continue;
		if (i > start)
			serial_put(text + start, i - start);
		serial_put("\r\n", 2);
		start = i + 1;
	}
	if (n > start)
		serial_put(text + start, n - start);
}

static void serial_sink(enum log_level level, const char *text, size_t n)
{
	bool input = input_line[0] && n && text[n - 1] == '\n';

	if (level == LOG_DIRECT) {
		serial_put(text, n);
		return;
	}
	if (input)
		serial_put("\r\033[K", 4);
	serial_text(text, n);
	if (input)
		serial_put(input_line, strlen(input_line));
}

static void screen_erase_input(void)
{
	static const char blanks[] =
		"                                                                "
		"                                                                ";
	size_t n = 0;

	/* Backspaces at its end put the cursor where it was. */
	for (const char *c = input_line; *c; c++)
		n += *c >= ' ';
	screen_write(&screen, "\r", 1, SCREEN_NORMAL);
	screen_write(&screen, blanks, n < sizeof(blanks) - 1 ? n : sizeof(blanks) - 1,
		     SCREEN_NORMAL);
	screen_write(&screen, "\r", 1, SCREEN_NORMAL);
}

static void screen_sink(enum log_level level, const char *text, size_t n)
{
	static const enum screen_color colors[] = {SCREEN_ERROR, SCREEN_WARN, SCREEN_NORMAL,
						   SCREEN_DIM, SCREEN_NORMAL};
	bool input = level != LOG_DIRECT && input_line[0] && n && text[n - 1] == '\n';

	if (input)
		screen_erase_input();
	screen_write(&screen, text, n, colors[level]);
	if (input)
		screen_write(&screen, input_line, strlen(input_line), SCREEN_NORMAL);
}

static void set_input_locked(void *arg)
{
	const char *line = arg;

	(void)str_copy(input_line, sizeof(input_line), line, sizeof(input_line) - 1);
}

void console_set_input(const char *line)
{
	log_locked(set_input_locked, (void *)(uintptr_t)line);
}

static bool try_port(const struct console_arg *arg, const char *what)
{
	static const struct {
		uint16_t port;
		uint8_t irq;
	} com[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};
	struct uart_io io = {port_read, port_write, NULL};

	where = *arg;
	if (arg->kind == CONSOLE_MMIO) {
		io = (struct uart_io){mem_read, mem_write,
				      hostvm_map(arg->address, 8ul * arg->stride, MAP_W | MAP_UC)};
		if (!io.ctx)
			return false;
	}
	if (!uart_present(&io)) {
		log_warn("console: no 16550 answers at %s %lx (%s)",
			 arg->kind == CONSOLE_MMIO ? "physical" : "I/O port", arg->address, what);
		return false;
	}
	for (size_t i = 0; i < array_count(com); i++)
		if (arg->kind == CONSOLE_PORT && arg->address == com[i].port && !uart_irq_line)
			uart_irq_line = com[i].irq;
	uart_init(&uart, &io, (uint16_t)(115200 / (arg->baud ? arg->baud : 115200)), tx_buf,
		  TX_SIZE, rx_buf, RX_SIZE);
	uart_ok = true;
	str_printf(serial_name, sizeof(serial_name), "%s %lxh (%s), %u baud",
		   arg->kind == CONSOLE_MMIO ? "memory" : "I/O port", arg->address, what,
		   arg->baud ? arg->baud : 115200);
	return true;
}

/* A port that SPCR or DBG2 names. */
static bool try_acpi(const struct acpi_uart *u, const char *what)
{
	struct console_arg arg = {
		.kind = u->gas.space == 0 ? CONSOLE_MMIO : CONSOLE_PORT,
		.address = u->gas.addr,
		.stride = u->gas.bits == 32 || u->gas.access == 3 ? 4 : 1,
		.baud = u->baud && 115200 % u->baud == 0 ? u->baud : 0,
	};

	if (!u->present || u->gas.space > 1 || (u->gas.space == 1 && u->gas.addr > 0xfff8))
		return false;
	uart_gsi = u->gsi;
	uart_irq_line = u->irq;
	if (try_port(&arg, what))
		return true;
	uart_gsi = 0;
	uart_irq_line = 0;
	return false;
}

static void serial_init(const char *text, const struct acpi_info *acpi)
{
	struct console_arg arg, com1 = {CONSOLE_PORT, 0x3f8, 1, 0};

	if (cmdline_console_parse(text, &arg)) /* cmdline_parse has checked it */
		arg = (struct console_arg){.kind = CONSOLE_AUTO};
	com1.baud = arg.baud;
	if (arg.kind == CONSOLE_NONE)
		return;
	if (arg.kind != CONSOLE_AUTO && try_port(&arg, "console="))
		return;
	(void)(try_acpi(&acpi->spcr, "ACPI SPCR") || try_acpi(&acpi->dbg2, "ACPI DBG2") ||
	       try_port(&com1, "COM1"));
}

static void *map_screen(uint64_t addr, uint64_t len, bool write_combining)
{
	if (addr >= 0xa0000 && addr + len <= 0xc0000)
		return phys_to_virt(hpa(addr));
	return hostvm_map(addr, len, MAP_W | (write_combining ? MAP_WC : MAP_UC));
}

void console_init(const struct cmdline_options *o, const struct acpi_info *acpi,
		  const struct boot_info *info)
{
	serial_init(o->console, acpi);
	if (uart_ok)
		log_attach(serial_sink);
	if (o->screen && screen_init(&screen, &info->fb, !info->efi && !acpi->no_vga, map_screen)) {
		str_printf(screen_name, sizeof(screen_name), "%s, %u columns, %u rows",
			   info->fb.type == BOOT_FB_RGB ? "framebuffer" : "VGA text",
			   screen.columns, screen.rows);
		log_attach(screen_sink);
	}
}

static void serial_interrupt(void *ctx)
{
	(void)ctx;
	if (uart_irq(&uart))
		smp_kick(&percpus[0], WORK_CONSOLE);
}

static void serial_poll(struct timer *t)
{
	serial_interrupt(NULL);
	timer_set(t, rdtsc() + time_ns_to_tsc(POLL_NS));
}

static void keyboard_interrupt(void *ctx)
{
	(void)ctx;
	if (ps2kbd_irq())
		smp_kick(&percpus[0], WORK_CONSOLE);
}

/* Only with a screen: who types must see it. */
static void use_keyboard(const struct acpi_info *acpi)
{
	if (!screen.columns || acpi->no_8042)
		return;
	trap_set_handler(VECTOR_KEYBOARD, keyboard_interrupt, NULL);
	if (!ps2kbd_init())
		return;
	keyboard_ok = !ioapic_route_isa(acpi, IRQ_KEYBOARD, VECTOR_KEYBOARD, percpus[0].apic_id);
	/* A byte that came before its interrupt was routed would block all others. */
	(void)ps2kbd_irq();
}

void console_use_interrupts(const struct acpi_info *acpi)
{
	int err = E_NODEV;

	use_keyboard(acpi);
	if (!uart_ok)
		return;
	trap_set_handler(VECTOR_SERIAL, serial_interrupt, NULL);
	if (uart_irq_line)
		err = ioapic_route_isa(acpi, uart_irq_line, VECTOR_SERIAL, percpus[0].apic_id);
	else if (uart_gsi)
		err = ioapic_route_gsi(uart_gsi, false, true, VECTOR_SERIAL, percpus[0].apic_id);
	uart_use_irq(&uart);
	if (!err)
		return;
	log_warn("console: no interrupt is known for the serial port: it is polled every %lu ms",
		 POLL_NS / 1000000);
	poll_timer.fn = serial_poll;
	serial_poll(&poll_timer);
}

unsigned console_read(char *buf, unsigned n)
{
	unsigned got = uart_ok ? uart_receive(&uart, buf, n) : 0;

	return got || !keyboard_ok ? got : ps2kbd_read(buf, n);
}

uint32_t console_room(void)
{
	return uart_ok ? ring_free(&uart.tx) : TX_SIZE;
}

const char *console_serial_name(void)
{
	return serial_name;
}

const char *console_screen_name(void)
{
	return screen_name;
}

uint64_t console_lost(void)
{
	return uart.lost_tx + uart.lost_rx;
}

bool console_has_keyboard(void)
{
	return keyboard_ok;
}

void console_enter_panic(void)
{
	struct console_arg com1 = {CONSOLE_PORT, 0x3f8, 1, 0};

	log_enter_panic();
	input_line[0] = '\0';
	if (!uart_ok && !screen.columns && try_port(&com1, "COM1"))
		log_attach(
			serial_sink); /* died before the console was chosen: say it all on COM1 */
}

void console_flush(void)
{
	uint64_t end = rdtsc() + time_ns_to_tsc(1000000000);

	/* The last FIFO-full still needs its time on the line. */
	while (uart_ok && ring_used(&uart.tx) && (int64_t)(rdtsc() - end) < 0)
		cpu_relax();
	time_delay_us(2000);
}
