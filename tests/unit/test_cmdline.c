/*
 * core/cmdline.c: good lines, every kind of mistake and its message, quoting, the console's value.
 * needs: core/cmdline.c lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/cmdline.h>
#include <crvm/virt.h>
#include <crvm/status.h>

#define MESSAGES 16

struct heard {
	unsigned count;
	char text[MESSAGES][256];
};

static struct heard heard;

static void hear(void *ctx, const char *text)
{
	struct heard *h = ctx;

	assert_ptr_equal(ctx, &heard);
	assert_true(strlen(text) < 240);
	if (h->count < MESSAGES)
		snprintf(h->text[h->count], sizeof(h->text[0]), "%s", text);
	h->count++;
}

/* Parses a copy on the heap, so that a read past its end is caught. */
static struct cmdline_options parse(const char *text)
{
	struct cmdline_options o;
	char *copy = strdup(text);

	memset(&o, 0xa5, sizeof(o));
	memset(&heard, 0, sizeof(heard));
	cmdline_parse(&o, copy, hear, &heard);
	free(copy);
	return o;
}

static void assert_options(const struct cmdline_options *o, const char *console,
			   enum log_level loglevel, unsigned cpus, enum panic_action panic,
			   bool screen, bool x2apic)
{
	assert_string_equal(o->console, console);
	assert_int_equal(o->loglevel, loglevel);
	assert_int_equal(o->cpus, cpus);
	assert_int_equal(o->panic, panic);
	assert_int_equal(o->screen, screen);
	assert_int_equal(o->x2apic, x2apic);
}

static void assert_default(const char *text)
{
	struct cmdline_options o = parse(text);

	assert_options(&o, "auto", LOG_INFO, 0, PANIC_HALT, true, true);
}

static void empty_line_gives_the_defaults_in_silence(void **state)
{
	(void)state;
	assert_default("");
	assert_int_equal(heard.count, 0);
	assert_default("  \t\r\n ");
	assert_int_equal(heard.count, 0);
}

static void every_option_is_read(void **state)
{
	struct cmdline_options o = parse("console=com1,115200 loglevel=debug cpus=4 panic=reboot "
					 "screen=off x2apic=off");

	(void)state;
	assert_int_equal(heard.count, 0);
	assert_options(&o, "com1,115200", LOG_DEBUG, 4, PANIC_REBOOT, false, false);
	o = parse("  x2apic=on screen=on\tpanic=halt cpus=0x10   loglevel=err console=none\n");
	assert_int_equal(heard.count, 0);
	assert_options(&o, "none", LOG_ERR, 16, PANIC_HALT, true, true);
}

static void features_to_do_without_are_listed(void **state)
{
	(void)state;
	assert_int_equal(parse("").without, 0);
	assert_int_equal(parse("without=rdtscp").without, 1u << VIRT_RDTSCP);
	assert_int_equal(parse("without=preemption-timer,tsc-offset").without,
			 1u << VIRT_DEADLINE | 1u << VIRT_TSC_OFFSET);
	assert_int_equal(parse("without=rdtscp,rdtscp").without, 1u << VIRT_RDTSCP);
	assert_int_equal(heard.count, 0);
}

static void every_loglevel_has_its_word(void **state)
{
	(void)state;
	assert_int_equal(parse("loglevel=err").loglevel, LOG_ERR);
	assert_int_equal(parse("loglevel=warn").loglevel, LOG_WARN);
	assert_int_equal(parse("loglevel=info").loglevel, LOG_INFO);
	assert_int_equal(parse("loglevel=debug").loglevel, LOG_DEBUG);
}

static void cpus_has_a_limit(void **state)
{
	(void)state;
	assert_int_equal(parse("cpus=0").cpus, 0);
	assert_int_equal(parse("cpus=256").cpus, CMDLINE_CPUS_MAX);
	assert_int_equal(heard.count, 0);
	assert_int_equal(parse("cpus=257").cpus, 0);
	assert_int_equal(heard.count, 1);
	assert_string_equal(heard.text[0], "bad value in 'cpus=257'; valid: 0 (all) to 256");
	assert_int_equal(parse("cpus=4294967297").cpus, 0); /* 2^32 + 1 */
	assert_int_equal(heard.count, 1);
	assert_int_equal(parse("cpus=18446744073709551617").cpus, 0);
	assert_int_equal(heard.count, 1);
}

static void unknown_option_is_named_and_the_known_are_listed(void **state)
{
	const char *known = "known: console, loglevel, cpus, panic, screen, x2apic, without";
	static const struct {
		const char *text, *shown;
	} t[] = {
		{"foo=1", "foo=1"},
		{"quiet", "quiet"},
		{"=", "="},
		{"=on", "=on"},
		{"Screen=off", "Screen=off"},
		{"screen2=off", "screen2=off"},
		{"scree=off", "scree=off"},
		{"\"\"", ""},
		{"cpus:4", "cpus:4"},
	};
	char want[256];

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		assert_default(t[i].text);
		assert_int_equal(heard.count, 1);
		snprintf(want, sizeof(want), "unknown option '%s'; %s", t[i].shown, known);
		assert_string_equal(heard.text[0], want);
	}
}

static void bad_value_keeps_the_default_and_lists_the_good_ones(void **state)
{
	static const struct {
		const char *text, *message;
	} t[] = {
		{"loglevel=loud", "bad value in 'loglevel=loud'; valid: err, warn, info, debug"},
		{"loglevel=", "bad value in 'loglevel='; valid: err, warn, info, debug"},
		{"loglevel=1", "bad value in 'loglevel=1'; valid: err, warn, info, debug"},
		{"panic=explode", "bad value in 'panic=explode'; valid: reboot, halt"},
		{"panic=halt=", "bad value in 'panic=halt='; valid: reboot, halt"},
		{"screen=1", "bad value in 'screen=1'; valid: off, on"},
		{"screen", "no value in 'screen'; valid: off, on"},
		{"x2apic=ON", "bad value in 'x2apic=ON'; valid: off, on"},
		{"without=",
		 "bad value in 'without='; valid: rdtscp, tsc-offset, preemption-timer"},
		{"without=rdtscp,",
		 "bad value in 'without=rdtscp,'; valid: rdtscp, tsc-offset, preemption-timer"},
		{"without=rdtscp,ept",
		 "bad value in 'without=rdtscp,ept'; valid: rdtscp, tsc-offset, preemption-timer"},
		{"cpus=-1", "bad value in 'cpus=-1'; valid: 0 (all) to 256"},
		{"cpus=many", "bad value in 'cpus=many'; valid: 0 (all) to 256"},
		{"console=com5",
		 "bad value in 'console=com5'; valid: auto, none, com1 to com4, 0xPORT, "
		 "mmio:0xADDRESS[:1|:4], each with an optional ,BAUD that divides 115200"},
	};

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		assert_default(t[i].text);
		assert_int_equal(heard.count, 1);
		assert_string_equal(heard.text[0], t[i].message);
	}
}

static void one_mistake_leaves_the_other_options_alone(void **state)
{
	struct cmdline_options o =
		parse("cpus=2 bogus loglevel=x screen=off \x01=\x02 panic=reboot");

	(void)state;
	assert_int_equal(heard.count, 3);
	assert_options(&o, "auto", LOG_INFO, 2, PANIC_REBOOT, false, true);
}

static void repeated_option_is_told_and_the_last_good_value_counts(void **state)
{
	struct cmdline_options o = parse("cpus=2 cpus=3");

	(void)state;
	assert_int_equal(o.cpus, 3);
	assert_int_equal(heard.count, 1);
	assert_string_equal(heard.text[0], "repeated option 'cpus=3'; the last good value counts; "
					   "valid: 0 (all) to 256");
	o = parse("screen=off screen=dim screen");
	assert_false(o.screen);
	assert_int_equal(heard.count, 4); /* two repetitions, both of them bad */
	assert_string_equal(heard.text[1], "bad value in 'screen=dim'; valid: off, on");
	assert_string_equal(heard.text[3], "no value in 'screen'; valid: off, on");
	o = parse("cpus=2 screen=off cpus=3 screen=on");
	assert_int_equal(heard.count, 2);
	assert_options(&o, "auto", LOG_INFO, 3, PANIC_HALT, true, true);
	o = parse("panic=none panic=reboot");
	assert_int_equal(o.panic, PANIC_REBOOT);
	assert_int_equal(heard.count, 2);
}

static void quotes_hold_a_word_together_as_in_grub(void **state)
{
	static const struct {
		const char *text;
		unsigned cpus;
	} good[] = {
		{"cpus=\"5\"", 5},
		{"\"cpus=5\"", 5},
		{"cp\"us=\"5", 5},
		{"\"\"cpus=5\"\"", 5},
	};
	static const struct {
		const char *text, *shown;
	} odd[] = {
		{"cpus=\"5 6\"", "cpus=5 6"},	  {"\"cpus=a b\"", "cpus=a b"},
		{"cpus=\\\"5\\\"", "cpus=\"5\""}, {"cpus=\\'5\\'", "cpus='5'"},
		{"cpus=5\\\\", "cpus=5\\"},	  {"cpus=\\5", "cpus=\\5"},
		{"cpus=5\\", "cpus=5\\"},	  {"\"cpus=\\\" 5\"", "cpus=\" 5"},
		{"cpus='5'", "cpus='5'"},
	};
	char want[256];

	(void)state;
	for (size_t i = 0; i < array_count(good); i++) {
		assert_int_equal(parse(good[i].text).cpus, good[i].cpus);
		assert_int_equal(heard.count, 0);
	}
	for (size_t i = 0; i < array_count(odd); i++) {
		assert_default(odd[i].text);
		assert_int_equal(heard.count, 1);
		snprintf(want, sizeof(want), "bad value in '%s'; valid: 0 (all) to 256",
			 odd[i].shown);
		assert_string_equal(heard.text[0], want);
	}
}

static void quote_without_end_spoils_its_option_only(void **state)
{
	struct cmdline_options o = parse("screen=off cpus=\"4 loglevel=debug");

	(void)state;
	assert_options(&o, "auto", LOG_INFO, 0, PANIC_HALT, false, true);
	assert_int_equal(heard.count, 1);
	assert_string_equal(heard.text[0], "quote without end in 'cpus=4 loglevel=debug'; "
					   "valid: 0 (all) to 256");
	assert_default("cpus=4\"");
	assert_int_equal(heard.count, 1);
	assert_default("\"");
	assert_int_equal(heard.count, 1);
}

static void words_too_long_are_shown_cut(void **state)
{
	char text[4096], want[256];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	assert_default(text);
	assert_int_equal(heard.count, 1);
	snprintf(want, sizeof(want), "unknown option '%.64s...'; known: ", text);
	assert_memory_equal(heard.text[0], want, strlen(want));

	/* The first 64 characters are a good option: the whole is not. */
	memset(text, '0', 200);
	memcpy(text, "cpus=", 5);
	strcpy(text + 63, "47 screen=off");
	assert_false(parse(text).screen);
	assert_int_equal(heard.count, 1);
	assert_non_null(strstr(heard.text[0], "...'; valid: 0 (all) to 256"));
	text[64] = ' '; /* 64 characters are fine */
	assert_int_equal(parse(text).cpus, 4);
}

static void longest_message_is_whole(void **state)
{
	char text[256] = "console=none console=";

	(void)state;
	memset(text + strlen(text), 'y', 200);
	assert_string_equal(parse(text).console, "none");
	assert_int_equal(heard.count, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_non_null(strstr(heard.text[i], "that divides 115200"));
}

static void control_characters_do_not_reach_the_message(void **state)
{
	(void)state;
	assert_default("\x1b[2Jevil\x7f\x80\xff");
	assert_int_equal(heard.count, 1);
	assert_memory_equal(heard.text[0],
			    "unknown option '?[2Jevil??"
			    "?';",
			    29);
}

static void console_text_that_does_not_fit_is_refused(void **state)
{
	const char *fits = "mmio:0x000000fe000000:4,00115200"; /* 32 characters: one too many */
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "console=%s", fits);
	assert_default(text);
	assert_int_equal(heard.count, 1);
	snprintf(text, sizeof(text), "console=mmio:0x00000fe000000:4,00115200");
	assert_string_equal(parse(text).console, "mmio:0x00000fe000000:4,00115200");
	assert_int_equal(heard.count, 0);
}

static void good_consoles_are_understood(void **state)
{
	static const struct {
		const char *text;
		struct console_arg want;
	} t[] = {
		{"auto", {CONSOLE_AUTO, 0, 0, 0}},
		{"none", {CONSOLE_NONE, 0, 0, 0}},
		{"auto,9600", {CONSOLE_AUTO, 0, 0, 9600}},
		{"none,9600", {CONSOLE_NONE, 0, 0, 9600}},
		{"com1", {CONSOLE_PORT, 0x3f8, 1, 0}},
		{"com2", {CONSOLE_PORT, 0x2f8, 1, 0}},
		{"com3", {CONSOLE_PORT, 0x3e8, 1, 0}},
		{"com4", {CONSOLE_PORT, 0x2e8, 1, 0}},
		{"com1,115200", {CONSOLE_PORT, 0x3f8, 1, 115200}},
		{"com4,2", {CONSOLE_PORT, 0x2e8, 1, 2}},
		{"0x3f8", {CONSOLE_PORT, 0x3f8, 1, 0}},
		{"0x1", {CONSOLE_PORT, 1, 1, 0}},
		{"0xFFF8,38400", {CONSOLE_PORT, 0xfff8, 1, 38400}},
		{"mmio:0xfe000000", {CONSOLE_MMIO, 0xfe000000, 1, 0}},
		{"mmio:0xfe000001:1", {CONSOLE_MMIO, 0xfe000001, 1, 0}},
		{"mmio:0xfe000000:4", {CONSOLE_MMIO, 0xfe000000, 4, 0}},
		{"mmio:0xfe000000:4,57600", {CONSOLE_MMIO, 0xfe000000, 4, 57600}},
		{"mmio:0xfffffffffffe0:4", {CONSOLE_MMIO, 0xfffffffffffe0, 4, 0}},
		{"mmio:0xffffffffffff8", {CONSOLE_MMIO, 0xffffffffffff8, 1, 0}},
	};

	(void)state;
	for (size_t i = 0; i < array_count(t); i++) {
		struct console_arg arg;

		memset(&arg, 0xa5, sizeof(arg));
		if (cmdline_console_parse(t[i].text, &arg) != 0)
			fail_msg("'%s' refused", t[i].text);
		assert_int_equal(arg.kind, t[i].want.kind);
		assert_int_equal(arg.address, t[i].want.address);
		assert_int_equal(arg.stride, t[i].want.stride);
		assert_int_equal(arg.baud, t[i].want.baud);
	}
}

static const char *const bad_consoles[] = {
	"",
	" ",
	"com",
	"com0",
	"com5",
	"com11",
	"COM1",
	"com1 ",
	" com1",
	"tty",
	"autos",
	",",
	",9600",
	"com1,",
	"com1,,",
	"com1,9600,",
	"com1,9600,9600",
	"com1,0",
	"com1,1", /* divisor 115200 */
	"com1,115201",
	"com1,230400",
	"com1,9601",
	"com1,7",
	"com1,0x2580",
	"com1,+9600",
	"com1,9600 ",
	"com1,-9600",
	"com1,9600n8",
	"com1,9K",
	"com1,4294976896", /* 2^32+9600 */
	"3f8",
	"1016",
	"0x",
	"0x0",
	"0xfff9",
	"0x10000",
	"0x103f8",
	"0x3f8K",
	"0x3f8:1",
	"0x100000000000003f8",
	"com1:1",
	"auto:1",
	"mmio:",
	"mmio:,9600",
	"mmio:0x",
	"mmio:0",
	"mmio:0x0",
	"mmio:fe000000",
	"mmio:4261412864",
	"mmio:0xfe000000:",
	"mmio:0xfe000000:2",
	"mmio:0xfe000000:8",
	"mmio:0xfe000000:44",
	"mmio:0xfe000000:4:4",
	"mmio:0xfe000000:4,",
	"mmio:0xfe000002:4",
	"mmio:0xfe000000,9600:4",
	"mmio:0xfe000K",
	"mmio:0xffffffffffff9",
	"mmio:0xfffffffffffe4:4",
	"mmio:0x10000000000000",
	"mmio:0xffffffffffffffff",
	"mmio:0x1000000000fe00000",
	"mmio::4",
	"MMIO:0xfe000000",
	"mmio:com1",
	"mmio:mmio:0xfe000000",
	"0x00000000000000000000000000000000000000000000000000000000000003f8",
};

static void bad_consoles_are_refused_and_touch_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_count(bad_consoles); i++) {
		struct console_arg arg = {CONSOLE_MMIO, 1, 2, 3};

		if (cmdline_console_parse(bad_consoles[i], &arg) != E_INVAL)
			fail_msg("'%s' accepted", bad_consoles[i]);
		assert_int_equal(arg.kind, CONSOLE_MMIO);
		assert_int_equal(arg.address, 1);
		assert_int_equal(arg.stride, 2);
		assert_int_equal(arg.baud, 3);
	}
}

static void every_divisor_of_115200_that_fits_is_a_baud_rate(void **state)
{
	char text[32];

	(void)state;
	for (uint32_t baud = 0; baud <= 115300; baud++) {
		bool good = baud > 1 && baud <= 115200 && 115200 % baud == 0;
		struct console_arg arg;

		snprintf(text, sizeof(text), "com1,%u", baud);
		assert_int_equal(cmdline_console_parse(text, &arg), good ? 0 : E_INVAL);
		if (good)
			assert_int_equal(arg.baud, baud);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_line_gives_the_defaults_in_silence),
		cmocka_unit_test(every_option_is_read),
		cmocka_unit_test(features_to_do_without_are_listed),
		cmocka_unit_test(every_loglevel_has_its_word),
		cmocka_unit_test(cpus_has_a_limit),
		cmocka_unit_test(unknown_option_is_named_and_the_known_are_listed),
		cmocka_unit_test(bad_value_keeps_the_default_and_lists_the_good_ones),
		cmocka_unit_test(one_mistake_leaves_the_other_options_alone),
		cmocka_unit_test(repeated_option_is_told_and_the_last_good_value_counts),
		cmocka_unit_test(quotes_hold_a_word_together_as_in_grub),
		cmocka_unit_test(quote_without_end_spoils_its_option_only),
		cmocka_unit_test(words_too_long_are_shown_cut),
		cmocka_unit_test(longest_message_is_whole),
		cmocka_unit_test(control_characters_do_not_reach_the_message),
		cmocka_unit_test(console_text_that_does_not_fit_is_refused),
		cmocka_unit_test(good_consoles_are_understood),
		cmocka_unit_test(bad_consoles_are_refused_and_touch_nothing),
		cmocka_unit_test(every_divisor_of_115200_that_fits_is_a_baud_rate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
