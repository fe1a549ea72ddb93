/*
 * Arithmetic of emulated instructions with the flags that the CPU computes. Pure. Must not know
 * where the operands come from. Where the manual leaves a flag undefined, what Intel CPUs do is
 * done. Source: Intel SDM Vol. 1, "EFLAGS Cross-Reference".
 */
#include "emu_priv.h"

static uint64_t flags_of_result(unsigned size, uint64_t r)
{
	uint64_t flags = 0;
	unsigned low = (unsigned)r & 0xff;

	low ^= low >> 4;
	if (!(0x6996 >> (low & 15) & 1)) /* bit n: the parity of n is odd */
		flags |= FLAG_PF;
	if (!(r & emu_mask(size)))
		flags |= FLAG_ZF;
	if (r >> (8 * size - 1) & 1)
		flags |= FLAG_SF;
	return flags;
}

/* `carries`: bit n tells the carry (or borrow) out of bit n; `overflow`: the same by sign. */
static uint64_t flags_of_carries(unsigned size, uint64_t carries, uint64_t overflow)
{
	unsigned sign = 8 * size - 1;
	uint64_t flags = 0;

	if (carries >> sign & 1)
		flags |= FLAG_CF;
	if (carries >> 3 & 1)
		flags |= FLAG_AF;
	if (overflow >> sign & 1)
		flags |= FLAG_OF;
	return flags;
}

static uint64_t add(unsigned size, uint64_t a, uint64_t b, uint64_t carry, uint64_t *flags)
{
	uint64_t r = a + b + carry;

	*flags = flags_of_result(size, r) |
		 flags_of_carries(size, (a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r));
	return r;
}

static uint64_t subtract(unsigned size, uint64_t a, uint64_t b, uint64_t borrow, uint64_t *flags)
{
	uint64_t r = a - b - borrow;

	*flags = flags_of_result(size, r) |
		 flags_of_carries(size, (~a & b) | ((~a | b) & r), (a ^ b) & (a ^ r));
	return r;
}

uint64_t emu_alu(unsigned op, unsigned size, uint64_t dst, uint64_t src, uint64_t *rflags)
{
	uint64_t carry = *rflags & FLAG_CF, r, flags;

	switch (op) {
	case INSN_ADD:
	case INSN_ADC:
		r = add(size, dst, src, op == INSN_ADC ? carry : 0, &flags);
		break;
	case INSN_SUB:
	case INSN_CMP:
	case INSN_SBB:
		r = subtract(size, dst, src, op == INSN_SBB ? carry : 0, &flags);
		break;
	case INSN_NEG:
		r = subtract(size, 0, dst, 0, &flags);
		break;
	case INSN_INC:
		r = add(size, dst, 1, 0, &flags);
		flags = (flags & ~(uint64_t)FLAG_CF) | carry;
		break;
	case INSN_DEC:
		r = subtract(size, dst, 1, 0, &flags);
		flags = (flags & ~(uint64_t)FLAG_CF) | carry;
		break;
	default:
		r = op == INSN_OR ? dst | src : op == INSN_XOR ? dst ^ src : dst & src;
		flags = flags_of_result(size, r);
		break;
	}
	*rflags = (*rflags & ~(uint64_t)FLAG_STATUS) | flags;
	return r & emu_mask(size);
}
