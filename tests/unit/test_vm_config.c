/*
 * core/vm_config.c: every key, its limits, every message, and text from somebody hostile.
 * needs: core/vm_config.c lib/text.c lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/compiler.h>
#include <crvm/percpu.h>
#include <crvm/status.h>
#include "../../core/vm_config.h"
#include "ram.h"

static struct vm_config config;
static char error[160];

/* Parses a copy on the heap, so that a read past its end is caught. */
static int parse_into(const char *text, size_t size)
{
	char *copy = strdup(text), *message = malloc(size);
	int err;

	memset(&config, 0xa5, sizeof(config));
	memset(message, 'x', size);
	err = vm_config_parse(&config, copy, message, size);
	if (err) {
		assert_int_equal(err, E_INVAL);
		assert_true(memchr(message, '\0', size));
		snprintf(error, sizeof(error), "%s", message);
	}
	free(copy);
	free(message);
	return err;
}

static int parse(const char *text)
{
	return parse_into(text, sizeof(error));
}

static void refused(const char *text, const char *message)
{
	if (parse(text) == OK)
		fail_msg("\"%s\" was taken", text);
	assert_string_equal(error, message);
}

static void test_the_first_word_says_what_it_is(void **state)
{
	(void)state;
	assert_true(vm_config_is_guest("guest"));
	assert_true(vm_config_is_guest("guest name=a"));
	assert_true(vm_config_is_guest("guest "));
	assert_false(vm_config_is_guest(""));
	assert_false(vm_config_is_guest("gues"));
	assert_false(vm_config_is_guest("guests name=a"));
	assert_false(vm_config_is_guest(" guest name=a"));
	assert_false(vm_config_is_guest("Guest"));
	assert_false(vm_config_is_guest("guest\tname=a"));
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("guest name=a"), OK);
	assert_string_equal(config.name, "a");
	assert_int_equal(config.mem, 16 << 20);
	assert_int_equal(config.at, 0x7c00);
	assert_int_equal(config.cpus, 1);
	assert_int_equal(config.cpu, -1);
	assert_true(config.vpid);
}

static void test_every_key_in_any_order_and_spacing(void **state)
{
	(void)state;
	assert_int_equal(parse("guest   vpid=off cpu=3  at=0xf0000 mem=64M name=uart-2  "), OK);
	assert_string_equal(config.name, "uart-2");
	assert_int_equal(config.mem, 64 << 20);
	assert_int_equal(config.at, 0xf0000);
	assert_int_equal(config.cpu, 3);
	assert_false(config.vpid);
}

static void test_limits_are_inclusive(void **state)
{
	(void)state;
	assert_int_equal(parse("guest name=a mem=64K"), OK);
	assert_int_equal(config.mem, 65536);
	assert_int_equal(parse("guest name=a mem=3G"), OK);
	assert_int_equal(config.mem, 3ul << 30);
	assert_int_equal(parse("guest name=a mem=0x11000"), OK);
	assert_int_equal(config.mem, 0x11000);
	assert_int_equal(parse("guest name=a at=0"), OK);
	assert_int_equal(config.at, 0);
	assert_int_equal(parse("guest name=a at=16"), OK);
	assert_int_equal(parse("guest name=a cpu=0"), OK);
	assert_int_equal(config.cpu, 0);
	assert_int_equal(parse("guest name=a cpu=63"), OK);
	assert_int_equal(config.cpu, CPU_MAX - 1);
	assert_int_equal(parse("guest name=a vpid=on"), OK);
	assert_true(config.vpid);
	assert_int_equal(parse("guest name=abcdefghijklm-9"), OK);
	assert_int_equal(parse("guest name=abcdefghijklmno"), OK);
	assert_int_equal(strlen(config.name), VM_NAME_MAX - 1);
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {
		"",    "abcdefghijklmnop", "A", "a.b", "a_b", "a=b", "a/b", "\x80", "\x1b", "a\n",
		"%s%n"};
	char text[64], message[128];

	(void)state;
	for (unsigned i = 0; i < array_count(names); i++) {
		snprintf(text, sizeof(text), "guest name=%s", names[i]);
		snprintf(message, sizeof(message), "'name=%s': must be 1 to 15 of a-z 0-9 -",
			 names[i]);
		refused(text, message);
	}
}

static void test_bad_values(void **state)
{
	static const struct {
		const char *key, *valid;
		const char *values[9];
	} cases[] = {
		{"mem",
		 "64K to 3G, in steps of 4K",
		 {"", "0", "60K", "0xfffff", "3G1", "4G", "-1", "18446744073709551616", "16m"}},
		{"at",
		 "an address up to 0xf0000, a multiple of 16",
		 {"", "1", "0x7c08", "0xf0010", "1G", "0x", "-16", "0x10000000000000000", "7c00"}},
		{"cpu",
		 "the number of a physical CPU",
		 {"", "64", "-1", "a", "4294967296", "0x100000000", "1.5", "18446744073709551615",
		  "0x"}},
		{"vpid",
		 "on or off",
		 {"", "yes", "1", "On", "onn", "of", "offf", "on,off", "true"}},
	};

	(void)state;
	for (unsigned i = 0; i < array_count(cases); i++)
		for (unsigned j = 0; j < 9; j++) {
			const char *value = cases[i].values[j];
			char text[80], message[160];

			snprintf(text, sizeof(text), "guest name=a %s=%s", cases[i].key, value);
			snprintf(message, sizeof(message), "'%s=%s': must be %s", cases[i].key,
				 value, cases[i].valid);
			refused(text, message);
		}
}

static void test_a_key_without_value(void **state)
{
	(void)state;
	refused("guest name", "'name=': must be 1 to 15 of a-z 0-9 -");
	refused("guest name=a vpid", "'vpid=': must be on or off");
	refused("guest name=a mem vpid=on", "'mem=': must be 64K to 3G, in steps of 4K");
}

static void test_each_key_once(void **state)
{
	static const char *const words[][2] = {{"name", "name=b"},
					       {"mem", "mem=1M mem=1M"},
					       {"at", "at=0 at=0"},
					       {"cpu", "cpu=0 cpu=0"},
					       {"vpid", "vpid=on vpid=off"}};
	char text[80], message[80];

	(void)state;
	for (unsigned i = 0; i < array_count(words); i++) {
		snprintf(text, sizeof(text), "guest name=a %s", words[i][1]);
		snprintf(message, sizeof(message), "'%s' is there twice", words[i][0]);
		refused(text, message);
	}
}

static void test_unknown_words(void **state)
{
	(void)state;
	refused("guest name=a disk=b", "unknown word 'disk'; known: name mem at cpu vpid");
	refused("guest name=a NAME=b", "unknown word 'NAME'; known: name mem at cpu vpid");
	refused("guest name=a =b", "unknown word ''; known: name mem at cpu vpid");
	refused("guest name=a nam=b", "unknown word 'nam'; known: name mem at cpu vpid");
	refused("guest name=a namee=b", "unknown word 'namee'; known: name mem at cpu vpid");
	refused("guest name=a cpus=2", "unknown word 'cpus'; known: name mem at cpu vpid");
	refused("guest name=a \tmem=1M", "unknown word '\tmem'; known: name mem at cpu vpid");
}

static void test_a_name_is_needed(void **state)
{
	(void)state;
	refused("guest", "there is no name=");
	refused("guest    ", "there is no name=");
	refused("guest mem=1M", "there is no name=");
}

static void test_long_words(void **state)
{
	char text[200] = "guest name=a ";

	(void)state;
	memset(text + 13, 'w', 64);
	refused(text, "a word is longer than 63 bytes");
	text[13 + 63] = '\0';
	assert_int_equal(parse(text), E_INVAL);
	assert_non_null(strstr(error, "unknown word 'wwww"));
}

/* The message is cut to whatever room there is, and ends. */
static void test_messages_fit(void **state)
{
	(void)state;
	for (size_t size = 1; size < 60; size++) {
		assert_int_equal(parse_into("guest name=a vpid=maybe", size), E_INVAL);
		assert_true(strlen(error) < size);
	}
}

/* Words are tried as they are, next to garbage: nothing breaks, and what is taken is in range. */
static void test_hostile_text(void **state)
{
	static const char *const parts[] = {" ",
					    "name=",
					    "a",
					    "mem=",
					    "64K",
					    "at=",
					    "0x7c00",
					    "cpu=",
					    "1",
					    "vpid=",
					    "on",
					    "=",
					    "%n%s",
					    "\x1b[",
					    "\xff",
					    "'",
					    "guest",
					    "name=z",
					    " mem=1G",
					    " cpu=0 ",
					    "\r\n",
					    "-1",
					    "0xffffffffffffffff",
					    "K",
					    "G",
					    "==",
					    "999999999",
					    "name=b c"};
	uint64_t seed = 20240501;
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		char text[256] = "guest ";
		unsigned count = (unsigned)(fake_random(&seed) >> 60);

		if (fake_random(&seed) & 1 << 20)
			strcat(text, "name=a ");
		for (unsigned j = 0; j < count; j++)
			strcat(text, parts[(fake_random(&seed) >> 32) % array_count(parts)]);
		if (parse(text) != OK)
			continue;
		taken++;
		assert_in_range(strlen(config.name), 1, VM_NAME_MAX - 1);
		assert_in_range(config.mem, 64 << 10, 3ul << 30);
		assert_int_equal(config.mem % 4096, 0);
		assert_true(config.at <= 0xf0000 && config.at % 16 == 0);
		assert_true(config.cpu >= -1 && config.cpu < (int)CPU_MAX);
		assert_int_equal(config.cpus, 1);
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_first_word_says_what_it_is),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key_in_any_order_and_spacing),
		cmocka_unit_test(test_limits_are_inclusive),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_a_key_without_value),
		cmocka_unit_test(test_each_key_once),
		cmocka_unit_test(test_unknown_words),
		cmocka_unit_test(test_a_name_is_needed),
		cmocka_unit_test(test_long_words),
		cmocka_unit_test(test_messages_fit),
		cmocka_unit_test(test_hostile_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
