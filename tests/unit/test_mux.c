/*
 * core/mux.c: who has the console, what is shown of each VM and when, and that nobody waits for a
 * wake-up that does not come. The log, the serial port, the shell and the other CPUs are stand-ins.
 * needs: core/mux.c core/vm_console.c core/console_keys.c devices/vga.c lib/printf.c lib/ring.c
 * needs: mm/gmem.c tests/fake/panic.c tests/fake/spinlock.c tests/fake/host_cpu.c
 */
#include "mux_rig.h"

/* --- Lines -------------------------------------------------------------------------------- */

static void test_lines_carry_their_vms_name(void **state)
{
	(void)state;
	print(0, "hello\nwor");
	print(1, "and I\n");
	print(0, "ld\n");
	boot_run(10);
	assert_non_null(strstr(host.out, "[vm1] hello\n[vm1] world\n"));
	assert_non_null(strstr(host.out, "[vm2] and I\n"));
	assert_int_equal(host.len, strlen("[vm1] hello\n[vm1] world\n[vm2] and I\n"));
}

static void test_an_unfinished_line_is_shown_after_a_while(void **state)
{
	(void)state;
	print(0, "login: ");
	boot_run(10);
	assert_int_equal(host.len, 0);
	assert_non_null(host.timer); /* it will be looked at */
	host.partial_ticks = 0;
	boot_run(10);
	expect_out("[vm1] login: \n");
	assert_null(host.timer);
}

static void test_what_belongs_to_no_vm_is_skipped(void **state)
{
	(void)state;
	vms[1] = NULL;
	print(0, "a\n");
	print(2, "c\n");
	boot_run(10);
	assert_non_null(strstr(host.out, "[vm1] a\n"));
	assert_non_null(strstr(host.out, "[vm3] c\n"));
	keys_type(CTRL_A "2");
	assert_false(mux_has_focus());
	assert_non_null(strstr(host.out, "there is no VM 2"));
	keys_type(CTRL_A "1" CTRL_A "n");
	clear();
	print(2, "three");
	boot_run(10);
	expect_out("three");
}

/* --- Wake-ups ----------------------------------------------------------------------------- */

static void test_many_bytes_are_one_wake_up(void **state)
{
	(void)state;
	print(0, "one\ntwo\nthree\n");
	print(1, "one\ntwo\nthree\n");
	assert_int_equal(host.kicks, 1);
	boot_run(10);
	print(0, "four\n");
	assert_int_equal(host.kicks, 2);
	boot_run(10);
	assert_non_null(strstr(host.out, "[vm1] four\n"));
}

/* Each key makes the boot CPU's loop look: that must not put off what is to be shown. */
static void test_keys_do_not_postpone_the_output(void **state)
{
	uint64_t due;

	(void)state;
	host.show_ticks = 1ul << 40;
	print(0, "line\n");
	mux_work();
	due = host.timer->node.key;
	for (unsigned i = 0; i < 5; i++)
		mux_work();
	assert_int_equal(host.timer->node.key, due);
}

/* But one that is due late is made earlier. */
static void test_new_output_is_not_as_late_as_an_unfinished_line(void **state)
{
	uint64_t late;

	(void)state;
	print(0, "login: ");
	boot_run(3);
	late = host.timer->node.key;
	print(1, "line\n");
	mux_work();
	assert_true(host.timer->node.key < late);
}

/*
 * VMs print, the focus moves, keys are typed, all at random: whenever the boot CPU has nothing to
 * do, all that it has to show is shown.
 */
static void test_no_wake_up_is_lost_over_changes_of_focus(void **state)
{
	static const char *const keys[] = {CTRL_A "1", CTRL_A "2", CTRL_A "3", CTRL_A "n",
					   CTRL_A "p", CTRL_A "s", CTRL_A "r", "typed"};
	uint32_t random = 12345;
	unsigned focus = 0;

	(void)state;
	host.partial_ticks = 0;
	for (unsigned step = 0; step < 20000; step++) {
		random = random * 1664525 + 1013904223;
		if (random >> 29 < 5)
			print(random >> 8 & 0xff ? random >> 16 & 1 : 2,
			      random >> 20 & 1 ? "ab\n" : "c");
		else if (random >> 29 < 6)
			keys_type(keys[random >> 16 & 7]);
		else if (random >> 29 < 7)
			mux_flush(&vm[random >> 16 & 1]);
		else
			boot_run(1);
		host.room = random >> 12 & 3 ? ROOM_DEFAULT : 100;
		if (random >> 4 & 31)
			continue;
		host.room = ROOM_DEFAULT;
		boot_run(1000);
		focus += mux_has_focus();
		if (!mux_has_focus())
			for (unsigned i = 0; i < VMS; i++)
				assert_int_equal(atomic_load(&vm[i].console.shown),
						 atomic_load(&vm[i].console.head));
		clear();
	}
	assert_in_range(focus, 100, 600);
}

/* --- Focus -------------------------------------------------------------------------------- */

static void test_the_vm_in_focus_has_a_plain_terminal(void **state)
{
	(void)state;
	keys_type(CTRL_A "1");
	assert_true(mux_has_focus());
	clear();
	print(0, "\033[1mraw\a");
	print(1, "not now\n");
	boot_run(10);
	expect_out("\033[1mraw\a");
	log_printf("a line of the log\n");
	assert_int_equal(host.len, 0);
	host.prompts = 0;
	keys_type(CTRL_A "s");
	boot_run(10);
	assert_int_equal(host.prompts, 1);
	expect_out("\r\na line of the log\ncrvm> [vm2] not now\n");
}

static void test_focus_begins_with_what_was_not_shown(void **state)
{
	(void)state;
	print(0, "old\n");
	boot_run(10);
	clear();
	print(0, "new");
	keys_type(CTRL_A "1");
	assert_non_null(strstr(host.out, "new"));
	assert_null(strstr(host.out, "old"));
	clear();
	keys_type(CTRL_A "r");
	assert_non_null(strstr(host.out, "old\nnew"));
}

/* It may end without a word, while the boot CPU sleeps. */
static void test_the_shell_comes_back_when_the_vm_ends(void **state)
{
	(void)state;
	keys_type(CTRL_A "2");
	boot_run(10);
	assert_false(host.kicked || host.timer);
	clear();
	mux_flush(&vm[1]);
	log_printf("VM vm2 stopped: why\n");
	atomic_store(&vm[1].state, VM_STOPPED);
	mux_wake();
	assert_true(host.kicked);
	boot_run(10);
	assert_false(mux_has_focus());
	expect_out("VM vm2 stopped: why\ncrvm> ");
}

static void test_a_vm_that_is_paused_or_not_started_keeps_the_focus(void **state)
{
	(void)state;
	atomic_store(&vm[0].state, VM_PAUSED);
	keys_type(CTRL_A "1");
	mux_wake();
	boot_run(10);
	assert_true(mux_has_focus());
	atomic_store(&vm[0].state, VM_CREATED);
	mux_wake();
	boot_run(10);
	assert_true(mux_has_focus());
}

/* More than the ring is at first. */
static void test_a_replay_is_of_much(void **state)
{
	char line[32];

	(void)state;
	keys_type(CTRL_A "2");
	for (unsigned i = 0; i < 4000; i++) {
		snprintf(line, sizeof(line), "the line %04u\n", i);
		print(1, line);
	}
	clear();
	keys_type(CTRL_A "r");
	assert_true(host.len >= 4000 * 14);
	assert_non_null(strstr(host.out, "the line 0000\n"));
	assert_non_null(strstr(host.out, "the line 3999\n"));
}

static void test_a_vm_that_goes_away_gives_the_focus_back(void **state)
{
	(void)state;
	keys_type(CTRL_A "1");
	mux_detach(&vm[1]);
	assert_true(mux_has_focus());
	mux_detach(&vm[0]);
	assert_false(mux_has_focus());
	assert_int_equal(host.prompts, 1);
}

/* --- Before a VM's end -------------------------------------------------------------------- */

static void test_all_that_was_printed_comes_before_the_message(void **state)
{
	(void)state;
	print(0, "last\nwords");
	mux_flush(&vm[0]);
	expect_out("[vm1] last\n[vm1] words\n");
	boot_run(10);
	assert_int_equal(host.len, 0);
}

static void test_in_focus_too(void **state)
{
	(void)state;
	keys_type(CTRL_A "1");
	clear();
	print(0, "last words");
	mux_flush(&vm[0]);
	expect_out("last words");
}

/* A VM may have printed much more than the serial port can take: that must not push out what is
 * said of it. The rest follows. */
static void test_a_flood_before_the_end_leaves_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		print(0, "0123456789012345678901234567890123456789012345678\n");
	host.room = 60000;
	mux_flush(&vm[0]);
	assert_true(host.room > 0);
	for (unsigned i = 0; i < 100; i++) {
		host.room = 60000;
		boot_run(1);
	}
	assert_int_equal(host.len, 1000 * (6 + 50));
}

/* --- Hostile VMs -------------------------------------------------------------------------- */

/* Without a serial port there is always room, and the VM prints faster than it is shown. */
static void test_a_vm_that_never_ends_printing_does_not_hold_the_boot_cpu(void **state)
{
	(void)state;
	print(0, "line\n");
	host.talks = &vm[0];
	host.room = ~0u;
	boot_run(2);
	assert_true(host.len < 1u << 20);
	assert_non_null(host.timer);
	keys_type(CTRL_A "1");
	boot_run(2);
	assert_true(host.len < 2u << 20);
	assert_non_null(host.timer);
}

static void test_a_flood_of_one_vm_does_not_hide_the_others(void **state)
{
	(void)state;
	for (unsigned who = 0; who < VMS; who++) {
		const unsigned other = (who + 1) % VMS;

		host.room = OUT_SIZE;
		boot_run(1000);
		clear();
		print(other, "here I am\n");
		for (unsigned round = 0; round < 2 * VMS; round++) {
			for (unsigned i = 0; i < 200; i++)
				print(who, "0123456789012345678901234567890123456789\n");
			host.room = 41000; /* what the port has sent meanwhile */
			boot_run(1);
		}
		assert_non_null(strstr(host.out, "here I am\n"));
	}
}

/* --- Input -------------------------------------------------------------------------------- */

static void test_what_is_typed_goes_to_the_vm_on_its_cpu(void **state)
{
	(void)state;
	keys_type("help");
	assert_string_equal(shell_got, "help");
	keys_type(CTRL_A "1");
	host.inputs = 0;
	keys_type("ls\r");
	assert_int_equal(host.inputs, 1);
	assert_int_equal(ring_used(&vm[0].console.in), 3);
	assert_string_equal(shell_got, "help");
}

static void test_a_vm_that_never_reads_rings_the_bell_once(void **state)
{
	unsigned bells = 0;

	(void)state;
	keys_type(CTRL_A "1");
	clear();
	for (unsigned i = 0; i < VM_CONSOLE_IN_SIZE; i++)
		keys_type("xy");
	for (uint32_t i = 0; i < host.len; i++)
		bells += host.out[i] == '\a';
	assert_int_equal(bells, 1);
	assert_int_equal(ring_used(&vm[0].console.in), VM_CONSOLE_IN_SIZE);
}

static void test_one_that_is_off_is_not_called(void **state)
{
	(void)state;
	atomic_store(&vm[0].state, VM_CREATED);
	vcpu[0].cpu = NULL;
	keys_type(CTRL_A "1");
	keys_type("abc");
	assert_int_equal(host.calls, 0);
	assert_int_equal(ring_used(&vm[0].console.in), 3);
}

/* Its memory may be given back next: nothing of it may be left in its CPU's hands. */
static void test_one_that_ends_meanwhile_gets_no_input(void **state)
{
	(void)state;
	keys_type(CTRL_A "1");
	host.stops_meanwhile = true;
	host.inputs = 0;
	keys_type("abc");
	assert_int_equal(host.calls, 1);
	assert_int_equal(host.inputs, 0);
}

/* --- Screen ------------------------------------------------------------------------------- */

static void crtc_write(struct pc *p, uint8_t reg, uint8_t v)
{
	for (unsigned i = 0; i < VGA_REGION_COUNT; i++) {
		struct io_region r = vga_region(&p->vga, i);

		if (r.base > VGA_PORT_CRTC || VGA_PORT_CRTC - r.base >= r.len)
			continue;
		r.ops->write(r.dev, VGA_PORT_CRTC - r.base, 1, reg);
		r.ops->write(r.dev, VGA_PORT_CRTC + 1 - r.base, 1, v);
	}
}

static void test_the_text_screen_is_shown_from_its_start(void **state)
{
	(void)state;
	memset(screen, 0, sizeof(screen));
	assert_int_equal(gmem_add(&vm[0].mem, gpa(0xb8000), sizeof(screen), screen, false), OK);
	memcpy(screen + 160, "o\7k\7 \7\xdb\7", 8);
	crtc_write(&pc[0], VGA_CRTC_START_LOW, 80);
	keys_type(CTRL_A "1");
	clear();
	keys_type(CTRL_A "v");
	assert_non_null(strstr(host.out, "| ok .\r\n| \r\n"));
	/* The last cells, and on from the first: whatever the guest writes there stays inside. */
	crtc_write(&pc[0], VGA_CRTC_START_LOW, 0xff);
	crtc_write(&pc[0], VGA_CRTC_START_HIGH, 0xff);
	clear();
	keys_type(CTRL_A "v");
	assert_non_null(strstr(host.out, "ok ."));
}

static void test_without_memory_there_is_no_screen(void **state)
{
	(void)state;
	keys_type(CTRL_A "1");
	clear();
	keys_type(CTRL_A "v");
	expect_out("\r\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, mux_setup, mux_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lines_carry_their_vms_name),
		T(test_an_unfinished_line_is_shown_after_a_while),
		T(test_what_belongs_to_no_vm_is_skipped),
		T(test_many_bytes_are_one_wake_up),
		T(test_keys_do_not_postpone_the_output),
		T(test_new_output_is_not_as_late_as_an_unfinished_line),
		T(test_no_wake_up_is_lost_over_changes_of_focus),
		T(test_the_vm_in_focus_has_a_plain_terminal),
		T(test_focus_begins_with_what_was_not_shown),
		T(test_the_shell_comes_back_when_the_vm_ends),
		T(test_a_vm_that_is_paused_or_not_started_keeps_the_focus),
		T(test_a_replay_is_of_much),
		T(test_a_vm_that_goes_away_gives_the_focus_back),
		T(test_all_that_was_printed_comes_before_the_message),
		T(test_in_focus_too),
		T(test_a_flood_before_the_end_leaves_room),
		T(test_a_vm_that_never_ends_printing_does_not_hold_the_boot_cpu),
		T(test_a_flood_of_one_vm_does_not_hide_the_others),
		T(test_what_is_typed_goes_to_the_vm_on_its_cpu),
		T(test_a_vm_that_never_reads_rings_the_bell_once),
		T(test_one_that_is_off_is_not_called),
		T(test_one_that_ends_meanwhile_gets_no_input),
		T(test_the_text_screen_is_shown_from_its_start),
		T(test_without_memory_there_is_no_screen),
	};
	int failed;

	host.out = malloc(OUT_SIZE);
	host.history = malloc(OUT_SIZE);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(host.out);
	free(host.history);
	return failed;
}
