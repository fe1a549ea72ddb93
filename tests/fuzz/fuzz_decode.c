/*
 * Any bytes as an instruction, in each mode: the answer is sound and depends on the bytes given
 * only, and what decodes needs all of its bytes.
 * needs: core/decode.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crvm/decode.h>

#define require(cond)                                           \
	do {                                                    \
		if (!(cond)) {                                  \
			fprintf(stderr, "broken: %s\n", #cond); \
			abort();                                \
		}                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_insn(const struct insn *i, unsigned count)
{
	require(i->len > 0 && i->len <= count && i->op < INSN_OP_COUNT && i->form <= INSN_STRING);
	require(i->size == 1 || i->size == 2 || i->size == 4 || i->size == 8);
	require(i->src_size <= i->size && i->src_size > 0);
	require(i->addr_size == 2 || i->addr_size == 4 || i->addr_size == 8);
	require(i->segment < 6 && i->scale < 4 && i->reg < 20 && i->rm < 20);
	require(i->base < 16 || i->base == INSN_BASE_RIP || i->base == INSN_NO_REG);
	require(i->index < 16 || i->index == INSN_NO_REG);
	require(!i->lock || i->memory);
}

static void check_mode(const uint8_t *data, size_t size, enum decode_mode mode)
{
	struct insn_bytes in = {.count = (uint8_t)(size < INSN_LEN_MAX ? size : INSN_LEN_MAX)};
	struct insn a, b;
	enum decode_result r;

	memcpy(in.byte, data, in.count);
	r = decode_insn(&in, mode, &a);
	require(r <= DECODE_UNKNOWN);
	require(r != DECODE_SHORT || in.count < INSN_LEN_MAX);
	require(r != DECODE_TOO_LONG || in.count == INSN_LEN_MAX);
	memset(in.byte + in.count, 0xff, sizeof(in.byte) - in.count);
	require(decode_insn(&in, mode, &b) == r);
	if (r != DECODE_OK)
		return;
	require(!memcmp(&a, &b, sizeof(a)));
	check_insn(&a, in.count);
	in.count = a.len;
	require(decode_insn(&in, mode, &b) == DECODE_OK && !memcmp(&a, &b, sizeof(a)));
	in.count--;
	require(decode_insn(&in, mode, &b) == DECODE_SHORT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_mode(data, size, DECODE_16);
	check_mode(data, size, DECODE_32);
	check_mode(data, size, DECODE_64);
	return 0;
}
