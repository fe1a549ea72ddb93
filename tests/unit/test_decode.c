/*
 * core/decode.c: bytes in, a description out, in all three modes; what is refused and why; and that
 * the length of what is given decides, never what lies behind it.
 *
 * needs: core/decode.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/decode.h>
#include "ram.h"

static const char *const op_names[INSN_OP_COUNT] = {
	"add", "or",  "adc", "sbb",  "and",   "sub",   "xor",  "cmp",  "test",	  "not",
	"neg", "inc", "dec", "mov",  "movzx", "movsx", "xchg", "xadd", "cmpxchg", "bt",
	"bts", "btr", "btc", "push", "pop",   "movs",  "stos", "lods", "cmps",	  "scas"};
static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void append(char *text, const char *fmt, ...) printf_like(2, 3);

static void append(char *text, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + strlen(text), 120 - strlen(text), fmt, ap);
	va_end(ap);
}

static void append_reg(char *text, unsigned number)
{
	if (number >= INSN_HIGH8)
		append(text, "h%u", number - INSN_HIGH8);
	else
		append(text, "r%u", number);
}

static void append_rm(char *text, const struct insn *i)
{
	if (!i->memory) {
		append_reg(text, i->rm);
		return;
	}
	append(text, "%u[%s:", i->addr_size, segments[i->segment]);
	if (i->base == INSN_BASE_RIP)
		append(text, "rip");
	else if (i->base != INSN_NO_REG)
		append(text, "r%u", i->base);
	if (i->index != INSN_NO_REG)
		append(text, "+r%u*%u", i->index, 1 << i->scale);
	if (i->disp)
		append(text, "%s%#lx", i->disp < 0 ? "-" : "+", (unsigned long)labs(i->disp));
	append(text, "]");
}

/* "lock add 4 4[ds:r0+r1*4+0x10], r1": name, size, memory by address size, registers by number. */
static void describe(const struct insn *i, char *text)
{
	text[0] = '\0';
	append(text, "%s%s%s %u", i->lock ? "lock " : "",
	       i->rep == 0xf2	? "repne "
	       : i->rep == 0xf3 ? "rep "
				: "",
	       op_names[i->op], i->size);
	if (i->src_size != i->size)
		append(text, "<%u", i->src_size);
	append(text, " ");
	switch (i->form) {
	case INSN_RM_REG:
		append_rm(text, i);
		append(text, ", ");
		append_reg(text, i->reg);
		break;
	case INSN_REG_RM:
		append_reg(text, i->reg);
		append(text, ", ");
		append_rm(text, i);
		break;
	case INSN_RM_IMM:
		append_rm(text, i);
		append(text, ", $%s%#lx", (int64_t)i->imm < 0 ? "-" : "",
		       (unsigned long)labs((int64_t)i->imm));
		break;
	case INSN_RM:
		append_rm(text, i);
		break;
	default:
		append(text, "%u%s", i->addr_size, segments[i->segment]);
	}
}

static unsigned parse(const char *hex, struct insn_bytes *in)
{
	char *end;

	memset(in, 0, sizeof(*in));
	for (const char *p = hex; *p; p = end) {
		in->byte[in->count++] = (uint8_t)strtoul(p, &end, 16);
		while (*end == ' ')
			end++;
	}
	return in->count;
}

/* Decodes with fill bytes of three kinds behind, which must not matter, and with each byte fewer.
 */
static void check(enum decode_mode mode, const char *hex, const char *want)
{
	static const uint8_t fill[] = {0x00, 0x66, 0xff};
	struct insn_bytes in;
	struct insn insn;
	char text[128];
	unsigned len = parse(hex, &in);

	for (unsigned f = 0; f < array_count(fill); f++) {
		memset(in.byte + len, fill[f], sizeof(in.byte) - len);
		in.count = INSN_LEN_MAX;
		assert_int_equal(decode_insn(&in, mode, &insn), DECODE_OK);
		describe(&insn, text);
		assert_string_equal(text, want);
		assert_int_equal(insn.len, len);
		for (in.count = 0; in.count < len; in.count++)
			assert_int_equal(decode_insn(&in, mode, &insn), DECODE_SHORT);
		assert_int_equal(decode_insn(&in, mode, &insn), DECODE_OK);
	}
}

static void check_refused(enum decode_mode mode, const char *hex, enum decode_result want)
{
	struct insn_bytes in;
	struct insn insn;

	parse(hex, &in);
	in.count = INSN_LEN_MAX;
	if (decode_insn(&in, mode, &insn) != want)
		fail_msg("%s: %d, not %d", hex, decode_insn(&in, mode, &insn), want);
}

static void moves(void **state)
{
	(void)state;
	check(DECODE_64, "88 08", "mov 1 8[ds:r0], r1");
	check(DECODE_64, "89 48 20", "mov 4 8[ds:r0+0x20], r1");
	check(DECODE_64, "48 89 88 00 00 00 80", "mov 8 8[ds:r0-0x80000000], r1");
	check(DECODE_64, "66 41 89 07", "mov 2 8[ds:r15], r0");
	check(DECODE_64, "8a 60 ff", "mov 1 h0, 8[ds:r0-0x1]");
	check(DECODE_64, "40 8a 60 ff", "mov 1 r4, 8[ds:r0-0x1]");
	check(DECODE_64, "44 8b 3b", "mov 4 r15, 8[ds:r3]");
	check(DECODE_64, "c6 00 80", "mov 1 8[ds:r0], $-0x80");
	check(DECODE_64, "66 c7 00 34 12", "mov 2 8[ds:r0], $0x1234");
	check(DECODE_64, "c7 00 ff ff ff ff", "mov 4 8[ds:r0], $-0x1");
	check(DECODE_64, "48 c7 00 ff ff ff 7f", "mov 8 8[ds:r0], $0x7fffffff");
	check(DECODE_64, "a0 88 77 66 55 44 33 22 11", "mov 1 r0, 8[ds:+0x1122334455667788]");
	check(DECODE_64, "48 a3 01 00 00 00 00 00 00 00", "mov 8 8[ds:+0x1], r0");
	check(DECODE_64, "67 a1 00 00 e0 fe", "mov 4 r0, 4[ds:+0xfee00000]");
	check(DECODE_32, "a1 f0 00 e0 fe", "mov 4 r0, 4[ds:+0xfee000f0]");
	check(DECODE_32, "67 a2 00 b8", "mov 1 2[ds:+0xb800], r0");
	check(DECODE_16, "26 a3 34 12", "mov 2 2[es:+0x1234], r0");
	check(DECODE_64, "0f c3 01", "mov 4 8[ds:r1], r0"); /* MOVNTI */
	check(DECODE_64, "8b c1", "mov 4 r0, r1");
	check(DECODE_64, "88 e1", "mov 1 r1, h0");
}

static void extensions(void **state)
{
	(void)state;
	check(DECODE_64, "0f b6 00", "movzx 4<1 r0, 8[ds:r0]");
	check(DECODE_64, "48 0f b7 00", "movzx 8<2 r0, 8[ds:r0]");
	check(DECODE_64, "66 0f be 27", "movsx 2<1 r4, 8[ds:r7]");
	check(DECODE_64, "4c 0f bf 27", "movsx 8<2 r12, 8[ds:r7]");
	check(DECODE_64, "48 63 07", "movsx 8<4 r0, 8[ds:r7]");
	check(DECODE_64, "66 63 07", "movsx 2 r0, 8[ds:r7]");
	check(DECODE_64, "63 07", "movsx 4 r0, 8[ds:r7]");
	check(DECODE_32, "0f b6 00", "movzx 4<1 r0, 4[ds:r0]");
	check(DECODE_16, "0f b6 07", "movzx 2<1 r0, 2[ds:r3]");
	check(DECODE_32, "0f b6 c4", "movzx 4<1 r0, h0");
	check_refused(DECODE_32, "63 07", DECODE_UNKNOWN); /* ARPL */
}

static void arithmetic_in_all_forms(void **state)
{
	static const char *const name[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
	char hex[40], want[80];

	(void)state;
	for (unsigned op = 0; op < 8; op++) {
		struct {
			const char *hex, *want;
			unsigned opcode;
		} forms[] = {
			{"%02x 0b", "%s 1 8[ds:r3], r1", op * 8},
			{"48 %02x 0b", "%s 8 8[ds:r3], r1", op * 8 + 1},
			{"%02x 0b", "%s 1 r1, 8[ds:r3]", op * 8 + 2},
			{"66 %02x 0b", "%s 2 r1, 8[ds:r3]", op * 8 + 3},
			{"%02x 81", "%s 1 r0, $-0x7f", op * 8 + 4},
			{"%02x 01 02 03 04", "%s 4 r0, $0x4030201", op * 8 + 5},
			{"80 %02x 05", "%s 1 8[ds:r3], $0x5", op * 8 + 3},
			{"81 %02x 01 00 00 80", "%s 4 8[ds:r3], $-0x7fffffff", op * 8 + 3},
			{"66 81 %02x 01 80", "%s 2 8[ds:r3], $-0x7fff", op * 8 + 3},
			{"48 83 %02x fe", "%s 8 8[ds:r3], $-0x2", op * 8 + 3},
		};

		for (unsigned i = 0; i < array_count(forms); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(hex, sizeof(hex), forms[i].hex, forms[i].opcode);
			snprintf(want, sizeof(want), forms[i].want, name[op]);
#pragma GCC diagnostic pop
			check(DECODE_64, hex, want);
		}
	}
	check(DECODE_32, "82 0b 05", "or 1 4[ds:r3], $0x5");
	check_refused(DECODE_64, "82 0b 05", DECODE_UD);
}

static void other_operations(void **state)
{
	(void)state;
	check(DECODE_64, "84 03", "test 1 8[ds:r3], r0");
	check(DECODE_64, "85 03", "test 4 8[ds:r3], r0");
	check(DECODE_64, "a8 80", "test 1 r0, $-0x80");
	check(DECODE_64, "48 a9 01 00 00 00", "test 8 r0, $0x1");
	check(DECODE_64, "f6 03 01", "test 1 8[ds:r3], $0x1");
	check(DECODE_64, "f6 0b 01", "test 1 8[ds:r3], $0x1"); /* not documented, as /0 */
	check(DECODE_64, "f7 03 01 02 03 04", "test 4 8[ds:r3], $0x4030201");
	check(DECODE_64, "66 f7 03 01 02", "test 2 8[ds:r3], $0x201");
	check(DECODE_64, "f6 13", "not 1 8[ds:r3]");
	check(DECODE_64, "f7 1b", "neg 4 8[ds:r3]");
	check(DECODE_64, "fe 03", "inc 1 8[ds:r3]");
	check(DECODE_64, "48 ff 0b", "dec 8 8[ds:r3]");
	check(DECODE_64, "86 0b", "xchg 1 8[ds:r3], r1");
	check(DECODE_64, "87 0b", "xchg 4 8[ds:r3], r1");
	check(DECODE_64, "0f c0 0b", "xadd 1 8[ds:r3], r1");
	check(DECODE_64, "0f c1 0b", "xadd 4 8[ds:r3], r1");
	check(DECODE_64, "0f b0 0b", "cmpxchg 1 8[ds:r3], r1");
	check(DECODE_64, "48 0f b1 0b", "cmpxchg 8 8[ds:r3], r1");
	check(DECODE_64, "0f a3 0b", "bt 4 8[ds:r3], r1");
	check(DECODE_64, "0f ab 0b", "bts 4 8[ds:r3], r1");
	check(DECODE_64, "66 0f b3 0b", "btr 2 8[ds:r3], r1");
	check(DECODE_64, "0f bb 0b", "btc 4 8[ds:r3], r1");
	check(DECODE_64, "0f ba 23 07", "bt 4 8[ds:r3], $0x7");
	check(DECODE_64, "0f ba 2b 07", "bts 4 8[ds:r3], $0x7");
	check(DECODE_64, "0f ba 33 07", "btr 4 8[ds:r3], $0x7");
	check(DECODE_64, "0f ba 3b ff", "btc 4 8[ds:r3], $-0x1");
	check(DECODE_64, "ff 33", "push 8 8[ds:r3]");
	check(DECODE_64, "66 ff 33", "push 2 8[ds:r3]");
	check(DECODE_32, "ff 33", "push 4 4[ds:r3]");
	check(DECODE_64, "8f 03", "pop 8 8[ds:r3]");
	check(DECODE_16, "8f 07", "pop 2 2[ds:r3]");
}

static void strings(void **state)
{
	(void)state;
	check(DECODE_64, "a4", "movs 1 8ds");
	check(DECODE_64, "f3 48 a5", "rep movs 8 8ds");
	check(DECODE_64, "f3 67 66 a5", "rep movs 2 4ds");
	check(DECODE_64, "64 a5", "movs 4 8fs");
	check(DECODE_64, "aa", "stos 1 8ds");
	check(DECODE_64, "f3 ab", "rep stos 4 8ds");
	check(DECODE_64, "ac", "lods 1 8ds");
	check(DECODE_64, "f2 ae", "repne scas 1 8ds");
	check(DECODE_64, "f3 a7", "rep cmps 4 8ds");
	check(DECODE_64, "f2 f3 a4", "rep movs 1 8ds"); /* the last one counts */
	check(DECODE_64, "f3 f2 a4", "repne movs 1 8ds");
	check(DECODE_16, "f3 26 a5", "rep movs 2 2es");
	check(DECODE_32, "67 a4", "movs 1 2ds");
}

static void addresses_of_16_bits(void **state)
{
	static const char *const base[] = {"ds:r3+r6*1", "ds:r3+r7*1", "ss:r5+r6*1", "ss:r5+r7*1",
					   "ds:r6",	 "ds:r7",      "ss:r5",	     "ds:r3"};
	char hex[20], want[80];

	(void)state;
	for (unsigned rm = 0; rm < 8; rm++) {
		snprintf(hex, sizeof(hex), "88 %02x", rm);
		snprintf(want, sizeof(want), "mov 1 2[%s], r0", base[rm]);
		if (rm != 6)
			check(DECODE_16, hex, want);
		snprintf(hex, sizeof(hex), "88 %02x 80", 0x40 | rm);
		snprintf(want, sizeof(want), "mov 1 2[%s-0x80], r0", base[rm]);
		check(DECODE_16, hex, want);
		snprintf(hex, sizeof(hex), "88 %02x ff 7f", 0x80 | rm);
		snprintf(want, sizeof(want), "mov 1 2[%s+0x7fff], r0", base[rm]);
		check(DECODE_16, hex, want);
	}
	check(DECODE_16, "88 06 00 b8", "mov 1 2[ds:+0xb800], r0");
	check(DECODE_32, "67 89 47 10", "mov 4 2[ds:r3+0x10], r0");
	check(DECODE_16, "66 67 89 43 10", "mov 4 4[ds:r3+0x10], r0");
}

static void addresses_of_32_and_64_bits(void **state)
{
	(void)state;
	check(DECODE_32, "89 05 78 56 34 12", "mov 4 4[ds:+0x12345678], r0");
	check(DECODE_64, "89 05 78 56 34 12", "mov 4 8[ds:rip+0x12345678], r0");
	check(DECODE_64, "67 89 05 fc ff ff ff", "mov 4 4[ds:rip-0x4], r0");
	check(DECODE_64, "c7 05 04 00 00 00 01 00 00 00", "mov 4 8[ds:rip+0x4], $0x1");
	check(DECODE_64, "89 04 25 78 56 34 12", "mov 4 8[ds:+0x12345678], r0");
	check(DECODE_64, "89 04 8b", "mov 4 8[ds:r3+r1*4], r0");
	check(DECODE_64, "89 44 cb 08", "mov 4 8[ds:r3+r1*8+0x8], r0");
	check(DECODE_64, "43 89 04 a3", "mov 4 8[ds:r11+r12*4], r0"); /* r12 is an index */
	check(DECODE_64, "89 04 24", "mov 4 8[ss:r4], r0");
	check(DECODE_64, "41 89 04 24", "mov 4 8[ds:r12], r0");
	check(DECODE_64, "89 45 00", "mov 4 8[ss:r5], r0");
	check(DECODE_64, "41 89 45 00", "mov 4 8[ds:r13], r0");
	check(DECODE_64, "89 44 25 00", "mov 4 8[ss:r5], r0");
	check(DECODE_64, "89 04 6d 10 00 00 00", "mov 4 8[ds:+r5*2+0x10], r0"); /* no base */
	check(DECODE_64, "41 89 04 2d 10 00 00 00", "mov 4 8[ds:+r5*1+0x10], r0");
	check(DECODE_64, "89 84 2b 10 00 00 00", "mov 4 8[ds:r3+r5*1+0x10], r0");
}

static void segment_prefixes(void **state)
{
	(void)state;
	check(DECODE_32, "26 89 03", "mov 4 4[es:r3], r0");
	check(DECODE_32, "2e 89 03", "mov 4 4[cs:r3], r0");
	check(DECODE_32, "36 89 03", "mov 4 4[ss:r3], r0");
	check(DECODE_32, "3e 89 45 00", "mov 4 4[ds:r5], r0");
	check(DECODE_32, "64 65 89 03", "mov 4 4[gs:r3], r0");
	check(DECODE_64, "65 89 03", "mov 4 8[gs:r3], r0");
	/* Without effect in 64-bit mode, also on one before. */
	check(DECODE_64, "26 89 03", "mov 4 8[ds:r3], r0");
	check(DECODE_64, "64 2e 89 03", "mov 4 8[fs:r3], r0");
}

static void rex_counts_only_before_the_opcode(void **state)
{
	(void)state;
	check(DECODE_64, "48 66 89 03", "mov 2 8[ds:r3], r0");
	check(DECODE_64, "4f 40 89 03", "mov 4 8[ds:r3], r0");
	check(DECODE_64, "66 48 89 03", "mov 8 8[ds:r3], r0"); /* W beats 66h */
	check_refused(DECODE_32, "48 89 03", DECODE_UNKNOWN);  /* DEC EAX */
}

static void lock_where_it_may_be(void **state)
{
	static const char *const good[] = {
		"f0 01 03", "f0 83 0b 01", "f0 ff 03",	  "f0 f7 13",	 "f0 f7 1b",
		"f0 87 03", "f0 0f c1 03", "f0 0f b1 03", "f0 0f ab 03", "f0 0f ba 33 01"};
	static const char *const bad[] = {"f0 89 03", "f0 8b 03",	"f0 03 03",
					  "f0 39 03", "f0 83 3b 01",	"f0 01 c3",
					  "f0 85 03", "f0 0f a3 03",	"f0 a4",
					  "f0 ff 33", "f0 0f ba 23 01", "f0 0f b6 03",
					  "f0 87 c3", "f0 f6 03 01",	"f0 c7 03 01 02 03 04"};
	struct insn_bytes in;
	struct insn insn;

	(void)state;
	for (unsigned i = 0; i < array_count(good); i++) {
		parse(good[i], &in);
		assert_int_equal(decode_insn(&in, DECODE_64, &insn), DECODE_OK);
		assert_true(insn.lock);
	}
	for (unsigned i = 0; i < array_count(bad); i++)
		check_refused(DECODE_64, bad[i], DECODE_UD);
}

static void unknown_ones_are_called_so(void **state)
{
	static const char *const bad[] = {
		"90",	       "0f 0b", "ff 13",       "ff 23",	   "f7 23",    "8f 0b",
		"c7 0b",       "fe 13", "0f ba 03",    "d1 23",	   "0f 10 03", "f0 0f c7",
		"62 f1 7c 48", "c5 f8", "66 0f c3 03", "0f c3 c1", "6c",       "ee"};

	(void)state;
	for (unsigned i = 0; i < array_count(bad); i++)
		check_refused(DECODE_64, bad[i], DECODE_UNKNOWN);
}

static void at_most_15_bytes(void **state)
{
	struct insn_bytes in;
	struct insn insn;

	(void)state;
	check(DECODE_64, "2e 2e 2e 2e 2e 2e 2e 2e c7 03 01 02 03 04", "mov 4 8[ds:r3], $0x4030201");
	check(DECODE_64, "2e 2e 2e 2e 2e 2e 2e 2e 2e c7 03 01 02 03 04",
	      "mov 4 8[ds:r3], $0x4030201");
	check_refused(DECODE_64, "2e 2e 2e 2e 2e 2e 2e 2e 2e 2e c7 03 01 02 03 04",
		      DECODE_TOO_LONG);
	check_refused(DECODE_64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66",
		      DECODE_TOO_LONG);
	/* What makes it too long is not there yet, but it will be. */
	memset(&in, 0x66, sizeof(in));
	in.count = 14;
	assert_int_equal(decode_insn(&in, DECODE_64, &insn), DECODE_SHORT);
	in.count = 0;
	assert_int_equal(decode_insn(&in, DECODE_16, &insn), DECODE_SHORT);
}

static void any_bytes_give_a_sound_answer(void **state)
{
	static const enum decode_mode modes[] = {DECODE_16, DECODE_32, DECODE_64};
	uint64_t seed = 3;
	unsigned ok = 0;

	(void)state;
	for (unsigned n = 0; n < 300000; n++) {
		struct insn_bytes in, other;
		struct insn a, b;
		enum decode_result r;

		for (unsigned i = 0; i < sizeof(in.byte); i++)
			in.byte[i] = (uint8_t)(fake_random(&seed) >> 24);
		in.count = (uint8_t)((fake_random(&seed) >> 20) % 16);
		other = in;
		memset(other.byte + other.count, 0, sizeof(other.byte) - other.count);
		r = decode_insn(&in, modes[n % 3], &a);
		assert_int_equal(decode_insn(&other, modes[n % 3], &b), r);
		if (r != DECODE_OK)
			continue;
		ok++;
		assert_memory_equal(&a, &b, sizeof(a));
		assert_true(a.len > 0 && a.len <= in.count && a.op < INSN_OP_COUNT);
		assert_true(a.size == 1 || a.size == 2 || a.size == 4 || a.size == 8);
		assert_true(a.segment < 6 && a.reg < 20 && a.rm < 20 && a.scale < 4);
	}
	assert_true(ok > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves),
		cmocka_unit_test(extensions),
		cmocka_unit_test(arithmetic_in_all_forms),
		cmocka_unit_test(other_operations),
		cmocka_unit_test(strings),
		cmocka_unit_test(addresses_of_16_bits),
		cmocka_unit_test(addresses_of_32_and_64_bits),
		cmocka_unit_test(segment_prefixes),
		cmocka_unit_test(rex_counts_only_before_the_opcode),
		cmocka_unit_test(lock_where_it_may_be),
		cmocka_unit_test(unknown_ones_are_called_so),
		cmocka_unit_test(at_most_15_bytes),
		cmocka_unit_test(any_bytes_give_a_sound_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
