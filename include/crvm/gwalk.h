/*
 * Guest-linear to guest-physical addresses by walking the guest's own page tables (core/gwalk.c),
 * as the CPU would. A pure function of the paging state and of guest memory. Knows no vCPU, no
 * backend. Source: Intel SDM Vol. 3A, chapter "Paging".
 */
#pragma once

#include <crvm/gmem.h>

/* Page-fault error code. */
enum pf_error { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16 };

enum gwalk_access {
	GWALK_READ = 0,
	GWALK_WRITE = PF_W,
	GWALK_FETCH = PF_I,
	/* Translate only: of the rights nothing is asked, and of the state only what selects the
	   paging mode and its formats. */
	GWALK_ANY = 0x100,
};

/* Registers as the guest sees them. No 5-level paging, no protection keys: guests are not offered
 * them. */
struct gwalk_state {
	uint64_t cr0, cr3, cr4, efer, rflags;
	uint64_t pdpte[4]; /* PAE paging only: as loaded by the last MOV to CR3 */
	uint8_t cpl;
	uint8_t phys_bits; /* MAXPHYADDR that the guest is told, 32 to 52 */
};

/*
 * 0 and *out; or E_FAULT and the error code of the #PF in *error. Sets accessed and dirty bits only
 * if the access is allowed. Only the low 48 bits of `la` count (32 outside IA-32e mode): whether it
 * is canonical is the caller's to check. A paging structure outside guest memory reads as all ones.
 */
must_check int gwalk_translate(const struct gwalk_state *p, const struct gmem *m, gva_t la,
			       unsigned access, gpa_t *out, uint32_t *error);
