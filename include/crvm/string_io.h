/*
 * INS and OUTS, whole, in one exit (core/string_io.c), and what a plain IN does to RAX. Knows no
 * device, no VM. Called on the vCPU's own CPU, outside the guest. Source: Intel SDM Vol. 2,
 * "INS/INSB/INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD", "REP".
 */
#pragma once

#include <crvm/emulate.h>

/* Bytes of one REP INS or OUTS in one call. */
#define STRING_IO_MAX 4096u

/*
 * After EXIT_PORT with port.string. Moves up to `max` bytes (STRING_IO_MAX at most) between
 * env->ports and guest memory (or env->mmio, item by item); registers always tell how far it came.
 * Results as of emulate_insn; EMU_DONE leaves exit.insn_len as it was, or sets it to 0 as said
 * there.
 */
must_check enum emu_kind string_io(const struct emu_env *env, uint32_t max,
				   struct emu_result *result);

/* RAX after IN of `size` bytes: 1 and 2 keep what lies above, 4 clears it. */
static inline uint64_t port_in_merge(uint64_t rax, unsigned size, uint64_t value)
{
	if (likely(size == 4))
		return value & 0xffffffff;
	if (size == 2)
		return (rax & ~0xfffful) | (value & 0xffff);
	return (rax & ~0xfful) | (value & 0xff);
}
