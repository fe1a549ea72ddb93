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

#define GWALK_LEVELS 4

/*
 * Why a translation held: the entries it used, and what they were. While they are the same, and so
 * are CR3 and the paging mode, a new walk would end at the same address. Cheaper than a walk, and
 * as true.
 */
struct gwalk_proof {
	const uint64_t *entry[GWALK_LEVELS]; /* in the host's view of guest memory */
	uint64_t value[GWALK_LEVELS];
};

/*
 * After a successful gwalk_translate(GWALK_ANY). False if there is none: PAE paging, tables outside
 * memory, or they changed. The proof may point into itself: it stays where it is.
 */
must_check bool gwalk_prove(const struct gwalk_state *p, const struct gmem *m, gva_t la,
			    struct gwalk_proof *proof);

static inline bool gwalk_proof_entry_holds(const struct gwalk_proof *proof, unsigned i)
{
	return likely(__atomic_load_n(proof->entry[i], __ATOMIC_RELAXED) == proof->value[i]);
}

static inline bool gwalk_proof_holds(const struct gwalk_proof *proof)
{
	_Static_assert(GWALK_LEVELS == 4, "unrolled");
	return gwalk_proof_entry_holds(proof, 3) && gwalk_proof_entry_holds(proof, 2) &&
	       gwalk_proof_entry_holds(proof, 1) && gwalk_proof_entry_holds(proof, 0);
}
