/*
 * Physical memory: a buddy allocator over all RAM, with an owner for every frame (mm/frames.c).
 * Used by mm/ and core/; knows nothing of VMs but their owner numbers.
 */
#pragma once

#include <crvm/addr.h>
#include <crvm/compiler.h>

#define FRAME_ORDER_MAX 18u /* 2^18 frames = 1 GiB */

/* Who owns a frame. */
enum frame_owner {
	FRAME_FREE = 0,
	FRAME_NONE = 1,	 /* RAM that is not ours to give: firmware, first page, holes rounded off */
	FRAME_IMAGE = 2, /* the hypervisor's text, data and bss */
	FRAME_MODULE = 3, /* boot modules and symbol sections */
	FRAME_TABLE = 4,  /* the frame table itself */
	FRAME_HV = 5,	  /* allocated by the hypervisor for itself */
	FRAME_SHARED = 6, /* memory that VMs share */
	FRAME_VM0 = 16,	  /* VM n owns FRAME_VM0 + n */
};
typedef uint16_t frame_owner_t; /* enum frame_owner, or FRAME_VM0 + n */

#define FRAME_OWNER_MAX 1040u /* owners are below this */

/* Forgets everything (boot, tests). */
void frames_init(void);

/*
 * Before the RAM around it is added (else E_BUSY): what overlaps [base, base + len) gets `owner`,
 * never to be allocated. Partial frames count whole. Where ranges overlap, the first one wins; the
 * first page is FRAME_NONE from the start. At most 256 ranges (E_NOMEM); E_INVAL if it wraps or is
 * for FRAME_FREE.
 */
must_check int frames_reserve(uint64_t base, uint64_t len, frame_owner_t owner);

/*
 * Adds RAM. Its table is carved from the range itself, as low as possible outside what is reserved;
 * the range must be reachable through phys_to_virt (nothing but the table is touched). Rounded
 * inward to whole frames; what overlaps RAM added before or lies beyond the direct map is left out.
 * E_NOMEM if it (or any piece that overlaps leave) cannot hold its own table or there are more than
 * 64 regions, E_INVAL if it wraps; then nothing is added.
 */
must_check int frames_add(uint64_t base, uint64_t len);

/* 2^order frames, naturally aligned, contents undefined. E_NOMEM if there are none. Any CPU. */
must_check int frames_alloc(unsigned order, frame_owner_t owner, hpa_t *out);

/*
 * The same below `limit` (exclusive), for hardware that cannot address more; boot time only, it may
 * search long.
 */
must_check int frames_alloc_below(unsigned order, frame_owner_t owner, uint64_t limit, hpa_t *out);

/* Exactly what one frames_alloc gave; anything else panics (check). */
void frames_free(hpa_t base, unsigned order);

/* Gives up reserved frames (a module no longer needed): whole frames inside the range only. */
void frames_release(uint64_t base, uint64_t len, frame_owner_t owner);

/* FRAME_NONE for an address that is not RAM. */
frame_owner_t frames_owner(hpa_t addr);

/* Frames of one owner; of all RAM; free. */
uint64_t frames_count(frame_owner_t owner);
uint64_t frames_total(void);

/* Recounts everything by walking the tables and free lists; panics (check) if it does not agree. */
void frames_audit(void);
