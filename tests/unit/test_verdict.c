/*
 * lib/verdict.c.
 * needs: lib/verdict.c lib/printf.c lib/text.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <crvm/verdict.h>

static void items_keep_their_order_and_texts(void **state)
{
	struct verdict v = {0};

	(void)state;
	verdict_add(&v, "VMX is locked off", "enable it 100%s", "MSR %xh = 0x%llx: bit %u", 0x3au,
		    1ull, 2u);
	assert_int_equal(v.count, 1);
	verdict_add(&v, "no EPT", "", "plain");
	assert_int_equal(v.count, 2);
	assert_string_equal(v.item[0].fact, "VMX is locked off");
	assert_string_equal(v.item[0].todo, "enable it 100%s"); /* not a format */
	assert_string_equal(v.item[0].saw, "MSR 3ah = 0x1: bit 2");
	assert_string_equal(v.item[1].fact, "no EPT");
	assert_string_equal(v.item[1].todo, "");
	assert_string_equal(v.item[1].saw, "plain");
}

static void texts_too_long_are_cut_and_terminated(void **state)
{
	struct verdict v;
	char longest[400];

	(void)state;
	memset(&v, '#', sizeof(v));
	v.count = 0;
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	verdict_add(&v, longest, longest, "%s", longest);
	assert_int_equal(strlen(v.item[0].fact), sizeof(v.item[0].fact) - 1);
	assert_int_equal(strlen(v.item[0].saw), sizeof(v.item[0].saw) - 1);
	assert_int_equal(strlen(v.item[0].todo), sizeof(v.item[0].todo) - 1);
	assert_int_equal(v.item[1].fact[0], '#');
}

static void texts_that_just_fit_stay_whole(void **state)
{
	struct verdict v = {0};
	char text[200];

	(void)state;
	memset(text, 'y', sizeof(text));
	text[199] = 0;
	verdict_add(&v, text + 120, text, "%s", text + 80);
	assert_string_equal(v.item[0].fact, text + 120);
	assert_string_equal(v.item[0].saw, text + 80);
	assert_string_equal(v.item[0].todo, text);
}

static void thirteenth_item_is_dropped(void **state)
{
	struct {
		struct verdict v;
		char behind[16];
	} s;
	char want[16];

	(void)state;
	memset(&s, 0, sizeof(s));
	memset(s.behind, '#', sizeof(s.behind));
	for (int i = 0; i < VERDICT_MAX + 3; i++)
		verdict_add(&s.v, "fact", "todo", "saw %d", i);
	assert_int_equal(s.v.count, VERDICT_MAX);
	for (int i = 0; i < VERDICT_MAX; i++) {
		snprintf(want, sizeof(want), "saw %d", i);
		assert_string_equal(s.v.item[i].saw, want);
	}
	assert_memory_equal(s.behind, "################", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_keep_their_order_and_texts),
		cmocka_unit_test(texts_too_long_are_cut_and_terminated),
		cmocka_unit_test(texts_that_just_fit_stay_whole),
		cmocka_unit_test(thirteenth_item_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
