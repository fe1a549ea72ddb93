/*
 * The hypervisor's own page tables (mm/hostmap.c): 4 levels, W^X. Every physical address has at
 * most one virtual address here: DIRECT_MAP_BASE + address (the image has its own at IMAGE_BASE as
 * well, and its direct alias is never writable where the image is not). Source: Intel SDM Vol. 3A,
 * "4-Level Paging and 5-Level Paging".
 */
#pragma once

#include <crvm/addr.h>
#include <crvm/compiler.h>

#define DIRECT_MAP_BASE 0xffff800000000000ul
#define DIRECT_MAP_SIZE 0x0000400000000000ul /* 64 TiB */
#define STACK_AREA_BASE 0xffffe00000000000ul /* per-CPU stacks between guard pages */
#define IMAGE_BASE	0xffffffff80000000ul /* the image at IMAGE_BASE + its physical address */

/* Where the direct map starts: DIRECT_MAP_BASE, or a buffer in host tests. */
extern uintptr_t direct_map_base;

static inline void *phys_to_virt(hpa_t addr)
{
	return (void *)(direct_map_base + addr.v);
}

static inline hpa_t virt_to_phys(const void *direct)
{
	return hpa((uintptr_t)direct - direct_map_base);
}

enum map_flags {
	MAP_R = 0,
	MAP_W = 1,  /* writable; with MAP_X: E_INVAL */
	MAP_X = 2,  /* executable */
	MAP_UC = 4, /* strong uncacheable: device registers */
	MAP_WC = 8, /* write combining: framebuffers (PAT entry 1, set by arch) */
};

struct hostmap {
	hpa_t root;
	bool nx;    /* the CPU has execute-disable */
	bool big1g; /* 1 GiB pages may be used */
};

/* A new, empty set of tables; page tables come from frames_alloc with FRAME_HV. E_NOMEM. */
must_check int hostmap_init(struct hostmap *m, bool nx, bool big1g);

/*
 * Maps [va, va + len) to pa with the largest pages that alignment allows. All three multiples of
 * PAGE_SIZE. Pages already mapped to the same address with the same flags are left; any other
 * overlap is E_EXIST (nothing before it is undone). E_INVAL for W with X, misalignment, wrap,
 * non-canonical va; E_NOMEM. Additions only: safe while other CPUs use the tables.
 */
must_check int hostmap_map(struct hostmap *m, uint64_t va, hpa_t pa, uint64_t len, unsigned flags);

/*
 * Changes the flags of pages that are all mapped (else E_NOENT, nothing changed), splitting larger
 * pages. Before other CPUs use the tables; the caller flushes its TLB.
 */
must_check int hostmap_protect(struct hostmap *m, uint64_t va, uint64_t len, unsigned flags);

/* Removes pages, splitting larger ones; unmapped pages are skipped. The same rules as protect. */
must_check int hostmap_unmap(struct hostmap *m, uint64_t va, uint64_t len);

/* What va maps to: 0 with *pa, *flags and *page_size set (each may be NULL), or E_NOENT. */
must_check int hostmap_query(const struct hostmap *m, uint64_t va, hpa_t *pa, unsigned *flags,
			     uint64_t *page_size);

/*
 * Calls `fn` for every run of pages that touch each other and have the same flags, in rising order,
 * until it returns false. For the W^X audit and for listings.
 */
void hostmap_walk(const struct hostmap *m,
		  bool (*fn)(void *ctx, uint64_t va, hpa_t pa, uint64_t len, unsigned flags),
		  void *ctx);
