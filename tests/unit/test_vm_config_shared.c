/*
 * The key `shared`: what it takes and refuses, and what VMs must agree about.
 * needs: core/vm_config.c core/config_keys.c core/config_check.c core/config_report.c lib/text.c
 * needs: lib/printf.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "vm_config_rig.h"

#define VALID                                                                          \
	"must be NAME:SIZE, also with irq=LINE: a name as a VM's, 4K to 64M in steps " \
	"of 4K, 3-7, 9-12, 14 or 15; at most 4 times"

static const struct vm_config_shared *only(const char *value)
{
	char line[80];
	const struct vm_config *c;

	snprintf(line, sizeof(line), "shared = %s", value);
	c = good(section(line));
	assert_int_equal(c->shared_count, 1);
	return &c->shared[0];
}

static void test_without_the_key_nothing_is_shared(void **state)
{
	(void)state;
	assert_int_equal(good("[vm a]\ndisk0 = x")->shared_count, 0);
}

static void test_good_values(void **state)
{
	const struct vm_config_shared *s = only("box:64K irq=5");

	(void)state;
	assert_string_equal(s->name, "box");
	assert_int_equal(s->size, 64 << 10);
	assert_int_equal(s->irq, 5);
	assert_int_equal(s->place.line, 2);
	assert_int_equal(s->place.column, 10);
	assert_int_equal(only("box:4096")->irq, -1);
	assert_int_equal(only("box:0x1000")->size, 4096);
	assert_int_equal(only("box:64M")->size, 64 << 20);
	assert_int_equal(only("box:67108864 \t irq=0xc")->irq, 12);
	assert_string_equal(only("fifteen-letters:4K")->name, "fifteen-letters");
	assert_string_equal(only("0:4K")->name, "0");
}

static void test_lines_that_nothing_else_needs(void **state)
{
	char value[32];

	(void)state;
	for (int irq = 0; irq < 20; irq++) {
		const bool valid =
			(irq >= 3 && irq <= 7) || (irq >= 9 && irq <= 12) || irq == 14 || irq == 15;

		snprintf(value, sizeof(value), "box:4K irq=%d", irq);
		if (valid) {
			assert_int_equal(only(value)->irq, irq);
			continue;
		}
		snprintf(value, sizeof(value), "shared = box:4K irq=%d", irq);
		assert_int_equal(parse(section(value)), 1);
	}
}

static void test_bad_values(void **state)
{
	static const char *const values[] = {
		"box",
		"box:",
		":4K",
		"box:0",
		"box:4095",
		"box:4097",
		"box:65M",
		"box:67112960",
		"box:-4K",
		"box:4K,",
		"box:4K,irq=5",
		"box:4K irq",
		"box:4K irq=",
		"box:4K irq=x",
		"box:4K irq = 5",
		"box:4K irq=5 irq=6",
		"box:4K irq=-1",
		"box:4K IRQ=5",
		"box:4K line=5",
		"box:4K 5",
		"box 4K",
		"box=4K",
		"box :4K",
		"box: 4K",
		"Box:4K",
		"a_b:4K",
		"box:4K:4K",
		"sixteen-letters-:4K",
		"box:4096G",
		"box:18446744073709555712",
	};
	char line[80], error[300];

	(void)state;
	for (size_t i = 0; i < array_count(values); i++) {
		snprintf(line, sizeof(line), "shared = %s", values[i]);
		snprintf(error, sizeof(error), "2:10: a: shared = '%s': " VALID, values[i]);
		refused(section(line), error);
		assert_bad(&vms[0], "a");
	}
	refused(section("shared ="), "2:1: a: 'shared' has no value: write shared=VALUE");
}

static void test_four_in_their_order(void **state)
{
	static const char four[] = "shared = d:4K\nshared = c:8K irq=3\nshared = b:12K\n"
				   "shared = a:16K irq=15";
	const struct vm_config *c = good(section(four));
	char text[200];

	(void)state;
	assert_int_equal(c->shared_count, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(c->shared[i].name[0], 'd' - i);
		assert_int_equal(c->shared[i].size, (i + 1) * 4096);
	}
	snprintf(text, sizeof(text), "%s\nshared = e:4K", four);
	refused(section(text), "6:10: a: shared = 'e:4K': " VALID);
}

static void test_a_region_is_named_once(void **state)
{
	(void)state;
	refused(section("shared = a:4K\nshared = b:4K\nshared = a:4K irq=5"),
		"4:10: a: shared region 'a' is there twice");
	assert_bad(&vms[0], "a");
	refused(section("shared = a:4K\nshared = a:8K"),
		"3:10: a: shared region 'a' is there twice");
}

static void test_vms_agree_about_the_size(void **state)
{
	static const char two[] = "[vm a]\ndisk0 = x\nshared = one:4K\nshared = box:64K irq=5\n"
				  "[vm b]\ndisk0 = x\nshared = box:%s\n";
	char text[200];

	(void)state;
	snprintf(text, sizeof(text), two, "0x10000 irq=10");
	assert_int_equal(parse(text), 0);
	assert_int_equal(vm_count, 2);
	assert_int_equal(vms[1].shared[0].irq, 10);
	snprintf(text, sizeof(text), two, "128K");
	refused(text, "7:10: b: shared region 'box' has 64 KiB in VM 'a', here 128 KiB: all must "
		      "agree");
	assert_false(vms[0].bad);
	assert_bad(&vms[1], "b");
	snprintf(text, sizeof(text), two, "4K");
	refused(text, "7:10: b: shared region 'box' has 64 KiB in VM 'a', here 4 KiB: all must "
		      "agree");
}

/* Nobody is held to what a VM with an error says. */
static void test_bad_vms_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(parse("[vm a]\nshared = box:64K\nnonsense = 1\n"
			       "[vm b]\ndisk0 = x\nshared = box:8K\n"
			       "[vm b]\nshared = box:16K\ndisk0 = x\n"
			       "[vm c]\ndisk0 = x\nshared = box:8K\n"),
			 2);
	assert_string_equal(errors[0],
			    "3:1: a: unknown key 'nonsense'; known: memory cpus cpu boot "
			    "kernel at cmdline module disk0 disk1 disk2 disk3 writes shared "
			    "firmware console input ticks vpid weight autostart restart "
			    "exit-port privileged");
	assert_int_equal(vm_count, 3);
	assert_true(vms[0].bad);
	assert_false(vms[1].bad || vms[2].bad);
}

static void test_on_a_modules_command_line(void **state)
{
	struct vm_config c;
	char error[240];

	(void)state;
	assert_int_equal(vm_config_parse(&c, "guest name=a \"shared=box:8K irq=9\" shared=b:4K",
					 error, sizeof(error)),
			 OK);
	assert_int_equal(c.shared_count, 2);
	assert_int_equal(c.shared[0].irq, 9);
	assert_string_equal(c.shared[1].name, "b");
	assert_int_equal(
		vm_config_parse(&c, "guest name=a shared=box:8K irq=9", error, sizeof(error)),
		E_INVAL);
	assert_memory_equal(error, "unknown key 'irq'", 17);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_the_key_nothing_is_shared),
		cmocka_unit_test(test_good_values),
		cmocka_unit_test(test_lines_that_nothing_else_needs),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_four_in_their_order),
		cmocka_unit_test(test_a_region_is_named_once),
		cmocka_unit_test(test_vms_agree_about_the_size),
		cmocka_unit_test(test_bad_vms_do_not_count),
		cmocka_unit_test(test_on_a_modules_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
