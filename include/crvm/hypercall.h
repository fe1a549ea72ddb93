/*
 * Hypercalls, for guests too: VMCALL in ring 0 with the number in RAX and arguments in RDI, RSI,
 * RDX and RCX; the result, or a negative error number (crvm/status.h), comes back in RAX. Other
 * registers are kept. Plain C and assembly may include it.
 */
#pragma once

#define HYPERCALL_IDENTIFY 0 /* returns HYPERCALL_SIGNATURE */
#define HYPERCALL_NOP	   1 /* returns 0 */

#define HYPERCALL_SIGNATURE 0x4d565243 /* "CRVM" */
