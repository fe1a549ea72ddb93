/*
 * Proof that VMs are kept apart: every page of every nested page table is checked against the frame
 * table (core/nested_audit.c). Used by core/; knows no backend but struct virt_backend.
 */
#pragma once

#include <crvm/frames.h>
#include <crvm/virt.h>

/* Why a page must not be mapped. The order is that of the checks. */
#define NESTED_OFFENCES(X)                                                                     \
	X(NONE, "none")                                                                        \
	X(BROKEN, "the table's walk is out of order, not of whole pages or beyond all memory") \
	X(FREE, "the frame is free")                                                           \
	X(HYPERVISOR, "the frame holds the hypervisor's image or frame table")                 \
	X(OTHER_VM, "the frame belongs to another VM")                                         \
	X(NOT_RAM, "the frame is the VM's, but not its RAM at this address")                   \
	X(WRITABLE, "a boot module is writable")                                               \
	X(UNEXPECTED, "neither the VM's memory nor allowed to it")

enum nested_offence_kind {
#define X(name, text) NESTED_##name,
	NESTED_OFFENCES(X)
#undef X
};

/* Tells about [hpa, hpa + len), mapped at gpa with `flags`. Must say no unless it holds for all of
 * it. */
typedef bool nested_audit_fn(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags);

struct nested_audit_vm {
	const struct virt_vm *vm;
	frame_owner_t owner; /* FRAME_VM0 + n */
	/*
	 * May the VM have this, though it is not its own: devices, shared pages? Not asked about
	 * frames that are free, of the image or of another VM, nor about writable modules. NULL:
	 * never.
	 */
	nested_audit_fn *allowed;
	/*
	 * Is this, which the VM owns, its RAM at this address? It owns its page tables too, and
	 * must not reach those. NULL: not checked.
	 */
	nested_audit_fn *ram;
	void *ctx; /* of both */
};

/* The first page that must not be mapped. */
struct nested_offence {
	enum nested_offence_kind kind;
	unsigned vm; /* index */
	gpa_t gpa;
	hpa_t hpa;
	unsigned flags;
	frame_owner_t owner; /* of the frame */
};

const char *nested_offence_text(enum nested_offence_kind kind);

/*
 * Checks all pages of `count` VMs, none of which is in the guest. OK; E_PERM with *first filled;
 * E_INVAL if two have the same owner, or one that is no VM's. *pages (may be NULL) counts the pages
 * of 4 KiB that were found good. One look-up in the frame table for each: not for boot or a run
 * loop.
 */
must_check int nested_audit(const struct virt_backend *b, const struct nested_audit_vm *vms,
			    unsigned count, struct nested_offence *first, uint64_t *pages);
