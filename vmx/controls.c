/*
 * Which controls, and why. See controls.h.
 */
#include "controls.h"

#include <crvm/string.h>

enum demand {
	REQUIRED, /* CRVM cannot run a VM without */
	WANTED,	  /* done without, see the feature table */
	ZERO,	  /* set later, when needed */
	CLEARED,  /* set at first, and cleared later: CRVM needs both */
	NEVER,	  /* CRVM has no code for it: forced to 1, it refuses */
};

static const struct row {
	enum ctl_word word;
	enum demand demand;
	uint32_t bit;
	const char *name, *why;
} table[] = {
	{CTL_PIN, REQUIRED, PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting",
	 "interrupts are the host's"},
	{CTL_PIN, REQUIRED, PIN_NMI, "NMI exiting", "NMIs are the host's"},
	{CTL_PIN, REQUIRED, PIN_VIRTUAL_NMIS, "virtual NMIs", "the guest has NMIs of its own"},
	{CTL_PIN, WANTED, PIN_PREEMPTION_TIMER, "VMX-preemption timer",
	 "deadlines without an interrupt"},

	{CTL_PROC, ZERO, PROC_INTERRUPT_WINDOW, "interrupt-window exiting", "asked for by events"},
	{CTL_PROC, WANTED, PROC_TSC_OFFSETTING, "use TSC offsetting",
	 "the guest's TSC starts at 0"},
	{CTL_PROC, REQUIRED, PROC_HLT, "HLT exiting", "an idle guest gives up its CPU"},
	{CTL_PROC, ZERO, PROC_INVLPG, "INVLPG exiting", "EPT makes it unneeded"},
	{CTL_PROC, REQUIRED, PROC_MWAIT, "MWAIT exiting", "a guest must not put the CPU to sleep"},
	{CTL_PROC, REQUIRED, PROC_RDPMC, "RDPMC exiting", "counters would tell of other VMs"},
	{CTL_PROC, ZERO, PROC_RDTSC, "RDTSC exiting", "the offset does it"},
	/* On CPUs without the TRUE MSRs these two are forced; the exits are served. */
	{CTL_PROC, ZERO, PROC_CR3_LOAD, "CR3-load exiting", "EPT makes it unneeded"},
	{CTL_PROC, ZERO, PROC_CR3_STORE, "CR3-store exiting", "EPT makes it unneeded"},
	{CTL_PROC, REQUIRED, PROC_CR8_LOAD, "CR8-load exiting", "CR8 is the host's TPR"},
	{CTL_PROC, REQUIRED, PROC_CR8_STORE, "CR8-store exiting", "CR8 is the host's TPR"},
	{CTL_PROC, NEVER, PROC_TPR_SHADOW, "use TPR shadow", "there is no virtual local APIC"},
	{CTL_PROC, ZERO, PROC_NMI_WINDOW, "NMI-window exiting", "asked for by events"},
	{CTL_PROC, CLEARED, PROC_MOV_DR, "MOV-DR exiting",
	 "debug registers are switched once they are used"},
	{CTL_PROC, ZERO, PROC_UNCONDITIONAL_IO, "unconditional I/O exiting", "the bitmaps decide"},
	{CTL_PROC, REQUIRED, PROC_IO_BITMAPS, "use I/O bitmaps", "default deny, some ports free"},
	{CTL_PROC, NEVER, PROC_MONITOR_TRAP, "monitor trap flag", "single steps use TF"},
	{CTL_PROC, REQUIRED, PROC_MSR_BITMAPS, "use MSR bitmaps", "default deny, some MSRs free"},
	{CTL_PROC, REQUIRED, PROC_MONITOR, "MONITOR exiting", "MONITOR is not offered"},
	{CTL_PROC, ZERO, PROC_PAUSE, "PAUSE exiting", "one vCPU has nobody to wait for"},
	{CTL_PROC, REQUIRED, PROC_SECONDARY_CTLS, "activate secondary controls", "EPT"},

	{CTL_PROC2, REQUIRED, PROC2_CTL_EPT, "enable EPT", "memory of VMs"},
	{CTL_PROC2, ZERO, PROC2_CTL_DESCRIPTOR_TABLE, "descriptor-table exiting", "not needed"},
	{CTL_PROC2, WANTED, PROC2_CTL_RDTSCP, "enable RDTSCP", "guests use it if it is there"},
	{CTL_PROC2, WANTED, PROC2_CTL_VPID, "enable VPID", "TLB entries survive exits"},
	{CTL_PROC2, WANTED, PROC2_CTL_WBINVD, "WBINVD exiting",
	 "a guest must not flush all caches"},
	{CTL_PROC2, REQUIRED, PROC2_CTL_UNRESTRICTED, "unrestricted guest", "real mode"},
	{CTL_PROC2, ZERO, PROC2_CTL_INVPCID, "enable INVPCID", "goes with PCID: not offered"},
	{CTL_PROC2, NEVER, PROC2_CTL_XSAVES, "enable XSAVES/XRSTORS", "not offered to guests"},

	{CTL_EXIT, REQUIRED, EXIT_CTL_SAVE_DEBUG, "save debug controls", "DR7 is the guest's"},
	{CTL_EXIT, REQUIRED, EXIT_CTL_HOST_64, "host address-space size", "the host is 64-bit"},
	{CTL_EXIT, ZERO, EXIT_CTL_ACK_INTERRUPT, "acknowledge interrupt on exit",
	 "the host takes interrupts by its IDT, once it enables them"},
	{CTL_EXIT, REQUIRED, EXIT_CTL_SAVE_PAT, "save IA32_PAT", "the guest's own"},
	{CTL_EXIT, REQUIRED, EXIT_CTL_LOAD_PAT, "load IA32_PAT", "the host's own"},
	{CTL_EXIT, REQUIRED, EXIT_CTL_SAVE_EFER, "save IA32_EFER", "the guest's own"},
	{CTL_EXIT, REQUIRED, EXIT_CTL_LOAD_EFER, "load IA32_EFER", "the host's own"},

	{CTL_ENTRY, REQUIRED, ENTRY_CTL_LOAD_DEBUG, "load debug controls", "DR7 is the guest's"},
	{CTL_ENTRY, ZERO, ENTRY_CTL_IA32E, "IA-32e mode guest", "follows EFER.LMA"},
	{CTL_ENTRY, REQUIRED, ENTRY_CTL_LOAD_PAT, "load IA32_PAT", "the guest's own"},
	{CTL_ENTRY, REQUIRED, ENTRY_CTL_LOAD_EFER, "load IA32_EFER", "the guest's own"},
};

/* Bits 31:0 of the capability: those that must be 1; bits 63:32: those that may be. */
static uint64_t word_caps(const struct vmx_caps *c, enum ctl_word word)
{
	static const struct {
		enum vmx_cap plain, with_true;
	} cap[CTL_WORD_COUNT] = {
		[CTL_PIN] = {CAP_VMX_PINBASED_CTLS, CAP_VMX_TRUE_PINBASED_CTLS},
		[CTL_PROC] = {CAP_VMX_PROCBASED_CTLS, CAP_VMX_TRUE_PROCBASED_CTLS},
		[CTL_PROC2] = {CAP_VMX_PROCBASED_CTLS2, CAP_VMX_PROCBASED_CTLS2},
		[CTL_EXIT] = {CAP_VMX_EXIT_CTLS, CAP_VMX_TRUE_EXIT_CTLS},
		[CTL_ENTRY] = {CAP_VMX_ENTRY_CTLS, CAP_VMX_TRUE_ENTRY_CTLS},
	};

	return c->msr[vmx_caps_bit(c, CAP_VMX_BASIC, BASIC_TRUE_CTLS) ? cap[word].with_true
								      : cap[word].plain];
}

bool vmx_control_may(const struct vmx_caps *caps, enum ctl_word word, uint32_t bits)
{
	return ((uint32_t)(word_caps(caps, word) >> 32) & bits) == bits;
}

bool vmx_control_must(const struct vmx_caps *caps, enum ctl_word word, uint32_t bits)
{
	return ((uint32_t)word_caps(caps, word) & bits) != 0;
}

static bool refuse(struct vmx_control_refusal *refusal, const struct row *r, bool must_be_one)
{
	*refusal = (struct vmx_control_refusal){r->name, r->why, must_be_one};
	return false;
}

bool vmx_controls_choose(const struct vmx_caps *caps, struct vmx_controls *out,
			 struct vmx_control_refusal *refusal)
{
	for (unsigned w = 0; w < CTL_WORD_COUNT; w++)
		out->word[w] = (uint32_t)word_caps(caps, (enum ctl_word)w);
	for (size_t i = 0; i < array_count(table); i++) {
		const struct row *r = &table[i];
		bool may = vmx_control_may(caps, r->word, r->bit);

		if ((r->demand == REQUIRED || r->demand == CLEARED) && !may)
			return refuse(refusal, r, false);
		if ((r->demand == NEVER || r->demand == CLEARED) &&
		    vmx_control_must(caps, r->word, r->bit))
			return refuse(refusal, r, true);
		if (may && r->demand != ZERO && r->demand != NEVER)
			out->word[r->word] |= r->bit;
	}
	return true;
}
