/*
 * What a guest sees of CPUID (core/cpuid_policy.c): a frozen table, made from the host's leaves and
 * the VM's wishes, in which every bit that no row names is 0. Pure: knows no vCPU and no backend.
 * Source: Intel SDM Vol. 2A, "CPUID - CPU Identification".
 */
#pragma once

#include <crvm/compiler.h>
#include <crvm/cpu.h>

/*
 * Every feature bit that was thought about: X(name, word, bit, rule, why). Rules: HOST shows what
 * the host has; so do XSAVE and AVX if that state is switched, and AUX if the host has RDTSCP;
 * ALWAYS is emulated; APIC, X2APIC and DEADLINE follow the configuration; LOOKUP is made at each
 * lookup; HIDE never. "" as reason: nothing to say.
 */
#define CPUID_FEATURES_1_ECX(X)                                                               \
	X(SSE3, 1_ECX, 0, HOST, "")                                                           \
	X(PCLMULQDQ, 1_ECX, 1, HOST, "")                                                      \
	X(DTES64, 1_ECX, 2, HIDE, "debug store: memory written behind the nested page table") \
	X(MONITOR, 1_ECX, 3, HIDE, "a sleeping guest must give its CPU back: HLT does")       \
	X(DSCPL, 1_ECX, 4, HIDE, "debug store")                                               \
	X(VMX, 1_ECX, 5, HIDE, "no nested virtualization")                                    \
	X(SMX, 1_ECX, 6, HIDE, "measured launch is the host's")                               \
	X(EIST, 1_ECX, 7, HIDE, "power is the host's")                                        \
	X(TM2, 1_ECX, 8, HIDE, "temperature is the host's")                                   \
	X(SSSE3, 1_ECX, 9, HOST, "")                                                          \
	X(SDBG, 1_ECX, 11, HIDE, "silicon debug is the host's")                               \
	X(FMA, 1_ECX, 12, AVX, "")                                                            \
	X(CX16, 1_ECX, 13, HOST, "")                                                          \
	X(XTPR, 1_ECX, 14, HIDE, "IA32_MISC_ENABLE has no such switch")                       \
	X(PDCM, 1_ECX, 15, HIDE, "no performance counters")                                   \
	X(PCID, 1_ECX, 17, HIDE, "INVPCID and CR3 bit 63 are not handled")                    \
	X(DCA, 1_ECX, 18, HIDE, "devices are emulated")                                       \
	X(SSE4_1, 1_ECX, 19, HOST, "")                                                        \
	X(SSE4_2, 1_ECX, 20, HOST, "")                                                        \
	X(X2APIC, 1_ECX, 21, X2APIC, "as the VM's APIC can")                                  \
	X(MOVBE, 1_ECX, 22, HOST, "")                                                         \
	X(POPCNT, 1_ECX, 23, HOST, "")                                                        \
	X(TSC_DEADLINE, 1_ECX, 24, DEADLINE, "as the VM's APIC can")                          \
	X(AES, 1_ECX, 25, HOST, "")                                                           \
	X(XSAVE, 1_ECX, 26, XSAVE, "")                                                        \
	X(OSXSAVE, 1_ECX, 27, LOOKUP, "the guest's CR4")                                      \
	X(AVX, 1_ECX, 28, AVX, "")                                                            \
	X(F16C, 1_ECX, 29, AVX, "")                                                           \
	X(RDRAND, 1_ECX, 30, HOST, "")                                                        \
	X(HYPERVISOR, 1_ECX, 31, ALWAYS, "guests skip what only bare hardware needs")

#define CPUID_FEATURES_1_EDX(X)                                                            \
	X(FPU, 1_EDX, 0, HOST, "")                                                         \
	X(VME, 1_EDX, 1, HOST, "")                                                         \
	X(DE, 1_EDX, 2, HOST, "")                                                          \
	X(PSE, 1_EDX, 3, HOST, "")                                                         \
	X(TSC, 1_EDX, 4, HOST, "with the vCPU's offset")                                   \
	X(MSR, 1_EDX, 5, HOST, "core/msr_policy.c decides each")                           \
	X(PAE, 1_EDX, 6, HOST, "")                                                         \
	X(MCE, 1_EDX, 7, HOST, "with a machine check bank count of 0")                     \
	X(CX8, 1_EDX, 8, HOST, "")                                                         \
	X(APIC, 1_EDX, 9, APIC, "as the VM has one")                                       \
	X(SEP, 1_EDX, 11, HOST, "")                                                        \
	X(MTRR, 1_EDX, 12, HIDE, "the nested page table decides on memory types")          \
	X(PGE, 1_EDX, 13, HOST, "")                                                        \
	X(MCA, 1_EDX, 14, HOST, "with a machine check bank count of 0")                    \
	X(CMOV, 1_EDX, 15, HOST, "")                                                       \
	X(PAT, 1_EDX, 16, HOST, "")                                                        \
	X(PSE36, 1_EDX, 17, HOST, "")                                                      \
	X(PSN, 1_EDX, 18, HIDE, "tells machines apart")                                    \
	X(CLFSH, 1_EDX, 19, HOST, "")                                                      \
	X(DS, 1_EDX, 21, HIDE, "debug store: memory written behind the nested page table") \
	X(ACPI, 1_EDX, 22, HIDE, "temperature is the host's")                              \
	X(MMX, 1_EDX, 23, HOST, "")                                                        \
	X(FXSR, 1_EDX, 24, HOST, "")                                                       \
	X(SSE, 1_EDX, 25, HOST, "")                                                        \
	X(SSE2, 1_EDX, 26, HOST, "")                                                       \
	X(SS, 1_EDX, 27, HOST, "")                                                         \
	X(HTT, 1_EDX, 28, HIDE, "a vCPU is a package of one core")                         \
	X(TM, 1_EDX, 29, HIDE, "temperature is the host's")                                \
	X(PBE, 1_EDX, 31, HIDE, "IA32_MISC_ENABLE has no such switch")

#define CPUID_FEATURES_6_7(X)                                                             \
	X(ARAT, 6_EAX, 2, APIC, "an emulated timer never sleeps")                         \
	X(FSGSBASE, 7_EBX, 0, HOST, "")                                                   \
	X(TSC_ADJUST, 7_EBX, 1, ALWAYS, "made from the TSC offset")                       \
	X(SGX, 7_EBX, 2, HIDE, "enclaves need memory of their own kind")                  \
	X(BMI1, 7_EBX, 3, HOST, "")                                                       \
	X(HLE, 7_EBX, 4, HIDE, "transactions abort at every exit, and were withdrawn")    \
	X(AVX2, 7_EBX, 5, AVX, "")                                                        \
	X(FDP_EXCPTN_ONLY, 7_EBX, 6, HOST, "says how the x87 unit behaves")               \
	X(SMEP, 7_EBX, 7, HOST, "")                                                       \
	X(BMI2, 7_EBX, 8, HOST, "")                                                       \
	X(ERMS, 7_EBX, 9, HOST, "")                                                       \
	X(INVPCID, 7_EBX, 10, HIDE, "goes with PCID")                                     \
	X(RTM, 7_EBX, 11, HIDE, "transactions abort at every exit, and were withdrawn")   \
	X(RDT_M, 7_EBX, 12, HIDE, "cache monitoring is the host's")                       \
	X(DEPRECATED_FCS, 7_EBX, 13, HOST, "says how the x87 unit behaves")               \
	X(MPX, 7_EBX, 14, HIDE, "its state is not switched")                              \
	X(RDT_A, 7_EBX, 15, HIDE, "cache allocation is the host's")                       \
	X(AVX512F, 7_EBX, 16, HIDE, "its state is not switched")                          \
	X(RDSEED, 7_EBX, 18, HOST, "")                                                    \
	X(ADX, 7_EBX, 19, HOST, "")                                                       \
	X(SMAP, 7_EBX, 20, HOST, "")                                                      \
	X(CLFLUSHOPT, 7_EBX, 23, HOST, "")                                                \
	X(CLWB, 7_EBX, 24, HOST, "")                                                      \
	X(PROCESSOR_TRACE, 7_EBX, 25, HIDE, "writes memory behind the nested page table") \
	X(SHA, 7_EBX, 29, HOST, "")                                                       \
	X(UMIP, 7_ECX, 2, HOST, "")                                                       \
	X(PKU, 7_ECX, 3, HIDE, "its state is not switched")                               \
	X(WAITPKG, 7_ECX, 5, HIDE, "a sleeping guest must give its CPU back: HLT does")   \
	X(CET_SS, 7_ECX, 7, HIDE, "its state is not switched")                            \
	X(GFNI, 7_ECX, 8, HOST, "")                                                       \
	X(VAES, 7_ECX, 9, AVX, "")                                                        \
	X(VPCLMULQDQ, 7_ECX, 10, AVX, "")                                                 \
	X(LA57, 7_ECX, 16, HIDE, "addresses are checked for 48 bits")                     \
	X(RDPID, 7_ECX, 22, AUX, "one control makes both")                                \
	X(FSRM, 7_EDX, 4, HOST, "")                                                       \
	X(MD_CLEAR, 7_EDX, 10, HOST, "says that VERW clears buffers")                     \
	X(SERIALIZE, 7_EDX, 14, HOST, "")                                                 \
	X(CET_IBT, 7_EDX, 20, HIDE, "its state is not switched")                          \
	X(SPEC_CTRL, 7_EDX, 26, HIDE, "IA32_SPEC_CTRL is not switched")                   \
	X(STIBP, 7_EDX, 27, HIDE, "IA32_SPEC_CTRL is not switched")                       \
	X(L1D_FLUSH, 7_EDX, 28, HIDE, "IA32_FLUSH_CMD is the host's")                     \
	X(ARCH_CAPABILITIES, 7_EDX, 29, HIDE, "the MSR is not given")                     \
	X(SSBD, 7_EDX, 31, HIDE, "IA32_SPEC_CTRL is not switched")

#define CPUID_FEATURES_MORE(X)                                 \
	X(XSAVEOPT, D1_EAX, 0, XSAVE, "")                      \
	X(XSAVEC, D1_EAX, 1, XSAVE, "")                        \
	X(XGETBV1, D1_EAX, 2, XSAVE, "")                       \
	X(XSAVES, D1_EAX, 3, HIDE, "IA32_XSS is not switched") \
	X(LAHF64, X1_ECX, 0, HOST, "")                         \
	X(LZCNT, X1_ECX, 5, HOST, "")                          \
	X(PREFETCHW, X1_ECX, 8, HOST, "")                      \
	X(SYSCALL, X1_EDX, 11, HOST, "")                       \
	X(NX, X1_EDX, 20, HOST, "")                            \
	X(GB_PAGES, X1_EDX, 26, HOST, "")                      \
	X(RDTSCP, X1_EDX, 27, AUX, "IA32_TSC_AUX is switched") \
	X(LM, X1_EDX, 29, HOST, "")                            \
	X(INVARIANT_TSC, X7_EDX, 8, HOST, "vCPUs stay on machines of one clock")

#define CPUID_FEATURES(X) \
	CPUID_FEATURES_1_ECX(X) CPUID_FEATURES_1_EDX(X) CPUID_FEATURES_6_7(X) CPUID_FEATURES_MORE(X)

enum cpuid_feature {
#define X(name, word, bit, rule, why) CPUID_F_##name,
	CPUID_FEATURES(X)
#undef X
		CPUID_F_COUNT
};

/* What one vCPU is to see; all zero: no APIC, no XSAVE. */
struct cpuid_config {
	uint32_t tsc_khz; /* for leaf 40000010h; 0: unknown */
	uint32_t apic_id; /* of the vCPU */
	/* State components that the host switches; without x87 and SSE: no XSAVE. */
	uint64_t xcr0;
	/* Physical address width; 0, or more than can be: the host's, up to 48. */
	uint8_t phys_bits;
	/* What the VM's APIC can; the last two need the first. */
	bool apic, x2apic, tsc_deadline;
	/* Leaf 15h too: the APIC's timer must then count at the TSC's rate. */
	bool tsc_leaf;
	/* Features to hide: see cpuid_config_withhold. */
	uint64_t withheld[(CPUID_F_COUNT + 63) / 64];
};

void cpuid_config_withhold(struct cpuid_config *c, enum cpuid_feature f);

#define CPUID_BASIC_COUNT 0x16u
#define CPUID_EXT_COUNT	  9u
#define CPUID_CACHE_MAX	  4u

struct cpuid_policy {
	uint32_t max_basic;
	uint32_t varies; /* a bit for each basic leaf that depends on more than its number */
	struct cpuid_regs basic[CPUID_BASIC_COUNT];
	struct cpuid_regs ext[CPUID_EXT_COUNT];	  /* from 80000000h */
	struct cpuid_regs cache[CPUID_CACHE_MAX]; /* leaf 4 */
	struct cpuid_regs xsave1, xsave_avx;	  /* leaf 0Dh, sub-leaves 1 and 2 */
	uint64_t xcr0;				  /* what the guest may set in XCR0; 0: no XSAVE */
	uint32_t tsc_khz;
};

/* Reads the host through ops. Before the vCPU runs; the policy does not change afterwards. */
void cpuid_policy_build(struct cpuid_policy *p, const struct cpuid_config *c,
			const struct cpu_ops *ops);

/*
 * The guest's CPUID. Depends on its CR4 (OSXSAVE) and XCR0 (size of the XSAVE area). Leaves that do
 * not exist show what the highest basic leaf does, as on Intel's CPUs.
 */
void cpuid_policy_get(const struct cpuid_policy *p, uint32_t leaf, uint32_t subleaf, uint64_t cr4,
		      uint64_t xcr0, struct cpuid_regs *out);

/* The answer for a basic leaf that depends on nothing but its number; NULL for all others. */
static inline const struct cpuid_regs *cpuid_policy_plain(const struct cpuid_policy *p,
							  uint32_t leaf)
{
	return likely(leaf <= p->max_basic && !(p->varies >> leaf & 1)) ? &p->basic[leaf] : NULL;
}

/* Whether the guest sees the feature. OSXSAVE: never. */
bool cpuid_policy_has(const struct cpuid_policy *p, enum cpuid_feature f);

/* Bytes of a standard XSAVE area for these components. */
uint32_t cpuid_policy_xsave_size(const struct cpuid_policy *p, uint64_t xcr0);

/* Bits of CR4 and EFER that the guest may set, for the features it sees. */
uint64_t cpuid_policy_cr4_bits(const struct cpuid_policy *p);
uint64_t cpuid_policy_efer_bits(const struct cpuid_policy *p);

/* Widths of the guest's physical addresses. */
unsigned cpuid_policy_phys_bits(const struct cpuid_policy *p);

/* For listings: "SSE3", and why the feature is treated as it is ("": nothing to say). */
const char *cpuid_feature_name(enum cpuid_feature f);
const char *cpuid_feature_why(enum cpuid_feature f);
