/*
 * The serial driver: finding a chip, setting it up, and its use in a panic.
 * needs: arch/x86_64/uart16550.c lib/ring.c tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <crvm/uart16550.h>

#include "uart_chip.h"

static struct chip chip;
static struct uart16550 uart;
static uint8_t tx_buf[16384], rx_buf[64];
static const struct uart_io io = {chip_read, chip_write, &chip};
/* Time passes with each look at LSR, as it does for a polling driver. */
static uint8_t slow_read(void *ctx, unsigned reg)
{
	struct chip *c = ctx;

	if (reg == 5 && c->reads[5] % 8 == 7)
		chip_tick(c);
	return chip_read(c, reg);
}

static const struct uart_io slow_io = {slow_read, chip_write, &chip};

static void assert_wire(const void *data, unsigned n)
{
	assert_int_equal(chip.wire_count, n);
	assert_memory_equal(chip.wire, data, n);
	assert_int_equal(chip.tx_lost, 0);
}

static void presence_by_kind(void **state)
{
	static const bool expect[] = {
		[CHIP_16550A] = true, [CHIP_16550] = true,   [CHIP_16450] = true,
		[CHIP_8250] = false,  [CHIP_ABSENT] = false,
	};

	(void)state;
	for (unsigned kind = 0; kind < 5; kind++) {
		chip_reset(&chip, (enum chip_kind)kind);
		assert_int_equal(uart_present(&io), expect[kind]);
	}
}

static void presence_rejects_bus_that_echoes(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_ABSENT);
	chip.echo = true;
	assert_false(uart_present(&io));
	assert_int_equal(chip.writes[4], 0); /* known without a touch of other registers */
	assert_int_equal(chip.reads[5], 0);
}

static void presence_rejects_device_without_loopback(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16550A);
	chip.no_loopback = true;
	chip.mcr = 0x03;
	assert_false(uart_present(&io));
	assert_int_equal(chip.mcr, 0x03);
}

static uint8_t scratch_only_read(void *ctx, unsigned reg)
{
	return reg == 7 ? chip_read(ctx, reg) : 0xff;
}

static void presence_rejects_device_that_is_all_ones(void **state)
{
	static const struct uart_io scratch_io = {scratch_only_read, chip_write, &chip};

	(void)state;
	chip_reset(&chip, CHIP_16550A);
	assert_false(uart_present(&scratch_io));
	assert_int_equal(chip.writes[4], 0);
}

static void presence_leaves_registers_alone(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16550A);
	chip.scr = 0x77;
	chip.lcr = 0x9b; /* DLAB set: the divisor must not be taken for IER */
	chip.dll = 0x0c;
	chip.dlm = 0x01;
	chip.ier = 0x0d; /* the modem inputs will change, which must not interrupt */
	chip.mcr = 0x0b;
	assert_true(uart_present(&io));
	assert_int_equal(chip.scr, 0x77);
	assert_int_equal(chip.lcr, 0x9b);
	assert_int_equal(chip.dll, 0x0c);
	assert_int_equal(chip.dlm, 0x01);
	assert_int_equal(chip.ier, 0x0d);
	assert_int_equal(chip.mcr, 0x0b);
	assert_int_equal(chip.msr_delta, 0);
	assert_int_equal(chip.writes[0], 0);
	assert_false(chip.irq_latched);
	for (unsigned i = 0; i < 50; i++)
		chip_tick(&chip);
	assert_int_equal(chip.wire_count, 0);
	assert_int_equal(chip.rx_count, 0);
}

static void presence_lets_pending_output_out(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16550A);
	chip_write(&chip, 2, 1);
	for (unsigned i = 0; i < 10; i++)
		chip_write(&chip, 0, (uint8_t)('a' + i));
	assert_true(uart_present(&slow_io));
	assert_wire("abcdefghij", 10);
	assert_int_equal(chip.rx_count, 0); /* nothing was looped back */
}

static void presence_gives_up_on_stuck_transmitter(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16550A);
	chip.tx_dead = true;
	chip_write(&chip, 0, 'x');
	assert_false(uart_present(&io));
	assert_true(chip_reads(&chip) < 1000000);
	assert_int_equal(chip.mcr, 0);
}

static void init_programs_the_chip(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16550A);
	chip.ier = 0x0f;
	chip.lcr = 0x80;
	uart_init(&uart, &io, 0x0123, tx_buf, 64, rx_buf, 64);
	assert_int_equal(chip.dll, 0x23);
	assert_int_equal(chip.dlm, 0x01);
	assert_int_equal(chip.lcr, 0x03);
	assert_int_equal(chip.mcr, 0x0b);
	assert_int_equal(chip.ier, 0);
	assert_int_equal(chip.fcr, 0xc1); /* on, trigger at 14 */
	assert_true(uart.fifo);
	assert_false(uart.irq_driven);
	assert_int_equal(uart.lock.rank, RANK_UART);
	assert_int_equal(uart.lost_tx + uart.lost_rx + uart.rx_errors, 0);
}

static void init_divisor_zero_keeps_the_rate(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16550A);
	chip.dll = 0x0c;
	chip.dlm = 0x02;
	uart_init(&uart, &io, 0, tx_buf, 64, rx_buf, 64);
	assert_int_equal(chip.dll, 0x0c);
	assert_int_equal(chip.dlm, 0x02);
	assert_int_equal(chip.lcr, 0x03);
}

static void init_trusts_only_a_working_fifo(void **state)
{
	(void)state;
	for (unsigned kind = CHIP_16550; kind <= CHIP_ABSENT; kind++) {
		chip_reset(&chip, (enum chip_kind)kind);
		uart_init(&uart, &io, 1, tx_buf, 64, rx_buf, 64);
		assert_false(uart.fifo);
		assert_int_equal(chip.fcr, 0);
	}
}

static void init_sends_old_output_and_drops_old_input(void **state)
{
	uint8_t c;

	(void)state;
	for (unsigned kind = CHIP_16550A; kind <= CHIP_16450; kind++) {
		chip_reset(&chip, (enum chip_kind)kind);
		chip_receive(&chip, 'o', 0x08);
		chip_write(&chip, 0, 'x');
		uart_init(&uart, &slow_io, 1, tx_buf, 64, rx_buf, 64);
		assert_wire("x", 1);
		assert_int_equal(uart_receive(&uart, &c, 1), 0);
		assert_int_equal(uart.rx_errors, 0);
	}
}

static void init_is_bounded_on_stuck_transmitter(void **state)
{
	(void)state;
	chip_reset(&chip, CHIP_16450);
	chip.tx_dead = true;
	chip_write(&chip, 0, 'x');
	uart_init(&uart, &io, 1, tx_buf, 64, rx_buf, 64);
	assert_true(chip_reads(&chip) < 1000000);
	assert_int_equal(chip.mcr, 0x0b);
}

static void panic_sends_ring_then_text_without_the_lock(void **state)
{
	uint64_t flags;

	(void)state;
	for (unsigned kind = CHIP_16550A; kind <= CHIP_16450; kind++) {
		chip_reset(&chip, (enum chip_kind)kind);
		uart_init(&uart, &slow_io, 1, tx_buf, 64, rx_buf, 64);
		uart_use_irq(&uart);
		assert_true(uart_send(&uart, "The queue is longer than a FIFO. ", 33));
		chip.lcr |= 0x80; /* as if stopped while the divisor was set */
		flags = spin_lock_irqsave(&uart.lock);
		uart_panic_write(&uart, "panic", 5, 20);
		spin_unlock_irqrestore(&uart.lock, flags);
		for (unsigned i = 0; i < 20; i++)
			chip_tick(&chip);
		assert_wire("The queue is longer than a FIFO. panic", 38);
		assert_int_equal(chip.ier, 0);
		assert_int_equal(chip.dll, 1);
	}
}

static void panic_is_bounded_on_stuck_transmitter(void **state)
{
	static uint8_t text[16384];

	(void)state;
	chip_reset(&chip, CHIP_16550A);
	uart_init(&uart, &io, 1, tx_buf, sizeof(tx_buf), rx_buf, sizeof(rx_buf));
	chip.tx_dead = true;
	assert_true(uart_send(&uart, text, sizeof(text)));
	assert_true(uart_send(&uart, text, 16));
	chip_tick(&chip);
	memset(chip.reads, 0, sizeof(chip.reads));
	uart_panic_write(&uart, text, sizeof(text), 100);
	assert_true(chip_reads(&chip) < 100 * 20);
	uart_panic_write(&uart, text, 4, 0);
	assert_int_equal(chip.tx_lost, 0);
}

static void panic_before_init_does_nothing(void **state)
{
	static struct uart16550 blank;

	(void)state;
	uart_panic_write(&blank, "x", 1, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(presence_by_kind),
		cmocka_unit_test(presence_rejects_bus_that_echoes),
		cmocka_unit_test(presence_rejects_device_without_loopback),
		cmocka_unit_test(presence_rejects_device_that_is_all_ones),
		cmocka_unit_test(presence_leaves_registers_alone),
		cmocka_unit_test(presence_lets_pending_output_out),
		cmocka_unit_test(presence_gives_up_on_stuck_transmitter),
		cmocka_unit_test(init_programs_the_chip),
		cmocka_unit_test(init_divisor_zero_keeps_the_rate),
		cmocka_unit_test(init_trusts_only_a_working_fifo),
		cmocka_unit_test(init_sends_old_output_and_drops_old_input),
		cmocka_unit_test(init_is_bounded_on_stuck_transmitter),
		cmocka_unit_test(panic_sends_ring_then_text_without_the_lock),
		cmocka_unit_test(panic_is_bounded_on_stuck_transmitter),
		cmocka_unit_test(panic_before_init_does_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
