/*
 * A decoder of the x86 instructions that kernels use on device memory (core/decode.c). Pure: bytes
 * in, struct insn out. Knows no vCPU, no memory. Source: Intel SDM Vol. 2, "Instruction Format",
 * "Opcode Map".
 */
#pragma once

#include <crvm/compiler.h>

enum insn_op { /* the first 8 as opcodes number them */
	       INSN_ADD,
	       INSN_OR,
	       INSN_ADC,
	       INSN_SBB,
	       INSN_AND,
	       INSN_SUB,
	       INSN_XOR,
	       INSN_CMP,
	       INSN_TEST,
	       INSN_NOT,
	       INSN_NEG,
	       INSN_INC,
	       INSN_DEC,
	       INSN_MOV,
	       INSN_MOVZX,
	       INSN_MOVSX,
	       INSN_XCHG,
	       INSN_XADD,
	       INSN_CMPXCHG,
	       INSN_BT,
	       INSN_BTS,
	       INSN_BTR,
	       INSN_BTC, /* as 0F BA numbers them */
	       INSN_PUSH,
	       INSN_POP,
	       INSN_MOVS,
	       INSN_STOS,
	       INSN_LODS,
	       INSN_CMPS,
	       INSN_SCAS,
	       INSN_OP_COUNT
};

/* Which operands, destination first. RM is memory or a register. */
enum insn_form { INSN_RM_REG, INSN_REG_RM, INSN_RM_IMM, INSN_RM, INSN_STRING };

#define INSN_LEN_MAX 15u

enum {
	INSN_HIGH8 = 16,    /* registers 16 to 19 are AH, CH, DH, BH */
	INSN_BASE_RIP = 32, /* base: the next instruction's address */
	INSN_NO_REG = 33,   /* no base, no index */
};

struct insn {
	uint8_t op;	   /* enum insn_op */
	uint8_t form;	   /* enum insn_form */
	uint8_t len;	   /* bytes */
	uint8_t size;	   /* of the operands: 1, 2, 4, 8 bytes */
	uint8_t src_size;  /* of RM; differs from size for MOVZX and MOVSX only */
	uint8_t addr_size; /* 2, 4, 8 bytes */
	uint8_t rep;	   /* 0, F2h or F3h: of string instructions */
	bool lock;
	bool memory;	 /* RM is memory */
	uint8_t reg, rm; /* numbers of the registers; rm if not memory */
	uint8_t segment; /* of the memory operand, or of a string's source: enum vcpu_segreg */
	uint8_t base, index, scale;
	int64_t disp; /* also the address of MOV A0h-A3h */
	uint64_t imm; /* sign-extended */
};

/* The bytes at CS:RIP as far as they could be had. What lies past `count` is ignored. */
struct insn_bytes {
	uint8_t byte[32]; /* so long that the decoder may read first and look at the count
			     afterwards */
	uint8_t count;	  /* up to INSN_LEN_MAX */
};

enum decode_mode { DECODE_16 = 2, DECODE_32 = 4, DECODE_64 = 8 };

enum decode_result {
	DECODE_OK,
	DECODE_SHORT,	 /* needs more bytes than `count` (less than INSN_LEN_MAX) */
	DECODE_TOO_LONG, /* more than INSN_LEN_MAX bytes: #GP(0) */
	DECODE_UD,	 /* LOCK where it may not be, and the like: #UD */
	DECODE_UNKNOWN,	 /* not one of the above; *out is undefined, also for the others but OK */
};

must_check enum decode_result decode_insn(const struct insn_bytes *in, enum decode_mode mode,
					  struct insn *out);
