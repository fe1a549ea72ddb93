/*
 * Instruction decoder: one pass over the bytes, one table. Must not know what the operands hold,
 * nor where the bytes come from. Any bytes must do no harm: reads stay within struct insn_bytes by
 * its size, and whatever was decided from bytes that are not there is discarded at the end. Source:
 * Intel SDM Vol. 2A, "Instruction Prefixes", "ModR/M and SIB Bytes", "REX Prefixes"; Vol. 2D,
 * "Opcode Map".
 */
#include <crvm/decode.h>
#include <crvm/vcpu.h>

enum row_flags {
	ROW_KNOWN = 1u << 0,
	ROW_MODRM = 1u << 1,
	ROW_BYTE = 1u << 2,  /* operands of one byte */
	ROW_IMM8 = 1u << 3,  /* sign-extended */
	ROW_IMM = 1u << 4,   /* of operand size, 4 bytes at most */
	ROW_GROUP = 1u << 5, /* ModRM.reg tells the instruction */
	ROW_OTHER = 1u << 6, /* needs a second look: decode_other */
	ROW_PREFIX = 1u << 7,
};

struct row {
	uint8_t op, form, flags;
};

#define RM_REG(o, f)                                               \
	{                                                          \
		INSN_##o, INSN_RM_REG, ROW_KNOWN | ROW_MODRM | (f) \
	}
#define REG_RM(o, f)                                               \
	{                                                          \
		INSN_##o, INSN_REG_RM, ROW_KNOWN | ROW_MODRM | (f) \
	}
#define RM_IMM(o, f)                                               \
	{                                                          \
		INSN_##o, INSN_RM_IMM, ROW_KNOWN | ROW_MODRM | (f) \
	}
#define ACC_IMM(o, f)                                  \
	{                                              \
		INSN_##o, INSN_RM_IMM, ROW_KNOWN | (f) \
	}
#define GROUP(form, f)                                           \
	{                                                        \
		0, form, ROW_KNOWN | ROW_MODRM | ROW_GROUP | (f) \
	}
#define STRING(o, f)                                   \
	{                                              \
		INSN_##o, INSN_STRING, ROW_KNOWN | (f) \
	}
#define MOFFS(form, f)                                      \
	{                                                   \
		INSN_MOV, form, ROW_KNOWN | ROW_OTHER | (f) \
	}
#define PREFIX                   \
	{                        \
		0, 0, ROW_PREFIX \
	}
#define ALU_ROWS(opcode, op)                                                   \
	[(opcode)] = RM_REG(op, ROW_BYTE), [(opcode) + 1] = RM_REG(op, 0),     \
	[(opcode) + 2] = REG_RM(op, ROW_BYTE), [(opcode) + 3] = REG_RM(op, 0), \
	[(opcode) + 4] = ACC_IMM(op, ROW_BYTE | ROW_IMM8), [(opcode) + 5] = ACC_IMM(op, ROW_IMM)

/* clang-format off */
static const struct row one_byte[256] = {
	ALU_ROWS(0x00, ADD), ALU_ROWS(0x08, OR), ALU_ROWS(0x10, ADC), ALU_ROWS(0x18, SBB),
	ALU_ROWS(0x20, AND), ALU_ROWS(0x28, SUB), ALU_ROWS(0x30, XOR), ALU_ROWS(0x38, CMP),
	[0x26] = PREFIX, [0x2e] = PREFIX, [0x36] = PREFIX, [0x3e] = PREFIX,
	[0x63] = REG_RM(MOVSX, ROW_OTHER),
	[0x64] = PREFIX, [0x65] = PREFIX, [0x66] = PREFIX, [0x67] = PREFIX,
	[0x80] = GROUP(INSN_RM_IMM, ROW_BYTE | ROW_IMM8), [0x81] = GROUP(INSN_RM_IMM, ROW_IMM),
	[0x82] = GROUP(INSN_RM_IMM, ROW_BYTE | ROW_IMM8 | ROW_OTHER), [0x83] = GROUP(INSN_RM_IMM, ROW_IMM8),
	[0x84] = RM_REG(TEST, ROW_BYTE), [0x85] = RM_REG(TEST, 0),
	[0x86] = RM_REG(XCHG, ROW_BYTE), [0x87] = RM_REG(XCHG, 0),
	[0x88] = RM_REG(MOV, ROW_BYTE), [0x89] = RM_REG(MOV, 0),
	[0x8a] = REG_RM(MOV, ROW_BYTE), [0x8b] = REG_RM(MOV, 0),
	[0x8f] = GROUP(INSN_RM, 0),
	[0xa0] = MOFFS(INSN_REG_RM, ROW_BYTE), [0xa1] = MOFFS(INSN_REG_RM, 0),
	[0xa2] = MOFFS(INSN_RM_REG, ROW_BYTE), [0xa3] = MOFFS(INSN_RM_REG, 0),
	[0xa4] = STRING(MOVS, ROW_BYTE), [0xa5] = STRING(MOVS, 0),
	[0xa6] = STRING(CMPS, ROW_BYTE), [0xa7] = STRING(CMPS, 0),
	[0xa8] = ACC_IMM(TEST, ROW_BYTE | ROW_IMM8), [0xa9] = ACC_IMM(TEST, ROW_IMM),
	[0xaa] = STRING(STOS, ROW_BYTE), [0xab] = STRING(STOS, 0),
	[0xac] = STRING(LODS, ROW_BYTE), [0xad] = STRING(LODS, 0),
	[0xae] = STRING(SCAS, ROW_BYTE), [0xaf] = STRING(SCAS, 0),
	[0xc6] = GROUP(INSN_RM_IMM, ROW_BYTE | ROW_IMM8), [0xc7] = GROUP(INSN_RM_IMM, ROW_IMM),
	[0xf0] = PREFIX, [0xf2] = PREFIX, [0xf3] = PREFIX,
	/* Of these only TEST has an immediate: decode_group. */
	[0xf6] = GROUP(INSN_RM, ROW_BYTE), [0xf7] = GROUP(INSN_RM, 0),
	[0xfe] = GROUP(INSN_RM, ROW_BYTE), [0xff] = GROUP(INSN_RM, 0),
};

/* After 0Fh, but MOVZX, MOVSX and MOVNTI, which have two sizes or one form. */
static const struct row two_bytes[256] = {
	[0xa3] = RM_REG(BT, 0), [0xab] = RM_REG(BTS, 0), [0xb3] = RM_REG(BTR, 0), [0xbb] = RM_REG(BTC, 0),
	[0xb0] = RM_REG(CMPXCHG, ROW_BYTE), [0xb1] = RM_REG(CMPXCHG, 0),
	[0xb6] = REG_RM(MOVZX, ROW_OTHER), [0xb7] = REG_RM(MOVZX, ROW_OTHER),
	[0xba] = GROUP(INSN_RM_IMM, ROW_IMM8),
	[0xbe] = REG_RM(MOVSX, ROW_OTHER), [0xbf] = REG_RM(MOVSX, ROW_OTHER),
	[0xc0] = RM_REG(XADD, ROW_BYTE), [0xc1] = RM_REG(XADD, 0),
	[0xc3] = RM_REG(MOV, ROW_OTHER),
};
/* clang-format on */

#define LOCKABLE                                                                              \
	(1u << INSN_ADD | 1u << INSN_OR | 1u << INSN_ADC | 1u << INSN_SBB | 1u << INSN_AND |  \
	 1u << INSN_SUB | 1u << INSN_XOR | 1u << INSN_NOT | 1u << INSN_NEG | 1u << INSN_INC | \
	 1u << INSN_DEC | 1u << INSN_XCHG | 1u << INSN_XADD | 1u << INSN_CMPXCHG |            \
	 1u << INSN_BTS | 1u << INSN_BTR | 1u << INSN_BTC)
_Static_assert(INSN_OP_COUNT <= 32, "LOCKABLE has a bit for each");

enum rex_bits { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct decoder {
	const uint8_t *byte;
	unsigned pos;
	enum decode_mode mode;
	uint8_t rex;	 /* 0: none */
	uint8_t segment; /* of a prefix, or SEG_COUNT */
	bool opsize, addrsize;
	uint8_t opcode;
	bool escaped; /* after 0Fh */
	uint8_t modrm;
};

static uint64_t take(struct decoder *d, unsigned size)
{
	const uint8_t *p = d->byte + d->pos;
	uint32_t v4;
	uint64_t v8;

	d->pos += size;
	switch (size) {
	case 1:
		return *p;
	case 2:
		return (uint64_t)p[0] | (uint64_t)p[1] << 8;
	case 4:
		__builtin_memcpy(&v4, p, 4);
		return v4;
	default:
		__builtin_memcpy(&v8, p, 8);
		return v8;
	}
}

static int64_t take_signed(struct decoder *d, unsigned size)
{
	unsigned unused = 64 - 8 * size;

	return (int64_t)(take(d, size) << unused) >> unused;
}

static void decode_prefix(struct decoder *d, struct insn *out, uint8_t c)
{
	d->rex = 0; /* counts only right before the opcode */
	switch (c) {
	case 0x66:
		d->opsize = true;
		break;
	case 0x67:
		d->addrsize = true;
		break;
	case 0xf0:
		out->lock = true;
		break;
	case 0xf2:
	case 0xf3:
		out->rep = c;
		break;
	case 0x64:
	case 0x65:
		d->segment = c == 0x64 ? SEG_FS : SEG_GS;
		break;
	default: /* 26h, 2Eh, 36h, 3Eh: ES, CS, SS, DS; without effect in 64-bit mode */
		if (d->mode != DECODE_64)
			d->segment = c >> 3 & 3;
	}
}

/* Ends at the opcode, or past the longest instruction. */
static void decode_prefixes(struct decoder *d, struct insn *out)
{
	for (; d->pos < INSN_LEN_MAX; d->pos++) {
		uint8_t c = d->byte[d->pos];

		if (d->mode == DECODE_64 && (c & 0xf0) == 0x40)
			d->rex = c;
		else if (unlikely(one_byte[c].flags & ROW_PREFIX))
			decode_prefix(d, out, c);
		else
			break;
	}
}

/* Number of a byte register: without REX, 4 to 7 are AH, CH, DH, BH. */
static uint8_t byte_register(const struct decoder *d, uint8_t number)
{
	return !d->rex && number >= 4 ? (uint8_t)(number - 4 + INSN_HIGH8) : number;
}

static void decode_memory_16(struct decoder *d, struct insn *out)
{
	static const uint8_t base[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP,
					REG_RSI, REG_RDI, REG_RBP, REG_RBX};
	static const uint8_t index[4] = {REG_RSI, REG_RDI, REG_RSI, REG_RDI};
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

	if (mod == 0 && rm == 6) {
		out->disp = (int64_t)take(d, 2);
		return;
	}
	out->base = base[rm];
	if (rm < 4)
		out->index = index[rm];
	if (out->base == REG_RBP)
		out->segment = SEG_SS;
	if (mod)
		out->disp = take_signed(d, mod);
}

static void decode_memory(struct decoder *d, struct insn *out)
{
	unsigned mod = d->modrm >> 6, base = d->modrm & 7;

	if (base == 4) {
		unsigned sib = (unsigned)take(d, 1);
		unsigned index = (sib >> 3 & 7) | (d->rex & REX_X ? 8u : 0);

		if (index != REG_RSP) /* means: no index */
			out->index = (uint8_t)index;
		out->scale = (uint8_t)(sib >> 6);
		base = sib & 7;
	} else if (base == 5 && mod == 0 && d->mode == DECODE_64) {
		out->base = INSN_BASE_RIP;
		out->disp = take_signed(d, 4);
		return;
	}
	if (base == 5 && mod == 0) {
		out->disp = take_signed(d, 4);
		return;
	}
	out->base = (uint8_t)(base | (d->rex & REX_B ? 8u : 0));
	if (out->base == REG_RSP || out->base == REG_RBP)
		out->segment = SEG_SS;
	if (mod)
		out->disp = take_signed(d, mod == 1 ? 1 : 4);
}

static void decode_modrm(struct decoder *d, struct insn *out)
{
	out->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8u : 0));
	if (d->modrm >= 0xc0) {
		out->rm = (uint8_t)((d->modrm & 7) | (d->rex & REX_B ? 8u : 0));
		return;
	}
	out->memory = true;
	if (out->addr_size == 2)
		decode_memory_16(d, out);
	else
		decode_memory(d, out);
}

/* The instruction that ModRM.reg selects; false: none of ours. */
static bool decode_group(struct decoder *d, struct insn *out, unsigned *flags)
{
	unsigned n = d->modrm >> 3 & 7;

	if (d->escaped) { /* 0F BA */
		out->op = (uint8_t)(INSN_BT + (n & 3));
		return n >= 4;
	}
	switch (d->opcode) {
	case 0x8f:
	case 0xc6:
	case 0xc7:
		out->op = d->opcode == 0x8f ? INSN_POP : INSN_MOV;
		return n == 0;
	case 0xf6:
	case 0xf7:
		if (n < 2) { /* 1 is as 0 */
			out->op = INSN_TEST;
			out->form = INSN_RM_IMM;
			*flags |= d->opcode == 0xf6 ? ROW_IMM8 : ROW_IMM;
			return true;
		}
		out->op = n == 2 ? INSN_NOT : INSN_NEG;
		return n < 4;
	case 0xfe:
	case 0xff:
		out->op = n == 0 ? INSN_INC : n == 1 ? INSN_DEC : INSN_PUSH;
		return n < 2 || (n == 6 && d->opcode == 0xff);
	default: /* 80h to 83h */
		out->op = (uint8_t)n;
		return true;
	}
}

/* What the table cannot say of a few opcodes. */
static enum decode_result decode_other(struct decoder *d, struct insn *out)
{
	if (!d->escaped) {
		switch (d->opcode) {
		case 0x63: /* MOVSXD; ARPL elsewhere */
			out->src_size = out->size == 2 ? 2 : 4;
			return d->mode == DECODE_64 ? DECODE_OK : DECODE_UNKNOWN;
		case 0x82: /* as 80h */
			return d->mode == DECODE_64 ? DECODE_UD : DECODE_OK;
		default: /* A0h to A3h */
			out->memory = true;
			out->reg = REG_RAX;
			out->disp = (int64_t)take(d, out->addr_size);
			return DECODE_OK;
		}
	}
	if (d->opcode == 0xc3) /* MOVNTI: 4 or 8 bytes, to memory */
		return out->memory && !d->opsize && !out->rep ? DECODE_OK : DECODE_UNKNOWN;
	out->src_size = d->opcode & 1 ? 2 : 1;
	return DECODE_OK;
}

static void decode_sizes(struct decoder *d, struct insn *out)
{
	if (d->mode == DECODE_64) {
		out->size = d->rex & REX_W ? 8 : d->opsize ? 2 : 4;
		out->addr_size = d->addrsize ? 4 : 8;
	} else {
		out->size = (d->mode == DECODE_32) != d->opsize ? 4 : 2;
		out->addr_size = (d->mode == DECODE_32) != d->addrsize ? 4 : 2;
	}
}

/* Past the operands: register names, segment, LOCK. */
static enum decode_result decode_finish(const struct decoder *d, struct insn *out)
{
	if (out->op == INSN_PUSH || out->op == INSN_POP) {
		if (d->mode == DECODE_64)
			out->size = d->opsize && !(d->rex & REX_W) ? 2 : 8;
		out->src_size = out->size;
	}
	if (out->size == 1)
		out->reg = byte_register(d, out->reg);
	if (out->src_size == 1 && !out->memory)
		out->rm = byte_register(d, out->rm);
	if (d->segment != SEG_COUNT)
		out->segment = d->segment;
	if (out->lock && !(out->memory && LOCKABLE >> out->op & 1 && out->form != INSN_REG_RM))
		return DECODE_UD;
	return DECODE_OK;
}

static enum decode_result decode_all(struct decoder *d, struct insn *out)
{
	enum decode_result r = DECODE_OK;
	const struct row *row;
	unsigned flags;

	decode_prefixes(d, out);
	d->opcode = (uint8_t)take(d, 1);
	row = &one_byte[d->opcode];
	if (d->opcode == 0x0f) {
		d->escaped = true;
		d->opcode = (uint8_t)take(d, 1);
		row = &two_bytes[d->opcode];
	}
	flags = row->flags;
	if (unlikely(!(flags & ROW_KNOWN)))
		return DECODE_UNKNOWN;
	out->op = row->op;
	out->form = row->form;
	decode_sizes(d, out);
	if (flags & ROW_BYTE)
		out->size = 1;
	out->src_size = out->size;
	if (flags & ROW_MODRM) {
		d->modrm = (uint8_t)take(d, 1);
		decode_modrm(d, out);
		if (flags & ROW_GROUP && !decode_group(d, out, &flags))
			return DECODE_UNKNOWN;
	}
	if (flags & ROW_OTHER) {
		r = decode_other(d, out);
		if (r != DECODE_OK)
			return r;
	}
	if (flags & ROW_IMM8)
		out->imm = (uint64_t)take_signed(d, 1);
	else if (flags & ROW_IMM)
		out->imm = (uint64_t)take_signed(d, out->size == 2 ? 2 : 4);
	return decode_finish(d, out);
}

enum decode_result decode_insn(const struct insn_bytes *in, enum decode_mode mode, struct insn *out)
{
	struct decoder d = {.byte = in->byte, .mode = mode, .segment = SEG_COUNT};
	enum decode_result r;

	*out = (struct insn){.segment = SEG_DS, .base = INSN_NO_REG, .index = INSN_NO_REG};
	r = decode_all(&d, out);
	if (unlikely(d.pos > in->count))
		return in->count < INSN_LEN_MAX ? DECODE_SHORT : DECODE_TOO_LONG;
	out->len = (uint8_t)d.pos;
	return r;
}
