/*
 * The guest's 16550A: registers, transmitter, interrupts, modem lines and loopback, against the
 * PC16550D data sheet. What comes in is in test_serial_rx.c.
 * needs: devices/serial.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "serial_rig.h"

static void test_region_is_eight_ports_of_bytes(void **state)
{
	(void)state;
	assert_int_equal(region.base, 0x3f8);
	assert_int_equal(region.len, 8);
	assert_ptr_equal(region.dev, &port.dev);
	assert_int_equal(region.ops->sizes, 1);
	assert_int_equal(port.dev.lock.rank, RANK_DEVICE);
	assert_int_equal(serial_region(&port, 0x2f8).base, 0x2f8);
}

/* Data sheet, "Master Reset": what the registers are afterwards. */
static void assert_power_on(void)
{
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(LCR), 0);
	assert_int_equal(in(MCR), 0);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0);
	assert_int_equal(in(SCR), 0);
	assert_int_equal(in(RBR), 0);
	assert_false(rig_level);
	assert_int_equal(rig_alarm, DEVICE_NEVER);
}

static void test_power_on_state(void **state)
{
	(void)state;
	assert_power_on();
	assert_int_equal(rig_rises + rig_falls, 0);
	assert_int_equal(rig_alarms_set, 0);
}

static void test_reset_gives_the_power_on_state(void **state)
{
	(void)state;
	out(SCR, 0x5a);
	set_line(1, 0x1f);
	out(FCR, 0xc1);
	out(IER, 0x0f);
	type("0123456789abcdefXYZ", 19);
	assert_int_equal(in(RBR), '0');
	out(MCR, 0x1f);
	for (unsigned i = 0; i < 20; i++)
		out(THR, 'o');
	assert_true(rig_level);
	assert_int_not_equal(rig_alarm, DEVICE_NEVER);
	port.dev.reset(&port.dev);
	assert_power_on();
	out(LCR, 0x80);
	assert_int_equal(in(DLL), 12);
	assert_int_equal(in(DLM), 0);
	out(LCR, 0);
	/* What the last life did not fetch is there for the next one. */
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'X');
}

static void test_scratch_and_line_control_keep_all_bits(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 256; v++) {
		out(SCR, (uint8_t)v);
		assert_int_equal(in(SCR), v);
		out(LCR, (uint8_t)v);
		assert_int_equal(in(LCR), v);
	}
	assert_int_equal(rig_sent_n, 0);
}

static void test_reserved_bits_read_as_zero(void **state)
{
	(void)state;
	out(IER, 0xff);
	assert_int_equal(in(IER), 0x0f);
	out(MCR, 0xff);
	assert_int_equal(in(MCR), 0x1f);
}

static void test_status_registers_ignore_writes(void **state)
{
	(void)state;
	out(LSR, 0x9f);
	assert_int_equal(in(LSR), 0x60);
	out(MSR, 0x4f);
	assert_int_equal(in(MSR), 0xb0);
}

static void test_dlab_swaps_two_registers_only(void **state)
{
	(void)state;
	out(IER, 0x05);
	out(LCR, 0x83);
	assert_int_equal(in(DLL), 12);
	assert_int_equal(in(DLM), 0);
	out(DLL, 0x34);
	out(DLM, 0x12);
	assert_int_equal(in(DLL), 0x34);
	assert_int_equal(in(DLM), 0x12);
	out(DLM, 0xff);
	out(DLL, 0xff);
	out(DLM, 0x00);
	assert_int_equal(in(DLL), 0xff);
	out(DLL, 0x00);
	assert_int_equal(in(DLM), 0x00);
	assert_int_equal(in(DLL), 0x00);
	out(DLM, 0x12);
	out(DLL, 0x34);
	assert_int_equal(in(DLM), 0x12);
	out(SCR, 0x77);
	out(MCR, 0x03);
	assert_int_equal(in(SCR), 0x77);
	assert_int_equal(in(MCR), 0x03);
	assert_int_equal(in(LSR), 0x60);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 0x05);
	assert_int_equal(rig_sent_n, 0);
	out(THR, 'x');
	out(LCR, 0x83);
	assert_int_equal(in(DLL), 0x34);
	assert_int_equal(rig_sent_n, 1);
}

/* What polling guests print with must be the short way. */
static void test_polled_output_takes_the_short_way(void **state)
{
	(void)state;
	out(FCR, 0);
	set_line(12, 0x03);
	out(MCR, 0x03);
	out(IER, 0x0d);
	assert_true(port.tx_plain);
	out(IER, 0x02);
	assert_false(port.tx_plain);
}

static void test_transmit_is_instant_in_every_mode(void **state)
{
	static const uint8_t iers[] = {0, 1, 2, 7, 15};
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(iers); i++) {
		for (unsigned fcr = 0; fcr < 2; fcr++) {
			out(FCR, (uint8_t)fcr);
			out(IER, iers[i]);
			for (unsigned k = 0; k < 40; k++, n++) {
				out(THR, (uint8_t)(n * 7));
				assert_int_equal(in(LSR), 0x60);
				assert_int_equal(rig_sent_n, n + 1);
				assert_int_equal(rig_sent[n], (uint8_t)(n * 7));
			}
		}
	}
	assert_int_equal(rig_alarms_set, 0);
}

static void test_string_output_sends_every_byte(void **state)
{
	(void)state;
	assert_int_equal(region.ops->write_many(region.dev, THR, 1, "hello", 5), 5);
	assert_int_equal(rig_sent_n, 5);
	assert_memory_equal(rig_sent, "hello", 5);
	assert_int_equal(region.ops->write_many(region.dev, SCR, 1, "hello", 5), 5);
	assert_int_equal(in(SCR), 'o');
	assert_int_equal(rig_sent_n, 5);
}

static void test_word_length_does_not_cut_what_is_sent(void **state)
{
	(void)state;
	out(LCR, 0x00);
	out(THR, 0xe1);
	assert_int_equal(rig_sent[0], 0xe1);
}

static void test_break_holds_the_line_down(void **state)
{
	(void)state;
	out(LCR, 0x43);
	out(THR, 'x');
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(rig_sent_n, 0);
	out(LCR, 0x03);
	out(THR, 'y');
	assert_int_equal(rig_sent_n, 1);
	assert_int_equal(rig_sent[0], 'y');
}

static void test_thre_interrupt_comes_when_enabled(void **state)
{
	(void)state;
	out(IER, 0x02);
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0x02);
	assert_false(rig_level); /* the read that reports it takes it back */
	assert_int_equal(in(IIR), 0x01);
	out(IER, 0x02);
	assert_false(rig_level); /* enabled before: nothing new */
	out(IER, 0x00);
	out(IER, 0x02);
	assert_true(rig_level);
	out(IER, 0x00);
	assert_false(rig_level);
	assert_int_equal(in(IIR), 0x01);
}

static void test_thre_interrupt_comes_after_each_write(void **state)
{
	(void)state;
	out(IER, 0x02);
	(void)in(IIR);
	for (unsigned i = 0; i < 3; i++) {
		out(THR, 'a');
		assert_true(rig_level);
		assert_int_equal(in(IIR), 0x02);
		assert_false(rig_level);
	}
	assert_int_equal(rig_sent_n, 3);
}

/* Who writes the next byte without a look at IIR needs an edge for it all the same. */
static void test_thre_interrupt_makes_an_edge_for_each_write(void **state)
{
	(void)state;
	out(IER, 0x02);
	assert_int_equal(rig_rises, 1);
	for (unsigned i = 0; i < 5; i++)
		out(THR, 'a');
	assert_int_equal(rig_rises, 6);
	assert_int_equal(rig_falls, 5);
	assert_true(rig_level);
}

static void test_thre_written_while_masked_is_pending_when_unmasked(void **state)
{
	(void)state;
	out(IER, 0x02);
	(void)in(IIR);
	out(IER, 0x00);
	out(THR, 'a');
	assert_false(rig_level);
	out(IER, 0x02);
	assert_true(rig_level);
}

/* Reading IIR reports THRE only if nothing else goes before it; only then it is cleared. */
static void test_priorities(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(MCR, 0x10); /* CTS, DSR, DCD fall: modem status */
	out(IER, 0x0f);
	out(THR, 'a');
	out(THR, 'b'); /* overrun */
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x00);
	assert_true(rig_level);
	assert_int_equal(in(MSR), 0x0b);
	assert_int_equal(in(IIR), 0x01);
	assert_false(rig_level);
	assert_int_equal(rig_sent_n, 0);
}

static void test_each_source_needs_its_own_enable(void **state)
{
	static const uint8_t iir[] = {0x04, 0x02, 0x06, 0x00};

	(void)state;
	for (unsigned bit = 0; bit < 4; bit++) {
		setup(NULL);
		out(MCR, 0x10);
		out(THR, 'a');
		out(THR, 'b');
		assert_int_equal(in(IIR), 0x01);
		assert_false(rig_level);
		out(IER, (uint8_t)(1u << bit));
		assert_true(rig_level);
		assert_int_equal(in(IIR), iir[bit]);
		out(IER, 0);
		assert_false(rig_level);
		assert_int_equal(in(IIR), 0x01);
	}
}

static void test_out2_does_not_gate_the_line(void **state)
{
	(void)state;
	out(MCR, 0x00);
	out(IER, 0x02);
	assert_true(rig_level);
	out(MCR, 0x08);
	assert_true(rig_level);
	out(MCR, 0x00);
	assert_true(rig_level);
}

static void test_fifo_enable_shows_in_iir(void **state)
{
	(void)state;
	out(FCR, 0x01);
	assert_int_equal(in(IIR), 0xc1);
	out(IER, 0x02);
	assert_int_equal(in(IIR), 0xc2);
	out(FCR, 0xfe); /* without bit 0 the others do not count */
	assert_int_equal(in(IIR), 0x01);
	out(FCR, 0xc9);
	assert_int_equal(in(IIR), 0xc1);
}

/* Without what MSR says of changes, which is another test's. */
static unsigned modem_lines(void)
{
	(void)in(MSR);
	return in(MSR);
}

static void test_loopback_joins_the_modem_lines(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 16; v++) {
		out(MCR, (uint8_t)(0x10 | v));
		/* RTS: CTS, DTR: DSR, OUT1: RI, OUT2: DCD */
		assert_int_equal(modem_lines(),
				 (v & 2) << 3 | (v & 1) << 5 | (v & 4) << 4 | (v & 8) << 4);
	}
	out(MCR, 0x1a); /* the probe that Linux makes */
	assert_int_equal(modem_lines(), 0x90);
	out(MCR, 0x0f);
	assert_int_equal(modem_lines(), 0xb0);
}

static void test_modem_deltas(void **state)
{
	(void)state;
	out(MCR, 0x03);
	assert_int_equal(in(MSR), 0xb0); /* outside of loopback MCR changes nothing */
	out(MCR, 0x1b);			 /* CTS, DSR, DCD are up as before */
	assert_int_equal(in(MSR), 0xb0);
	out(MCR, 0x19);
	assert_int_equal(in(MSR), 0xa1);
	out(MCR, 0x18);
	assert_int_equal(in(MSR), 0x82);
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x08);
	out(MCR, 0x14);
	assert_int_equal(in(MSR), 0x40); /* RI has no leading edge */
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x04); /* but a trailing one */
	out(MCR, 0x12);
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x01); /* deltas stay until they are read */
	assert_int_equal(in(MSR), 0x00);
}

static void test_modem_interrupt_lasts_until_msr_is_read(void **state)
{
	(void)state;
	out(MCR, 0x10);
	(void)in(MSR);
	out(IER, 0x08);
	assert_false(rig_level);
	out(MCR, 0x12);
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0x00);
	assert_true(rig_level);
	(void)in(MSR);
	assert_false(rig_level);
}

static void test_loopback_carries_data(void **state)
{
	(void)state;
	out(LCR, 0x03);
	out(MCR, 0x10);
	out(IER, 0x01);
	for (unsigned v = 0; v < 256; v++) {
		out(THR, (uint8_t)v);
		assert_true(rig_level);
		assert_int_equal(in(LSR), 0x61);
		assert_int_equal(in(RBR), v);
		assert_false(rig_level);
		assert_int_equal(in(LSR), 0x60);
		assert_int_equal(in(RBR), v); /* the register keeps it */
	}
	assert_int_equal(rig_sent_n, 0);
}

static void test_loopback_has_the_word_length(void **state)
{
	(void)state;
	out(MCR, 0x10);
	for (unsigned wls = 0; wls < 4; wls++) {
		out(LCR, (uint8_t)wls);
		out(THR, 0xff);
		assert_int_equal(in(RBR), 0xff >> (3 - wls));
	}
	out(LCR, 0x43); /* break is for the line outside */
	out(THR, 0x99);
	assert_int_equal(in(RBR), 0x99);
}

static void test_loopback_overruns_the_register(void **state)
{
	(void)state;
	out(LCR, 0x03);
	out(MCR, 0x10);
	out(IER, 0x04);
	out(THR, 'a');
	assert_false(rig_level);
	out(THR, 'b');
	assert_true(rig_level);
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x63);
	assert_false(rig_level);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(LSR), 0x60);
}

/* How Linux measures the FIFO: it sends 256 bytes in loopback and counts what comes back. */
static void test_loopback_fifo_keeps_the_first_16(void **state)
{
	(void)state;
	out(LCR, 0x03);
	out(FCR, 0x07);
	out(MCR, 0x10);
	for (unsigned i = 0; i < 256; i++)
		out(THR, (uint8_t)i);
	assert_int_equal(in(LSR), 0x63);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(in(LSR), 0x61);
		assert_int_equal(in(RBR), i);
	}
	assert_int_equal(in(LSR), 0x60);
}

static void test_loopback_cuts_the_line_off(void **state)
{
	(void)state;
	set_line(1, 0x03);
	out(MCR, 0x10);
	type("ab", 2);
	serial_rx_break(&port);
	wait_ns(MS);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(rig_typed_at, 0);
	out(THR, 'x');
	assert_int_equal(in(RBR), 'x');
	out(MCR, 0x00);
	assert_int_equal(in(LSR), 0x61); /* what waited comes now */
	assert_int_equal(in(RBR), 'a');
	out(MCR, 0x10); /* while the next one is on the line */
	wait_ns(MS);
	assert_int_equal(in(LSR), 0x60);
	out(MCR, 0x00);
	assert_int_equal(in(RBR), 'b');
}

#define t(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		t(test_region_is_eight_ports_of_bytes),
		t(test_power_on_state),
		t(test_reset_gives_the_power_on_state),
		t(test_scratch_and_line_control_keep_all_bits),
		t(test_reserved_bits_read_as_zero),
		t(test_status_registers_ignore_writes),
		t(test_dlab_swaps_two_registers_only),
		t(test_polled_output_takes_the_short_way),
		t(test_transmit_is_instant_in_every_mode),
		t(test_string_output_sends_every_byte),
		t(test_word_length_does_not_cut_what_is_sent),
		t(test_break_holds_the_line_down),
		t(test_thre_interrupt_comes_when_enabled),
		t(test_thre_interrupt_comes_after_each_write),
		t(test_thre_interrupt_makes_an_edge_for_each_write),
		t(test_thre_written_while_masked_is_pending_when_unmasked),
		t(test_priorities),
		t(test_each_source_needs_its_own_enable),
		t(test_out2_does_not_gate_the_line),
		t(test_fifo_enable_shows_in_iir),
		t(test_loopback_joins_the_modem_lines),
		t(test_modem_deltas),
		t(test_modem_interrupt_lasts_until_msr_is_read),
		t(test_loopback_carries_data),
		t(test_loopback_has_the_word_length),
		t(test_loopback_overruns_the_register),
		t(test_loopback_fifo_keeps_the_first_16),
		t(test_loopback_cuts_the_line_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
