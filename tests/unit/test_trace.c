/*
 * The ring of exit records: writing, reading while it is written, and the dump that
 * scripts/trace-decode reads (tests/integration/test_trace_decode.py takes the lines expected
 * here).
 *
 * needs: core/trace.c core/exit_stats.c lib/printf.c tests/fake/panic.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <crvm/exit_stats.h>
#include <crvm/trace.h>
#include "panic.h"

#define SIZE 8u

static struct trace_record records[SIZE];
static struct trace_ring ring;
static struct trace_record out[2 * SIZE];

static int setup(void **state)
{
	(void)state;
	memset(records, 0xee, sizeof(records));
	trace_init(&ring, records, SIZE);
	return 0;
}

static struct trace_record *write_one(uint64_t tsc)
{
	const struct vcpu_exit e = {.kind = EXIT_PORT, .insn_len = 2, .raw = 30};

	return trace_exit(&ring, trace_who(1, 0), &e, tsc, 0x1000 + tsc);
}

static void expect_run(const struct trace_record *r, unsigned count, uint64_t first_tsc)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(r[i].tsc, first_tsc + i);
}

static void test_a_record_holds_what_the_exit_said(void **state)
{
	const struct vcpu_exit e = {
		.kind = EXIT_ENTRY_FAILED, .insn_len = 3, .raw = 0x8021, .raw_info = 0xdeadbeef};
	struct trace_record *r =
		trace_exit(&ring, trace_who(0xfffe, 0x102), &e, ~1ull, 0x1234567890);

	(void)state;
	assert_int_equal(r->cycles, 0); /* until it is done */
	trace_done(r, 77);
	assert_int_equal(trace_snapshot(&ring, out, 1, NULL), 1);
	assert_int_equal(out[0].tsc, ~1ull);
	assert_int_equal(out[0].kind, EXIT_ENTRY_FAILED);
	assert_int_equal(out[0].insn_len, 3);
	assert_int_equal(out[0].raw, 0x8021);
	assert_int_equal(out[0].raw_info, 0xdeadbeef);
	assert_int_equal(out[0].rip, 0x1234567890);
	assert_int_equal(out[0].who, 0xfffe0102);
	assert_int_equal(out[0].cycles, 77);
}

static void test_sizes_must_be_powers_of_two(void **state)
{
	(void)state;
	expect_panic(trace_init(&ring, records, 0), "size");
	expect_panic(trace_init(&ring, records, 1), "size");
	expect_panic(trace_init(&ring, records, 6), "size");
}

static void test_snapshot_has_the_newest_last(void **state)
{
	uint64_t first = 99;

	(void)state;
	assert_int_equal(trace_snapshot(&ring, out, SIZE, &first), 0);
	assert_int_equal(first, 0);
	for (unsigned n = 1; n <= 3 * SIZE; n++) {
		unsigned kept = n < SIZE - 1 ? n : SIZE - 1;

		write_one(n);
		assert_int_equal(trace_snapshot(&ring, out, 2 * SIZE, &first), kept);
		expect_run(out, kept, n - kept + 1);
		assert_int_equal(first, n - kept);
		assert_int_equal(trace_snapshot(&ring, out, 1, &first), 1);
		expect_run(out, 1, n);
		assert_int_equal(trace_snapshot(&ring, out, 0, NULL), 0);
	}
}

static bool keep_three(void *ctx, const struct trace_record *r)
{
	unsigned *count = ctx;

	out[(*count)++] = *r;
	return *count < 3;
}

static void test_each_goes_on_until_told(void **state)
{
	unsigned count = 0;

	(void)state;
	for (unsigned n = 1; n <= 20; n++)
		write_one(n);
	trace_each(&ring, 5, keep_three, &count);
	assert_int_equal(count, 3);
	expect_run(out, 3, 16);
	count = 0;
	trace_each(&ring, 2, keep_three, &count);
	assert_int_equal(count, 2);
	expect_run(out, 2, 19);
}

/* A CPU that goes on writing while its ring is read: each record read makes it write two more. */
static bool reader_is_overtaken(void *ctx, const struct trace_record *r)
{
	unsigned *count = ctx;
	uint64_t n = atomic_load(&ring.count);

	assert_int_equal(r->rip, 0x1000 + r->tsc);
	assert_true(*count == 0 || r->tsc > out[*count - 1].tsc);
	out[(*count)++] = *r;
	write_one(n + 1);
	write_one(n + 2);
	return true;
}

static void test_overwritten_records_are_left_away(void **state)
{
	unsigned count = 0;

	(void)state;
	for (unsigned n = 1; n <= SIZE; n++)
		write_one(n);
	trace_each(&ring, ~0ull, reader_is_overtaken, &count);
	/* 1 is never trusted in a full ring; each step overwrites one to come and endangers the
	 * next. */
	assert_int_equal(count, 4);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(out[i].tsc, 2 + 2 * i);
}

/* The dump. */

static char dump[EXIT_KIND_COUNT + 16][TRACE_LINE_MAX];
static unsigned dump_count;

static void keep_line(void *ctx, const char *text)
{
	assert_ptr_equal(ctx, dump);
	assert_true(dump_count < array_count(dump) && strlen(text) < TRACE_LINE_MAX);
	strcpy(dump[dump_count++], text);
}

static const struct trace_sink sink = {.line = keep_line, .ctx = dump};

static void test_dump_format(void **state)
{
	static const struct vcpu_exit exits[] = {
		{.kind = 5, .raw = 0x1e, .raw_info = 0x3f80008},
		{.kind = 9, .raw = 2, .raw_info = 0xffffffff},
		{.kind = 0xff, .raw = 0xffff},
	};
	char kind_line[TRACE_LINE_MAX];

	(void)state;
	dump_count = 0;
	trace_dump_begin(&sink, 2992968);
	assert_string_equal(dump[0], "trace begin version=1 tsc_khz=2992968");
	assert_int_equal(dump_count, 1 + EXIT_KIND_COUNT);
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++) {
		snprintf(kind_line, sizeof(kind_line), "trace kind %x %s", i, exit_kind_name(i));
		assert_string_equal(dump[1 + i], kind_line);
	}

	trace_done(trace_exit(&ring, trace_who(1, 0), &exits[0], 0x100000000, 0x7c00), 150);
	trace_done(trace_exit(&ring, trace_who(2, 11), &exits[1], 0x100001000, 0xffffffff81000000),
		   4096);
	trace_exit(&ring, trace_who(0xffff, 0xffff), &exits[2], ~0ull, ~0ull);
	dump_count = 0;
	trace_dump_cpu(&sink, 10, &ring, 100);
	trace_dump_end(&sink);
	assert_int_equal(dump_count, 5);
	assert_string_equal(dump[0], "trace cpu a written=3 size=8");
	assert_string_equal(dump[1], "trace . 100000000 1 0 5 1e 3f80008 7c00 96");
	assert_string_equal(dump[2], "trace . 100001000 2 b 9 2 ffffffff ffffffff81000000 1000");
	assert_string_equal(dump[3],
			    "trace . ffffffffffffffff ffff ffff ff ffff 0 ffffffffffffffff 0");
	assert_string_equal(dump[4], "trace end");
}

static void test_dump_keeps_to_its_limit(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 20; n++)
		write_one(n);
	dump_count = 0;
	trace_dump_cpu(&sink, 0, &ring, 2);
	assert_int_equal(dump_count, 3);
	assert_string_equal(dump[0], "trace cpu 0 written=20 size=8");
}

static void test_text_for_people(void **state)
{
	struct trace_record r = *write_one(5);
	char text[TRACE_LINE_MAX];

	(void)state;
	r.cycles = 150;
	trace_format(text, sizeof(text), &r);
	assert_string_equal(text, "5 vm 1 vcpu 0 port I/O rip 1005 raw 1e info 0 150 cycles");
	r.kind = 200;
	trace_format(text, sizeof(text), &r);
	assert_non_null(strstr(text, " ? rip"));
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_record_holds_what_the_exit_said), T(test_sizes_must_be_powers_of_two),
		T(test_snapshot_has_the_newest_last),	   T(test_each_goes_on_until_told),
		T(test_overwritten_records_are_left_away), T(test_dump_format),
		T(test_dump_keeps_to_its_limit),	   T(test_text_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
