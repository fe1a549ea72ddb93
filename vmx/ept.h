/*
 * Extended page tables: one VM's guest-physical to host-physical translation. Private to vmx/.
 * Knows no VMCS, no vCPU, and not where memory types come from.
 * Source: Intel SDM Vol. 3C, "The Extended Page Table Mechanism (EPT)".
 */
#pragma once

#include <crvm/addr.h>
#include <crvm/arena.h>
#include "caps.h"

/* Bits of an entry: the tables of "EPT Translation Mechanism". */
#define EPT_R	  (1ull << 0)
#define EPT_W	  (1ull << 1)
#define EPT_X	  (1ull << 2)
#define EPT_RWX	  (EPT_R | EPT_W | EPT_X)
#define EPT_MT	  (7ull << 3) /* memory type; leaves only, reserved elsewhere */
#define EPT_IPAT  (1ull << 6) /* the guest's PAT does not count; leaves only, reserved elsewhere */
#define EPT_LARGE (1ull << 7) /* a leaf at level 2 or 3 */
#define EPT_A	  (1ull << 8)
#define EPT_D	  (1ull << 9)  /* leaves only */
#define EPT_USED  (1ull << 11) /* ignored by the CPU; ours: a leaf, even one without permissions */
#define EPT_ADDR  0x000ffffffffff000ull

enum {
	EPT_LEVELS = 4, /* level 1 maps 4 KiB, 2 maps 2 MiB, 3 maps 1 GiB */
	EPT_ENTRY_COUNT = 512,
	EPT_GPA_BITS = 48,

	EPTP_WALK_SHIFT = 3, /* page-walk length less 1 */
	EPTP_AD = 1 << 6,
};

struct ept_caps {
	bool page_2m, page_1g, accessed_dirty, execute_only;
	uint8_t phys_bits; /* MAXPHYADDR */
};

/* Memory types, as the host's MTRRs say: enum memory_type or MTRR_MIXED (crvm/mtrr.h). */
struct ept_memtype {
	uint8_t (*of)(const void *ctx, uint64_t hpa, uint64_t len);
	const void *ctx;
};

struct ept {
	hpa_t root;
	struct arena *arena; /* gives the tables, and takes them with it */
	struct ept_caps caps;
	struct ept_memtype memtype;
	hpa_t spare;	     /* list of unused tables, linked by their first word; 0: none */
	bool use_vpid;	     /* the VM's switch: tag TLB entries (vmx/tlb.h) */
	uint64_t generation; /* rises with each change that makes cached translations wrong */
	uint64_t table_count, page_count[EPT_LEVELS - 1]; /* [0]: 4 KiB, [1]: 2 MiB, [2]: 1 GiB */
};

struct ept_caps ept_caps_from(const struct vmx_caps *c, unsigned phys_bits);

/* An empty translation. E_NOMEM. */
must_check int ept_init(struct ept *e, struct arena *arena, const struct ept_caps *caps,
			const struct ept_memtype *memtype);

/* The VMCS's EPT pointer: tables in write-back memory, 4 levels. */
uint64_t ept_pointer(const struct ept *e);

/*
 * As the functions nested_* of struct virt_backend, with these words on what that leaves open.
 * flags: W or WX without R is E_INVAL, X alone too if the CPU cannot; no flags at all is a page
 * that is mapped but faults at each access. E_INVAL also for a guest-physical end beyond 2^48 and a
 * host-physical one beyond MAXPHYADDR. Whatever error comes, the translation is what it was. A page
 * is large only if all of it has one memory type.
 */
must_check int ept_map(struct ept *e, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags);
must_check int ept_protect(struct ept *e, gpa_t gpa, uint64_t len, unsigned flags);

/* Any gpa; hpa is that of the byte. Pointers may be NULL. E_NOENT. */
must_check int ept_query(const struct ept *e, gpa_t gpa, hpa_t *hpa, unsigned *flags,
			 uint64_t *page_size);
void ept_walk(const struct ept *e,
	      bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags), void *ctx);
