/*
 * The serial driver against a 16550 in software (uart_chip.h).
 * needs: arch/x86_64/uart16550.c lib/ring.c tests/fake/spinlock.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <crvm/uart16550.h>

#include "uart_chip.h"

enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4 };

static struct chip chip;
static struct uart16550 uart;
static uint8_t tx_buf[16384], rx_buf[4096];
static const struct uart_io io = {chip_read, chip_write, &chip};

static void start_sized(enum chip_kind kind, uint32_t tx_size, uint32_t rx_size)
{
	chip_reset(&chip, kind);
	uart_init(&uart, &io, 1, tx_buf, tx_size, rx_buf, rx_size);
}

static void start(enum chip_kind kind)
{
	start_sized(kind, sizeof(tx_buf), sizeof(rx_buf));
}

/* What the interrupt controller does: one call for each edge. True if one said that bytes came. */
static bool deliver(void)
{
	bool received = false;

	for (unsigned calls = 0; chip.irq_latched; calls++) {
		assert_true(calls < 1000); /* a storm */
		chip.irq_latched = false;
		chip.irq_count++;
		received |= uart_irq(&uart);
		/* The transmitter's interrupt is on only while there is something to send. */
		assert_int_equal(!!(chip.ier & IER_TX), uart.irq_driven && ring_used(&uart.tx) > 0);
	}
	return received;
}

static void run(unsigned ticks)
{
	while (ticks--) {
		chip_tick(&chip);
		deliver();
	}
}

static void fill_pattern(uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 251);
}

static void assert_wire(const void *data, unsigned n)
{
	assert_int_equal(chip.wire_count, n);
	assert_memory_equal(chip.wire, data, n);
	assert_int_equal(chip.tx_lost, 0);
}

/* ---- output ---- */

static void send_polled_fills_fifo_without_waiting(void **state)
{
	static const char text[] = "0123456789abcdefghijklmnopqrstuv";

	(void)state;
	start(CHIP_16550A);
	assert_true(uart_send(&uart, text, 32));
	assert_int_equal(chip.tx_count, 16);
	assert_int_equal(ring_used(&uart.tx), 16);
	assert_true(uart_send(&uart, text, 0)); /* the FIFO is still full */
	assert_int_equal(ring_used(&uart.tx), 16);
	run(40);
	assert_int_equal(chip.wire_count, 16); /* nobody called: nothing moved */
	assert_true(uart_send(&uart, text, 0));
	run(40);
	assert_wire(text, 32);
	assert_int_equal(chip.writes[1], 2); /* init's IER and DLM: interrupts were never touched */
}

static void send_polled_without_fifo_goes_byte_by_byte(void **state)
{
	(void)state;
	start(CHIP_16450);
	assert_true(uart_send(&uart, "abc", 3));
	assert_int_equal(chip.tx_count, 1);
	for (unsigned i = 0; i < 6; i++) {
		run(1);
		assert_true(uart_send(&uart, "", 0));
	}
	assert_wire("abc", 3);
}

static void send_polled_moves_all_that_the_chip_takes(void **state)
{
	uint8_t text[1000];

	(void)state;
	fill_pattern(text, sizeof(text));
	start(CHIP_16550A);
	chip.instant = true;
	assert_true(uart_send(&uart, text, sizeof(text)));
	assert_wire(text, sizeof(text));
}

static void send_is_all_or_nothing(void **state)
{
	uint8_t text[64];

	(void)state;
	fill_pattern(text, sizeof(text));
	start_sized(CHIP_16550A, 32, 32);
	assert_false(uart_send(&uart, text, 33)); /* never fits */
	assert_int_equal(uart.lost_tx, 33);
	assert_true(uart_send(&uart, text, 32));
	assert_true(uart_send(&uart, text + 32, 16)); /* 16 went to the chip */
	assert_false(uart_send(&uart, text, 1));
	assert_int_equal(uart.lost_tx, 34);
	run(20);
	assert_true(uart_send(&uart, text + 48, 16)); /* full, but the chip has room again */
	assert_int_equal(uart.lost_tx, 34);
	for (unsigned i = 0; i < 5; i++) {
		run(20);
		assert_true(uart_send(&uart, "", 0));
	}
	assert_wire(text, 64);
}

static void send_long_by_irq(enum chip_kind kind, bool no_kick, bool instant)
{
	static uint8_t text[12000];

	fill_pattern(text, sizeof(text));
	start(kind);
	chip.no_kick = no_kick;
	uart_use_irq(&uart);
	chip.instant = instant;
	for (unsigned at = 0; at < sizeof(text); at += 3000) {
		assert_true(uart_send(&uart, text + at, 3000));
		deliver();
		run(at == 6000 ? 100 : 3100);
	}
	run(9000);
	assert_wire(text, sizeof(text));
	assert_int_equal(chip.ier, IER_RX | IER_LINE);
	assert_false(chip.irq_line);
}

static void send_by_irq_is_complete_and_in_order(void **state)
{
	(void)state;
	for (unsigned kind = CHIP_16550A; kind <= CHIP_16450; kind++) {
		send_long_by_irq((enum chip_kind)kind, false, false);
		send_long_by_irq((enum chip_kind)kind, true, false);
	}
}

static void send_by_irq_outlasts_one_interrupt_on_instant_chip(void **state)
{
	static uint8_t text[16384];

	(void)state;
	send_long_by_irq(CHIP_16550A, false, true);
	send_long_by_irq(CHIP_16550A, true, true);
	send_long_by_irq(CHIP_16450, false, true);

	/* 1024 FIFOs full: more than one call serves, so the chip must be made to ask again. */
	fill_pattern(text, sizeof(text));
	start(CHIP_16550A);
	uart_use_irq(&uart);
	assert_true(uart_send(&uart, text, sizeof(text)));
	chip.instant = true;
	run(17);
	assert_true(chip.irq_count > 1 && chip.irq_count < 20);
	assert_wire(text, sizeof(text));
	assert_true(uart.irq_driven);
}

static void send_does_not_hold_the_lock_for_the_whole_ring(void **state)
{
	uint8_t text[1000];

	(void)state;
	fill_pattern(text, sizeof(text));
	start(CHIP_16550A);
	uart_use_irq(&uart);
	chip.instant = true;
	assert_true(uart_send(&uart, text, sizeof(text)));
	assert_true(chip.wire_count <= 32);
	deliver();
	assert_wire(text, sizeof(text));
}

static void send_survives_thr_that_empties_between_look_and_enable(void **state)
{
	(void)state;
	for (unsigned no_kick = 0; no_kick < 2; no_kick++) {
		start(CHIP_16550A);
		uart_use_irq(&uart);
		chip.no_kick = no_kick;
		chip.late = true;
		assert_true(uart_send(&uart, "0123456789abcdefghijklmnop", 26));
		deliver();
		run(40);
		assert_wire("0123456789abcdefghijklmnop", 26);
	}
}

static void send_short_needs_no_interrupt(void **state)
{
	(void)state;
	start(CHIP_16550A);
	uart_use_irq(&uart);
	assert_true(uart_send(&uart, "0123456789abcdef", 16));
	assert_int_equal(chip.ier & IER_TX, 0);
	run(30);
	assert_wire("0123456789abcdef", 16);
	assert_int_equal(chip.irq_count, 0);
}

static void use_irq_sends_what_polling_left(void **state)
{
	uint8_t text[500];

	(void)state;
	fill_pattern(text, sizeof(text));
	for (unsigned kind = CHIP_16550A; kind <= CHIP_16450; kind++) {
		start((enum chip_kind)kind);
		assert_true(uart_send(&uart, text, sizeof(text)));
		run(40); /* THR becomes empty while nobody looks */
		uart_use_irq(&uart);
		deliver();
		run(600);
		assert_wire(text, sizeof(text));
	}
}

/* ---- input ---- */

static void receive_by_timeout_and_by_trigger(void **state)
{
	uint8_t got[32];

	(void)state;
	start(CHIP_16550A);
	uart_use_irq(&uart);
	chip_receive(&chip, 'k', 0);
	assert_false(deliver()); /* below the trigger level */
	for (unsigned i = 0; i < 4; i++)
		chip_tick(&chip);
	assert_true(deliver());
	assert_int_equal(uart_receive(&uart, got, sizeof(got)), 1);
	assert_int_equal(got[0], 'k');

	for (unsigned i = 0; i < 14; i++) {
		assert_false(chip.irq_latched);
		chip_receive(&chip, (uint8_t)('a' + i), 0);
	}
	assert_true(deliver());
	assert_int_equal(uart_receive(&uart, got, 5), 5);
	assert_int_equal(uart_receive(&uart, got + 5, sizeof(got) - 5), 9);
	assert_memory_equal(got, "abcdefghijklmn", 14);
	assert_int_equal(uart_receive(&uart, got, sizeof(got)), 0);
}

static void receive_without_fifo(void **state)
{
	uint8_t c;

	(void)state;
	start(CHIP_16450);
	uart_use_irq(&uart);
	for (unsigned i = 0; i < 100; i++) {
		chip_receive(&chip, (uint8_t)i, 0);
		assert_true(deliver());
		assert_int_equal(uart_receive(&uart, &c, 1), 1);
		assert_int_equal(c, i);
	}
	assert_int_equal(uart.lost_rx, 0);
}

static void receive_before_use_irq_polls(void **state)
{
	uint8_t got[20];

	(void)state;
	start(CHIP_16550A);
	chip_receive(&chip, 'a', 0);
	chip_receive(&chip, 'b', 0);
	assert_int_equal(uart_receive(&uart, got, sizeof(got)), 2);
	assert_memory_equal(got, "ab", 2);
	assert_int_equal(chip.ier, 0);

	start_sized(CHIP_16550A, 32, 8);
	for (unsigned i = 0; i < 10; i++)
		chip_receive(&chip, (uint8_t)('a' + i), 0);
	assert_int_equal(uart_receive(&uart, got, 0), 0);
	assert_int_equal(uart_receive(&uart, got, 1), 1);
	assert_int_equal(chip.mcr, 0x0b); /* full, but not paused */
	assert_int_equal(uart_receive(&uart, got + 1, 19), 8);
	assert_int_equal(uart_receive(&uart, got + 9, 11), 1);
	assert_memory_equal(got, "abcdefghij", 10);
}

static void irq_returns_false_for_output_alone(void **state)
{
	uint8_t text[100] = {0};

	(void)state;
	start(CHIP_16550A);
	uart_use_irq(&uart);
	assert_true(uart_send(&uart, text, sizeof(text)));
	for (unsigned i = 0; i < 150; i++) {
		chip_tick(&chip);
		assert_false(deliver());
	}
	assert_false(uart_irq(&uart)); /* spurious */
	assert_true(chip.irq_count >= 5);
}

static void receive_outlasts_one_interrupt_on_fast_chip(void **state)
{
	static uint8_t big[32768], got[20000];
	unsigned n;

	(void)state;
	chip_reset(&chip, CHIP_16550A);
	uart_init(&uart, &io, 1, tx_buf, sizeof(tx_buf), big, sizeof(big));
	uart_use_irq(&uart);
	for (unsigned i = 0; i < 14; i++)
		chip_receive(&chip, (uint8_t)(20000 - 1 - i), 0);
	chip.flood = 20000 - 14;
	assert_true(deliver());
	run(10);
	assert_true(chip.irq_count >= 2 && chip.irq_count < 10);
	n = uart_receive(&uart, got, sizeof(got));
	assert_int_equal(n, sizeof(got));
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(got[i], (uint8_t)(20000 - 1 - i));
	assert_true(uart.irq_driven);
}

static void both_directions_at_once(void **state)
{
	uint8_t text[2000], got[2000];
	unsigned n = 0;

	(void)state;
	fill_pattern(text, sizeof(text));
	for (unsigned kind = CHIP_16550A; kind <= CHIP_16450; kind++) {
		start((enum chip_kind)kind);
		uart_use_irq(&uart);
		assert_true(uart_send(&uart, text, sizeof(text)));
		n = 0;
		for (unsigned i = 0; i < sizeof(text); i++) {
			chip_receive(&chip, text[i], 0);
			run(1);
			n += uart_receive(&uart, got + n, sizeof(got) - n);
		}
		run(20);
		n += uart_receive(&uart, got + n, sizeof(got) - n);
		assert_int_equal(n, sizeof(text));
		assert_memory_equal(got, text, n);
		assert_wire(text, sizeof(text));
		assert_int_equal(uart.lost_rx + uart.rx_errors, 0);
	}
}

static void receive_full_ring_leaves_bytes_in_chip(void **state)
{
	uint8_t got[64];
	unsigned n, irqs;

	(void)state;
	start_sized(CHIP_16550A, 32, 8);
	uart_use_irq(&uart);
	for (unsigned i = 0; i < 20; i++) {
		chip_receive(&chip, (uint8_t)('a' + i), 0);
		run(1);
	}
	run(10);
	assert_int_equal(ring_used(&uart.rx), 8);
	assert_int_equal(chip.rx_count, 12);
	assert_int_equal(chip.ier & IER_RX, 0);
	assert_int_equal(chip.mcr, 0x09); /* RTS down: the other side should wait */
	irqs = chip.irq_count;
	run(100);
	assert_int_equal(chip.irq_count, irqs);

	n = uart_receive(&uart, got, 3);
	assert_int_equal(chip.ier & IER_RX, IER_RX);
	assert_int_equal(chip.mcr, 0x0b);
	for (unsigned i = 0; i < 40; i++) {
		run(1);
		n += uart_receive(&uart, got + n, 3);
	}
	assert_int_equal(n, 20);
	assert_memory_equal(got, "abcdefghijklmnopqrst", 20);
	assert_int_equal(uart.lost_rx + uart.rx_errors, 0);
}

static void receive_loss_while_full_is_counted(void **state)
{
	uint8_t got[64];
	unsigned n = 0;

	(void)state;
	start_sized(CHIP_16550A, 32, 8);
	uart_use_irq(&uart);
	for (unsigned i = 0; i < 8 + 16 + 3; i++) {
		chip_receive(&chip, (uint8_t)i, 0);
		run(1);
	}
	assert_int_equal(uart.lost_rx, 3);
	assert_int_equal(uart.rx_errors, 3);
	for (unsigned i = 0; i < 40; i++) {
		n += uart_receive(&uart, got + n, sizeof(got) - n);
		run(1);
	}
	assert_int_equal(n, 24);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(got[i], i);
}

static void line_errors_are_counted_and_bytes_delivered(void **state)
{
	uint8_t got[8];

	(void)state;
	for (unsigned kind = CHIP_16550A; kind <= CHIP_16450; kind++) {
		static const uint8_t error[] = {0x04, 0x08, 0x10}; /* parity, framing, break */

		start((enum chip_kind)kind);
		uart_use_irq(&uart);
		for (unsigned i = 0; i < 3; i++) {
			chip_receive(&chip, (uint8_t)('x' + i), error[i]);
			assert_true(deliver());
		}
		assert_int_equal(uart.rx_errors, 3);
		assert_int_equal(uart.lost_rx, 0);
		assert_int_equal(uart_receive(&uart, got, sizeof(got)), 3);
		assert_memory_equal(got, "xyz", 3);
	}
}

static void errors_seen_by_the_sender_are_counted_too(void **state)
{
	uint8_t c;

	(void)state;
	start(CHIP_16550A);
	uart_use_irq(&uart);
	chip_receive(&chip, 'e', 0x08);
	assert_true(uart_send(&uart, "a", 1)); /* reads LSR, which clears the error */
	assert_int_equal(uart.rx_errors, 1);
	run(10);
	assert_int_equal(uart_receive(&uart, &c, 1), 1);
	assert_int_equal(uart.rx_errors, 1);
}

/* ---- odd chips ---- */

static void modem_status_is_acknowledged(void **state)
{
	(void)state;
	start(CHIP_16550A);
	uart_use_irq(&uart);
	chip.ier |= 8;
	chip.msr_delta = 1;
	chip_update(&chip);
	assert_true(chip.irq_latched);
	assert_false(deliver());
	assert_int_equal(chip.msr_delta, 0);
	assert_true(uart.irq_driven);
}

static void timeout_without_data_is_ended(void **state)
{
	(void)state;
	start(CHIP_16550A);
	uart_use_irq(&uart);
	chip.ghost = true;
	chip_update(&chip);
	assert_false(deliver());
	assert_false(chip.ghost);
	assert_true(uart.irq_driven);
	assert_int_equal(ring_used(&uart.rx), 0);
}

static void stuck_chip_is_polled_from_then_on(void **state)
{
	static const uint8_t sources[] = {0x00, 0x02, 0x04, 0x06, 0x08, 0x0a, 0x0c, 0x0e};
	uint8_t got[2];

	(void)state;
	for (unsigned i = 0; i < sizeof(sources); i++) {
		start(CHIP_16550A);
		uart_use_irq(&uart);
		chip.stuck = true;
		chip.stuck_iir = sources[i];
		chip_update(&chip);
		memset(chip.reads, 0, sizeof(chip.reads));
		assert_false(deliver());
		assert_true(chip_reads(&chip) <= 256 * 4);
		assert_false(uart.irq_driven);
		assert_int_equal(chip.ier, 0);
		assert_false(chip.irq_line);
		memset(chip.reads, 0, sizeof(chip.reads));
		assert_false(uart_irq(&uart)); /* one that was on its way */
		assert_int_equal(chip_reads(&chip), 0);
		assert_true(uart_send(&uart, "still here", 10));
		chip_receive(&chip, 'y', 0);
		run(20);
		assert_wire("still here", 10);
		assert_int_equal(uart_receive(&uart, got, sizeof(got)), 1);
		assert_int_equal(got[0], 'y');
		assert_int_equal(chip.ier, 0);
	}
}

static void vanished_chip_harms_nobody(void **state)
{
	uint8_t got[4];

	(void)state;
	start_sized(CHIP_16550A, 64, 64);
	uart_use_irq(&uart);
	chip.kind = CHIP_ABSENT;
	assert_true(uart_send(&uart, tx_buf, 64)); /* the ring has room */
	assert_int_equal(ring_used(&uart.tx), 64);
	assert_false(uart_send(&uart, tx_buf, 1));
	assert_false(uart_irq(&uart));
	assert_int_equal(uart_receive(&uart, got, sizeof(got)), 0);
	assert_int_equal(uart.rx_errors + uart.lost_rx, 0);
	memset(chip.reads, 0, sizeof(chip.reads));
	uart_panic_write(&uart, "end", 3, 1000000);
	assert_true(chip_reads(&chip) < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(send_polled_fills_fifo_without_waiting),
		cmocka_unit_test(send_polled_without_fifo_goes_byte_by_byte),
		cmocka_unit_test(send_polled_moves_all_that_the_chip_takes),
		cmocka_unit_test(send_is_all_or_nothing),
		cmocka_unit_test(send_by_irq_is_complete_and_in_order),
		cmocka_unit_test(send_by_irq_outlasts_one_interrupt_on_instant_chip),
		cmocka_unit_test(send_does_not_hold_the_lock_for_the_whole_ring),
		cmocka_unit_test(send_survives_thr_that_empties_between_look_and_enable),
		cmocka_unit_test(send_short_needs_no_interrupt),
		cmocka_unit_test(use_irq_sends_what_polling_left),
		cmocka_unit_test(receive_by_timeout_and_by_trigger),
		cmocka_unit_test(receive_without_fifo),
		cmocka_unit_test(receive_before_use_irq_polls),
		cmocka_unit_test(irq_returns_false_for_output_alone),
		cmocka_unit_test(receive_outlasts_one_interrupt_on_fast_chip),
		cmocka_unit_test(both_directions_at_once),
		cmocka_unit_test(receive_full_ring_leaves_bytes_in_chip),
		cmocka_unit_test(receive_loss_while_full_is_counted),
		cmocka_unit_test(line_errors_are_counted_and_bytes_delivered),
		cmocka_unit_test(errors_seen_by_the_sender_are_counted_too),
		cmocka_unit_test(modem_status_is_acknowledged),
		cmocka_unit_test(timeout_without_data_is_ended),
		cmocka_unit_test(stuck_chip_is_polled_from_then_on),
		cmocka_unit_test(vanished_chip_harms_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
