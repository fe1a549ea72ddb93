/*
 * Deliberate mistakes in a VMCS, each with the rule that it breaks: for the tests of the auditor,
 * which apply them to snapshots, and for the self-test on a real CPU, which applies them just
 * before an entry that must then fail. Private to vmx/. Knows no VM.
 *
 * A good VMCS is one as CRVM makes it: 64-bit host, EPT, unrestricted guest, no event to deliver.
 */
#pragma once

#include "caps.h"
#include "snapshot.h"

/* Guests for which a breakage is just that. Virtual-8086 mode is none of them. */
enum breakage_guest { BREAK_REAL = 1, BREAK_PROT = 2, BREAK_LONG = 4, BREAK_ANY = 7 };

/* field = (field & keep) | set */
struct breakage_step {
	enum vmcs_index field;
	uint64_t keep, set;
};

#define BREAKAGE_STEPS 6

struct breakage {
	const char *name;
	const char *rule;      /* id of the rule that the auditor must name */
	enum vmcs_index field; /* the first that it must name */
	unsigned guests;
	unsigned cap_bits; /* 0, or 100h + the bit of `cap` that the CPU must have */
	enum vmx_cap cap;
	struct breakage_step step[BREAKAGE_STEPS];
	unsigned step_count;
};

/* How a breakage reaches a VMCS. */
struct breakage_target {
	uint64_t (*read)(void *ctx, enum vmcs_index i);
	void (*write)(void *ctx, enum vmcs_index i, uint64_t value);
	void *ctx;
};

/* For any table of rows; `possible` as vmx_breakage_possible. */
void breakage_run(const struct breakage *b, const struct breakage_target *target);
void breakage_run_snapshot(const struct breakage *b, struct vmcs_snapshot *s);
/* Gives the fields back the values that they had. */
void breakage_undo(const struct breakage *b, const struct vmcs_snapshot *good,
		   const struct breakage_target *target);
bool breakage_possible(const struct breakage *b, const struct vmcs_snapshot *good,
		       const struct vmx_caps *caps);

/* The rows for real CPUs: Bochs 2.7 refuses these as silicon does. */
unsigned vmx_breakage_count(void);
const struct breakage *vmx_breakage(unsigned i);
const char *vmx_breakage_name(unsigned i);
/* The rule's id, and the name of the field that is wrong: as in struct vmx_audit_finding. */
const char *vmx_breakage_expect(unsigned i);
const char *vmx_breakage_expect_field(unsigned i);

/* Has this CPU what row i needs, and is the guest of a kind that it breaks? */
must_check bool vmx_breakage_possible(unsigned i, const struct vmcs_snapshot *good,
				      const struct vmx_caps *caps);

/* To the current VMCS; only if possible, since fields that do not exist stop the hypervisor. */
void vmx_breakage_apply(unsigned i);
void vmx_breakage_undo(unsigned i, const struct vmcs_snapshot *good);
