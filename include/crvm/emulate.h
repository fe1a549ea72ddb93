/*
 * Executes the instruction whose memory access left the guest (core/emulate.c), for device models.
 * Knows no device, no VM: all it works on is handed to it in struct emu_env. Called on the vCPU's
 * own CPU, outside the guest.
 */
#pragma once

#include <crvm/decode.h>
#include <crvm/gwalk.h>
#include <crvm/io_bus.h>
#include <crvm/vcpu.h>
#include <crvm/virt.h>

/*
 * Instructions emulated lately, by their address: device drivers have few of them. An entry counts
 * only while the guest's page tables and the bytes are still what they were (gwalk_proof_holds, and
 * a compare), so that nothing needs to be flushed. One for each vCPU, at first all zero.
 */
struct emu_cache {
	struct emu_cached {
		uint64_t la, cr3;
		uint64_t mode; /* of decoding and paging; 0: unused */
		const uint8_t *code;
		uint64_t byte[2];
		struct gwalk_proof proof;
		struct insn insn;
		bool plain; /* MOV of 4 or 8 bytes with memory, no segment base */
	} entry[32];
};

/* What emulation may touch. Of the backend only get_reg, set_reg and get_segment are called. */
struct emu_env {
	struct vcpu *v;
	const struct virt_backend *backend;
	const struct gmem *mem;
	struct io_bus *mmio;	 /* guest-physical addresses that are not memory */
	struct io_bus *ports;	 /* string_io only */
	struct emu_cache *cache; /* of this vCPU; NULL: none */
	uint8_t phys_bits;	 /* MAXPHYADDR that the guest is told, 32 to 52 */
};

enum emu_kind {
	/*
	 * Call skip_insn: v->exit.insn_len is set. It is 0 when a single step (TF) ends between two
	 * iterations of REP: RIP stays, and the pending #DB comes all the same.
	 */
	EMU_DONE,
	/* Registers are as the architecture has them at the exception; RIP stays. */
	EMU_EXCEPTION,
	/*
	 * Enter again without a skip: REP has done a bounded part and goes on afterwards, or the
	 * guest's code or page tables changed under us.
	 */
	EMU_RETRY,
	/* Not an instruction that we know, or not in memory. Nothing was done. */
	EMU_UNKNOWN,
};

struct emu_result {
	/* EMU_EXCEPTION: what inject_exception wants. */
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t cr2; /* #PF */
	/* EMU_UNKNOWN: what was found at CS:RIP. */
	uint8_t byte_count;
	uint8_t byte[INSN_LEN_MAX];
};

/* Iterations of one REP instruction in one call. */
#define EMU_REP_MAX 1024u

/*
 * After EXIT_NESTED_FAULT: executes the one instruction at CS:RIP. Memory operands go to guest
 * memory or to the bus, piece by piece if they cross a page; writes to read-only memory are
 * dropped. Permissions are checked before anything is read or written. A LOCK on guest memory is
 * not atomic against other CPUs; data breakpoints and alignment checks are not raised.
 */
must_check enum emu_kind emulate_insn(const struct emu_env *env, struct emu_result *result);
